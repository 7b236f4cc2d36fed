"""Roots that come a few at a time."""

import numpy as np

from et_agent.arrays import Doubles
from et_agent.decoding.base import RunInputs
from et_agent.decoding.codes import farthest_first
from et_agent.decoding.entropy_tree import Coded, EntropyTree, TreeRun
from et_agent.decoding.tree import Branch

__all__ = ["WavesRun"]


class WavesRun(TreeRun):
    """With `wave` some of the N codes of arithmetic sampling come later than others.

    Those that all codes so far lie far from come first, from a random one on, so that a tree of the
    first n codes is as unbiased as one of all N, and N codes in waves are N codes at once. A later code
    goes the way of the intervals it lies in. Where it leaves them, a branch forks off, and the model
    reads the token before once more, since its distribution was not kept.
    """

    def __init__(self, settings: EntropyTree, inputs: RunInputs, *, roots: int) -> None:
        self._waiting: list[Doubles] = []
        # Of each own token that codes chose, the interval of the codes that would.
        self._intervals: dict[int, list[tuple[float, float]]] = {}
        super().__init__(settings, inputs, roots=roots)

    def _first_codes(self, codes: Doubles) -> Doubles:
        if self.settings.wave is None:
            return codes
        start = int(self.uniform(0) * codes.size)
        order = np.roll(codes, -start)[farthest_first(codes.size)]
        first, *self._waiting = np.split(order, self.settings.sizes(codes.size)[:-1])
        return np.sort(first)

    def _note_interval(self, branch: int, low: float, width: float) -> None:
        self._intervals.setdefault(branch, []).append((low, width))

    def _send_wave(self) -> None:
        """Let the next wave's codes grow the tree, none of whose branches runs."""
        parting: dict[tuple[int, int], list[float]] = {}
        for code in sorted(self._waiting.pop(0).tolist()):
            branch, position = self._leaves_at(code)
            if position is None:
                branch.codes += 1
            else:
                parting.setdefault((branch.id, position), []).append(code)
        for (branch_id, position), codes in parting.items():
            own = position - self.tree.branches[branch_id].start
            low, width = self._intervals[branch_id][own - 1] if own else (0.0, 1.0)
            child = self.tree.graft(branch_id, position, len(codes))
            self._inherit_attention(child, decided=False)
            rescaled = np.clip((np.array(codes) - low) / width, 0.0, np.nextafter(1.0, 0.0))
            self._coded[child.id] = Coded(rescaled, width, low)
            self._running[child.id] = child
        self.tree.share_by_codes()

    def _leaves_at(self, code: float) -> tuple[Branch, int | None]:
        """Where a new code leaves all branches: its last one and the position; None if nowhere."""
        branches = self.tree.branches
        branch, index = branches[0], 0
        while True:
            intervals = self._intervals.get(branch.id, [])
            while index < len(intervals) and _holds(intervals[index], code):
                index += 1
            if index == len(intervals):
                return branch, None
            position = branch.start + index
            for other in self.tree.sides(branch.id, position):
                if _holds(self._intervals[other][0], code):
                    branch, index = branches[other], 0
                    break
            else:
                return branch, position


def _holds(interval: tuple[float, float], code: float) -> bool:
    low, width = interval
    return low <= code < low + width
