import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from et_agent.calibration import Costs, RiskControl, threshold_for_coverage
from et_agent.errors import CalibrationError, RiskControlError


def labelled(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Confidences that are exactly the chance of being right."""
    rng = np.random.default_rng(seed)
    confidence = rng.beta(3, 1, count)
    return confidence, rng.random(count) < confidence


def test_59_right_answers_certify_5_percent_and_58_do_not() -> None:
    RiskControl(0.05, start=0.9).fit([0.99] * 59, [1] * 59)
    with pytest.raises(RiskControlError, match="about 1 more labelled questions are needed"):
        RiskControl(0.05, start=0.9).fit([0.99] * 58, [1] * 58)
    RiskControl(0.01, start=0.9).fit([1.0] * 299, [1] * 299)


def test_a_threshold_says_what_it_rests_on() -> None:
    found = RiskControl(0.05).fit([0.99] * 59, [True] * 59).threshold_
    assert (found.value, found.coverage, found.questions) == (0.0, 1.0, 59)
    assert found.basis == (
        "rests on 59 labelled questions, 0 wrong: the error is at most 0.05 with probability 0.95"
    )
    some = RiskControl(0.1, 0.9).fit([0.95] * 90 + [0.1] * 10, [0, 0] + [1] * 88 + [0] * 10)
    assert some.threshold_.basis == (
        "rests on 90 of 100 labelled questions, 2 wrong: the error is at most 0.1 with "
        "probability 0.9"
    )


def test_the_guarantee_holds_over_draws() -> None:
    """The true error above the threshold exceeds the target in at most 5 % of the draws."""
    target, broken, answered = 0.15, 0, 0
    big, right = labelled(200_000, 10_000)
    for seed in range(200):
        try:
            found = RiskControl(target).fit(*labelled(300, seed)).threshold_
        except RiskControlError:
            continue
        answered += 1
        broken += float((~right[big >= found.value]).mean()) > target
    assert answered > 150
    assert broken / 200 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 200)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.sampled_from([0.1, 0.2, 0.3]))
def test_what_is_told_of_a_threshold(seed: int, target: float) -> None:
    confidence, right = labelled(400, seed)
    try:
        found = RiskControl(target).fit(confidence, right).threshold_
    except RiskControlError:
        return
    chosen = confidence >= found.value
    assert found.answered == chosen.sum()
    assert found.errors == (~right[chosen]).sum()
    assert found.coverage == pytest.approx(chosen.mean())
    test = binomtest(found.errors, found.answered, target, alternative="less")
    assert found.p_value == pytest.approx(test.pvalue)
    assert found.p_value <= 0.05
    bound = test.proportion_ci(0.95, method="exact").high
    assert found.error_bound == pytest.approx(bound)
    assert found.error_bound <= target + 1e-9


def test_messages_when_nothing_qualifies() -> None:
    with pytest.raises(RiskControlError, match="no labelled questions"):
        RiskControl().fit([], [])
    with pytest.raises(RiskControlError, match="none of 100 labelled questions has a confidence"):
        RiskControl(0.05).fit([0.5] * 100, [1] * 100)
    with pytest.raises(RiskControlError, match="more labels would not help"):
        RiskControl(0.1).fit([0.95] * 100, [1] * 80 + [0] * 20)
    with pytest.raises(RiskControlError, match="more labelled questions are needed"):
        RiskControl(0.1).fit([0.95] * 100, [1] * 94 + [0] * 6)


def test_as_many_more_labels_as_were_said_are_enough() -> None:
    confidence, right = [0.95] * 100, [1] * 94 + [0] * 6
    with pytest.raises(RiskControlError) as refused:
        RiskControl(0.1).fit(confidence, right)
    more = int(str(refused.value).rpartition("about ")[2].split()[0])
    total = 100 + more
    wrong = math.ceil(0.06 * total)
    RiskControl(0.1).fit([0.95] * total, [0] * wrong + [1] * (total - wrong))


def test_bad_input() -> None:
    for wrong in (0.0, 1.0, -1.0, math.nan):
        with pytest.raises(CalibrationError, match="target_error"):
            RiskControl(wrong).fit([0.5], [1])
    with pytest.raises(CalibrationError, match="confidence is 1"):
        RiskControl(0.1, 1.0).fit([0.5], [1])
    with pytest.raises(CalibrationError, match="start"):
        RiskControl(0.1, start=2.0).fit([0.5], [1])
    with pytest.raises(CalibrationError, match="NaN"):
        RiskControl().fit([math.nan], [1])
    with pytest.raises(CalibrationError, match="outside"):
        RiskControl().fit([1.5], [1])
    with pytest.raises(CalibrationError, match="a label is 2: labels are true"):
        RiskControl().fit([0.5], [2])
    with pytest.raises(CalibrationError, match="2 confidences but 1 labels"):
        RiskControl().fit([0.5, 0.6], [1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.floats(0, 1))
def test_a_coverage_is_reached_and_no_higher_threshold_reaches_it(
    confidences: list[float], coverage: float
) -> None:
    scores = np.array(confidences)
    found = threshold_for_coverage(scores, coverage)
    assert (scores >= found).mean() >= coverage - 1e-9
    higher = scores[scores > found]
    if higher.size and coverage > 1e-6:
        assert (scores >= higher.min()).mean() < coverage


def test_coverage_of_bad_input() -> None:
    with pytest.raises(CalibrationError, match="no confidences"):
        threshold_for_coverage([], 0.5)
    with pytest.raises(CalibrationError, match="coverage is 2"):
        threshold_for_coverage([0.5], 2)


def test_costs() -> None:
    assert Costs(wrong=10, abstain=1).threshold() == pytest.approx(0.9)
    assert Costs(wrong=10, abstain=4, escalate=2).threshold() == pytest.approx(0.8)
    assert Costs(wrong=1, abstain=5).threshold() == 0.0
    with pytest.raises(CalibrationError, match="wrong: Input should be greater than 0"):
        Costs(wrong=-1)
    with pytest.raises(CalibrationError, match="ask"):
        Costs(wrong=1, ask=-1)
