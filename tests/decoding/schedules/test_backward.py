"""Forks of finished chains: where they are, and into which sides."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from et_agent.decoding import EntropyTree, ForkKind
from tests.decoding.play import (
    Attend,
    Path,
    chain_toy,
    from_table,
    play,
    random_toy,
    thresholds,
    tree_of,
)


@settings(max_examples=60, deadline=None)
@given(
    schedule=st.sampled_from(["rounds", "breadth_first"]),
    toy=st.integers(0, 60),
    leaves=st.integers(1, 12),
    roots=st.integers(1, 6),
    tau=st.sampled_from([0.05, 0.4, 0.9]),
    branching=st.integers(2, 4),
)
def test_backward_forks_are_at_unsure_free_positions_and_never_twice(
    schedule: str, toy: int, leaves: int, roots: int, tau: float, branching: int
) -> None:
    decoder = tree_of(
        schedule, leaves=leaves, roots=roots, tau=tau, branching=branching, temperature=1
    )
    run = play(decoder, random_toy(toy), toy)
    tree = run.tree
    assert tree.leaf_count() <= leaves
    back = [fork for fork in tree.forks if fork.kind is ForkKind.DISTINCT]
    assert len({(fork.branch, fork.position) for fork in back}) == len(back)
    for fork in back:
        assert fork.entropy >= tau
        owner = tree.branches[fork.branch]
        sides = [owner, *(tree.branches[child] for child, _ in fork.children)]
        tokens = [side.tokens[fork.position - side.start] for side in sides]
        assert len(set(tokens)) == len(tokens) <= branching
        assert fork.share == pytest.approx(
            owner.probabilities[fork.position - owner.start], abs=1e-6
        )
        assert owner.codes == 1


def test_positions_that_several_codes_passed_together_are_not_forked() -> None:
    # One token has 0.9: most seeds send both codes through it, and stratified roots have then
    # counted what the other token is worth.
    toy = chain_toy([0.9])
    decoder = EntropyTree(
        value="mass_per_token", schedule="rounds", leaves=6, roots=2, tau=0.05, temperature=1
    )
    together = [
        run
        for seed in range(60)
        if len((run := play(decoder, toy, seed)).tree.branches[0].tokens) and run.tree.forks == []
    ]
    assert len(together) > 30
    assert all(run.tree.branches[0].codes == 2 for run in together)


def test_b_sides_are_the_top_and_one_of_the_rest() -> None:
    toy = from_table(
        {(): {1: 0.4, 2: 0.3, 3: 0.2, 4: 0.1}} | {(t,): {0: 1.0} for t in (1, 2, 3, 4)}, {0: "A"}
    )
    decoder = EntropyTree(schedule="breadth_first", leaves=20, tau=0.5, branching=3, temperature=1)
    for seed in range(20):
        tree = play(decoder, toy, seed).tree
        (fork,) = tree.forks
        assert len(fork.children) == 2
        chosen = tree.branches[0].tokens[0]
        top = next(token for token in (1, 2) if token != chosen)
        assert tree.branches[1].tokens[0] == top
        assert tree.weight(1) == pytest.approx({1: 0.4, 2: 0.3}[top], abs=1e-6)
        assert tree.branches[2].tokens[0] not in (top, chosen)


def test_a_fork_of_two_tokens_in_all_takes_the_other_one_whatever_b_is() -> None:
    decoder = EntropyTree(schedule="breadth_first", leaves=20, tau=0.1, branching=3, temperature=1)
    tree = play(decoder, chain_toy([0.7])).tree
    (fork,) = tree.forks
    assert len(fork.children) == 1
    assert tree.weights().tolist() == pytest.approx(sorted([0.7, 0.3])[::-1], abs=1e-6) or (
        tree.weights().tolist() == pytest.approx([0.3, 0.7], abs=1e-6)
    )


def test_with_room_for_one_leaf_more_one_side_stands_for_all() -> None:
    decoder = EntropyTree(schedule="breadth_first", leaves=2, tau=0.5, branching=3, temperature=1)
    toy = chain_toy([0.4], ways=4)
    seen = set()
    for seed in range(200):
        tree = play(decoder, toy, seed).tree
        assert tree.leaf_count() == 2
        kept = tree.branches[0].probabilities[0]
        assert tree.weights() == pytest.approx([kept, 1 - kept], abs=1e-6)
        seen.add(tree.branches[1].tokens[0])
    assert seen == {1, 2, 3, 4}


def looked_at(position: int) -> Attend:
    """Later tokens look at one position of the path only."""

    def row(path: Path) -> NDArray[np.float32]:
        values = np.zeros(2 + len(path), dtype=np.float32)
        values[2 + position if len(path) > position else 0] = 1.0
        return values

    return row


@pytest.mark.parametrize("schedule", ["rounds", "breadth_first"])
@pytest.mark.parametrize("given_by", ["delta", "pilot", "own percentile"])
def test_backward_forks_are_filtered_by_attention_received(schedule: str, given_by: str) -> None:
    decoder = tree_of(
        schedule,
        value="mass_per_token",
        roots=1,
        leaves=2,
        tau=0.2,
        temperature=1,
        importance="received",
        delta=0.5 if given_by == "delta" else None,
        importance_percentile=25 if given_by == "delta" else 90,
    )
    run = play(
        decoder,
        chain_toy([0.6, 0.8, 0.6, 0.6, 1.0]),
        attention=looked_at(1),
        prompt_length=2,
        thresholds=thresholds(received=True) if given_by == "pilot" else None,
    )
    (fork,) = run.tree.forks
    assert fork.position == 1, "the least unsure one, but the only one that was looked at"
    off = play(
        decoder.model_copy(update={"importance": "none"}),
        chain_toy([0.6, 0.8, 0.6, 0.6, 1.0]),
        attention=looked_at(1),
        prompt_length=2,
    )
    assert off.tree.forks[0].position != 1


@pytest.mark.parametrize("schedule", ["rounds", "breadth_first"])
def test_without_tau_a_percentile_of_the_questions_own_tokens_serves(schedule: str) -> None:
    decoder = tree_of(
        schedule,
        value="mass_per_token",
        roots=1,
        leaves=2,
        percentile=90,
        temperature=1,
        importance="none",
    )
    run = play(decoder, chain_toy([0.9, 0.9, 0.5, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]))
    assert run.tree.forks[0].position == 2
