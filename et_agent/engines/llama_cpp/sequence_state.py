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
_POSITION: Final = np.dtype([("position", "<i4"), ("sequences", "<u4"), ("sequence", "<i4")])


class StateFormError(Exception):
    """Raised when a state is not of the form that this module knows."""


@dataclass(frozen=True, slots=True)
class StateForm:
    """How a position's row is divided: by cache, keys of all layers and then values of all layers.

    Attributes:
        caches: For each cache (a model with a sliding window has two), (ggml type, bytes) of the keys
            and then of the values of each layer.
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
        if any(not 0 < size < 1 << 24 for cache in caches for _, size in cache):
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


def read_sequence(context: Any, sequence: int) -> tuple[StateForm, Bytes]:
    """The key-values of a sequence, in the order of their positions.

    Args:
        context: llama.cpp's context.
        sequence: One of its sequences, with one token at least.

    Returns:
        The form, and uint8 [positions, bytes of a position].

    Raises:
        StateFormError: The state is not of the form that is known.
    """
    size = int(llama_cpp.llama_state_seq_get_size(context, sequence))
    data = np.empty(size, dtype=np.uint8)
    pointer = ctypes.cast(data.ctypes.data, ctypes.POINTER(ctypes.c_uint8))
    if llama_cpp.llama_state_seq_get_data(context, pointer, size, sequence) != size or size < 8:
        raise StateFormError("llama.cpp gave no state")
    reader = _Reader(data)
    if reader.number() != _MAGIC:
        raise StateFormError("a state begins differently")
    reader.take(4)
    caches: list[tuple[tuple[int, int], ...]] = []
    parts: list[Bytes] = []
    while not reader.done:
        form, found = _read_cache(reader)
        caches.append(form)
        parts += found
    if len({len(part) for part in parts}) != 1:
        raise StateFormError("caches hold different positions")
    rows = np.empty((len(parts[0]), sum(part.shape[1] for part in parts)), dtype=np.uint8)
    np.concatenate(parts, axis=1, out=rows)
    return StateForm(tuple(caches)), rows


def _read_cache(reader: _Reader) -> tuple[tuple[tuple[int, int], ...], list[Bytes]]:
    streams, count, form, parts = reader.number(), 0, [], []
    for _ in range(streams):
        held = reader.number()
        if held and count:
            raise StateFormError("a sequence lies in two streams")
        if not held:
            continue
        count = held
        cells = reader.take(count * _POSITION.itemsize).view(_POSITION)
        if (cells["sequences"] != 1).any():
            raise StateFormError("cells are described differently")
        order = _order(cells["position"])
        if reader.number():
            raise StateFormError("values are transposed")
        layers = reader.number()
        for _ in range(2 * layers):
            kind, size = reader.number(), reader.number(8)
            form.append((kind, size))
            part = reader.take(count * size).reshape(count, size)
            parts.append(part if order is None else part[order])
    if not parts:
        raise StateFormError("a cache holds nothing")
    return tuple(form), parts


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
            yield _numbers(kind) + size.to_bytes(8, "little")
            yield np.ascontiguousarray(rows[:, at : at + size]).data.cast("B")
            at += size
        yield _numbers(*[0] * (streams - 1))


def _numbers(*values: int) -> bytes:
    return np.array(values, dtype="<u4").tobytes()
