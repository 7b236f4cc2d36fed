"""The urn of Pitman and Yor (1997): what further draws give, without knowing what there is to draw.

After k draws, n of them of one sort, the next one is of this sort with probability (n - d) / (k + c),
and of a new sort with probability (c + d x sorts) / (k + c). Of m draws to come, the number of one sort
is then beta-binomial, with n - d balls for it and k - n + c + d against it.
"""

import functools
from dataclasses import dataclass
from typing import Final

import numpy as np

from et_agent.arrays import Doubles

__all__ = ["Urn", "beta_binomial"]

_TINY: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Urn:
    """The urn of Pitman and Yor after some leaves.

    Attributes:
        votes: Leaves of each answer, the leading one first.
        leaves: All leaves.
        discount: d.
        concentration: c.
    """

    votes: tuple[float, ...]
    leaves: float
    discount: float
    concentration: float

    def further(self, votes: float, more: int) -> Doubles:
        """P(j of the leaves to come give an answer with so many votes; 0: a new one), [more + 1]."""
        pull = self._pull(votes)
        return beta_binomial(more, pull, self.leaves + self.concentration - pull)

    def overtaken(self, more: int) -> Doubles:
        """P(another answer leads | j of the leaves to come give the leading one), [more + 1]."""
        return _overtaken(self, more)

    def _pull(self, votes: float) -> float:
        if votes > 0.0:
            return max(votes - self.discount, 0.0)
        return self.concentration + self.discount * len(self.votes)

    def overtakes(self, votes: float, left: int, needed: float) -> float:
        """P(an answer gets more than needed of the `left` leaves that do not give the leading one).

        The leaves apart from those of one answer are an urn of the same sort. A tie is half a change.
        """
        if votes + left < needed:
            return 0.0
        pull, gets = self._pull(votes), votes + np.arange(left + 1)
        rest = self.leaves - self.votes[0] + self.discount + self.concentration - pull
        return float(beta_binomial(left, pull, rest) @ ((gets > needed) + 0.5 * (gets == needed)))


@functools.lru_cache(4096)
def _overtaken(urn: Urn, more: int) -> Doubles:
    first, *others = (*urn.votes, 0.0)
    found = np.array(
        [
            min(1.0, sum(urn.overtakes(votes, more - j, first + j) for votes in others))
            for j in range(more + 1)
        ]
    )
    found.flags.writeable = False
    return found


@functools.lru_cache(4096)
def beta_binomial(size: int, chosen: float, others: float) -> Doubles:
    """P(j of `size` draws are of the chosen sort), j = 0 to `size`, float64 [size + 1].

    Polya's urn: a ball that is drawn goes back with one more of its sort.

    Args:
        size: Number of draws.
        chosen: Balls of the sort, 0 or more.
        others: Other balls; a rounding error below 0 counts as none.
    """
    j = np.arange(size)
    ratios = (size - j) / (j + 1.0) * (chosen + j) / (max(others, _TINY) + size - j - 1.0)
    weights = np.concatenate([[1.0], np.cumprod(ratios)])
    found = np.asarray(weights / weights.sum(), dtype=np.float64)
    found.flags.writeable = False
    return found
