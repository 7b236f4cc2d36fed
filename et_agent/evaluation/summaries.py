"""Tables out of stored records: one run, curves against cost, and two runs compared."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, get_args

import numpy as np

from et_agent.arguments import checks_arguments
from et_agent.arrays import Bools, Doubles
from et_agent.errors import DataError
from et_agent.evaluation.bootstrap import Interval, Resamples, interval, resampled_means
from et_agent.evaluation.equal_cost import Chains, CostUnit, are_chains
from et_agent.evaluation.metrics import all_metrics, auroc, pass_at_k
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.scores import scores_of
from et_agent.uncertainty.effective_sample_size import effective_sample_size
from et_agent.uncertainty.estimators import ESTIMATORS, Estimator, find_estimator
from et_agent.uncertainty.leaf_table import LeafTable

__all__ = [
    "Comparison",
    "CurvePoint",
    "EqualCost",
    "EstimatorSummary",
    "RunSummary",
    "at_equal_cost",
    "beside_chains",
    "compare",
    "curve",
    "summarise",
]

_KS: Final = (1, 2, 4, 8, 16, 20)


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
        accuracy_by_count: Of the vote in which every leaf counts alike.
        pass_at: By k, the unbiased estimator on leaves as if exchangeable; trees of fewer than k
            leaves count with all they have.
        capped_pass_at: By k, the tree with at most k leaves (`LeafTable.capped`).
        tokens, seconds: Means per question; seconds are shares of batches.
        leaves, ess: Means per question.
        cut_off: Mean weight of leaves that did not end.
        estimators: Best AUROC first.
    """

    questions: int
    accuracy: Interval
    accuracy_by_count: Interval
    pass_at: dict[int, Interval]
    capped_pass_at: dict[int, Interval]
    tokens: Interval
    seconds: Interval
    leaves: float
    ess: float
    cut_off: float
    estimators: list[EstimatorSummary]


@checks_arguments
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

    def mean(value: Callable[[QuestionRecord], float], *, proportion: bool = False) -> Interval:
        values = np.array([value(record) for record in records], dtype=np.float64)
        return _mean(values, drawn, proportion=proportion)

    def mean_of(value: Callable[[LeafTable], float]) -> float:
        return float(np.mean([value(record.leaves) for record in records]))

    def pass_at(k: int) -> Interval:
        return mean(lambda record: _pass_at(record, k), proportion=True)

    def capped_pass_at(k: int) -> Interval:
        return mean(lambda record: float(record.capped(k).leaf_right.any()), proportion=True)

    return RunSummary(
        questions=len(records),
        accuracy=mean(lambda record: record.correct, proportion=True),
        accuracy_by_count=mean(_right_by_count, proportion=True),
        pass_at={k: pass_at(k) for k in ks},
        capped_pass_at={k: capped_pass_at(k) for k in ks},
        tokens=mean(lambda record: record.tokens_decoded),
        seconds=mean(lambda record: record.seconds),
        leaves=mean_of(lambda leaves: float(leaves.count.sum())),
        ess=mean_of(lambda leaves: effective_sample_size(leaves.checked)),
        cut_off=mean_of(lambda leaves: float(leaves.weight[leaves.finish != 0].sum())),
        estimators=measured,
    )


def _mean(values: Doubles, drawn: Resamples, *, proportion: bool = False) -> Interval:
    means = drawn.counts @ values / values.size
    return interval(means, values.size, proportion=proportion)


def _pass_at(record: QuestionRecord, k: int) -> float:
    counts = record.leaves.count
    total = int(counts.sum())
    value = pass_at_k(total, int(counts[record.leaf_right].sum()), min(k, total))
    assert value is not None
    return value


def _right_by_count(record: QuestionRecord) -> float:
    leading = record.leaves.leading(record.leaves.count_shares)
    return 0.0 if leading is None else float(record.right[leading])


def _estimator_summary(
    records: Sequence[QuestionRecord],
    right: Bools,
    estimator: Estimator,
    drawn: Resamples,
) -> EstimatorSummary:
    scores = scores_of(records, estimator)
    known = ~np.isnan(scores)
    measured = int(known.sum())
    metrics: dict[str, Interval] = {}
    if measured:
        values = all_metrics(
            right[known],
            scores[known],
            drawn.counts[:, known],
            probability=estimator.probability,
        )
        metrics = {
            name: interval(one, measured, basic=name == "ECE") for name, one in values.items()
        }
    return EstimatorSummary(estimator.name, measured, metrics)


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A run as it would have been with at most `leaves` leaves.

    Attributes:
        leaves: The cap.
        tokens: Mean generated tokens per question.
        accuracy, pass_any: Of the vote, and of any leaf.
        auroc: Of the estimator.
    """

    leaves: int
    tokens: float
    accuracy: Interval
    pass_any: Interval
    auroc: Interval


@checks_arguments
def curve(
    records: Sequence[QuestionRecord],
    caps: Sequence[int],
    *,
    estimator: str = "top-share",
    resamples: int = 1000,
    seed: int = 0,
) -> list[CurvePoint]:
    """The run with fewer leaves, from what is stored.

    Independent chains are exchangeable, so their points are means over all, or many, subsets. Other
    trees are capped as `LeafTable.capped` has it.
    """
    chosen = find_estimator(estimator)
    counts = Resamples(len(records), resamples=resamples, seed=seed).counts
    size = len(records)
    if are_chains(records):
        reference = Chains(records)
        tokens = float(np.mean([record.leaves.tokens.mean() for record in records]))
        points = []
        for cap in (cap for cap in caps if cap <= reference.count):
            k = np.full(len(counts), float(cap))
            points.append(
                CurvePoint(
                    cap,
                    tokens * cap,
                    interval(reference.accuracy(k, counts), size, proportion=True),
                    interval(reference.pass_any(k, counts), size, proportion=True),
                    interval(reference.auroc(k, chosen, counts), size),
                )
            )
        return points
    points = []
    for cap in caps:
        capped = [record.capped(cap) for record in records]
        right = np.array([record.correct for record in capped])
        found = np.array([record.leaf_right.any() for record in capped], dtype=np.float64)
        points.append(
            CurvePoint(
                cap,
                float(np.mean([record.leaves.tokens_decoded for record in capped])),
                interval(resampled_means(right.astype(np.float64), counts), size, proportion=True),
                interval(resampled_means(found, counts), size, proportion=True),
                interval(_auroc(right, scores_of(capped, chosen), counts), size),
            )
        )
    return points


def _auroc(right: Bools, scores: Doubles, counts: Doubles) -> Doubles:
    """AUROC over the questions that have a score, float64 [R]; NaN where there are none."""
    known = ~np.isnan(scores)
    return auroc(right[known], scores[known], counts[:, known])


@dataclass(frozen=True, slots=True)
class EqualCost:
    """A run against as many independent chains as cost the same.

    Attributes:
        cost: What is equal.
        questions: Common questions.
        chains: Number of chains; between two whole numbers figures are interpolated.
        differences: By metric, the run minus the chains, float64 [R]: on the sample itself, then on
            each resample.
    """

    cost: CostUnit
    questions: int
    chains: Interval
    differences: dict[str, Doubles]

    @property
    def intervals(self) -> dict[str, Interval]:
        """The differences with their 95 % intervals."""
        return {name: interval(one, self.questions) for name, one in self.differences.items()}


def at_equal_cost(
    first: Sequence[QuestionRecord],
    chains: Sequence[QuestionRecord],
    *,
    cost: CostUnit = "tokens",
    estimators: Sequence[str] = ("top-share", "et-pe", "et-pe-count"),
    resamples: int = 1000,
    seed: int = 0,
) -> EqualCost:
    """What a run has over as many independent chains as cost the same, on common questions.

    The number of chains is found anew in every resample, since the ratio of costs varies too.

    Args:
        first: A run.
        chains: A run of multi-chain on the same questions.
        cost: What is equal.
        estimators: Estimators whose AUROC is compared; they must rest on the leaves alone.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.

    Raises:
        DataError: The second run is not a multi-chain, costs less, or has no question in common.
    """
    ours, theirs = _common(first, chains)
    counts = Resamples(len(ours), resamples=resamples, seed=seed).counts
    reference = Chains(theirs)
    k = reference.count_at_equal_cost(ours, cost, counts)
    differences = beside_chains(ours, reference, k, counts, estimators)
    return EqualCost(cost, len(ours), interval(k, len(ours)), differences)


def beside_chains(
    ours: Sequence[QuestionRecord],
    chains: Chains,
    k: Doubles,
    counts: Doubles,
    estimators: Sequence[str],
) -> dict[str, Doubles]:
    """What records have over k independent chains, by metric, float64 [R].

    Args:
        ours: The records.
        chains: Chains of the same questions, in the same order.
        k: How many of them, one number a resample, float64 [R].
        counts: How often each question is in each resample, float64 [R, questions].
        estimators: Estimators whose AUROC is compared.
    """
    right = np.array([record.correct for record in ours])
    found = np.array([record.leaf_right.any() for record in ours], dtype=np.float64)
    differences = {
        "accuracy": resampled_means(right.astype(np.float64), counts) - chains.accuracy(k, counts),
        "any leaf right": resampled_means(found, counts) - chains.pass_any(k, counts),
    }
    for name in estimators:
        chosen = find_estimator(name)
        gap = _auroc(right, scores_of(ours, chosen), counts) - chains.auroc(k, chosen, counts)
        differences[f"AUROC {name}"] = gap
    return differences


def _common(
    first: Sequence[QuestionRecord], second: Sequence[QuestionRecord]
) -> tuple[list[QuestionRecord], list[QuestionRecord]]:
    by_item = {record.item: record for record in second}
    pairs = [(one, by_item[one.item]) for one in first if one.item in by_item]
    if not pairs:
        raise DataError("the runs have no finished question in common: choose runs on one data set")
    return [one for one, _ in pairs], [other for _, other in pairs]


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
    at_equal_cost: list[EqualCost]


@checks_arguments
def compare(
    first: Sequence[QuestionRecord],
    second: Sequence[QuestionRecord],
    *,
    estimators: Sequence[str] = ("top-share", "et-pe", "et-pe-count"),
    resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Paired differences of two runs with 95 % bootstrap intervals over common questions.

    An estimator is compared on the questions for which both runs have it.

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
        scores = [scores_of(side, chosen) for side in (ours, theirs)]
        known = ~np.isnan(scores[0]) & ~np.isnan(scores[1])
        one, other = (
            auroc(np.array([r.correct for r in side])[known], values[known], drawn.counts[:, known])
            for side, values in zip((ours, theirs), scores, strict=True)
        )
        differences[f"AUROC {name}"] = interval(one - other, int(known.sum()))
    costs = []
    for cost in get_args(CostUnit):
        with contextlib.suppress(DataError):  # no chains, or too few of them
            costs.append(at_equal_cost(ours, theirs, cost=cost, estimators=estimators, seed=seed))
    return Comparison(len(ours), differences, costs)
