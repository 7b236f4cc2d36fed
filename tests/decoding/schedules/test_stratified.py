"""The codes of arithmetic sampling and nothing else."""

import pytest

from et_agent.decoding import EntropyTree, ForkKind
from tests.decoding.play import from_table, play, shape, uneven


def test_other_seeds_give_other_trees() -> None:
    decoder = EntropyTree(schedule="stratified", leaves=4, temperature=1)
    assert len({shape(play(decoder, uneven(), seed)) for seed in range(20)}) > 5


def test_stratified_leaves_have_equal_weight_a_code_and_share_beginnings() -> None:
    decoder = EntropyTree(schedule="stratified", leaves=16, temperature=1)
    for seed in range(20):
        run = play(decoder, uneven(), seed)
        tree = run.tree
        assert tree.leaf_count() == 16
        for branch, weight in zip(tree.branches, tree.weights(), strict=True):
            assert weight == pytest.approx(branch.codes / 16, abs=1e-12)
        # p(1) = 0.6 of 16 codes, spread evenly: 9 or 10 of them, never fewer or more.
        first = sum(b.codes for b in tree.branches if tree.path(b.id)[0] == 1)
        assert first in (9, 10)
        assert tree.tokens_decoded < tree.tokens_as_chains
        assert {fork.kind for fork in tree.forks} == {ForkKind.STRATIFIED}
        assert not any(run.may_fork(branch.id) for branch in tree.branches)


def test_a_code_stays_a_code_until_its_interval_holds_no_other() -> None:
    toy = from_table(
        {(): {0: 0.9, 1: 0.1}, (0,): {2: 0.5, 3: 0.5}, (1,): {2: 1.0}}, {2: "A", 3: "B"}
    )
    decoder = EntropyTree(schedule="stratified", leaves=2, temperature=1)
    for seed in range(50):
        run = play(decoder, toy, seed)
        firsts = sorted(run.tree.path(b.id)[0] for b in run.tree.branches)
        if firsts == [0, 0]:
            answers = sorted(toy.answer(tuple(run.tree.path(b.id))) for b in run.tree.branches)
            # Codes 0.5 / 0.9 of the interval apart: they cannot both fall into one half.
            assert answers == ["A", "B"]
