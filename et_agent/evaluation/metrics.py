"""How good answers are, and how much their confidence is worth.

`right` says whether each question was answered rightly, `confidence` how sure the method was: any
number that grows with certainty or, where a metric says so, a probability. Where a metric has no
meaning, such as an AUROC when all answers are right, the result is NaN in arrays and None as a
single value: undefined, never 0 or 1.

Every metric works on `counts`, how often each question is in each of R resamples, so that a
bootstrap costs one pass over sorted questions instead of R calls. The tests hold the single values
against scikit-learn's.
"""

import itertools
import math
from collections.abc import Callable
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from et_agent.arrays import Bools, Doubles, Ints
from et_agent.calibration.labels import checked_labels
from et_agent.errors import DataError

__all__ = [
    "METRICS",
    "Bins",
    "Levels",
    "Metric",
    "all_metrics",
    "auprc",
    "aurc",
    "auroc",
    "brier",
    "ece",
    "equal_mass_bins",
    "pass_at_k",
    "prr",
    "reliability",
    "risk_coverage",
    "value_of",
]

_CACHED: Final = 2**16
"""Counts of resamples that are worked on at a time."""

Metric = Callable[[Bools, Doubles, Doubles], Doubles]
"""(right [n], confidence [n], counts [R, n]) to values [R]."""


def value_of(metric: Metric, right: ArrayLike, confidence: ArrayLike) -> float | None:
    """A metric's single value; None where it is undefined.

    Raises:
        DataError: Lengths differ, a confidence is NaN, or the metric needs probabilities.
        CalibrationError: A label is none (`checked_label`).
    """
    labels, scores = _checked(right, confidence)
    if not labels.size:
        return None
    value = float(metric(labels, scores, np.ones((1, labels.size)))[0])
    return None if math.isnan(value) else value


def _checked(right: ArrayLike, confidence: ArrayLike) -> tuple[Bools, Doubles]:
    labels = checked_labels(right)
    scores = np.asarray(confidence, dtype=np.float64)
    if labels.shape != scores.shape or labels.ndim != 1:
        raise DataError(
            f"there are {labels.size} answers but {scores.size} confidences: pass one per answer"
        )
    if np.isnan(scores).any():
        raise DataError("a confidence is NaN: leave the question out, or choose another estimator")
    return labels, scores


def _divided(above: Doubles, below: Doubles, *, else_: float = math.nan) -> Doubles:
    """Quotients, `else_` where the divisor is 0."""
    result = np.full(np.broadcast_shapes(above.shape, below.shape), else_)
    np.divide(above, below, out=result, where=below > 0)
    return result


class Levels:
    """Right and wrong answers at each level of confidence, highest first, in each resample.

    Args:
        right: Whether each question was answered rightly, bool [n].
        confidence: How sure the method was, float64 [n].
        counts: How often each question is in each resample, float64 [R, n]; quick in Fortran order.

    Attributes:
        good, bad: Right and wrong answers, float64 [levels, R].

    Raises:
        DataError: A confidence is NaN.
        CalibrationError: A label is none (`checked_label`).
    """

    def __init__(self, right: Bools, confidence: Doubles, counts: Doubles) -> None:
        if np.isnan(confidence).any():
            raise DataError(
                "a confidence is NaN: leave the question out, or choose another estimator"
            )
        order = np.argsort(-confidence, kind="stable")
        ordered, labels = confidence[order], checked_labels(right)[order]
        level = np.cumsum(np.concatenate(([True], ordered[1:] != ordered[:-1]))) - 1
        size = int(level[-1]) + 1 if ordered.size else 0
        self.good, self.bad = (
            _sums(counts.T[order[chosen]], level[chosen], size)
            for chosen in (np.flatnonzero(labels), np.flatnonzero(~labels))
        )
        self._good_until = np.cumsum(self.good, axis=0)
        self._bad_until = np.cumsum(self.bad, axis=0)
        self._all_good, self._all_bad = self.good.sum(axis=0), self.bad.sum(axis=0)
        self._total = self._all_good + self._all_bad

    @cached_property
    def _harmonic(self) -> Doubles:
        return _harmonic(round(float(self._total.max(initial=0))))

    @cached_property
    def auroc(self) -> Doubles:
        """As `auroc`, float64 [R]."""
        below = self._all_bad - self._bad_until + 0.5 * self.bad
        return _divided((self.good * below).sum(axis=0), self._all_good * self._all_bad)

    @cached_property
    def auprc(self) -> Doubles:
        """As `auprc`, float64 [R]."""
        found = self._good_until
        precision = _divided(found, found + self._bad_until, else_=0.0)
        value = _divided((self.good * precision).sum(axis=0), self._all_good)
        return np.where(self._all_bad > 0, value, np.nan)

    @cached_property
    def aurc(self) -> Doubles:
        """As `aurc`, float64 [R]."""
        size = self.good + self.bad
        until = self._good_until + self._bad_until
        before = until - size
        wrong_before = self._bad_until - self.bad
        error = _divided(self.bad, size, else_=0.0)
        steps = np.diff(self._harmonics(until), axis=0, prepend=0.0)
        area = (self.bad + (wrong_before - before * error) * steps).sum(axis=0)
        return _divided(area, self._total)

    @cached_property
    def prr(self) -> Doubles:
        """As `prr`, float64 [R]."""
        good, total = self._all_good, self._total
        reciprocals = self._harmonics(total) - self._harmonics(good)
        error = _divided(self._all_bad, total)
        best = _divided(self._all_bad - good * reciprocals, total)
        value = _divided(error - self.aurc, error - best)
        return np.where((good > 0) & (self._all_bad > 0), value, np.nan)

    def _harmonics(self, numbers: Doubles) -> Doubles:
        found: Doubles = self._harmonic[np.rint(numbers).astype(np.int64)]
        return found


def _sums(counts: Doubles, level: Ints, levels: int) -> Doubles:
    """Sum of the rows of each level, float64 [levels, R]; `level` [rows] grows."""
    found = np.zeros((levels, counts.shape[1]))
    if level.size:
        first = np.flatnonzero(np.diff(level, prepend=-1))
        found[level[first]] = np.add.reduceat(counts, first, axis=0)
    return found


def _harmonic(size: int) -> Doubles:
    """Harmonic numbers H_0 to H_size."""
    return np.concatenate(([0.0], np.cumsum(1.0 / np.arange(1, size + 1))))


_Getter = Callable[[Levels], Doubles]


def _over_levels(
    right: Bools, confidence: Doubles, counts: Doubles, *getters: _Getter
) -> list[Doubles]:
    """What each getter takes from the levels of all resamples, float64 [R]."""
    # A few resamples at a time, whose levels fit the processor's cache: twice as quick for 1,000.
    step = max(1, _CACHED // max(1, len(right)))
    parts = []
    for at in range(0, max(1, len(counts)), step):
        levels = Levels(right, confidence, counts[at : at + step])
        parts.append([getter(levels) for getter in getters])
    return [np.concatenate(values) for values in zip(*parts, strict=True)]


def auroc(right: Bools, confidence: Doubles, counts: Doubles) -> Doubles:
    """Chance that a right answer has more confidence than a wrong one, ties half; [0, 1]."""
    (found,) = _over_levels(right, confidence, counts, lambda levels: levels.auroc)
    return found


def auprc(right: Bools, confidence: Doubles, counts: Doubles) -> Doubles:
    """Average precision of finding the right answers by confidence; [0, 1]."""
    (found,) = _over_levels(right, confidence, counts, lambda levels: levels.auprc)
    return found


def aurc(right: Bools, confidence: Doubles, counts: Doubles) -> Doubles:
    """Area under the risk-coverage curve (Geifman & El-Yaniv 2017): mean risk; less is better.

    Answers of equal confidence come in any order: their expected curve is taken.
    """
    (found,) = _over_levels(right, confidence, counts, lambda levels: levels.aurc)
    return found


def prr(right: Bools, confidence: Doubles, counts: Doubles) -> Doubles:
    """Prediction rejection ratio (Malinin et al. 2017): 1 an oracle, 0 random, negative worse.

    How much of the area between the risk-coverage curves of random rejection and of an oracle the
    confidence reaches.
    """
    (found,) = _over_levels(right, confidence, counts, lambda levels: levels.prr)
    return found


def brier(right: Bools, confidence: Doubles, counts: Doubles) -> Doubles:
    """Mean squared difference of probability and outcome (Brier 1950); [0, 1], less is better."""
    _require_probabilities(confidence)
    return _divided(counts @ (confidence - checked_labels(right)) ** 2, counts.sum(axis=1))


def ece(right: Bools, confidence: Doubles, counts: Doubles) -> Doubles:
    """Expected calibration error over ten bins of equal mass (Nixon et al. 2019); less is better.

    The bins are those of the whole sample; equal confidences stay in one bin, so there may be
    fewer.
    """
    _require_probabilities(confidence)
    labels, gaps = checked_labels(right), np.zeros(counts.shape[0])
    for part in equal_mass_bins(confidence, 10):
        gaps += np.abs(counts[:, part] @ (confidence[part] - labels[part]))
    return _divided(gaps, counts.sum(axis=1))


def _require_probabilities(scores: Doubles) -> None:
    if scores.size and not (float(scores.min()) >= 0.0 and float(scores.max()) <= 1.0):
        raise DataError("this metric needs probabilities in [0, 1]: calibrate the scores first")


METRICS: dict[str, Metric] = {
    "AUROC": auroc,
    "AUPRC": auprc,
    "PRR": prr,
    "AURC": aurc,
    "ECE": ece,
    "Brier": brier,
}
"""Metrics of a confidence by the name that tables give them."""


def all_metrics(
    right: Bools, confidence: Doubles, counts: Doubles, *, probability: bool
) -> dict[str, Doubles]:
    """Every one of `METRICS`, float64 [R] each, sorting the questions but once.

    Args:
        right: Whether each question was answered rightly, bool [n].
        confidence: How sure the method was, float64 [n].
        counts: How often each question is in each resample, float64 [R, n].
        probability: Whether the confidence is one; ECE and Brier need it.

    Raises:
        DataError: A confidence is NaN or, where it should be one, no probability.
        CalibrationError: A label is none (`checked_label`).
    """
    getters: dict[str, _Getter] = {
        "AUROC": lambda levels: levels.auroc,
        "AUPRC": lambda levels: levels.auprc,
        "PRR": lambda levels: levels.prr,
        "AURC": lambda levels: levels.aurc,
    }
    values = _over_levels(right, confidence, counts, *getters.values())
    found = dict(zip(getters, values, strict=True))
    if probability:
        found |= {name: METRICS[name](right, confidence, counts) for name in ("ECE", "Brier")}
    return found


def equal_mass_bins(confidence: Doubles, bins: int) -> list[Ints]:
    """Indices of about equally many answers per bin, least confident first; ties stay together."""
    order = np.argsort(confidence, kind="stable")
    ordered = confidence[order]
    limits = {0, ordered.size}
    for number in range(1, bins):
        edge = round(number * ordered.size / bins)
        if edge:
            # To the end of the run of equal values that the edge falls into.
            limits.add(int(np.searchsorted(ordered, ordered[edge - 1], side="right")))
    edges = sorted(limits)
    return [order[low:high] for low, high in itertools.pairwise(edges)]


Bins = tuple[tuple[float, float, int], ...]
"""(mean confidence, accuracy, questions) of each bin."""


def reliability(right: Bools, confidence: Doubles, bins: int = 10) -> Bins:
    """Confidence against accuracy over bins of about equally many questions."""
    labels = checked_labels(right)
    return tuple(
        (float(confidence[one].mean()), float(labels[one].mean()), int(one.size))
        for one in equal_mass_bins(confidence, bins)
    )


def risk_coverage(right: ArrayLike, confidence: ArrayLike) -> tuple[Doubles, Doubles]:
    """Error among the most confident answers, for every number of them.

    Answers of equal confidence come in any order: their expected curve is given.

    Returns:
        coverage, risk: float64 [n], shares of the questions and of the errors among them.
    """
    labels, scores = _checked(right, confidence)
    _, group, sizes = np.unique(-scores, return_inverse=True, return_counts=True)
    wrong = np.bincount(group, (~labels).astype(np.float64), minlength=sizes.size)
    answered = np.arange(1, labels.size + 1)
    return answered / labels.size, np.cumsum(np.repeat(wrong / sizes, sizes)) / answered


def pass_at_k(total: int, right: int, k: int) -> float | None:
    """Chance that k of `total` samples, `right` of them right, hold a right one.

    1 - C(total - right, k) / C(total, k), unbiased for exchangeable samples (Chen et al. 2021).
    None when there are fewer than k samples.

    Raises:
        DataError: The numbers contradict each other.
    """
    if not 0 <= right <= total or k < 1:
        raise DataError(f"{right} right of {total} samples, k = {k}: this cannot be")
    if k > total:
        return None
    return 1.0 - math.comb(total - right, k) / math.comb(total, k)
