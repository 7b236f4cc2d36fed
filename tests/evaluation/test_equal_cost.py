import itertools

import numpy as np
import pytest

from et_agent.errors import DataError
from et_agent.evaluation.bootstrap import Resamples
from et_agent.evaluation.equal_cost import Chains, are_chains, some_chains
from et_agent.evaluation.metrics import auroc
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.summaries import at_equal_cost, compare
from et_agent.uncertainty.estimators import ESTIMATORS
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
    with pytest.raises(DataError, match="not independent chains"):
        Chains([tree(0, [0, 0], [True], 5)])


def test_some_chains_are_a_run_of_their_own() -> None:
    one = some_chains(RUN[2], np.array([1, 3]))
    assert one.leaves.answer.tolist() == [0, 1]
    assert one.leaves.weight.tolist() == [0.5, 0.5]
    assert one.answers == ("1", "2")
    assert one.right == (True, False)
    assert one.correct
    assert one.tokens_decoded == 20
    assert one.seconds == pytest.approx(0.75)


def test_chains_that_were_not_decoded_break_no_ties() -> None:
    """Class 0 came first in the whole run, but not among these."""
    one = some_chains(chains(0, [0, 1, 0, 2], [True, False, False]), np.array([1, 2]))
    assert not one.correct


def subsets_of(one: QuestionRecord, k: int) -> list[QuestionRecord]:
    return [some_chains(one, np.array(part)) for part in itertools.combinations(range(4), k)]


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_fewer_chains_against_all_subsets(k: int) -> None:
    reference, counts = Chains(RUN), np.ones((1, len(RUN)))
    many = np.array([float(k)])
    exact = [subsets_of(one, k) for one in RUN]
    any_right = np.mean([[part.leaf_right.any() for part in parts] for parts in exact])
    assert reference.pass_any(many, counts)[0] == pytest.approx(any_right)
    correct = np.mean([[part.correct for part in parts] for parts in exact])
    # 200 random subsets of five questions: five standard errors.
    assert reference.accuracy(many, counts)[0] == pytest.approx(correct, abs=0.08)
    above = pairs = 0.0
    for draw in itertools.product(*exact):
        right = [part.leaves.shares.max(initial=0) for part in draw if part.correct]
        wrong = [part.leaves.shares.max(initial=0) for part in draw if not part.correct]
        pairs += len(right) * len(wrong)
        above += sum((a > b) + 0.5 * (a == b) for a in right for b in wrong)
    found = reference.auroc(many, ESTIMATORS["top-share"], counts)[0]
    if pairs:
        assert found == pytest.approx(above / pairs, abs=0.08)
    else:
        assert np.isnan(found)


def test_between_two_whole_numbers() -> None:
    reference, counts = Chains(RUN), np.ones((3, len(RUN)))
    values = reference.pass_any(np.array([2.0, 2.25, 3.0]), counts)
    assert values[1] == pytest.approx(0.75 * values[0] + 0.25 * values[2])


def test_all_chains_are_the_run_itself() -> None:
    counts = Resamples(len(RUN), resamples=20).counts
    k = np.full(len(counts), 4.0)
    right = np.array([one.correct for one in RUN])
    scores = np.array([one.leaves.shares.max() for one in RUN])
    assert Chains(RUN).auroc(k, ESTIMATORS["top-share"], counts) == pytest.approx(
        auroc(right, scores, counts), nan_ok=True
    )


def test_a_tree_is_held_against_as_many_chains_as_cost_the_same() -> None:
    trees = [tree(at, answers, right, 5) for at, (answers, right) in enumerate(QUESTIONS)]
    # 10 + 3 x 5 tokens, and a chain has 10.
    found = at_equal_cost(trees, RUN, estimators=["top-share"])
    assert found.chains.value == pytest.approx(2.5)
    assert set(found.differences) == {"accuracy", "any leaf right", "AUROC top-share"}
    chance = Chains(RUN).pass_any(np.array([2.5]), np.ones((1, len(RUN))))[0]
    expected = np.mean([one.leaf_right.any() for one in RUN]) - chance
    assert found.differences["any leaf right"][0] == pytest.approx(expected)
    both = compare(trees, RUN, resamples=50, estimators=["top-share"]).at_equal_cost
    assert [one.cost for one in both] == ["tokens", "seconds"]
    assert both[1].chains.value == pytest.approx(4.0)  # as slow


def test_the_number_of_chains_is_found_in_every_resample() -> None:
    """Where costs differ by question, so does what a resample's tree could have bought."""
    trees = [
        tree(at, answers, right, 5 if at % 2 else 0)
        for at, (answers, right) in enumerate(QUESTIONS)
    ]
    found = at_equal_cost(trees, RUN, estimators=[])
    assert found.chains.low is not None
    assert found.chains.high is not None
    assert found.chains.low < (found.chains.value or 0) < found.chains.high


def test_what_rests_on_more_than_leaves_is_undefined() -> None:
    trees = [tree(at, answers, right, 5) for at, (answers, right) in enumerate(QUESTIONS)]
    found = at_equal_cost(trees, RUN, estimators=["p-true"])
    assert np.isnan(found.differences["AUROC p-true"]).all()


def test_cost_that_chains_do_not_reach() -> None:
    dear = [tree(at, [0] * 9, [True], 0) for at in range(5)]
    with pytest.raises(DataError, match=r"as much as 9\.0 chains, which is not within 1 to 4"):
        at_equal_cost(dear, RUN)
    assert [one.cost for one in compare(dear, RUN, resamples=10).at_equal_cost] == ["seconds"]
