"""The key-values of a sequence as rows, one a position, taken out of llama.cpp's state and put back.

llama.cpp writes the state of a sequence layer by layer, for one arrangement of its cache. As rows it
can be cut, joined and put into a cache of another arrangement. What `llama_state_seq_get_data` gives
is parsed strictly: a state of an unknown form is an error here, and nothing is kept then.
"""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from et_agent.arrays import Bytes, Ints
from et_agent.engines.llama_cpp.binding import llama_cpp

__all__ = ["StateForm", "StateFormError", "read_sequence", "write_sequence"]

_MAGIC: Final = 0xAF143CD8
_NO_VALUES: Final = (0, 0)
_POSITION: Final = np.dtype([("position", "<i4"), ("sequences", "<u4"), ("sequence", "<i4")])


class StateFormError(Exception):
    """Raised when a state is not of the form that this module knows."""


@dataclass(frozen=True, slots=True)
class StateForm:
    """How a position's row is divided: by cache, keys of all layers and then values of all layers.

    Attributes:
        caches: For each cache (a model with a sliding window has two), (ggml type, bytes) of the keys
            and then of the values of each layer. Values that lie within the keys (multi-head latent
            attention) have 0 bytes.
    """

    caches: tuple[tuple[tuple[int, int], ...], ...]

    @property
    def row_bytes(self) -> int:
        """Bytes of a position."""
        return sum(size for cache in self.caches for _, size in cache)

    def keys(self, layer: int, layers: int) -> tuple[int, slice] | None:
        """The ggml type of a layer's keys and their place in a row; None if that is not known."""
        if len(self.caches) != 1 or len(self.caches[0]) != 2 * layers:
            return None
        start = sum(size for _, size in self.caches[0][:layer])
        kind, size = self.caches[0][layer]
        return kind, slice(start, start + size)

    def as_data(self) -> list[list[list[int]]]:
        """The form as JSON."""
        return [[list(part) for part in cache] for cache in self.caches]

    @classmethod
    def of_data(cls, data: Any) -> "StateForm":
        """The form from JSON.

        Raises:
            StateFormError: It is none.
        """
        try:
            caches = tuple(tuple((int(k), int(size)) for k, size in cache) for cache in data)
        except (TypeError, ValueError) as error:
            raise StateFormError("no form of a state") from error
        if not caches or any(not cache or len(cache) % 2 for cache in caches):
            raise StateFormError("no form of a state")
        parts = {part for cache in caches for part in cache} - {_NO_VALUES}
        if any(not 0 < size < 1 << 24 for _, size in parts):
            raise StateFormError("no form of a state")
        return cls(caches)


class _Reader:
    """A cursor over a state."""

    def __init__(self, data: Bytes) -> None:
        self._data, self.at = data, 0

    @property
    def done(self) -> bool:
        return self.at == self._data.size

    def take(self, size: int) -> Bytes:
        part = self._data[self.at : self.at + size]
        if part.size != size:
            raise StateFormError("a state ends early")
        self.at += size
        return part

    def number(self, size: int = 4) -> int:
        return int.from_bytes(self.take(size).tobytes(), "little")

    def only_empty(self, streams: int) -> bool:
        """Whether nothing is left but so many streams without cells."""
        rest = self._data[self.at :]
        return rest.size == 4 * streams and not rest.any()


@dataclass(slots=True)
class _Cache:
    """What a state has of one cache.

    Attributes:
        form: As in `StateForm`.
        start: Position of the first row.
        parts: Keys of all layers and then values, uint8 [positions, bytes].
    """

    form: tuple[tuple[int, int], ...]
    start: int
    parts: list[Bytes]

    def __len__(self) -> int:
        return len(self.parts[0])


def read_sequence(context: Any, sequence: int) -> tuple[StateForm, Bytes]:
    """The key-values of a sequence, in the order of their positions. It may lose its end by this.

    Of a sliding window's layers, llama.cpp gives the positions within the window of the last one. So
    what was read is cut off, and what lies within the window then is read.

    Args:
        context: llama.cpp's context.
        sequence: One of its sequences, with one token at least, that is not needed any longer.

    Returns:
        The form, and uint8 [positions, bytes of a position].

    Raises:
        StateFormError: The state is not of the form that is known.
    """
    caches = _read_caches(context, sequence)
    start, most = min(cache.start for cache in caches), max(len(cache) for cache in caches)
    whole = [_whole(context, sequence, cache, most) for cache in caches]
    if any((cache.start, len(cache)) != (start, most) for cache in whole):
        raise StateFormError("caches hold different positions")
    parts = [part for cache in whole for part in cache.parts]
    rows = np.empty((most, sum(part.shape[1] for part in parts)), dtype=np.uint8)
    np.concatenate(parts, axis=1, out=rows)
    return StateForm(tuple(cache.form for cache in whole)), rows


def _whole(context: Any, sequence: int, cache: _Cache, positions: int) -> _Cache:
    """A cache with as many positions, those that a sliding window hides read as well."""
    pieces, memory = [cache], llama_cpp.llama_get_memory(context)
    while sum(map(len, pieces)) < positions:
        start = pieces[0].start
        llama_cpp.llama_memory_seq_rm(memory, sequence, start, -1)
        partial = _read_caches(context, sequence, llama_cpp.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY)
        if len(partial) != 1 or partial[0].form != cache.form:
            raise StateFormError("a part of a state has another form")
        if partial[0].start + len(partial[0]) != start:
            raise StateFormError("positions are missing")
        pieces.insert(0, partial[0])
    if len(pieces) == 1:
        return cache
    joined = [np.concatenate(parts) for parts in zip(*(one.parts for one in pieces), strict=True)]
    return _Cache(cache.form, pieces[0].start, joined)


def _read_caches(context: Any, sequence: int, flags: int = 0) -> list[_Cache]:
    size = int(llama_cpp.llama_state_seq_get_size_ext(context, sequence, flags))
    data = np.empty(size, dtype=np.uint8)
    pointer = ctypes.cast(data.ctypes.data, ctypes.POINTER(ctypes.c_uint8))
    given = llama_cpp.llama_state_seq_get_data_ext(context, pointer, size, sequence, flags)
    if given != size or size < 8:
        raise StateFormError("llama.cpp gave no state")
    reader = _Reader(data)
    if reader.number() != _MAGIC:
        raise StateFormError("a state begins differently")
    reader.take(4)
    caches: list[_Cache] = []
    while not reader.done:
        caches.append(_read_cache(reader))
    if not caches:
        raise StateFormError("a state holds no cache")
    return caches


def _read_cache(reader: _Reader) -> _Cache:
    streams, found = reader.number(), None
    for after in reversed(range(streams)):
        count = reader.number()
        if count and found is not None:
            raise StateFormError("a sequence lies in two streams")
        if count:
            found = _read_stream(reader, count, after)
    if found is None:
        raise StateFormError("a cache holds nothing")
    return found


def _read_stream(reader: _Reader, count: int, after: int) -> _Cache:
    """Read so many cells; so many streams come after this one."""
    cells = reader.take(count * _POSITION.itemsize).view(_POSITION)
    if (cells["sequences"] != 1).any():
        raise StateFormError("cells are described differently")
    order = _order(cells["position"])
    if reader.number():
        raise StateFormError("values are transposed")
    layers, form, parts = reader.number(), [], []
    for at in range(2 * layers):
        if at == layers and reader.only_empty(after):
            form += [_NO_VALUES] * layers
            parts += [np.empty((count, 0), dtype=np.uint8)] * layers
            break
        kind, size = reader.number(), reader.number(8)
        form.append((kind, size))
        part = reader.take(count * size).reshape(count, size)
        parts.append(part if order is None else part[order])
    if not parts:
        raise StateFormError("a cache holds no layers")
    return _Cache(tuple(form), int(cells["position"].min()), parts)


def _order(positions: Ints) -> Ints | None:
    """How to sort cells by position; None if they are sorted."""
    steps = np.diff(positions)
    if (steps == 1).all():
        return None
    order = np.argsort(positions)
    if (np.diff(positions[order]) != 1).any():
        raise StateFormError("positions are missing")
    return order


def write_sequence(context: Any, sequence: int, streams: int, form: StateForm, rows: Bytes) -> bool:
    """Put key-values into a sequence, as its first positions.

    Args:
        context: llama.cpp's context.
        sequence: One of its sequences, which is empty.
        streams: Streams of its cache; 1 if it is unified.
        form: The form of the rows.
        rows: uint8 [positions, bytes of a position].

    Returns:
        Whether llama.cpp took them; the sequence is empty otherwise.
    """
    if rows.ndim != 2 or rows.shape[1] != form.row_bytes:
        return False
    data = np.concatenate([np.frombuffer(part, np.uint8) for part in _state(form, rows, streams)])
    pointer = ctypes.cast(data.ctypes.data, ctypes.POINTER(ctypes.c_uint8))
    return bool(
        llama_cpp.llama_state_seq_set_data(context, pointer, data.size, sequence) == data.size
    )


def _state(form: StateForm, rows: Bytes, streams: int) -> Iterator[bytes | memoryview]:
    """A state, piece by piece."""
    count = len(rows)
    cells = np.zeros(count, dtype=_POSITION)
    cells["position"] = np.arange(count)
    cells["sequences"] = 1
    yield _numbers(_MAGIC, 0)
    at = 0
    for cache in form.caches:
        yield _numbers(streams, count)
        yield cells.tobytes()
        yield _numbers(0, len(cache) // 2)
        for kind, size in cache:
            if (kind, size) == _NO_VALUES:
                continue
            yield _numbers(kind) + size.to_bytes(8, "little")
            yield np.ascontiguousarray(rows[:, at : at + size]).data.cast("B")
            at += size
        yield _numbers(*[0] * (streams - 1))


def _numbers(*values: int) -> bytes:
    return np.array(values, dtype="<u4").tobytes()
