"""When rounds, breadth_first and online fork, and when they do not."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from et_agent.decoding import EntropyTree, ForkKind, Run
from et_agent.errors import SettingsError
from tests.decoding.play import Path, Toy, from_table, play, random_toy, thresholds, uneven

Attend = Callable[[Path], NDArray[np.float32]]


def chain_toy(probabilities: list[float], *, ways: int = 2) -> Toy:
    """At position i token 1 has probabilities[i], and `ways` - 1 others share the rest."""

    def rows(path: Path) -> list[float]:
        if len(path) == len(probabilities):
            return [1.0] + [0.0] * ways
        sure = probabilities[len(path)]
        return [0.0, sure] + [(1 - sure) / (ways - 1)] * (ways - 1)

    return Toy(rows, frozenset({0}), lambda path: str(path[-2]))


def new_forks(run: Run, known: int) -> list[tuple[int, int]]:
    return [(fork.branch, fork.position) for fork in run.tree.forks[known:]]


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
    decoder = EntropyTree(
        schedule=schedule, leaves=leaves, roots=roots, tau=tau, branching=branching, temperature=1
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


def test_one_fork_a_chain_a_round() -> None:
    decoder = EntropyTree(
        value="mass_per_token", schedule="rounds", leaves=16, roots=1, tau=0.2, temperature=1
    )
    rounds: list[int] = []
    known = 0

    def watch(run: Run) -> None:
        nonlocal known
        if len(run.tree.forks) > known:
            fresh = new_forks(run, known)
            assert len({branch for branch, _ in fresh}) == len(fresh)
            rounds.append(len(fresh))
            known = len(run.tree.forks)

    run = play(decoder, chain_toy([0.6] * 8), watch=watch)
    assert run.tree.leaf_count() == 16
    assert rounds[0] == 1
    assert max(rounds) > 1


def test_breadth_first_forks_all_unsure_positions_of_a_level_most_unsure_first() -> None:
    toy = chain_toy([0.9, 0.6, 0.99, 0.75])
    decoder = EntropyTree(schedule="breadth_first", leaves=3, tau=0.2, temperature=1)
    run = play(decoder, toy)
    assert new_forks(run, 0) == [(0, 1), (0, 3)]
    wide = EntropyTree(schedule="breadth_first", leaves=50, tau=0.2, temperature=1)
    tree = play(wide, toy).tree
    assert [(f.branch, f.position) for f in tree.forks[:3]] == [(0, 1), (0, 3), (0, 0)]
    assert 2 not in {f.position for f in tree.forks}


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
    decoder = EntropyTree(
        value="mass_per_token",
        schedule=schedule,
        roots=1,
        leaves=2,
        tau=0.2,
        temperature=1,
        importance="received",
        delta=0.5 if given_by == "delta" else None,
        importance_percentile=90,
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


@pytest.mark.parametrize(("says", "position"), [(True, 8), (False, 2)])
def test_a_token_that_speaks_of_the_answer_is_worth_more(says: bool, position: int) -> None:
    toy = chain_toy([0.999, 0.999, 0.6, 0.999, 0.999, 0.999, 0.999, 0.999, 0.6, 0.999])
    decoder = EntropyTree(leaves=2, roots=1, temperature=1, tau=0.1, least_worth=0.0)

    def speaks(path: Sequence[int]) -> list[bool]:
        return [at == 8 for at in range(len(path))]

    for seed in range(5):
        run = play(decoder, toy, seed, read_tokens=speaks if says else None)
        assert [fork.position for fork in run.tree.forks] == [position]


def test_a_fork_that_is_worth_less_than_a_chain_is_not_made() -> None:
    toy = chain_toy([0.6] * 8)
    sizes = []
    for least in (0.0, 1.0, 1e9):
        decoder = EntropyTree(leaves=12, roots=4, temperature=1, least_worth=least)
        run = play(decoder, toy, 3, read_tokens=lambda path: [True] * len(path))
        sizes.append(run.tree.leaf_count())
    assert sizes[0] == 12
    assert sizes[0] >= sizes[1] >= sizes[2] == 4


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.99))
def test_what_a_fork_takes_off_the_squared_error(seed: int, p: float) -> None:
    """The identity behind `worth`, term by term over all pairs of answers."""
    rng = np.random.default_rng(seed)
    a, b = rng.dirichlet([0.5] * 4), rng.dirichlet([0.5] * 4)
    mean = p * a + (1 - p) * b
    eye = np.eye(4)
    before = sum(m * ((eye[k] - mean) ** 2).sum() for k, m in enumerate(mean))
    after = sum(
        a[i] * b[j] * ((p * eye[i] + (1 - p) * eye[j] - mean) ** 2).sum()
        for i in range(4)
        for j in range(4)
    )
    assert before - after == pytest.approx(2 * p * (1 - p) * (1 - a @ b), abs=1e-12)


def test_settle_stops_the_rounds() -> None:
    settings = {"schedule": "rounds", "leaves": 12, "roots": 4, "tau": 0.2, "temperature": 1}
    toy = chain_toy([0.6] * 6)

    def leaves(settle: float | None, says: str | None, *, reader: bool = True) -> int:
        decoder = EntropyTree(value="mass_per_token", **settings, settle=settle)
        return play(decoder, toy, read_leaf=(lambda _: says) if reader else None).tree.leaf_count()

    assert leaves(None, "same") == 12
    assert leaves(0.9, "same") == 4
    assert leaves(0.9, None) == 12, "nothing is no answer to settle on"
    assert leaves(0.9, "same", reader=False) == 12


def test_parting_prefers_positions_behind_which_answers_differ() -> None:
    # Two unsure places: the first decides the answer, the second is as unsure and decides nothing.
    table: dict[Path, dict[int, float]] = {(): {1: 0.5, 2: 0.5}}
    for first in (1, 2):
        table[first,] = {1: 0.5, 2: 0.5}
        for second in (1, 2):
            table[first, second] = {2 + first: 1.0}
    toy = from_table(table, {3: "A", 4: "B"})
    decoder = EntropyTree(
        schedule="rounds", leaves=4, roots=1, tau=0.2, temperature=1, value="parting"
    )
    run = play(decoder, toy, read_leaf=lambda tokens: tokens[-1])
    assert run.tree.leaf_count() == 4
    assert {f.position for f in run.tree.forks} == {0, 1}


@pytest.mark.parametrize("schedule", ["rounds", "breadth_first"])
def test_without_tau_a_percentile_of_the_questions_own_tokens_serves(schedule: str) -> None:
    decoder = EntropyTree(
        value="mass_per_token",
        schedule=schedule,
        roots=1,
        leaves=2,
        percentile=90,
        temperature=1,
        importance="none",
    )
    run = play(decoder, chain_toy([0.9, 0.9, 0.5, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]))
    assert run.tree.forks[0].position == 2


def test_exchangeable_sides_get_half_each() -> None:
    for schedule in ("online", "rounds", "breadth_first"):
        decoder = EntropyTree(
            value="mass_per_token",
            schedule=schedule,
            roots=1,
            leaves=6,
            tau=0.2,
            gap=1,
            exchangeable=True,
            temperature=1,
        )
        tree = play(decoder, uneven(), 1).tree
        assert tree.forks
        for fork in tree.forks:
            assert fork.kind is ForkKind.EXCHANGEABLE
            assert (fork.share, [share for _, share in fork.children]) == (0.5, [0.5])


def test_finished_branches_stay_of_use_while_rounds_may_fork_them() -> None:
    decoder = EntropyTree(
        value="mass_per_token", schedule="rounds", roots=2, leaves=4, tau=0.2, temperature=1
    )
    seen = set()

    def watch(run: Run) -> None:
        for branch in run.tree.branches:
            seen.add((run.may_fork(branch.id), run.tree.leaf_count()))

    run = play(decoder, chain_toy([0.5] * 4), watch=watch)
    assert {(True, 2), (False, 4)} <= seen
    assert not {(False, 2), (True, 4)} & seen
    assert not run.may_fork(0)
