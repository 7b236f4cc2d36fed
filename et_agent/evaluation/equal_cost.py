"""Trees against independent chains that cost as much.

Independent chains are exchangeable, so a run of K of them says what any smaller number reaches: pass@k
exactly, everything else as a mean over random subsets. A tree that costs as much as k chains is held
against k chains; between two whole numbers the chains' figures are interpolated.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from et_agent.errors import DataError
from et_agent.evaluation.metrics import auroc, pass_at_k
from et_agent.evaluation.records import QuestionRecord
from et_agent.uncertainty.estimators import find_estimator
from et_agent.uncertainty.leaf_table import FORKS

__all__ = ["Chains", "Cost", "are_chains", "some_chains"]

Doubles = NDArray[np.float64]
Cost = Literal["tokens", "seconds"]
SUBSETS: Final = 16
_INDEPENDENT: Final = FORKS.index("independent")


def are_chains(records: Sequence[QuestionRecord]) -> bool:
    """Whether all leaves of all records are independent chains, two or more, as many everywhere."""
    sizes = {len(record.leaves) for record in records}
    return (
        len(sizes) == 1
        and min(sizes) > 1
        and all((record.leaves.fork[1:] == _INDEPENDENT).all() for record in records)
    )


def some_chains(record: QuestionRecord, chosen: NDArray[np.int64]) -> QuestionRecord:
    """The record as if only some of its independent chains had been decoded.

    Answer classes keep their numbers, also those that no chosen chain has.
    """
    columns = {
        one.name: getattr(record.leaves, one.name)[chosen]
        for one in dataclasses.fields(record.leaves)
    }
    columns["weight"] = np.full(chosen.size, 1.0 / chosen.size)
    return dataclasses.replace(record, leaves=type(record.leaves)(**columns))


class Chains:
    """What fewer of a run's chains would have reached.

    Args:
        records: Questions with K independent chains each.
        seed: Of the random subsets.

    Raises:
        DataError: The leaves are no independent chains, or not as many everywhere.
    """

    def __init__(self, records: Sequence[QuestionRecord], *, seed: int = 0) -> None:
        if not are_chains(records):
            raise DataError("the leaves are no independent chains: choose a run of multi-chain")
        self.records = records
        self.count = len(records[0].leaves)
        self._seed = seed
        self._subsets: dict[int, list[list[QuestionRecord]]] = {}

    def as_dear_as(self, others: Sequence[QuestionRecord], cost: Cost) -> float:
        """How many chains cost on the mean as much as other records: k, rarely whole, 1 to K.

        Raises:
            DataError: They cost more than all chains, or than less than one.
        """
        theirs = sum(_cost(record, cost) for record in others) / len(others)
        ours = sum(_cost(record, cost) for record in self.records) / len(self.records)
        k = self.count * theirs / ours
        if not 1.0 <= k <= self.count * 1.02:  # a little more than all of them is still "all"
            raise DataError(
                f"the other run costs as much as {k:.1f} chains and there are {self.count}: "
                "equal cost cannot be had"
            )
        return min(k, float(self.count))

    def pass_any(self, k: float) -> Doubles:
        """Chance that a right answer is among k chains, float64 [questions]."""

        def exactly(whole: int) -> Doubles:
            values = [
                pass_at_k(self.count, int(record.leaf_right.sum()), whole)
                for record in self.records
            ]
            return np.array(values, dtype=np.float64)

        return self._between(exactly, k)

    def accuracy(self, k: float) -> Doubles:
        """Chance that the vote of k chains is right, float64 [questions]."""

        def exactly(whole: int) -> Doubles:
            drawn = [[record.correct for record in subset] for subset in self._drawn(whole)]
            means: Doubles = np.mean(drawn, axis=0, dtype=np.float64)
            return means

        return self._between(exactly, k)

    def auroc(self, k: float, estimator: str, counts: Doubles) -> Doubles:
        """Mean AUROC of an estimator over subsets of k chains, float64 [R].

        Args:
            k: Number of chains.
            estimator: Its name.
            counts: How often each question is in each resample, float64 [R, questions].
        """
        chosen = find_estimator(estimator)

        def exactly(whole: int) -> Doubles:
            found = []
            for subset in self._drawn(whole):
                scores = [chosen.confidence(one.leaves, one.extras) for one in subset]
                known = np.array([score is not None for score in scores])
                right = np.array([one.correct for one in subset])[known]
                values = np.array([score for score in scores if score is not None])
                found.append(auroc(right, values, counts[:, known]))
            means: Doubles = np.mean(found, axis=0)
            return means

        return self._between(exactly, k)

    def _between(self, exactly: Callable[[int], Doubles], k: float) -> Doubles:
        low = max(1, min(int(k), self.count - 1))
        if k == low:
            return exactly(low)
        return exactly(low) * (1 - (k - low)) + exactly(low + 1) * (k - low)

    def _drawn(self, whole: int) -> list[list[QuestionRecord]]:
        if whole not in self._subsets:
            generator = np.random.default_rng([self._seed, whole])
            # All of the chains have but one subset.
            repeats = 1 if whole >= self.count else SUBSETS
            self._subsets[whole] = [
                [
                    some_chains(record, np.sort(generator.permutation(self.count)[:whole]))
                    for record in self.records
                ]
                for _ in range(repeats)
            ]
        return self._subsets[whole]


def _cost(record: QuestionRecord, cost: Cost) -> float:
    return float(record.tokens_decoded if cost == "tokens" else record.seconds)
