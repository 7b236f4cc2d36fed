"""Schedule `breadth_first`: one chain, forks level by level."""

from typing import Literal

from et_agent.decoding.base import Run, RunInputs
from et_agent.decoding.schedules.backward import BackwardRun, ForkCandidate, rank
from et_agent.decoding.schedules.forking import ForkingTree
from et_agent.decoding.tree import Branch

__all__ = ["BreadthFirst", "BreadthFirstRun"]


class BreadthFirst(ForkingTree):
    """As published: one chain, then level by level forks on the chains of the last level. Biased."""

    schedule: Literal["breadth_first"] = "breadth_first"
    """When to fork."""

    def start(self, inputs: RunInputs) -> Run:
        """Begin decoding one question."""
        self.check_thoughts(inputs)
        return BreadthFirstRun(self, inputs)


class BreadthFirstRun(BackwardRun):
    """As published: one chain, then level by level forks on the chains of the last level.

    Biased: positions are chosen by looking at finished chains. On three scripted models with 8
    leaves (`benchmarks/results/bias.json`) the mean of p(a|x) is off by 0.009 or less, two standard
    errors, when tau is fixed beforehand; by 0.18, 0.12 and 0.02 when tau is a percentile of the
    question's own tokens, as published, since a chain then says where it may be forked. Everything
    hangs on one root: the standard deviation is 0.14 to 0.27, where `rounds` has 0.09 to 0.17.
    """

    settings: BreadthFirst

    def __init__(self, settings: BreadthFirst, inputs: RunInputs) -> None:
        super().__init__(settings, inputs, roots=1)
        self._level: list[Branch] = [self.tree.branches[0]]

    def _fork_more(self) -> bool:
        level, known = self._level, len(self.tree.branches)
        tau, delta = self._least_entropy(level), self._least_importance(level)
        candidates = [
            ForkCandidate(branch, position, branch.statistics[position - branch.start].entropy)
            for branch in level
            for position in self._positions(branch, tau, delta)
        ]
        candidates.sort(key=rank)
        for candidate in candidates:
            room = self.settings.leaves - self.tree.leaf_count()
            if room < 1:
                break
            self._fork_at(candidate, room)
        self._level = self.tree.branches[known:]
        return bool(self._level)
