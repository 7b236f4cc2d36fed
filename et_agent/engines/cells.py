"""Which cache cell holds which position of which sequence.

llama.cpp's unified cache gives every decoded token a cell, and forks share cells. The table does the
same with cells of its own, so that a batch that does not fit is refused before llama.cpp sees it, and
so that keys for attention rows have a place. With a stream a sequence, llama.cpp copies what forks
share; the table's cells are shared as ever.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from et_agent.arrays import Ints
from et_agent.errors import ContextError

__all__ = ["CellTable"]

_LEAST_LENGTH: Final = 256


class CellTable:
    """Cells of all sequences of one cache.

    Args:
        cells: Size of the cache.
        sequences: Number of sequence ids.
        longest: Positions that a sequence may have.
    """

    def __init__(self, cells: int, sequences: int, longest: int) -> None:
        self._longest = longest
        self._owners = np.zeros(cells, dtype=np.int32)
        # The last `free` of these are free, in the order in which they are taken.
        self._stack = np.arange(cells, dtype=np.int64)
        # By sequence and position; it grows with the longest sequence.
        self._cells = np.empty((sequences, _LEAST_LENGTH), dtype=np.int64)
        self._lengths = [0] * sequences
        self.free = cells

    def length(self, sequence: int) -> int:
        """Tokens that a sequence holds."""
        return self._lengths[sequence]

    def require(self, *sequences: int) -> None:
        """Refuse sequence ids that do not exist.

        Raises:
            ContextError: One is out of range.
        """
        for sequence in sequences:
            if not 0 <= sequence < len(self._cells):
                raise ContextError(
                    f"sequence {sequence} is out of range: the model was loaded with "
                    f"{len(self._cells)} sequences"
                )

    def path(self, sequence: int, length: int) -> Ints:
        """Cells of the first `length` positions of a sequence, int64 [length]."""
        return self._cells[sequence, :length]

    def check(self, positions: Sequence[int], sequences: Sequence[int]) -> None:
        """Refuse a batch that would not fit or would leave a gap in a sequence.

        Raises:
            ContextError: Too few free cells, a sequence id out of range, a position that does not
                follow its sequence, or one that no sequence may have.
        """
        if len(positions) > self.free:
            raise ContextError(
                f"the batch needs {len(positions)} cache cells and {self.free} are free: "
                "use a larger context"
            )
        ends: dict[int, int] = {}
        for position, sequence in zip(positions, sequences, strict=True):
            expected = ends.get(sequence)
            if expected is None:
                self.require(sequence)
                expected = self._lengths[sequence]
            if position != expected:
                raise ContextError(
                    f"position {position} does not follow sequence {sequence}, which goes on at "
                    f"{expected}"
                )
            ends[sequence] = expected + 1
        if max(positions, default=-1) >= self._longest:
            raise ContextError(
                f"the cache was configured for paths of {self._longest} positions: configure it for "
                "longer ones"
            )

    def unused(self, count: int) -> Ints:
        """The free cells that `place` takes next, int64 [count]; there must be as many."""
        start = self._stack.size - self.free
        return self._stack[start : start + count].copy()

    def place(self, positions: Sequence[int], sequences: Sequence[int]) -> None:
        """Give each token of a batch a cell, in its order; the batch was checked."""
        cells = self.unused(len(sequences))
        while max(positions, default=-1) >= self._cells.shape[1]:
            self._cells = np.concatenate([self._cells, np.empty_like(self._cells)], axis=1)
        self._cells[sequences, positions] = cells
        self._owners[cells] = 1
        self.free -= len(sequences)
        for position, sequence in zip(positions, sequences, strict=True):
            self._lengths[sequence] = position + 1

    def fork(self, source: int, target: int, length: int) -> None:
        """Let `target` share the first `length` cells of `source`."""
        shared = self.path(source, length)
        self._cells[target, :length] = shared
        self._lengths[target] = length
        self._owners[shared] += 1

    def release(self, sequence: int) -> None:
        """Drop a sequence's hold on its cells."""
        held = self.path(sequence, self._lengths[sequence])
        self._owners[held] -= 1
        freed = held[self._owners[held] == 0]
        start = self._stack.size - self.free
        self._stack[start - freed.size : start] = freed
        self.free += freed.size
        self._lengths[sequence] = 0
