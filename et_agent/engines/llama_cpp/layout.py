"""How llama.cpp's key-value cache is divided among sequences.

A *unified* cache is one row of cells: forks share them, but attention goes over the cells of all
other branches too, and skipping a masked one takes time. With a *stream* a sequence attention sees
the own path alone, from cell 0 on; a fork then copies a stream. Streams are worth it as long as they
are short.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["MAX_SEQUENCES", "NO_CACHE", "Layout", "StreamTable", "choose_layout"]

MAX_SEQUENCES: Final = 256
"""LLAMA_MAX_SEQ."""
_STEP: Final = 256
"""llama.cpp pads streams to this many cells."""
_SHORTEST: Final = 512
_WAITING: Final = 0.75
"""Ended branches that may still be forked, for each row of a batch."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the cache is divided.

    Attributes:
        unified: Whether all sequences share one row of cells.
        sequences: Sequences that may live at once.
        cells: Positions that a sequence may have; in a unified cache, all sequences together.
        twins: Whether each sequence of a unified cache has a twin (`sequences.py`).
    """

    unified: bool
    sequences: int
    cells: int
    twins: bool = False

    @property
    def ids(self) -> int:
        """llama.cpp's sequence ids: a stream more than sequences, to move others through."""
        if self.unified:
            return self.sequences * (1 + self.twins)
        return self.sequences + 1

    @property
    def streams(self) -> int:
        """llama.cpp's streams."""
        return 1 if self.unified else self.ids

    @property
    def total(self) -> int:
        """Cells in all."""
        return self.cells if self.unified else self.cells * self.ids

    def serves(self, wanted: "Layout") -> bool:
        """Whether a cache of this layout will do where `wanted` would be chosen.

        Longer streams do, although there may be fewer: questions of changing lengths must not have
        the cache made anew each time.
        """
        return self.unified == wanted.unified and self.cells >= wanted.cells


NO_CACHE: Final = Layout(unified=True, sequences=0, cells=0)
"""Before there is a context."""


def choose_layout(
    longest: int,
    *,
    context: int,
    max_sequences: int,
    width: int,
    cell_bytes: int,
    memory: int,
    window: int = 0,
    shortest: int = _SHORTEST,
) -> Layout:
    """Streams where they fit into memory, else a unified cache.

    Args:
        longest: Positions of the longest path to come.
        context: Cells of a unified cache.
        max_sequences: Sequences asked for.
        width: Rows in a batch. Streams are for some more sequences, for ended branches that may
            still be forked; where memory is short, for as many as there are rows at least.
        cell_bytes: Bytes that a position takes.
        memory: Most bytes for streams.
        window: Sliding window of the model, in positions; 0 for none.
        shortest: Positions that a stream has at least.
    """
    longest = max(longest, min(max(shortest, _SHORTEST), context))
    cells = -(-longest // _STEP) * _STEP
    fitting = memory // (cells * cell_bytes) - 1
    sequences = min(max_sequences, width + int(_WAITING * width), MAX_SEQUENCES - 1, fitting)
    if sequences < min(max_sequences, width):
        twins = window > 0
        most = MAX_SEQUENCES // (1 + twins)
        return Layout(unified=True, sequences=min(max_sequences, most), cells=context, twins=twins)
    return Layout(unified=False, sequences=sequences, cells=cells)


class StreamTable:
    """Which stream each sequence lies in.

    llama.cpp decodes the streams of a batch together only if they lie side by side, so a batch's
    sequences are gathered in the first ones.

    Args:
        streams: Number of streams; one more than there are sequences.
    """

    def __init__(self, streams: int) -> None:
        self._streams: dict[int, int] = {}
        self._free = set(range(streams))

    def stream(self, sequence: int) -> int:
        """The stream that a sequence lies in; it has one once it was taken."""
        return self._streams[sequence]

    def streams(self, sequences: Iterable[int]) -> list[int]:
        """The streams that sequences lie in; each has one once it was taken."""
        return [self._streams[sequence] for sequence in sequences]

    def take(self, sequence: int, *, avoid: Collection[int] = ()) -> int | None:
        """Give a sequence the first free stream that is not among `avoid`; None if there is none."""
        stream = min(self._free.difference(avoid), default=None)
        if stream is not None:
            self._streams[sequence] = stream
            self._free.remove(stream)
        return stream

    def find(self, sequence: int) -> int | None:
        """The stream that a sequence lies in; None if it has none."""
        return self._streams.get(sequence)

    def release(self, sequence: int) -> int | None:
        """Take a sequence's stream away; None when it had none."""
        stream = self._streams.pop(sequence, None)
        if stream is not None:
            self._free.add(stream)
        return stream

    def gather(self, sequences: Collection[int]) -> list[tuple[int, int]]:
        """Put these sequences, in any order, into the first streams.

        Sequences without a stream get one.

        Returns:
            (stream, empty stream that it is to be copied to) of those that move, to be done in turn.
        """
        wanted = dict.fromkeys(sequences)  # a set that keeps the order
        count = len(wanted)
        outside = [s for s in wanted if self._streams.get(s, count) >= count]
        if not outside:
            return []
        in_the_way = {
            stream: sequence
            for sequence, stream in self._streams.items()
            if stream < count and sequence not in wanted
        }
        moves: list[tuple[int, int]] = []
        for target in sorted(stream for stream in self._free if stream < count):
            moves += self._put(outside.pop(), target)
        # Every free stream lies behind the first ones now, and there is one at least.
        for target, other in sorted(in_the_way.items()):
            moves += self._put(other, min(self._free))
            moves += self._put(outside.pop(), target)
        return moves

    def _put(self, sequence: int, target: int) -> list[tuple[int, int]]:
        source = self.release(sequence)
        self._streams[sequence] = target
        self._free.remove(target)
        return [] if source is None else [(source, target)]
