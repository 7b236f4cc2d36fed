"""An engine's sequences as llama.cpp's own: with cells for all of them, or with a stream each.

In one row of cells for all, a sequence is llama.cpp's of the same number and, for a model with a
sliding window, a twin of it. llama.cpp gives a cell that has left the window of its only sequence to
others, even with `swa_full`. A later fork at an earlier position would miss it. A cell that two
sequences have is never given away.

In streams nothing is given away before a stream is full, and the engine never fills one. There
sequences are moved, since llama.cpp decodes the streams of a batch together only if they lie side by
side.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from et_agent.engines.llama_cpp.binding import llama_cpp
from et_agent.engines.llama_cpp.layout import Layout, StreamTable
from et_agent.errors import DecodeError

__all__ = ["NativeSequences", "sequences_of"]


class NativeSequences(Protocol):
    """What is done with sequences; all are those of the engine, unless an id is llama.cpp's."""

    twin: int
    """What is added to a sequence's id for that of its twin; 0 without twins."""

    def place(self, sequences: Sequence[int]) -> list[int]:
        """Give a batch's sequences what they need for it, and return llama.cpp's ids."""
        ...

    def decoded(self) -> None:
        """Note that a batch was decoded."""
        ...

    def fork(self, source: int, target: int, length: int) -> None:
        """Let an unused sequence have the first `length` tokens of another."""
        ...

    def release(self, sequence: int) -> None:
        """Forget a sequence."""
        ...

    def readable(self, sequence: int) -> int | None:
        """The id under which a sequence's cells can be read now; None if they cannot."""
        ...

    def empty(self, sequence: int) -> int | None:
        """The id under which an unused sequence can be filled now; None if it cannot."""
        ...

    def filled(self, sequence: int) -> None:
        """Note that an unused sequence was filled."""
        ...


def sequences_of(memory: Any, layout: Layout) -> NativeSequences:
    """The sequences of llama.cpp's empty memory."""
    return _Shared(memory, layout) if layout.unified else _Streams(memory, layout)


def _remove(memory: Any, held: int, start: int = -1) -> None:
    """Remove what one of llama.cpp's sequences has from a position on.

    Raises:
        DecodeError: llama.cpp cannot; what a fork would go on from is wrong then.
    """
    if not llama_cpp.llama_memory_seq_rm(memory, held, start, -1):
        raise DecodeError(
            "llama.cpp cannot cut off the end of a sequence of this model, so it cannot be forked: "
            "choose another model"
        )


class _Shared:
    """One row of cells."""

    def __init__(self, memory: Any, layout: Layout) -> None:
        self._memory = memory
        self.twin = layout.sequences if layout.twins else 0

    def place(self, sequences: Sequence[int]) -> list[int]:
        return list(sequences)

    def decoded(self) -> None:
        pass

    def fork(self, source: int, target: int, length: int) -> None:
        for copy in self._ids(target):
            llama_cpp.llama_memory_seq_cp(self._memory, source, copy, 0, length)

    def release(self, sequence: int) -> None:
        for held in self._ids(sequence):
            _remove(self._memory, held)

    def readable(self, sequence: int) -> int | None:
        return sequence

    def empty(self, sequence: int) -> int | None:
        return sequence

    def filled(self, sequence: int) -> None:
        if self.twin:
            llama_cpp.llama_memory_seq_cp(self._memory, sequence, sequence + self.twin, -1, -1)

    def _ids(self, sequence: int) -> tuple[int, ...]:
        return (sequence, sequence + self.twin) if self.twin else (sequence,)


class _Streams:
    """A stream for each."""

    twin = 0

    def __init__(self, memory: Any, layout: Layout) -> None:
        self._memory = memory
        self._table = StreamTable(layout.ids)
        self._copies: dict[int, int] = {}

    def place(self, sequences: Sequence[int]) -> list[int]:
        for source, target in self._table.gather(sequences):
            self._copy(source, target)
            _remove(self._memory, source)
        return self._table.streams(sequences)

    def decoded(self) -> None:
        self._copies.clear()

    def fork(self, source: int, target: int, length: int) -> None:
        stream = self._table.take(target)
        assert stream is not None  # there is one more than sequences
        self._copy(self._table.stream(source), stream)
        _remove(self._memory, stream, length)

    def _copy(self, source: int, target: int) -> None:
        """Copy a whole stream; llama.cpp does it before the next decode, whatever comes meanwhile."""
        self._copies[target] = source
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def release(self, sequence: int) -> None:
        held = self._table.release(sequence)
        if held is not None:
            _remove(self._memory, held)

    def readable(self, sequence: int) -> int | None:
        held = self._table.find(sequence)
        # A stream that llama.cpp has not copied yet holds something else.
        return None if held in self._copies else held

    def empty(self, sequence: int) -> int | None:
        # Copies that are still to come must not change it.
        return self._table.take(sequence, avoid={*self._copies, *self._copies.values()})

    def filled(self, sequence: int) -> None:
        pass
