"""One idea of what a label is, for whoever takes labels."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from et_agent.calibration import Calibrator, DriftMonitor, RiskControl
from et_agent.calibration.labels import checked_label, checked_labels
from et_agent.errors import CalibrationError
from et_agent.evaluation import metrics
from et_agent.evaluation.gating import outcome
from tests.calibration.conftest import questions

NO_LABELS: list[Any] = ["False", "1", "", b"1", math.nan, math.inf, 2, -1, 0.5, None, [True], 1j]
HALVES = np.array([0.5, 0.5])
ONCE = np.ones((1, 2))


def taker(metric: metrics.Metric) -> Callable[[Any], object]:
    return lambda right: metric(right, HALVES, ONCE)


TAKERS: dict[str, Callable[[Any], object]] = {
    "value_of": lambda right: metrics.value_of(metrics.auroc, right, HALVES),
    "risk_coverage": lambda right: metrics.risk_coverage(right, HALVES),
    "all_metrics": lambda right: metrics.all_metrics(right, HALVES, ONCE, probability=True),
    "reliability": lambda right: metrics.reliability(right, HALVES),
    **{name: taker(metric) for name, metric in metrics.METRICS.items()},
    "outcome": lambda right: outcome(HALVES, right, 0.5),
    "RiskControl": lambda right: RiskControl().fit(HALVES, right),
    "DriftMonitor": lambda right: DriftMonitor().update(HALVES, right),
    "Calibrator": lambda right: Calibrator().fit(questions(2)[0], right),
}


@pytest.mark.parametrize("given", [True, 1, 1.0, np.True_, np.int8(1), np.float32(1), Fraction(1)])
def test_true_and_one_are_right(given: Any) -> None:
    assert checked_label(given) is True
    assert checked_labels([given, False]).tolist() == [True, False]


@pytest.mark.parametrize("given", NO_LABELS, ids=repr)
def test_nothing_else_is_a_label(given: Any) -> None:
    with pytest.raises(CalibrationError, match="labels are true for a right answer and false for"):
        checked_label(given)
    with pytest.raises(CalibrationError, match=r"labels are true for|of several lengths"):
        checked_labels([True, given])


def test_labels_keep_their_shape() -> None:
    assert checked_labels([]).dtype == np.bool_
    assert checked_labels(np.zeros((2, 3))).shape == (2, 3)
    assert checked_labels(np.array([True, False], dtype=object)).tolist() == [True, False]


@pytest.mark.parametrize("labels", [["False", "True"], [1.0, math.nan], [2, 0], [True, None]])
@pytest.mark.parametrize("take", TAKERS.values(), ids=TAKERS)
def test_whoever_takes_labels_refuses_what_is_none(
    take: Callable[[Any], object], labels: list[Any]
) -> None:
    with pytest.raises(CalibrationError, match="a label is"):
        take(labels)


def test_a_metric_of_whole_numbers_is_that_of_truth_values() -> None:
    confidence, right = np.array([0.9, 0.2, 0.6]), np.array([True, False, False])
    for metric in metrics.METRICS.values():
        by_number = metrics.value_of(metric, right.astype(int), confidence)
        assert by_number == metrics.value_of(metric, right, confidence)
