"""Trees against independent chains that cost as much.

Independent chains are exchangeable, so a run of K of them says what any smaller number reaches: pass@k
exactly, everything else as a mean over random subsets. A tree that costs as much as k chains is held
against k chains; between two whole numbers the chains' figures are interpolated.
"""

from collections.abc import Callable, Sequence
from typing import Final, Literal

import numpy as np

from et_agent.arrays import Doubles, Ints
from et_agent.errors import DataError
from et_agent.evaluation.bootstrap import resampled_means
from et_agent.evaluation.metrics import pass_at_k
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.scores import scores_of
from et_agent.uncertainty.estimators import Estimator
from et_agent.uncertainty.leaf_table import FORKS

__all__ = ["Chains", "CostUnit", "are_chains", "some_chains"]

CostUnit = Literal["tokens", "seconds"]
"""What a cost is counted in."""
_INDEPENDENT: Final = FORKS.index("independent")
# Subsets times questions: enough that the subsets' noise is far below that of the questions.
_DRAWS: Final = 1600
_SUBSETS: Final = (4, 200)


def are_chains(records: Sequence[QuestionRecord]) -> bool:
    """Whether all leaves of all records are independent chains, two or more, as many everywhere."""
    sizes = {len(record.leaves) for record in records}
    return (
        len(sizes) == 1
        and min(sizes) > 1
        and all((record.leaves.fork[1:] == _INDEPENDENT).all() for record in records)
    )


def some_chains(record: QuestionRecord, chosen: Ints) -> QuestionRecord:
    """The record as it would be if only some of its independent chains had been decoded."""
    return record.part(chosen, np.full(chosen.size, 1.0 / chosen.size))


class Chains:
    """What fewer of a run's chains would have reached.

    `counts` is how often each question is in each resample, float64 [R, questions]; k is how many
    chains are taken, one number a resample, float64 [R].

    Args:
        records: Questions with K independent chains each.
        seed: Of the random subsets.

    Raises:
        DataError: The leaves are not independent chains, or not as many everywhere.
    """

    def __init__(self, records: Sequence[QuestionRecord], *, seed: int = 0) -> None:
        if not are_chains(records):
            raise DataError("the leaves are not independent chains: choose a run of multi-chain")
        self.records = records
        self.count = len(records[0].leaves)
        self._seed = seed
        self._subsets: dict[int, list[list[QuestionRecord]]] = {}

    def count_at_equal_cost(
        self, others: Sequence[QuestionRecord], unit: CostUnit, counts: Doubles
    ) -> Doubles:
        """How many chains cost as much as other records on the same questions, float64 [R].

        Raises:
            DataError: On the sample itself, the first row, they cost more than all chains or less
                than one.
        """
        theirs = counts @ np.array([_cost(record, unit) for record in others])
        ours = counts @ np.array([_cost(record, unit) for record in self.records])
        k: Doubles = self.count * theirs / ours
        if not 1.0 <= k[0] <= self.count * 1.02:  # a little more than all of them is still "all"
            raise DataError(
                f"the other run costs as much as {k[0]:.1f} chains, which is not within 1 to "
                f"{self.count}: use a run of similar cost, or more chains"
            )
        return np.clip(k, 1.0, self.count)

    def pass_any(self, k: Doubles, counts: Doubles) -> Doubles:
        """Share of questions with a right answer among k chains, float64 [R]."""

        def whole(size: int) -> Doubles:
            values = [
                pass_at_k(self.count, int(record.leaf_right.sum()), size) for record in self.records
            ]
            return resampled_means(np.array(values, dtype=np.float64), counts)

        return self._between(whole, k)

    def accuracy(self, k: Doubles, counts: Doubles) -> Doubles:
        """Share of questions that the vote of k chains gets right, float64 [R]."""

        def whole(size: int) -> Doubles:
            drawn = [[record.correct for record in subset] for subset in self._drawn(size)]
            return resampled_means(np.mean(drawn, axis=0, dtype=np.float64), counts)

        return self._between(whole, k)

    def auroc(self, k: Doubles, estimator: Estimator, counts: Doubles) -> Doubles:
        """AUROC of an estimator over k chains, float64 [R]; NaN where undefined.

        The chance that, in one random subset of chains for every question, a right answer has more
        confidence than a wrong one: pairs are pooled over subsets.
        """

        def whole(size: int) -> Doubles:
            shape = (len(self.records), len(self.records))
            above, pairs = np.zeros(shape), np.zeros(shape)
            for subset in self._drawn(size):
                scores = scores_of(subset, estimator)
                correct = np.array([one.correct for one in subset])
                right = correct & ~np.isnan(scores)
                wrong = ~correct & ~np.isnan(scores)
                equal = scores[right, None] == scores[None, wrong]
                higher = scores[right, None] > scores[None, wrong]
                place = np.ix_(right, wrong)
                above[place] += higher + 0.5 * equal
                pairs[place] += 1.0
            ever = pairs.any(axis=1)  # questions that are never right add nothing
            weighed = ((counts[:, ever] @ pairs[ever]) * counts).sum(axis=1)
            won = ((counts[:, ever] @ above[ever]) * counts).sum(axis=1)
            found = np.full(weighed.shape, np.nan)
            np.divide(won, weighed, out=found, where=weighed > 0)
            return found

        return self._between(whole, k)

    def _between(self, whole: Callable[[int], Doubles], k: Doubles) -> Doubles:
        """Interpolate between whole numbers of chains, for each resample its own two."""
        low = np.clip(np.floor(k).astype(np.int64), 1, max(1, self.count - 1))
        part = k - low
        sizes = sorted({*low.tolist(), *(low[part > 0] + 1).tolist()})
        values = {size: whole(size) for size in sizes}
        at = np.arange(k.size)
        table = np.array([values.get(size, values[sizes[-1]]) for size in range(max(sizes) + 2)])
        found: Doubles = table[low, at]
        inside = part > 0
        found[inside] = (
            found[inside] * (1 - part[inside]) + table[low[inside] + 1, at[inside]] * part[inside]
        )
        return found

    def _drawn(self, size: int) -> list[list[QuestionRecord]]:
        if size not in self._subsets:
            generator = np.random.default_rng([self._seed, size])
            least, most = _SUBSETS
            repeats = min(most, max(least, _DRAWS // len(self.records)))
            if size >= self.count:
                repeats = 1  # all of the chains have but one subset
            self._subsets[size] = [
                [
                    some_chains(record, np.sort(generator.permutation(self.count)[:size]))
                    for record in self.records
                ]
                for _ in range(repeats)
            ]
        return self._subsets[size]


def _cost(record: QuestionRecord, unit: CostUnit) -> float:
    return float(record.tokens_decoded if unit == "tokens" else record.seconds)
