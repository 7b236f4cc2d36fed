"""Forks of finished chains, whose later tokens may say where: for `rounds` and `breadth_first`."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from et_agent.decoding.arithmetic import BatchedRun
from et_agent.decoding.base import RunInputs, side
from et_agent.decoding.sampling import Distribution
from et_agent.decoding.schedules.forking import SURE, ForkingTree
from et_agent.decoding.tree import Alternatives, Branch, ForkKind, Lineage, Side

__all__ = ["BackwardRun", "ForkCandidate", "rank"]

_CERTAIN: Final = 1e-6
"""Below this the chosen token has all the float32 probability there is, and no side can be drawn."""


@dataclass(frozen=True, slots=True)
class ForkCandidate:
    """A position that may be forked, and what speaks for it."""

    branch: Branch
    position: int
    value: float


def rank(candidate: ForkCandidate) -> tuple[float, Lineage, int]:
    """Sorts candidates: the best first, equal ones the same way however batches fell."""
    return (-candidate.value, candidate.branch.lineage, candidate.position)


class BackwardRun(BatchedRun):
    """Forks positions of finished chains, for which side tokens were drawn when they were decoded.

    Sums are taken by `math.fsum`, which does not depend on the order of the branches: rounding must
    not let batches change the ranking of positions.
    """

    settings: ForkingTree

    def __init__(
        self,
        settings: ForkingTree,
        inputs: RunInputs,
        *,
        roots: int,
        sizes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(settings, inputs, roots=roots, sizes=sizes)
        self._tau = settings.least_entropy(inputs.thresholds)

    @property
    def takes_own_percentile(self) -> bool:
        """Whether tau is a percentile of the question's own tokens."""
        return self._tau is None

    def may_fork(self, branch: int) -> bool:
        """Finished branches are what is forked, as long as there are leaves to be had."""
        del branch
        return not self.finished and self.tree.leaf_count() < self.settings.leaves

    def _keep_alternatives(self, branch: Branch, token: int, distribution: Distribution) -> None:
        # Without a threshold, for every token that is not all but certain.
        least = SURE if self._tau is None else max(self._tau, _CERTAIN)
        if distribution.statistics.entropy < least:
            return
        drawn = self._draw_alternatives(branch, token, distribution)
        if drawn.top or drawn.rest is not None or drawn.fresh is not None:
            branch.alternatives[branch.end] = drawn

    def _draw_alternatives(
        self, branch: Branch, token: int, distribution: Distribution
    ) -> Alternatives:
        """The sides that a fork at the token being decoded would have."""
        if self.settings.exchangeable:
            fresh = distribution.draw(self.uniform(branch.id))
            return Alternatives(top=(), rest=None, fresh=side(fresh, distribution))
        top = distribution.top(self.settings.branching - 2, excluding=[token])
        rest = distribution.draw_excluding(self.uniform(branch.id), [token, *top])
        return Alternatives(
            top=tuple(side(t, distribution) for t in top),
            rest=None if rest is None else side(rest, distribution),
            fresh=None,
        )

    def _least_entropy(self, branches: Iterable[Branch]) -> float:
        if self._tau is not None:
            return self._tau
        seen = [entropy for branch in branches for entropy in branch.entropies]
        percentile = self.settings.entropy_percentile
        assert percentile is not None  # or there would be a tau
        return float(np.percentile(seen, percentile)) if seen else math.inf

    def _least_importance(self, branches: Iterable[Branch]) -> float | None:
        settings, attention = self.settings, self.tree.attention
        if attention is None or not settings.reads_attention:
            return None
        if settings.delta is not None:
            return settings.delta
        thresholds = self.inputs.thresholds
        if thresholds is not None and thresholds.received is not None:
            return thresholds.received_at(settings.importance_percentile)
        seen = np.concatenate([attention.importance(branch.id) for branch in branches])
        seen = seen[np.isfinite(seen)]
        return float(np.percentile(seen, settings.importance_percentile)) if seen.size else None

    def _positions(self, branch: Branch, tau: float, delta: float | None) -> list[int]:
        """Positions of a branch that may be forked: unsure, important, and not forked before."""
        importance = None
        if delta is not None and self.tree.attention is not None:
            importance = self.tree.attention.importance(branch.id)
        allowed = self.part(branch, self.settings.fork_in)
        positions = []
        for position in branch.alternatives:
            index = position - branch.start
            if position not in allowed:
                continue
            if position in branch.forked or branch.statistics[index].entropy < tau:
                continue
            if delta is not None and importance is not None:
                got = importance[index]
                if math.isfinite(got) and got < delta:
                    continue
            positions.append(position)
        return positions

    def _fork_at(self, candidate: ForkCandidate, room: int) -> None:
        branch, position = candidate.branch, candidate.position
        alternatives = branch.alternatives.pop(position)
        if alternatives.fresh is not None:
            self._fork_back(branch, position, ForkKind.EXCHANGEABLE, [alternatives.fresh], 0.5)
            return
        kept = branch.probabilities[position - branch.start]
        sides = list(alternatives.top)
        if alternatives.rest is not None:
            sides.append(alternatives.rest)
        if len(sides) > room:
            sides = [self._one_of(sides, 1.0 - kept, branch)]
        self._fork_back(branch, position, ForkKind.DISTINCT, sides, kept)

    def _one_of(self, sides: list[Side], mass: float, branch: Branch) -> Side:
        """One side for all, when there is room for no more; the last stands for the rest."""
        left = self.uniform(branch.id) * mass
        for one in sides[:-1]:
            left -= one.probability
            if left < 0:
                return one
        return sides[-1]
