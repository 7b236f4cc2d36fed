import numpy as np
import pytest

from et_agent.errors import DataError
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.scores import scores_of
from et_agent.evaluation.summaries import compare, curve, summarise
from et_agent.uncertainty.estimators import ESTIMATORS
from et_agent.uncertainty.leaf_table import FORKS
from tests.evaluation.conftest import record, table


def sure(item: int, right: bool) -> QuestionRecord:
    return record(f"q/{item}", table([0, 0, 0, 1]), [right, False])


def unsure(item: int, right: bool) -> QuestionRecord:
    return record(f"q/{item}", table([0, 1, 2, -1], [0.4, 0.3, 0.2, 0.1]), [right, True, False])


def some() -> list[QuestionRecord]:
    return [
        *(sure(at, at != 0) for at in range(10)),
        *(unsure(at, at == 19) for at in range(10, 20)),
    ]


def test_a_summary() -> None:
    found = summarise(some(), resamples=200)
    assert found.questions == 20
    assert found.accuracy.value == pytest.approx(0.5)
    assert found.accuracy.low is not None
    assert found.accuracy.low < 0.5 < (found.accuracy.high or 0)
    estimators = {one.name: one for one in found.estimators}
    # Nine of ten right answers against one of ten wrong ones are among the sure.
    assert estimators["top-share"].metrics["AUROC"].value == pytest.approx(0.9)
    assert set(estimators["top-share"].metrics) == {"AUROC", "AUPRC", "PRR", "AURC", "ECE", "Brier"}
    assert "Brier" not in estimators["et-pe"].metrics
    assert "p-true" not in estimators
    # By hand: a wrong sure question has no right leaf, an unsure one at least the second.
    assert found.capped_pass_at[1].value == pytest.approx(10 / 20)
    assert found.capped_pass_at[2].value == pytest.approx(19 / 20)
    assert found.accuracy_by_count.value == pytest.approx(0.5)
    assert set(found.pass_at) == {1, 2, 4}
    assert found.pass_at[1].value == pytest.approx((9 * 0.75 + 9 * 0.25 + 0.5) / 20)
    assert found.leaves == 4
    assert found.ess == pytest.approx((10 * 4 + 10 / 0.3) / 20)


def test_an_empty_run_cannot_be_summarised() -> None:
    with pytest.raises(DataError, match="no finished questions"):
        summarise([])


def test_all_right_is_undefined_not_perfect() -> None:
    found = summarise([sure(at, True) for at in range(5)], resamples=50)
    for one in found.estimators:
        assert one.metrics["AUROC"].value is None


def test_more_confidence_is_more_for_every_estimator() -> None:
    """A sure, likely, short answer beats a scattered, unlikely one by every estimator's sign."""
    good = table([0, 0, 0, 0], log_prob=[-1.0] * 4, entropy=[0.1] * 4, certainty=[20.0] * 4)
    bad = table(
        [0, 1, 2, -1],
        log_prob=[-9.0] * 4,
        entropy=[2.0] * 4,
        certainty=[5.0] * 4,
        confidence=[-2.0] * 4,
        tail_confidence=[-2.0] * 4,
        lowest_confidence=[-2.0] * 4,
        bottom_confidence=[-2.0] * 4,
        answer_margin=[-2.0] * 4,
        rauq=[3.0] * 4,
        attention_score=[-2.0] * 4,
        prompt_attention=[-2.0] * 4,
        finish=[0, 0, 0, 1],
    )
    extras = [
        {"p-true": 0.9, "lexical-similarity": 0.9, "semantic-classes": [0]},
        {"p-true": 0.1, "lexical-similarity": 0.1, "semantic-classes": [0, 1, 2]},
    ]
    for name, estimator in ESTIMATORS.items():
        high, low = estimator.confidence(good, extras[0]), estimator.confidence(bad, extras[1])
        assert high is not None
        assert low is not None
        if name == "ess":  # equal weights in both
            assert high == low
        else:
            assert high > low, name


def test_what_was_not_measured_is_no_score() -> None:
    blank = table([0, 1], rauq=[np.nan, np.nan], answer_margin=[np.nan, np.nan])
    records = [record("q/1", blank, [True, False])]
    for name in ("rauq", "cot-margin", "p-true", "semantic-entropy-entailed"):
        assert np.isnan(scores_of(records, ESTIMATORS[name])).all()
    found = summarise(records, estimators=["rauq", "top-share"], resamples=10)
    assert [one.name for one in found.estimators] == ["top-share"]
    gap = compare(records, records, estimators=["p-true"], resamples=10).differences["AUROC p-true"]
    assert gap.value is None


def test_no_answer_at_all_is_least_confident() -> None:
    silent = record("q/0", table([-1, -1], answer_margin=[np.nan] * 2), [])
    known = record("q/1", table([0, 1], answer_margin=[0.1, 0.1]), [True, False])
    for name, estimator in ESTIMATORS.items():
        scores = scores_of([silent, known], estimator)
        if np.isnan(scores[1]):  # not measured for any question: not for this one either
            assert np.isnan(scores[0]), name
        else:
            assert scores[0] < scores[1], name


def test_shares_of_twenty_leaves_stay_probabilities() -> None:
    records = [record(f"q/{at}", table([0] * 20), [at == 0]) for at in range(2)]
    summary = summarise(records, estimators=["top-share"], resamples=10)
    assert summary.estimators[0].metrics["Brier"].value == pytest.approx(0.5)


def test_a_curve_over_fewer_leaves() -> None:
    points = curve(some(), [1, 2, 4])
    assert [point.leaves for point in points] == [1, 2, 4]
    assert [point.tokens for point in points] == [10.0, 20.0, 40.0]
    # Chains are exchangeable: one of them is right as often as a random leaf is.
    single = (9 * 0.75 + 9 * 0.25 + 0.5) / 20
    assert points[0].pass_any.value == pytest.approx(single)
    assert points[0].accuracy.value == pytest.approx(single, abs=0.03)
    assert points[-1].pass_any.value == pytest.approx(19 / 20)
    assert points[-1].auroc.value == pytest.approx(0.9)
    assert points[-1].auroc.low is not None


def test_a_tree_with_fewer_leaves() -> None:
    coded = FORKS.index("stratified")
    forked = FORKS.index("distinct")
    leaves = table(
        [0, 1, 1], [0.3, 0.5, 0.2], count=[1, 2, 1], fork=[-1, coded, forked], start=[0, 0, 5]
    )
    records = [record(f"q/{at}", leaves, [False, True]) for at in range(12)]
    points = curve(records, [1, 3, 4], resamples=10)
    # One path of ten tokens; both codes' paths; and five tokens behind the fork.
    assert [point.tokens for point in points] == [10.0, 20.0, 25.0]
    # Of three codes one led to the wrong answer, and each question has a shift of its own.
    chosen = [one.capped(1).leaf_right.any() for one in records]
    assert points[0].pass_any.value == pytest.approx(np.mean(chosen))
    assert 0 < np.mean(chosen) < 1
    found = summarise(records, resamples=10)
    assert found.capped_pass_at[1].value == pytest.approx(np.mean(chosen))
    assert found.capped_pass_at[4].value == 1.0


def test_a_paired_comparison() -> None:
    worse = [unsure(at, False) for at in range(5, 25)]
    found = compare(some(), worse, resamples=500)
    assert found.questions == 15
    accuracy = found.differences["accuracy"]
    assert accuracy.value == pytest.approx(6 / 15)
    assert accuracy.excludes_zero
    assert found.differences["tokens"].value == pytest.approx(0.0)
    assert not found.differences["tokens"].excludes_zero
    # One side never errs otherwise: its AUROC has no value, nor has the difference.
    assert found.differences["AUROC top-share"].value is None


def test_runs_without_a_common_question() -> None:
    with pytest.raises(DataError, match="in common"):
        compare([sure(1, True)], [sure(2, True)])
