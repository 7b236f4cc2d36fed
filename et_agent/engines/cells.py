"""Which cache cell holds which position of which sequence.

llama.cpp's unified cache gives every decoded token a cell, and forks share cells. The table does the
same with cells of its own, so that a batch that does not fit is refused before llama.cpp sees it, and
so that keys for attention rows have a place. With a stream a sequence, llama.cpp copies what forks
share; the table's cells are shared as ever.
"""

from collections.abc import Sequence

import numpy as np

from et_agent.arrays import Ints
from et_agent.errors import ContextError

__all__ = ["CellTable"]


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
        self._cells: list[Ints] = [np.empty(0, dtype=np.int64) for _ in range(sequences)]
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
        return self._cells[sequence][:length]

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
            self.require(sequence)
            expected = ends.get(sequence, self._lengths[sequence])
            if position != expected:
                raise ContextError(
                    f"position {position} does not follow sequence {sequence}, which goes on at "
                    f"{expected}"
                )
            ends[sequence] = expected + 1
        if max(positions) >= self._longest:
            raise ContextError(
                f"the cache was configured for paths of {self._longest} positions: configure it for "
                "longer ones"
            )

    def unused(self, count: int) -> Ints:
        """The first `count` free cells; there must be as many."""
        return np.flatnonzero(self._owners == 0)[:count]

    def place(self, sequences: Sequence[int], cells: Ints | None) -> None:
        """Append one cell to each sequence, in batch order; `cells` None takes any free ones."""
        if cells is None:
            cells = self.unused(len(sequences))
        for sequence, cell in zip(sequences, cells.tolist(), strict=True):
            self._append(sequence, cell)
        self._owners[cells] += 1
        self.free -= len(sequences)

    def _append(self, sequence: int, cell: int) -> None:
        length = self._lengths[sequence]
        held = self._cells[sequence]
        if length == held.size:
            held = np.concatenate([held, np.empty(max(256, held.size), dtype=np.int64)])
            self._cells[sequence] = held
        held[length] = cell
        self._lengths[sequence] = length + 1

    def fork(self, source: int, target: int, length: int) -> None:
        """Let `target` share the first `length` cells of `source`."""
        shared = self._cells[source][:length]
        self._cells[target] = shared.copy()
        self._lengths[target] = length
        self._owners[shared] += 1

    def release(self, sequence: int) -> None:
        """Drop a sequence's hold on its cells."""
        held = self._cells[sequence][: self._lengths[sequence]]
        self._owners[held] -= 1
        self.free += int(np.count_nonzero(self._owners[held] == 0))
        self._lengths[sequence] = 0
        self._cells[sequence] = np.empty(0, dtype=np.int64)
