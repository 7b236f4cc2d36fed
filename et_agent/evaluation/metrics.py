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

import numpy as np
from numpy.typing import ArrayLike, NDArray

from et_agent.errors import DataError

__all__ = [
    "METRICS",
    "Bins",
    "Metric",
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

Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]
Metric = Callable[[Bools, Doubles, Doubles], Doubles]
"""(right [n], confidence [n], counts [R, n]) to values [R]."""


def value_of(metric: Metric, right: ArrayLike, confidence: ArrayLike) -> float | None:
    """A metric's single value; None where it is undefined.

    Raises:
        DataError: Lengths differ, a confidence is NaN, or the metric needs probabilities.
    """
    labels, scores = _checked(right, confidence)
    if not labels.size:
        return None
    value = float(metric(labels, scores, np.ones((1, labels.size)))[0])
    return None if math.isnan(value) else value


def _checked(right: ArrayLike, confidence: ArrayLike) -> tuple[Bools, Doubles]:
    labels = np.asarray(right, dtype=np.bool_)
    scores = np.asarray(confidence, dtype=np.float64)
    if labels.shape != scores.shape or labels.ndim != 1:
        raise DataError(f"{labels.size} answers and {scores.size} confidences do not go together")
    if np.isnan(scores).any():
        raise DataError("a confidence is NaN: leave the question out, or choose another estimator")
    return labels, scores


def _grouped(right: Bools, confidence: Doubles, counts: Doubles) -> tuple[Doubles, Doubles]:
    """Right and wrong answers of each level of confidence, highest first; float64 [R, levels]."""
    if np.isnan(confidence).any():
        raise DataError("a confidence is NaN: leave the question out, or choose another estimator")
    order = np.argsort(-confidence, kind="stable")
    ordered = confidence[order]
    if not order.size:
        nothing = np.zeros((counts.shape[0], 0))
        return nothing, nothing
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    taken = counts[:, order]
    labels = right[order]
    return (
        np.add.reduceat(taken * labels, starts, axis=1),
        np.add.reduceat(taken * ~labels, starts, axis=1),
    )


def _divided(above: Doubles, below: Doubles) -> Doubles:
    """Quotients, NaN where the divisor is 0."""
    result = np.full(np.broadcast_shapes(above.shape, below.shape), np.nan)
    np.divide(above, below, out=result, where=below > 0)
    return result


def auroc(right: Bools, confidence: Doubles, counts: Doubles) -> Doubles:
    """Chance that a right answer has more confidence than a wrong one, ties half; [0, 1]."""
    good, bad = _grouped(right, confidence, counts)
    all_bad = bad.sum(axis=1)
    below = all_bad[:, None] - np.cumsum(bad, axis=1) + 0.5 * bad
    return _divided((good * below).sum(axis=1), good.sum(axis=1) * all_bad)


def auprc(right: Bools, confidence: Doubles, counts: Doubles) -> Doubles:
    """Average precision of finding the right answers by confidence; [0, 1]."""
    good, bad = _grouped(right, confidence, counts)
    found = np.cumsum(good, axis=1)
    precision = np.nan_to_num(_divided(found, found + np.cumsum(bad, axis=1)))
    value = _divided((good * precision).sum(axis=1), good.sum(axis=1))
    return np.where(bad.sum(axis=1) > 0, value, np.nan)


def _harmonic(size: int) -> Doubles:
    """Harmonic numbers H_0 to H_size."""
    return np.concatenate(([0.0], np.cumsum(1.0 / np.arange(1, size + 1))))


def aurc(right: Bools, confidence: Doubles, counts: Doubles) -> Doubles:
    """Area under the risk-coverage curve (Geifman & El-Yaniv 2017): mean risk; less is better.

    Answers of equal confidence come in any order: their expected curve is taken.
    """
    good, bad = _grouped(right, confidence, counts)
    size = good + bad
    before = np.cumsum(size, axis=1) - size
    wrong_before = np.cumsum(bad, axis=1) - bad
    error = np.nan_to_num(_divided(bad, size))
    total = size.sum(axis=1)
    harmonic = _harmonic(round(float(total.max(initial=0))))
    steps = harmonic[np.rint(before + size).astype(int)] - harmonic[np.rint(before).astype(int)]
    area = (error * size + (wrong_before - before * error) * steps).sum(axis=1)
    return _divided(area, total)


def prr(right: Bools, confidence: Doubles, counts: Doubles) -> Doubles:
    """Prediction rejection ratio (Malinin et al. 2017): 1 an oracle, 0 random, negative worse.

    How much of the area between the risk-coverage curves of random rejection and of an oracle the
    confidence reaches.
    """
    total = counts.sum(axis=1)
    good = (counts * right).sum(axis=1)
    harmonic = _harmonic(round(float(total.max(initial=0))))
    reciprocals = harmonic[np.rint(total).astype(int)] - harmonic[np.rint(good).astype(int)]
    error = _divided(total - good, total)
    best = _divided(total - good - good * reciprocals, total)
    reached = error - aurc(right, confidence, counts)
    value = _divided(reached, error - best)
    return np.where((good > 0) & (good < total), value, np.nan)


def brier(right: Bools, confidence: Doubles, counts: Doubles) -> Doubles:
    """Mean squared difference of probability and outcome (Brier 1950); [0, 1], less is better."""
    _require_probabilities(confidence)
    return _divided(counts @ (confidence - right) ** 2, counts.sum(axis=1))


def ece(right: Bools, confidence: Doubles, counts: Doubles) -> Doubles:
    """Expected calibration error over ten bins of equal mass (Nixon et al. 2019); less is better.

    The bins are those of the whole sample; equal confidences stay in one bin, so there may be
    fewer.
    """
    _require_probabilities(confidence)
    gaps = np.zeros(counts.shape[0])
    for part in equal_mass_bins(confidence, 10):
        gaps += np.abs(counts[:, part] @ (confidence[part] - right[part]))
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


def equal_mass_bins(confidence: Doubles, bins: int) -> list[NDArray[np.int64]]:
    """Indices of about equally many answers a bin, least confident first; ties stay together."""
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
    return tuple(
        (float(confidence[one].mean()), float(right[one].mean()), int(one.size))
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
