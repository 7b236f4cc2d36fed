"""Tables out of stored records: one run, curves against cost, and two runs compared."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from et_agent.errors import DataError
from et_agent.evaluation.bootstrap import Interval, Resamples, interval
from et_agent.evaluation.equal_cost import Chains, Cost
from et_agent.evaluation.metrics import METRICS, auroc, first_right, pass_at_k
from et_agent.evaluation.records import QuestionRecord
from et_agent.uncertainty.estimators import ESTIMATORS, Estimator, find_estimator

__all__ = [
    "Comparison",
    "CurvePoint",
    "EqualCost",
    "EstimatorSummary",
    "RunSummary",
    "at_equal_cost",
    "compare",
    "curve",
    "scores_of",
    "summarise",
]

Doubles = NDArray[np.float64]
_KS: Final = (1, 2, 4, 8, 16, 20)
_PROBABILITIES: Final = frozenset({"top-share", "top-share-count", "p-true"})


@dataclass(frozen=True, slots=True)
class EstimatorSummary:
    """One estimator on one run.

    Attributes:
        name: Its name.
        measured: Questions for which it could be computed; the metrics rest on these.
        metrics: By name; ECE and Brier for probabilities only.
    """

    name: str
    measured: int
    metrics: dict[str, Interval]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run.

    Attributes:
        questions: Their number.
        accuracy: Of the weighted vote.
        pass_at: By k, the unbiased estimator on leaves as if exchangeable.
        capped_pass_at: By k, the tree as it was with at most k leaves.
        tokens, seconds: Means a question; seconds are shares of batches.
        leaves, ess: Means a question.
        cut_off: Mean weight of leaves that did not end.
        estimators: Best AUROC first.
    """

    questions: int
    accuracy: Interval
    pass_at: dict[int, Interval]
    capped_pass_at: dict[int, Interval]
    tokens: Interval
    seconds: Interval
    leaves: float
    ess: float
    cut_off: float
    estimators: list[EstimatorSummary]


def scores_of(records: Sequence[QuestionRecord], estimator: Estimator) -> Doubles:
    """Confidence of each question, float64 [n]; NaN where the estimator was not measured."""
    found = [estimator.confidence(record.leaves, record.extras) for record in records]
    return np.array([math.nan if value is None else value for value in found])


def summarise(
    records: Sequence[QuestionRecord],
    *,
    estimators: Iterable[str] | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> RunSummary:
    """All metrics of a run with their 95 % bootstrap intervals over questions.

    Raises:
        DataError: There are no records.
    """
    if not records:
        raise DataError("the run has no finished questions yet: run it first")
    drawn = Resamples(len(records), resamples=resamples, seed=seed)
    names = list(ESTIMATORS) if estimators is None else list(estimators)
    right = np.array([record.correct for record in records])
    found = [_estimator_summary(records, right, find_estimator(name), drawn) for name in names]
    measured = [one for one in found if one.measured]
    measured.sort(key=lambda one: -(one.metrics["AUROC"].value or 0.0))
    largest = max(int(record.leaves.count.sum()) for record in records)
    ks = [k for k in _KS if k <= largest]

    def mean(value: Callable[[QuestionRecord], float]) -> Interval:
        return _mean(np.array([value(record) for record in records], dtype=np.float64), drawn)

    def pass_at(k: int) -> Interval:
        return mean(lambda record: _pass_at(record, k))

    def capped_pass_at(k: int) -> Interval:
        return mean(lambda record: _made_right(record) <= k)

    return RunSummary(
        questions=len(records),
        accuracy=mean(lambda record: record.correct),
        pass_at={k: pass_at(k) for k in ks},
        capped_pass_at={k: capped_pass_at(k) for k in ks},
        tokens=mean(lambda record: record.tokens_decoded),
        seconds=mean(lambda record: record.seconds),
        leaves=float(np.mean([record.leaves.count.sum() for record in records])),
        ess=float(-np.mean(scores_of(records, ESTIMATORS["ess"]))),
        cut_off=float(-np.mean(scores_of(records, ESTIMATORS["cut-off"]))),
        estimators=measured,
    )


def _mean(values: Doubles, drawn: Resamples) -> Interval:
    return interval(drawn.counts @ values / values.size, values.size)


def _pass_at(record: QuestionRecord, k: int) -> float:
    counts = record.leaves.count
    total = int(counts.sum())
    value = pass_at_k(total, int(counts[record.leaf_right].sum()), min(k, total))
    assert value is not None
    return value


def _made_right(record: QuestionRecord) -> float:
    return first_right(record.leaf_right, record.leaves.count)


def _estimator_summary(
    records: Sequence[QuestionRecord],
    right: NDArray[np.bool_],
    estimator: Estimator,
    drawn: Resamples,
) -> EstimatorSummary:
    scores = scores_of(records, estimator)
    known = ~np.isnan(scores)
    measured = int(known.sum())
    metrics: dict[str, Interval] = {}
    if measured:
        counts = drawn.counts[:, known]
        for name, metric in METRICS.items():
            if name in ("ECE", "Brier") and estimator.name not in _PROBABILITIES:
                continue
            metrics[name] = interval(metric(right[known], scores[known], counts), measured)
    return EstimatorSummary(estimator.name, measured, metrics)


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A run as it would have been with at most `leaves` leaves.

    Attributes:
        leaves: The cap.
        tokens: Mean generated tokens a question.
        accuracy, pass_any: Of the weighted vote, and of any leaf.
        auroc: Of the estimator; None where undefined.
    """

    leaves: int
    tokens: float
    accuracy: float
    pass_any: float
    auroc: float | None


def curve(
    records: Sequence[QuestionRecord], caps: Sequence[int], *, estimator: str = "top-share"
) -> list[CurvePoint]:
    """The run with fewer leaves, from what is stored."""
    chosen = find_estimator(estimator)
    points = []
    for cap in caps:
        capped = [replace(record, leaves=record.leaves.capped(cap)) for record in records]
        right = np.array([record.correct for record in capped])
        scores = scores_of(capped, chosen)
        value = float(auroc(right, scores, np.ones((1, right.size)))[0])
        points.append(
            CurvePoint(
                leaves=cap,
                tokens=float(np.mean([record.leaves.tokens_decoded for record in capped])),
                accuracy=float(right.mean()),
                pass_any=float(np.mean([record.leaf_right.any() for record in capped])),
                auroc=None if math.isnan(value) else value,
            )
        )
    return points


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs on the questions that both have, first minus second.

    Attributes:
        questions: Their number.
        differences: By metric; `Interval.excludes_zero` tells which are real.
        at_equal_cost: Where the second run is multi-chain and cost no less: the first against as
            many chains as cost the same.
    """

    questions: int
    differences: dict[str, Interval]
    at_equal_cost: list["EqualCost"]


@dataclass(frozen=True, slots=True)
class EqualCost:
    """A run against as many independent chains as cost the same.

    Attributes:
        cost: What is equal.
        chains: Number of chains; between two whole numbers figures are interpolated.
        differences: By metric, the run minus the chains.
    """

    cost: Cost
    chains: float
    differences: dict[str, Interval]


def at_equal_cost(
    first: Sequence[QuestionRecord],
    chains: Sequence[QuestionRecord],
    *,
    cost: Cost = "tokens",
    estimators: Sequence[str] = ("top-share", "et-pe", "et-pe-count"),
) -> tuple[float, dict[str, Callable[[Doubles], Doubles]]]:
    """What a run has over as many independent chains as cost the same, on common questions.

    Args:
        first: A run.
        chains: A run of multi-chain on the same questions.
        cost: What is equal.
        estimators: Estimators whose AUROC is compared.

    Returns:
        The number of chains that cost the same, and by metric the differences, first minus chains,
        as a function of `counts` [R, common questions by id] for `Resamples` and `pooled`.

    Raises:
        DataError: The second run is no multi-chain, costs less, or has no question in common.
    """
    ours, theirs = _common(first, chains)
    reference = Chains(theirs)
    k = reference.as_dear_as(ours, cost)
    right = np.array([record.correct for record in ours], dtype=np.float64)
    found = np.array([record.leaf_right.any() for record in ours], dtype=np.float64)
    accuracy, any_right = right - reference.accuracy(k), found - reference.pass_any(k)
    differences: dict[str, Callable[[Doubles], Doubles]] = {
        "accuracy": lambda counts: _means(accuracy, counts),
        "any leaf right": lambda counts: _means(any_right, counts),
    }
    for name in estimators:
        differences[f"AUROC {name}"] = _auroc_gap(ours, reference, k, name)
    return k, differences


def _auroc_gap(
    ours: Sequence[QuestionRecord], reference: Chains, k: float, name: str
) -> Callable[[Doubles], Doubles]:
    def gap(counts: Doubles) -> Doubles:
        scores = scores_of(ours, find_estimator(name))
        known = ~np.isnan(scores)
        right = np.array([record.correct for record in ours])[known]
        return auroc(right, scores[known], counts[:, known]) - reference.auroc(k, name, counts)

    return gap


def _means(values: Doubles, counts: Doubles) -> Doubles:
    found: Doubles = counts @ values / counts.sum(axis=1)
    return found


def _common(
    first: Sequence[QuestionRecord], second: Sequence[QuestionRecord]
) -> tuple[list[QuestionRecord], list[QuestionRecord]]:
    by_item = {record.item: record for record in second}
    pairs = [(one, by_item[one.item]) for one in first if one.item in by_item]
    if not pairs:
        raise DataError("the runs have no finished question in common: choose runs on one data set")
    return [one for one, _ in pairs], [other for _, other in pairs]


def compare(
    first: Sequence[QuestionRecord],
    second: Sequence[QuestionRecord],
    *,
    estimators: Sequence[str] = ("top-share", "et-pe", "et-pe-count"),
    resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Paired differences of two runs with 95 % bootstrap intervals over common questions.

    Raises:
        DataError: They have no question in common.
    """
    ours, theirs = _common(first, second)
    drawn = Resamples(len(ours), resamples=resamples, seed=seed)

    def mean(value: Callable[[QuestionRecord], float]) -> Interval:
        gaps = [value(one) - value(other) for one, other in zip(ours, theirs, strict=True)]
        return _mean(np.array(gaps, dtype=np.float64), drawn)

    differences = {
        "accuracy": mean(lambda record: float(record.correct)),
        "any leaf right": mean(lambda record: float(record.leaf_right.any())),
        "tokens": mean(lambda record: float(record.tokens_decoded)),
        "seconds": mean(lambda record: record.seconds),
    }
    for name in estimators:
        chosen = find_estimator(name)
        values = [
            auroc(np.array([r.correct for r in side]), scores_of(side, chosen), drawn.counts)
            for side in (ours, theirs)
        ]
        differences[f"AUROC {name}"] = interval(values[0] - values[1], len(ours))
    return Comparison(len(ours), differences, _equal_costs(ours, theirs, estimators, drawn))


def _equal_costs(
    ours: Sequence[QuestionRecord],
    theirs: Sequence[QuestionRecord],
    estimators: Sequence[str],
    drawn: Resamples,
) -> list[EqualCost]:
    found: list[EqualCost] = []
    for cost in get_args(Cost):
        try:
            k, gaps = at_equal_cost(ours, theirs, cost=cost, estimators=estimators)
        except DataError:
            continue
        intervals = {name: interval(gap(drawn.counts), len(ours)) for name, gap in gaps.items()}
        found.append(EqualCost(cost, k, intervals))
    return found
