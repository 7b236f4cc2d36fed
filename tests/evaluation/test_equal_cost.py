import itertools

import numpy as np
import pytest

from et_agent.errors import DataError
from et_agent.evaluation.bootstrap import Resamples
from et_agent.evaluation.equal_cost import Chains, are_chains, some_chains
from et_agent.evaluation.metrics import auroc
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.summaries import at_equal_cost, compare
from et_agent.uncertainty.leaf_table import FORKS
from tests.evaluation.conftest import record, table


def chains(item: int, answers: list[int], right: list[bool]) -> QuestionRecord:
    return record(f"q/{item}", table(answers), right)


def tree(item: int, answers: list[int], right: list[bool], start: int) -> QuestionRecord:
    """As many leaves, all but the first with a beginning that was there before."""
    size = len(answers)
    leaves = table(
        answers,
        start=[0] + [start] * (size - 1),
        fork=[-1] + [FORKS.index("distinct")] * (size - 1),
    )
    return record(f"q/{item}", leaves, right)


QUESTIONS = [
    ([0, 0, 0, 1], [True, False]),
    ([0, 1, 1, 1], [True, False]),
    ([0, 1, 2, 2], [False, True, False]),
    ([0, 0, 0, 0], [False]),
    ([0, 0, -1, -1], [True]),
]
RUN = [chains(at, answers, right) for at, (answers, right) in enumerate(QUESTIONS)]


def test_only_chains_can_be_made_fewer() -> None:
    assert are_chains(RUN)
    assert not are_chains([tree(0, [0, 0], [True], 5)])
    assert not are_chains([RUN[0], chains(9, [0, 0], [True])])
    assert not are_chains([chains(0, [0], [True])])
    with pytest.raises(DataError, match="no independent chains"):
        Chains([tree(0, [0, 0], [True], 5)])


def test_some_chains_are_a_run_of_their_own() -> None:
    one = some_chains(RUN[2], np.array([1, 3]))
    assert one.leaves.answer.tolist() == [1, 2]
    assert one.leaves.weight.tolist() == [0.5, 0.5]
    assert one.leaf_right.tolist() == [True, False]
    assert one.correct


def test_fewer_chains_against_all_subsets() -> None:
    reference = Chains(RUN)
    for k in (1, 2, 3, 4):
        subsets = list(itertools.combinations(range(4), k))
        any_right = [
            np.mean([one.leaf_right[list(subset)].any() for subset in subsets]) for one in RUN
        ]
        assert reference.pass_any(k) == pytest.approx(np.array(any_right))
    assert reference.pass_any(2.5) == pytest.approx(
        (reference.pass_any(2) + reference.pass_any(3)) / 2
    )
    # All four have but one subset.
    assert reference.accuracy(4).tolist() == [float(one.correct) for one in RUN]
    counts = Resamples(len(RUN), resamples=20).counts
    right = np.array([one.correct for one in RUN])
    shares = np.array([one.leaves.shares.max() for one in RUN])
    assert reference.auroc(4, "top-share", counts) == pytest.approx(
        auroc(right, shares, counts), nan_ok=True
    )
    # One random chain is always unanimous, unless it has no answer.
    assert reference.accuracy(1) == pytest.approx(np.array([0.75, 0.25, 0.25, 0.0, 0.5]), abs=0.35)


def test_a_tree_is_held_against_as_many_chains_as_cost_the_same() -> None:
    trees = [tree(at, answers, right, 5) for at, (answers, right) in enumerate(QUESTIONS)]
    # 10 + 3 x 5 tokens, and a chain has 10.
    k, gaps = at_equal_cost(trees, RUN, estimators=["top-share"])
    assert k == pytest.approx(2.5)
    assert set(gaps) == {"accuracy", "any leaf right", "AUROC top-share"}
    counts = np.ones((1, len(RUN)))
    expected = np.mean([one.leaf_right.any() for one in RUN]) - Chains(RUN).pass_any(2.5).mean()
    assert gaps["any leaf right"](counts)[0] == pytest.approx(expected)
    found = compare(trees, RUN, resamples=50, estimators=["top-share"])
    assert [one.cost for one in found.at_equal_cost] == ["tokens", "seconds"]
    assert found.at_equal_cost[0].chains == pytest.approx(2.5)
    assert found.at_equal_cost[1].chains == pytest.approx(4.0)  # as slow


def test_cost_that_chains_do_not_reach() -> None:
    dear = [tree(at, [0] * 9, [True], 0) for at in range(5)]
    with pytest.raises(DataError, match=r"as much as 9\.0 chains and there are 4"):
        at_equal_cost(dear, RUN)
    assert [one.cost for one in compare(dear, RUN, resamples=10).at_equal_cost] == ["seconds"]
