import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.calibration import features_of
from et_agent.decoding import EntropyTree, MultiChain
from et_agent.decoding.schedules.keywords import Schedule
from et_agent.errors import InputError
from et_agent.uncertainty import answer_distribution
from et_agent.uncertainty.leaf_table import FORKS
from et_agent.uncertainty.measuring import WINDOW, leaf_table
from tests.decoding.play import play, random_toy, uneven
from tests.evaluation.conftest import table


def tree_of(schedule: Schedule, **settings: Any) -> EntropyTree:
    """The schedule's tree with those of the settings that it has."""
    fields = EntropyTree.schedules[schedule].model_fields
    own = {name: value for name, value in settings.items() if name in fields}
    return EntropyTree(schedule=schedule, **own)


def measured(decoder: EntropyTree | MultiChain, seed: int, toy_seed: int | None = None):  # type: ignore[no-untyped-def]
    toy = uneven() if toy_seed is None else random_toy(toy_seed)
    tree = play(decoder, toy, seed).tree
    answers = [toy.answer(tuple(tree.path(branch.id))) for branch in tree.branches]
    labels = sorted(set(answers))
    classes = [labels.index(answer) for answer in answers]
    return tree, leaf_table(tree, classes, [None] * len(classes), lambda _: b"x")


@pytest.mark.parametrize("schedule", ["rounds", "online", "breadth_first", "stratified"])
def test_the_table_of_a_tree(schedule: Schedule) -> None:
    decoder = tree_of(schedule, leaves=8, roots=3, tau=0.2, temperature=1)
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
def test_a_capped_tree_keeps_all_weight(schedule: Schedule) -> None:
    decoder = tree_of(schedule, leaves=8, roots=3, tau=0.05, temperature=1)
    for seed in range(20):
        _, leaves = measured(decoder, seed, toy_seed=seed)
        for cap in range(1, 9):
            capped = leaves.capped(cap, 0.5)
            assert capped.weight.sum() == pytest.approx(1.0)
            assert (capped.weight > -1e-12).all()
            assert len(capped) == 1 or int(capped.count.sum()) <= cap
        assert leaves.capped(99, 0.5).weight.tolist() == pytest.approx(leaves.weight.tolist())


def test_a_capped_tree_is_the_tree_with_fewer_leaves() -> None:
    """Rounds go on where fewer leaves stop: the weights must be those of the smaller tree."""
    large = EntropyTree(
        schedule="rounds", leaves=8, roots=2, tau=0.05, temperature=1, importance="none"
    )
    compared = 0
    for seed in range(30):
        tree, leaves = measured(large, seed, toy_seed=seed)
        for cap in (2, 3, 4):
            small, fewer = measured(large.model_copy(update={"leaves": cap}), seed, toy_seed=seed)
            capped = leaves.capped(cap, 0.5)
            tokens = [b.tokens for b in tree.branches][: len(capped)]
            if len(fewer) == len(capped) and tokens == [b.tokens for b in small.branches]:
                assert capped.weight.tolist() == pytest.approx(fewer.weight.tolist())
                compared += 1
    assert compared > 20


@pytest.mark.parametrize("schedule", ["rounds", "online", "stratified"])
def test_fewer_leaves_than_codes_share_beginnings_as_their_paths_do(schedule: Schedule) -> None:
    decoder = tree_of(schedule, leaves=8, roots=6, tau=0.1, temperature=1)
    for toy_seed in range(8):
        for seed in range(5):
            tree, leaves = measured(decoder, seed, toy_seed=toy_seed)
            for cap in range(1, 6):
                capped = leaves.capped(cap, 0.3)
                assert capped.count.sum() == cap
                assert capped.weight.tolist() == (capped.count / cap).tolist()
                rows = [leaves.log_prob.tolist().index(one) for one in capped.log_prob.tolist()]
                paths = [tree.path(row) for row in rows]
                pieces = {tuple(path[:end]) for path in paths for end in range(1, len(path) + 1)}
                assert capped.tokens_decoded == len(pieces)


def test_the_codes_of_one_beginning_are_neighbours() -> None:
    decoder = EntropyTree(schedule="stratified", leaves=12, temperature=1)
    parted = 0
    for toy_seed in range(12):
        tree, leaves = measured(decoder, toy_seed, toy_seed=toy_seed)
        paths = [tuple(tree.path(leaf)) for leaf in leaves._codes().tolist()]
        assert len(paths) == 12
        for beginning in {path[:end] for path in paths for end in range(1, len(path) + 1)}:
            places = [at for at, path in enumerate(paths) if path[: len(beginning)] == beginning]
            assert places == list(range(places[0], places[-1] + 1))
            parted += 1 < len(places) < 12
    assert parted > 20


def test_an_even_choice_keeps_the_halves() -> None:
    """Two beginnings of four codes each: two codes of each are left, not one or three."""
    coded = FORKS.index("stratified")
    start = [0, 0, 5, 6, 7, 5, 6, 7]
    parent = [-1, 0, 0, 0, 0, 1, 1, 1]
    answer = [0, 1, 0, 0, 0, 1, 1, 1]
    leaves = table(answer, fork=[-1] + [coded] * 7, start=start, parent=parent)
    for shift in np.linspace(0, 1, 21, endpoint=False):
        assert leaves.capped(4, shift).shares.tolist() == [0.5, 0.5]
        assert leaves.capped(2, shift).shares.tolist() == [0.5, 0.5]


def test_an_even_choice_prefers_no_answer() -> None:
    toy = random_toy(5)
    rng = np.random.default_rng(0)
    found: dict[int, list[dict[str, float]]] = {8: [], 4: []}
    for size, shares in found.items():
        decoder = EntropyTree(schedule="stratified", leaves=size, temperature=1)
        for seed in range(500):
            tree = play(decoder, toy, 1000 * size + seed).tree
            answers = [str(toy.answer(tuple(tree.path(branch.id)))) for branch in tree.branches]
            known = sorted(set(answers))
            classes = [known.index(answer) for answer in answers]
            leaves = leaf_table(tree, classes, [None] * len(classes), lambda _: b"x")
            leaves = leaves.capped(4, rng.random())
            shares.append(dict(zip(known, leaves.share_of_classes(leaves.weight), strict=False)))
    every = {answer for one in found[4] for answer in one}
    for answer in every:
        one, two = ([share.get(answer, 0.0) for share in found[size]] for size in (8, 4))
        error = np.sqrt((np.var(one) + np.var(two)) / 500)
        assert abs(np.mean(one) - np.mean(two)) < 4 * error


def test_codes_that_never_parted_are_fewer_too() -> None:
    alone = table([0], [1.0], count=[8])
    assert alone.capped(4, 0.5).count.tolist() == [4]
    assert alone.capped(8, 0.5).count.tolist() == [8]
    forked = table([0, 1], [0.9, 0.1], count=[8, 1], fork=[-1, FORKS.index("distinct")])
    assert forked.capped(4, 0.5).count.tolist() == [4]
    assert forked.capped(4, 0.5).weight.tolist() == [1.0]


@pytest.mark.parametrize("kept", range(1, 16))
def test_any_shift_below_one_will_do(kept: int) -> None:
    leaves = table([0], [1.0], count=[16])
    assert leaves.capped(kept, np.nextafter(1.0, 0.0)).count.tolist() == [kept]


@pytest.mark.parametrize("leaves", [0, -1])
def test_no_tree_has_no_leaves(leaves: int) -> None:
    for tree in (table([0, 1]), table([0], [1.0], count=[8])):
        with pytest.raises(InputError, match="keep 1 or more"):
            tree.capped(leaves, 0.5)


def test_chains_share_what_a_dropped_one_had() -> None:
    _, leaves = measured(MultiChain(leaves=6), 1)
    assert leaves.capped(4, 0.5).weight.tolist() == pytest.approx([0.25] * 4)


def test_shares_of_the_answers() -> None:
    leaves = table([1, 0, 1, -1], [0.1, 0.4, 0.3, 0.2])
    assert leaves.classes == 2
    assert leaves.shares.tolist() == pytest.approx([0.4, 0.4])
    assert leaves.top == 1  # more leaves
    assert leaves.count_shares.tolist() == pytest.approx([0.25, 0.5])
    assert leaves.top_weights().tolist() == pytest.approx([0.25, 0.0, 0.75, 0.0])
    none = table([-1, -1])
    assert none.top is None
    assert none.top_weights().tolist() == pytest.approx([0.5, 0.5])
    assert np.isclose(table([0, 0], [1.0, 0.0]).top_weights().sum(), 1.0)


@given(
    st.lists(st.sampled_from([None, 0, 1, 2]), min_size=1, max_size=8),
    st.lists(
        st.sampled_from([math.nan, -math.inf, -0.1, -0.7, -2.0, -900.0]), min_size=8, max_size=8
    ),
    st.lists(st.integers(0, 2), min_size=8, max_size=8),
    st.lists(st.integers(1, 3), min_size=8, max_size=8),
)
def test_the_table_and_the_distribution_agree_on_the_top_answer(
    classes: list[int | None], log_probs: list[float], parts: list[int], counts: list[int]
) -> None:
    """Few weights make ties common; results show the one, estimators rest on the other."""
    size = len(classes)
    numbers = dict.fromkeys(one for one in classes if one is not None)
    known = {one: at for at, one in enumerate(numbers)}
    index = [None if one is None else known[one] for one in classes]
    weight = np.array(parts[:size]) + (sum(parts[:size]) == 0)
    leaves = table(
        [-1 if one is None else one for one in index],
        (weight / weight.sum()).tolist(),
        answer_log_prob=log_probs[:size],
        count=counts[:size],
    )
    found = answer_distribution(leaves.checked, answer_logprobs=leaves.answer_logprobs)
    answers = [int(one.answer) for one in found if one.answer is not None]
    assert leaves.top == (answers[0] if answers else None)


def test_the_log_probability_of_an_answer() -> None:
    log_probs = [math.log(0.2), math.log(0.8), math.nan, -900.0, -901.0, math.nan, -math.inf]
    weight = [0.3, 0.1, 0.1, 0.2, 0.2, 0.05, 0.05]
    leaves = table([0, 0, 0, 1, 1, 2, 3], weight, answer_log_prob=log_probs)
    # Leaves without are left out, and what no float can hold as a probability is told apart.
    assert leaves.answer_logprobs[:2].tolist() == pytest.approx(
        [math.log(0.35), -900 + math.log((1 + math.exp(-1)) / 2)]
    )
    assert math.isnan(leaves.answer_logprobs[2])
    assert leaves.answer_logprobs[3] < -1e6
    assert table([-1], answer_log_prob=[-1.0]).answer_logprobs.size == 0


def test_a_leaf_whose_answer_was_not_found_does_not_count_against_its_answer() -> None:
    log_probs = [math.log(0.9), math.nan, math.log(0.5), math.log(0.5)]
    assert table([1, 1, 0, 0], answer_log_prob=log_probs).top == 1


def test_words_is_the_old_name_of_answer_logprobs() -> None:
    leaves = table([0, 1], answer_log_prob=[-0.1, -0.2])
    with pytest.warns(
        DeprecationWarning,
        match="LeafTable.words is deprecated and will be removed: use answer_logprobs",
    ):
        assert leaves.words is leaves.answer_logprobs


def test_leaves_about_an_answer_that_is_not_the_heaviest() -> None:
    leaves = table([0, 0, 1], answer_log_prob=[-0.1, -0.2, -0.3])
    other = leaves.about(1, answer_log_prob=np.array([-1.0, -2.0, -3.0]))
    assert (leaves.top, other.top) == (0, 1)
    assert other.answer_logprobs[1] == pytest.approx(-3.0)
    assert other.top_weights().tolist() == [0.0, 0.0, 1.0]
    found, of_other = features_of(leaves), features_of(other)
    assert found["share"] == -(of_other["share"] or 0.0)
    assert of_other["mass"] == pytest.approx(math.log(1 / 3) - 3.0)
    assert features_of(other, ["votes"]) == {"votes": of_other["votes"]}
