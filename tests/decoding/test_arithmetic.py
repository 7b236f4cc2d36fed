"""Roots that come a few at a time are those of a tree that starts with all of them."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.decoding import EntropyTree, Run
from et_agent.decoding.arithmetic import farthest_first
from tests.decoding.play import Path, bias, from_table, grained, play, shares, uneven

# Every path is likelier than 1/16: 16 codes never leave it to chance.
BROAD = from_table(
    {
        (): {1: 0.6, 2: 0.4},
        (1,): {3: 0.7, 4: 0.3},
        (2,): {3: 0.5, 1: 0.5},
        (2, 1): {3: 0.5, 4: 0.5},
    },
    {3: "A", 4: "B"},
)


LATE: Final[dict[str, Any]] = {
    "roots": 4,
    "leaves": 9,
    "value": "mass_per_token",
    "tau": 0.1,
    "stop_above": None,
}


def tree(batch: int | None, **changed: Any) -> EntropyTree:
    """16 roots and no forks later."""
    given = {"roots": 16, "leaves": 16, "temperature": 1, "batch": batch, "stop_above": 1.0}
    settings: dict[str, Any] = given | changed
    return EntropyTree(**settings)


def leaves_of(run: Run) -> Counter[Path]:
    found: Counter[Path] = Counter()
    for branch in run.tree.branches:
        found[tuple(run.tree.path(branch.id))] += branch.codes
        assert run.tree.weight(branch.id) == pytest.approx(branch.codes / run.tree.leaf_count())
    return found


@given(batch=st.integers(1, 17), seed=st.integers(0, 200))
def test_all_batches_together_are_the_tree_decoded_at_once(batch: int, seed: int) -> None:
    whole = play(tree(None), BROAD, seed)
    run = play(tree(batch), BROAD, seed)
    assert leaves_of(run) == leaves_of(whole)
    # The first token of a branch that leaves later may be the one that others took: no more twice.
    paths = [tuple(run.tree.path(branch.id)) for branch in run.tree.branches]
    assert len(set(paths)) == len(paths)
    assert run.tree.tokens_decoded == whole.tree.tokens_decoded


@pytest.mark.parametrize(
    ("batch", "sizes"), [(1, [2, *range(3, 17)]), (2, list(range(2, 17, 2))), (5, [5, 10, 15, 16])]
)
def test_batches_are_two_roots_at_first_and_as_many_as_asked_then(
    batch: int, sizes: list[int]
) -> None:
    seen = []

    def watch(run: Run) -> None:
        if run.tree.leaf_count() not in seen:
            seen.append(run.tree.leaf_count())

    # A batch that follows ended paths to their ends is not seen: it decodes nothing.
    play(tree(batch), BROAD, watch=watch)
    assert seen[0] == sizes[0]
    assert set(seen) <= set(sizes)
    assert seen[-1] == 16


def test_it_stops_between_batches_once_the_answer_is_settled() -> None:
    for seed in range(30):
        run = play(tree(2, stop_above=0.75), BROAD, seed, read_leaf=lambda path: path[-1])
        answers = Counter[int]()
        for path, count in leaves_of(run).items():
            answers[path[-1]] += count
        lead, total = max(answers.values()), sum(answers.values())
        assert lead >= 0.75 * total or total == 16
    assert play(tree(1), BROAD, read_leaf=lambda _: "same").tree.leaf_count() == 2
    assert play(tree(1), BROAD, read_leaf=lambda _: None).tree.leaf_count() == 16


def test_it_gives_up_where_four_leaves_or_more_say_different_things() -> None:
    def leaves(stop_below: float, says: Callable[[Sequence[int]], int | None]) -> int:
        decoder = EntropyTree(
            roots=16, leaves=16, temperature=1, batch=2, stop_above=0.9, stop_below=stop_below
        )
        return play(decoder, BROAD, read_leaf=says).tree.leaf_count()

    assert leaves(0.34, lambda path: hash(tuple(path))) == 16, "two of four leaves say the same"
    assert leaves(0.5, lambda path: hash(tuple(path))) == 4
    assert leaves(0.34, lambda _: None) == 4, "no answer is no share"
    assert leaves(0.34, lambda _: 1) == 2, "settled before"


def test_forks_follow_the_last_batch() -> None:
    decoder = tree(2, **LATE | {"stop_above": 1.0})
    kinds = {fork.kind.value for fork in play(decoder, uneven(), 3).tree.forks}
    assert kinds == {"stratified", "distinct"}
    # The forks are a little biased, as where all roots come at once (test_unbiased.py): no more.
    for script in (uneven(), grained()):
        batches, at_once = (
            bias(
                [shares(play(one, script, seed), script) for seed in range(1500)], script.truth(1.0)
            )
            for one in (decoder, tree(None, **LATE))
        )
        for answer, error in batches.error.items():
            most = 4 * (batches.standard_error[answer] + at_once.standard_error[answer])
            assert abs(error - at_once.error[answer]) <= most


@given(seed=st.integers(0, 300), stop_after=st.integers(1, 40))
def test_a_run_that_is_cancelled_between_batches_keeps_all_weight(
    seed: int, stop_after: int
) -> None:
    told = 0

    def watch(run: Run) -> None:
        nonlocal told
        told += 1
        if told == stop_after and run.runnable():
            run.cancel()

    run = play(tree(3, roots=9, leaves=9), uneven(), seed, watch=watch)
    assert run.tree.weights().sum() == pytest.approx(1.0)
    assert all(branch.finish is not None for branch in run.tree.branches)
    for branch in run.tree.branches:
        assert run.tree.weight(branch.id) == pytest.approx(branch.codes / run.tree.leaf_count())


@pytest.mark.parametrize("size", range(1, 40))
def test_later_codes_come_far_from_those_before(size: int) -> None:
    order = farthest_first(size)
    assert sorted(order) == list(range(size))
    for known in range(1, size):
        gaps = [
            min((one - order[known]) % size, (order[known] - one) % size) for one in order[:known]
        ]
        assert min(gaps) >= size // 2 ** known.bit_length()


@pytest.mark.parametrize("batch", [2, 3])
@pytest.mark.parametrize("toy", ["uneven", "grained"])
def test_the_first_batch_is_unbiased_by_itself(toy: str, batch: int) -> None:
    script = {"uneven": uneven, "grained": grained}[toy]()
    decoder = tree(batch, roots=5, leaves=5, stop_above=0.01)
    runs = [play(decoder, script, seed, read_leaf=lambda _: "same") for seed in range(2500)]
    assert {run.tree.leaf_count() for run in runs} == {batch}
    assert bias([shares(run, script) for run in runs], script.truth(1.0)).largest_z < 4


def test_all_batches_are_unbiased_where_paths_are_left_to_chance() -> None:
    decoder = tree(1, roots=3, leaves=3)
    for script in (uneven(), grained()):
        runs = [play(decoder, script, seed) for seed in range(2500)]
        assert bias([shares(run, script) for run in runs], script.truth(1.0)).largest_z < 4
