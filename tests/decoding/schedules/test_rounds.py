"""When rounds forks and when it stops."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.decoding import EntropyTree, Run
from tests.decoding.play import Path, chain_toy, from_table, new_forks, play


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


@pytest.mark.parametrize(("says", "position"), [(True, 8), (False, 2)])
def test_a_token_that_speaks_of_the_answer_is_worth_more(says: bool, position: int) -> None:
    toy = chain_toy([0.999, 0.999, 0.6, 0.999, 0.999, 0.999, 0.999, 0.999, 0.6, 0.999])
    decoder = EntropyTree(
        schedule="rounds", leaves=2, roots=1, temperature=1, tau=0.1, least_value=0.0
    )

    def speaks(path: Sequence[int]) -> list[bool]:
        return [at == 8 for at in range(len(path))]

    for seed in range(5):
        run = play(decoder, toy, seed, read_tokens=speaks if says else None)
        assert [fork.position for fork in run.tree.forks] == [position]


def test_a_fork_that_is_worth_less_than_a_chain_is_not_made() -> None:
    toy = chain_toy([0.6] * 8)
    sizes = []
    for least in (0.0, 1.0, 1e9):
        decoder = EntropyTree(
            schedule="rounds", leaves=12, roots=4, temperature=1, least_value=least
        )
        run = play(decoder, toy, 3, read_tokens=lambda path: [True] * len(path))
        sizes.append(run.tree.leaf_count())
    assert sizes[0] == 12
    assert sizes[0] >= sizes[1] >= sizes[2] == 4


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.99))
def test_what_a_fork_takes_off_the_squared_error(seed: int, p: float) -> None:
    """The identity behind `value_per_token`, term by term over all pairs of answers."""
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


def test_stop_above_stops_the_rounds() -> None:
    settings: dict[str, Any] = {"leaves": 12, "roots": 4, "tau": 0.2, "temperature": 1}
    toy = chain_toy([0.6] * 6)

    def leaves(share: float | None, says: str | None, *, reader: bool = True) -> int:
        decoder = EntropyTree(
            schedule="rounds", value="mass_per_token", **settings, stop_above=share
        )
        return play(decoder, toy, read_leaf=(lambda _: says) if reader else None).tree.leaf_count()

    assert leaves(None, "same") == 12
    assert leaves(0.9, "same") == 4
    assert leaves(0.9, None) == 12, "nothing is no answer"
    assert leaves(0.9, "same", reader=False) == 12


def test_disagreement_prefers_positions_behind_which_answers_differ() -> None:
    # Two unsure places: the first decides the answer, the second is as unsure and decides nothing.
    table: dict[Path, dict[int, float]] = {(): {1: 0.5, 2: 0.5}}
    for first in (1, 2):
        table[first,] = {1: 0.5, 2: 0.5}
        for second in (1, 2):
            table[first, second] = {2 + first: 1.0}
    toy = from_table(table, {3: "A", 4: "B"})
    decoder = EntropyTree(
        schedule="rounds", leaves=4, roots=1, tau=0.2, temperature=1, value="disagreement"
    )
    run = play(decoder, toy, read_leaf=lambda tokens: tokens[-1])
    assert run.tree.leaf_count() == 4
    assert {f.position for f in run.tree.forks} == {0, 1}


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
