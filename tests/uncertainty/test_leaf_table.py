import numpy as np
import pytest

from et_agent.decoding import EntropyTree, MultiChain
from et_agent.uncertainty.measuring import WINDOW, leaf_table
from tests.decoding.play import play, random_toy, uneven
from tests.evaluation.conftest import table


def measured(decoder: EntropyTree | MultiChain, seed: int, toy_seed: int | None = None):  # type: ignore[no-untyped-def]
    toy = uneven() if toy_seed is None else random_toy(toy_seed)
    tree = play(decoder, toy, seed).tree
    answers = [toy.answer(tuple(tree.path(branch.id))) for branch in tree.branches]
    labels = sorted(set(answers))
    classes = [labels.index(answer) for answer in answers]
    return tree, leaf_table(tree, classes, [None] * len(classes), lambda _: b"x")


@pytest.mark.parametrize("schedule", ["rounds", "online", "breadth_first", "stratified"])
def test_the_table_of_a_tree(schedule: str) -> None:
    decoder = EntropyTree(schedule=schedule, leaves=8, roots=3, tau=0.2, temperature=1)
    for seed in range(20):
        tree, leaves = measured(decoder, seed)
        assert leaves.weight.tolist() == tree.weights().tolist()
        assert leaves.tokens_decoded == tree.tokens_decoded
        assert int(leaves.count.sum()) == tree.leaf_count()
        for at, branch in enumerate(tree.branches):
            own = [
                log_prob
                for piece, low, high in tree.segments(branch.id)
                for log_prob in piece.log_probs[low - piece.start : high - piece.start]
            ]
            assert leaves.log_prob[at] == pytest.approx(sum(own))
            assert leaves.tail_log_prob[at] == pytest.approx(np.mean(own[-WINDOW:]))


@pytest.mark.parametrize("schedule", ["rounds", "online", "breadth_first"])
def test_a_capped_tree_keeps_all_weight(schedule: str) -> None:
    decoder = EntropyTree(schedule=schedule, leaves=8, roots=3, tau=0.05, temperature=1)
    for seed in range(20):
        _, leaves = measured(decoder, seed, toy_seed=seed)
        for cap in range(1, 9):
            capped = leaves.capped(cap)
            assert capped.weight.sum() == pytest.approx(1.0)
            assert (capped.weight > -1e-12).all()
            assert len(capped) == 1 or int(capped.count.sum()) <= cap
        assert leaves.capped(99).weight.tolist() == pytest.approx(leaves.weight.tolist())


def test_a_capped_tree_is_the_tree_with_fewer_leaves() -> None:
    """Rounds go on where fewer leaves stop: the weights must be those of the smaller tree."""
    large = EntropyTree(leaves=8, roots=2, tau=0.05, temperature=1, importance="none")
    compared = 0
    for seed in range(30):
        tree, leaves = measured(large, seed, toy_seed=seed)
        for cap in (2, 3, 4):
            small, fewer = measured(large.model_copy(update={"leaves": cap}), seed, toy_seed=seed)
            capped = leaves.capped(cap)
            tokens = [b.tokens for b in tree.branches][: len(capped)]
            if len(fewer) == len(capped) and tokens == [b.tokens for b in small.branches]:
                assert capped.weight.tolist() == pytest.approx(fewer.weight.tolist())
                compared += 1
    assert compared > 20


@pytest.mark.parametrize("schedule", ["rounds", "online", "stratified"])
def test_fewer_leaves_than_codes_are_an_even_choice_among_them(schedule: str) -> None:
    decoder = EntropyTree(schedule=schedule, leaves=8, roots=6, tau=0.1, temperature=1)
    for toy_seed in range(8):
        for seed in range(5):
            tree, leaves = measured(decoder, seed, toy_seed=toy_seed)
            for cap in range(1, 6):
                capped = leaves.capped(cap)
                assert capped.count.sum() == cap
                assert capped.weight.tolist() == (capped.count / cap).tolist()
                # It shares beginnings as the paths that are left do.
                rows = [leaves.log_prob.tolist().index(one) for one in capped.log_prob.tolist()]
                paths = [tree.path(row) for row in rows]
                pieces = {tuple(path[:end]) for path in paths for end in range(1, len(path) + 1)}
                assert capped.tokens_decoded == len(pieces)


def test_an_even_choice_is_what_fewer_codes_would_have_been() -> None:
    """Answers as often and as far apart as in trees of four codes from the start."""
    eight, four = (EntropyTree(schedule="stratified", leaves=n, temperature=1) for n in (8, 4))
    toy = random_toy(3)
    rng = np.random.default_rng(0)
    found = {}
    for decoder, first in ((eight, 0), (four, 1000)):
        shares = []
        for seed in range(first, first + 400):
            tree = play(decoder, toy, seed).tree
            answers = [toy.answer(tuple(tree.path(branch.id))) for branch in tree.branches]
            known = sorted(set(answers))
            classes = [known.index(answer) for answer in answers]
            leaves = leaf_table(tree, classes, [None] * len(classes), lambda _: b"x")
            leaves = leaves.capped(4, shift=rng.random())
            shares.append(dict(zip(known, leaves.share_of_classes(leaves.weight), strict=False)))
        every = sorted({answer for one in shares for answer in one})
        found[first] = np.array([[one.get(answer, 0.0) for answer in every] for one in shares])
    # Standard errors are 0.02 at most.
    assert found[0].mean(axis=0) == pytest.approx(found[1000].mean(axis=0), abs=0.05)
    assert found[0].std(axis=0) == pytest.approx(found[1000].std(axis=0), abs=0.04)


def test_chains_share_what_a_dropped_one_had() -> None:
    _, leaves = measured(MultiChain(leaves=6), 1)
    assert leaves.capped(4).weight.tolist() == pytest.approx([0.25] * 4)


def test_shares_of_the_answers() -> None:
    leaves = table([1, 0, 1, -1], [0.1, 0.4, 0.3, 0.2])
    assert leaves.classes == 2
    assert leaves.shares.tolist() == pytest.approx([0.4, 0.4])
    assert leaves.top == 0
    assert leaves.count_shares.tolist() == pytest.approx([0.25, 0.5])
    assert leaves.top_weights().tolist() == pytest.approx([0.0, 1.0, 0.0, 0.0])
    none = table([-1, -1])
    assert none.top is None
    assert none.top_weights().tolist() == pytest.approx([0.5, 0.5])
    assert np.isclose(table([0, 0], [1.0, 0.0]).top_weights().sum(), 1.0)
