"""What more leaves may change: the risk that a decision at the end differs from now's.

The answers of leaves are draws from an urn (`urn.py`), whose balls say how many of the leaves to come
give an answer. Every such number makes a share of the whole tree, and a calibrator's map a confidence
of that share. What votes do not tell, above all how probable the tokens are, adds a logistic error to
its log-odds, whose scale is that of the difference between the means of k and of k + m leaves,
noise x sqrt(1/k - 1/(k + m)). A line in log-odds corrects the result for all that this leaves out.

All of it is fitted to stored trees (`benchmarks/deciding.py`).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final, Self

import numpy as np
from pydantic import Field

from et_agent.arrays import Doubles
from et_agent.calibration.pooled import logistic
from et_agent.calibration.shipped_file import ShippedFile
from et_agent.calibration.urn import Urn
from et_agent.uncertainty.effective_sample_size import effective_sample_size
from et_agent.uncertainty.leaf_table import LeafTable
from et_agent.validation import Frozen

__all__ = ["Correction", "Foresight", "LogOdds", "Standing", "log_odds_of"]

LogOdds = Callable[[Doubles, float], Doubles]
"""Shares of an answer in a tree of so many leaves to the log-odds of its confidence, [n]."""
_SCHEMA: Final = 1
_LIMIT: Final = 35.0
_TINY: Final = 1e-9
_RARE: Final = 1e-4
"""What happens less often was not seen often enough to tell how often."""
_DIGITS: Final = 9
"""Decimals of votes: three of four leaves are three votes, whatever order weights are summed in."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How the finished leaves of a growing tree have voted.

    Attributes:
        votes: Leaves of each answer, the leading one first; of weighted leaves, share x `leaves`.
        leaves: Finished leaves, those without an answer included; of weighted ones, what they are
            worth (effective sample size).
        to_come: New leaves that are to come at most.
        forks: Forks that are to come at most, each of which moves weight from one leaf to another.
        heaviest: Votes of the heaviest leaf.
    """

    votes: tuple[float, ...]
    leaves: float
    to_come: int
    forks: int = 0
    heaviest: float = 1.0

    @classmethod
    def of(cls, leaves: LeafTable, to_come: int, forks: int = 0) -> Self:
        """How the leaves of a tree have voted, of which none is unfinished.

        Args:
            leaves: Their statistics.
            to_come: New leaves that are to come at most.
            forks: Forks that are to come at most.
        """
        worth = effective_sample_size(leaves.checked)
        votes = sorted((leaves.shares * worth).round(_DIGITS).tolist(), reverse=True)
        return cls(
            votes=tuple(one for one in votes if one > 0.0),
            leaves=worth,
            to_come=to_come,
            forks=forks,
            heaviest=float(leaves.weight.max()) * worth,
        )

    @property
    def ended(self) -> bool:
        """Whether nothing is to come."""
        return self.to_come + self.forks == 0

    @property
    def settled(self) -> bool:
        """Whether nothing that is to come can change the leading answer.

        New leaves may all vote for the second answer. A fork takes less than a leaf's weight from the
        leading answer, and may give it to the second.
        """
        first, second, *_ = (*self.votes, 0.0, 0.0)
        return self.ended or first - second > self.to_come + 2.0 * self._moved

    @property
    def lead(self) -> float:
        """Share of the leading answer minus that of the second."""
        first, second, *_ = (*self.votes, 0.0, 0.0)
        return (first - second) / self.leaves

    @property
    def largest_share(self) -> float:
        """The most of the whole tree that any answer can get."""
        first, *_ = (*self.votes, 0.0)
        if self.ended:
            return first / self.leaves
        return min(1.0, (first + self.to_come + self._moved) / (self.leaves + self.to_come))

    @property
    def _moved(self) -> float:
        """Votes that forks move at most."""
        return self.forks * max(self.heaviest, 1.0)


class Correction(Frozen):
    """What the votes alone foresee, made a risk: a line in log-odds.

    Stopping wherever the risk is at most r changes a part r of the decisions, on questions that it was
    not fitted to. Most of these are safer than r, since trees stop where the risk falls below it.
    """

    intercept: float = 0.0
    """Log-odds of what the votes call one half."""
    slope: float = Field(default=1.0, gt=0)
    """Per log-odds of what the votes foresee."""
    margin: float = Field(default=0.0, le=0)
    """Per unit of the margin."""
    done: float = 0.0
    """Per part of the leaves that are finished."""

    def of(self, probability: float, margin: float = 0.0, done: float = 0.0) -> float:
        """The risk, more than 0.

        Args:
            probability: What the votes foresee, 0 to 1.
            margin: How far what is decided is from its opposite, 0 or more.
            done: Part of the leaves that are finished, 0 to 1.
        """
        inside = min(max(probability, _RARE), 1.0 - _RARE)
        line = self.intercept + self.slope * log_odds_of(inside)
        return float(logistic(np.array(line + self.margin * margin + self.done * done)))


class Foresight(ShippedFile):
    """The fitted model of what more leaves change."""

    file_name: ClassVar[str] = "foresight.json"

    schema_version: int = _SCHEMA
    """Version of this format."""
    discount: float = Field(ge=0, lt=1)
    """d: answers that few leaves have given lose this part of a leaf."""
    concentration: float = Field(gt=0)
    """c: how many leaves' worth of new answers there are."""
    noise: float = Field(ge=0)
    """Scale of the error of one leaf's log-odds."""
    fork: float = Field(ge=0, le=1)
    """New leaves that a possible fork is worth."""
    answer: Correction = Correction()
    """For a change of the leading answer; the margin is its share minus that of the second."""
    given: Correction = Correction()
    """For an answer that is given now; the margin is that of the confidence, in log-odds."""
    withheld: Correction = Correction()
    """For one that is not given now."""
    questions: dict[str, int] = Field(default_factory=dict)
    """Questions that it was fitted to, by model and data set."""

    def answer_changes(self, standing: Standing) -> float:
        """Risk that another answer leads at the end; 0 only where none can."""
        if standing.settled:
            return 0.0
        return self.answer.of(self.answer_raw(standing), standing.lead, self.done(standing))

    def action_changes(
        self, standing: Standing, log_odds: LogOdds, threshold: float, now: float
    ) -> float:
        """Risk that at the end another answer is given, or one instead of none, or none.

        Args:
            standing: The votes so far, one at least.
            log_odds: The confidence of an answer by its share.
            threshold: Confidence from which on the leading answer is given.
            now: Its confidence now.

        Returns:
            0 only where nothing that is to come can change it.
        """
        reached = now >= threshold
        if standing.ended or (reached and threshold <= 0.0 and standing.settled):
            return 0.0
        raw = self.action_raw(standing, log_odds, threshold, reached=reached)
        margin = abs(log_odds_of(now) - log_odds_of(threshold))
        return (self.given if reached else self.withheld).of(raw, margin, self.done(standing))

    def done(self, standing: Standing) -> float:
        """Part of the leaves that are finished."""
        return standing.leaves / (standing.leaves + self.more(standing))

    def answer_raw(self, standing: Standing) -> float:
        """Probability that another answer leads at the end, by the votes alone."""
        if not standing.votes:
            return 1.0
        urn, more = self._urn(standing), self.more(standing)
        return float(urn.further(standing.votes[0], more) @ urn.overtaken(more))

    def action_raw(
        self, standing: Standing, log_odds: LogOdds, threshold: float, *, reached: bool
    ) -> float:
        """Probability that what is done with the answer changes, by the votes alone."""
        urn, more = self._urn(standing), self.more(standing)
        whole = standing.leaves + more
        scale = self.noise * math.sqrt(max(1.0 / standing.leaves - 1.0 / whole, 0.0)) + _TINY
        further = np.arange(more + 1, dtype=np.float64)

        def reaches(votes: float) -> Doubles:
            found = log_odds((votes + further) / whole, whole)
            return logistic((found - log_odds_of(threshold)) / scale)

        first, *others = (*standing.votes, 0.0)
        if reached:
            stays = reaches(first) * (1.0 - urn.overtaken(more))
            return float(1.0 - urn.further(first, more) @ stays)
        # Votes are not taken back, so that another answer leads with as many at least.
        total = float(urn.further(first, more) @ reaches(first))
        for votes in others:
            if votes + more >= first:
                leads = votes + further >= first
                total += float(urn.further(votes, more) @ (reaches(votes) * leads))
        return min(total, 1.0)

    def more(self, standing: Standing) -> int:
        """How many new leaves all that is to come is worth, 1 or more."""
        return max(1, round(standing.to_come + self.fork * standing.forks))

    def _urn(self, standing: Standing) -> Urn:
        return Urn(standing.votes, standing.leaves, self.discount, self.concentration)


def log_odds_of(probability: float) -> float:
    """Log-odds, within what the logistic function tells from 0 and 1."""
    if probability <= 0.0 or probability >= 1.0:
        return math.copysign(_LIMIT, probability - 0.5)
    found = math.log(probability) - math.log1p(-probability)
    return min(max(found, -_LIMIT), _LIMIT)
