"""When online forks."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from et_agent.decoding import EntropyTree
from et_agent.errors import SettingsError
from tests.decoding.play import Attend, Path, chain_toy, play, thresholds, uneven


def test_online_with_b_3_and_room_for_one_leaf_more_has_two_sides() -> None:
    decoder = EntropyTree(
        schedule="online", roots=1, leaves=2, tau=0.5, gap=1, branching=3, temperature=1
    )
    tree = play(decoder, chain_toy([0.4, 0.4], ways=4)).tree
    assert tree.leaf_count() == 2
    assert [len(fork.children) for fork in tree.forks] == [1]


def test_online_shares_leaves_out_among_roots_and_sides() -> None:
    decoder = EntropyTree(schedule="online", roots=4, leaves=8, tau=0.1, gap=1, temperature=1)
    for seed in range(20):
        tree = play(decoder, chain_toy([0.5] * 12), seed).tree
        assert tree.leaf_count() == 8
        weights = tree.weights()
        # Each of the four codes got one leaf more, so none is worth more than a quarter.
        assert weights.max() <= 0.25 + 1e-9


def test_online_keeps_the_gap_between_forks_of_a_path() -> None:
    decoder = EntropyTree(schedule="online", roots=1, leaves=64, tau=0.1, gap=3, temperature=1)
    tree = play(decoder, chain_toy([0.5] * 10)).tree
    assert tree.leaf_count() > 4
    for branch in tree.branches:
        forked = sorted(
            {p for piece, low, high in tree.segments(branch.id) for p in piece.forked if p < high}
        )
        assert all(b - a >= 3 for a, b in pairwise(forked))


def test_online_does_not_fork_where_one_token_is_all_there_is() -> None:
    decoder = EntropyTree(schedule="online", roots=1, leaves=8, tau=0.0, gap=1, temperature=1)
    tree = play(decoder, chain_toy([1.0, 1.0])).tree
    assert tree.forks == []
    assert tree.leaf_count() == 1


def attends(prompt_share: float) -> Attend:
    def row(path: Path) -> NDArray[np.float32]:
        size = 2 + len(path)
        values = np.zeros(size, dtype=np.float32)
        if len(path) == 0:
            values[:] = 0.5
        else:
            values[:2] = prompt_share / 2
            values[2:] = (1 - prompt_share) / len(path)
        return values

    return row


@pytest.mark.parametrize(("share", "forks"), [(0.9, True), (0.1, False)])
@pytest.mark.parametrize("pilot", [True, False])
def test_online_filters_by_attention_on_the_prompt(share: float, forks: bool, pilot: bool) -> None:
    decoder = EntropyTree(
        schedule="online",
        roots=1,
        leaves=8,
        tau=0.1,
        gap=2,
        temperature=1,
        importance="prompt",
        delta=None if pilot else 0.5,
    )
    run = play(
        decoder,
        chain_toy([1.0, 0.5, 1.0, 0.5]),
        attention=attends(share),
        prompt_length=2,
        thresholds=thresholds(prompt_attention=True) if pilot else None,
    )
    assert bool(run.tree.forks) == forks


def test_a_prompt_filter_without_a_least_share_is_refused() -> None:
    decoder = EntropyTree(schedule="online", roots=1, tau=0.1, importance="prompt")
    with pytest.raises(SettingsError, match="pass delta"):
        play(decoder, chain_toy([0.5]))
    with pytest.raises(SettingsError, match="pass delta"):
        play(decoder, chain_toy([0.5]), thresholds=thresholds())
    play(decoder.model_copy(update={"importance": "auto"}), chain_toy([0.5]))


def test_online_needs_a_threshold_fixed_beforehand() -> None:
    with pytest.raises(SettingsError, match="et-agent pilot"):
        play(EntropyTree(schedule="online"), uneven())
