"""Attention weights worked out from llama.cpp's running graph, without changing it.

Flash attention never stores its weights, but its graph node has all that goes into them: queries,
keys, mask and scale. llama.cpp calls back after the nodes of the chosen layers; queries and mask of
the wanted rows are copied there, and the keys of the new cells are added to a float32 copy of those
layers' key caches. From another device than the CPU, no more than these is fetched. A row is then a
softmax over the cells of its own path.

A row's columns are cells of the unified cache, or positions of the own stream. The index input of
the cache's SET_ROWS nodes ties them to the tokens of the batch: in a unified cache it tells where a
token went, with streams which token a row is of. The copy has cells of its own, those of the cell
table, so that keys that were restored without a decode have a place in it too.

The layout of `ggml_tensor` is not part of llama-cpp-python's interface; `layout_is_known` compares it
with what this module was written for, and attention stays off on any other.
"""

import ctypes
import itertools
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from et_agent.arrays import Bools, Bytes, Floats, Ints
from et_agent.engines.cells import CellTable
from et_agent.engines.llama_cpp.binding import ggml_function, llama_cpp
from et_agent.engines.llama_cpp.layout import NO_CACHE, Layout

__all__ = ["AttentionReader", "StepAttention", "default_layers", "layout_is_known"]


# Offsets in ggml_tensor, bytes (llama-cpp-python 0.3.36).
_TYPE: Final = 0
_BUFFER: Final = 8
_SIZES: Final = 16
_STRIDES: Final = 48
_OP: Final = 80
_PARAMETERS: Final = 84
_SOURCES: Final = 152
_VIEWED: Final = 232
_DATA: Final = 248
_NAME: Final = 256
_OVERHEAD: Final = 368
_INDEX_INPUT: Final = b"attn_inp_k_idxs"
# Float32, float16, int64, and the bits of bfloat16, by ggml's numbers.
_TYPES: Final[dict[int, np.dtype[Any]]] = {
    0: np.dtype(np.float32),
    1: np.dtype(np.float16),
    27: np.dtype(np.int64),
    30: np.dtype(np.uint16),
}

_I32 = ctypes.c_int32.from_address
_PTR = ctypes.c_void_p.from_address
_THREE_FLOATS = (ctypes.c_float * 3).from_address
_FOUR_LONGS = (ctypes.c_int64 * 4).from_address


def layout_is_known() -> bool:
    """Whether this build's tensor layout is the one that this module reads."""
    try:
        return int(ggml_function("ggml_tensor_overhead", ctypes.c_size_t)()) == _OVERHEAD
    except AttributeError:
        return False


def default_layers(layers: int) -> tuple[int, ...]:
    """Two layers in the later half, where attention follows meaning rather than position [C]."""
    return tuple(sorted({layers // 2, (3 * layers) // 4} & set(range(layers))))


def _op_number(name: bytes) -> int:
    op_name = ggml_function("ggml_op_name", ctypes.c_char_p, ctypes.c_int)
    for number in range(200):
        found = op_name(number)
        if found == name:
            return number
        if found is None:
            break
    raise AttributeError(f"this llama.cpp has no operation {name.decode()}")


@dataclass(slots=True)
class _Layer:
    """What was seen of one layer.

    Attributes:
        keys: float32 [key-value heads, cells, d], the keys of all cells written so far; None before
            the first decode.
        tokens: Which tokens of the batch the micro-batch in work has, int64.
        places: Where llama.cpp puts them, int64, one array a micro-batch of this decode.
        rows: By output row, its query, float32 [key-value heads, group, d], and its mask, float16
            [columns].
        seen: Tokens of this decode seen so far.
        scale, cap: Factor of the scores, and soft cap or 0.
        restored: Cells that were filled without a decode, and their keys [cells, bytes of a position].
    """

    keys: Floats | None = None
    tokens: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    places: list[Ints] = field(default_factory=list)
    rows: dict[int, tuple[Floats, NDArray[np.float16]]] = field(default_factory=dict)
    seen: int = 0
    scale: float = 1.0
    cap: float = 0.0
    restored: list[tuple[Ints, NDArray[Any]]] = field(default_factory=list)

    def begin(self) -> None:
        self.places.clear()
        self.rows.clear()
        self.seen = 0

    def weights(self, row: int, cells: Ints, columns: Ints | slice) -> Floats:
        """Softmax of an output row over `cells`, float32 [key-value heads, group, len(cells)].

        `columns` are those of the mask; -1 for one that is not known, which is not masked: nothing is
        restored for layers with a sliding window.
        """
        query, mask = self.rows[row]
        assert self.keys is not None
        scores: Floats = np.matmul(query, self.keys.take(cells, axis=1).transpose(0, 2, 1))
        scores *= self.scale
        if self.cap:
            np.tanh(scores, out=scores)
            scores *= self.cap
        masked = mask[columns]
        scores += masked if isinstance(columns, slice) else np.where(columns < 0, 0, masked)
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        return scores


class StepAttention:
    """Attention of the output rows of one decode; valid until the next one."""

    def __init__(
        self,
        layers: list[_Layer],
        table: CellTable,
        rows: list[tuple[int, int]],
        columns: Ints | None,
    ) -> None:
        self._layers, self._table, self._rows, self._columns = layers, table, rows, columns
        self._known: tuple[int, Floats] | None = None

    def row(self, index: int) -> Floats:
        """Attention of output row `index` over its own path, float32 [position + 1].

        Mean over heads and chosen layers; it sums to 1.
        """
        mean: Floats = self.weights(index).mean(axis=(0, 1))
        return mean

    def near(self, index: int) -> Floats:
        """What output row `index` gives the token before it and itself, [layers, heads, 2]."""
        weights = self.weights(index)
        if weights.shape[2] > 1:
            return weights[:, :, -2:]
        return np.concatenate([np.full_like(weights, np.nan), weights], axis=2)

    def weights(self, index: int) -> Floats:
        """The same for each layer and head, float32 [layers, heads, position + 1].

        Where a model has attention sinks, this is the attention given to the path, without the
        share that goes into the sinks.
        """
        if self._known is None or self._known[0] != index:
            cells, columns = self._path(index)
            found = [layer.weights(index, cells, columns) for layer in self._layers]
            joined = np.concatenate([part.reshape(1, -1, cells.size) for part in found])
            self._known = index, joined
        return self._known[1]

    def _path(self, index: int) -> tuple[Ints, Ints | slice]:
        """Cells of an output row's path, and its columns in llama.cpp's mask."""
        sequence, position = self._rows[index]
        cells = self._table.path(sequence, position + 1)
        return cells, slice(position + 1) if self._columns is None else self._columns[cells]


class AttentionReader:
    """The callback and what it gathered during one decode.

    Args:
        layers: Layers to read; the result is their mean.

    Raises:
        AttributeError: This llama.cpp lacks a function or operation that is needed.
    """

    def __init__(self, layers: tuple[int, ...]) -> None:
        self.layers = layers
        self.resize(NO_CACHE)
        self._flash = _op_number(b"FLASH_ATTN_EXT")
        self._set_rows = _op_number(b"SET_ROWS")
        self._is_host = ggml_function("ggml_backend_buffer_is_host", ctypes.c_bool, ctypes.c_void_p)
        self._get = ggml_function(
            "ggml_backend_tensor_get",
            None,
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_size_t,
            ctypes.c_size_t,
        )
        self._outputs: Bools = np.zeros(0, dtype=np.bool_)
        self._rows: Ints = np.zeros(0, dtype=np.int64)
        self._places: Ints | None = None
        self._cells: Ints = np.zeros(0, dtype=np.int64)
        self._by_place: Ints | None = None
        self.error: Exception | None = None
        self._armed = False
        # llama.cpp keeps the pointer for the context's life, so the object must live as long.
        self.callback = llama_cpp.llama_cpp.ggml_backend_sched_eval_callback(self._on_node)

    def resize(self, layout: Layout) -> None:
        """Get ready for an empty cache of another layout."""
        self._layout = layout
        self._layers = {b"cache_k_l" + str(layer).encode(): _Layer() for layer in self.layers}
        # llama.cpp's cells of the table's, in a unified cache; -1 where they are not known.
        self._columns = np.full(layout.total, -1, dtype=np.int64) if layout.unified else None

    def restore(self, cells: Ints, keys: list[tuple[int, Bytes]]) -> None:
        """Take keys of cells of the table that were filled without a decode.

        Args:
            cells: int64 [N].
            keys: For each of `layers`, their ggml type and uint8 [N, bytes of a position].
        """
        if self._columns is not None:
            self._columns[cells] = -1
        for layer, (kind, raw) in zip(self._layers.values(), keys, strict=True):
            layer.restored.append((cells, np.ascontiguousarray(raw).view(_TYPES[kind])))

    def begin(self, outputs: Bools, cells: Ints, places: Ints | None = None) -> None:
        """Get ready for a decode.

        Args:
            outputs: Tokens of the batch whose attention is wanted, bool [N].
            cells: The tokens' cells in the table, int64 [N].
            places: With streams, where llama.cpp will put the tokens: stream x cells a stream +
                position, int64 [N]. A unified cache tells.
        """
        self._outputs = outputs
        self._rows = np.cumsum(outputs) - 1
        self._places, self._cells = places, cells
        self._by_place = None if places is None else np.argsort(places)
        for layer in self._layers.values():
            layer.begin()
        self.error = None
        self._armed = True

    def finish(self, table: CellTable, rows: list[tuple[int, int]]) -> StepAttention | None:
        """End a decode; None if it was not seen. The result is read once the cells are in `table`.

        Args:
            table: Cell table of the cache.
            rows: (sequence, position) of the output rows.
        """
        self._armed = False
        layers = list(self._layers.values())
        if self.error is not None or any(len(layer.rows) != len(rows) for layer in layers):
            return None
        if not self._saw_all_cells():
            return None
        return StepAttention(layers, table, rows, self._columns)

    def _saw_all_cells(self) -> bool:
        """Whether the layers told where all of the batch's tokens went, and told the same."""
        found = [np.concatenate(layer.places) for layer in self._layers.values() if layer.places]
        # Layers may lie in different caches (sliding window), whose cells must then agree.
        return (
            len(found) == len(self._layers)
            and found[0].size == self._outputs.size
            and all(np.array_equal(found[0], other) for other in found[1:])
        )

    def _on_node(self, tensor: int, ask: bool, _user_data: Any) -> bool:
        # Never raise and never stop the graph here: decode would report success with stale data.
        if not self._armed:
            return not ask
        try:
            if ask:
                op = _I32(tensor + _OP).value
                if op == self._flash:
                    return self._layer_of(_PTR(tensor + _SOURCES + 8).value) is not None
                if op == self._set_rows:
                    self._note_cells(tensor)
                return False
            self._read(tensor)
        except Exception as error:
            self.error = error
            self._armed = False
        return not ask

    def _layer_of(self, tensor: int | None) -> _Layer | None:
        """The chosen layer whose key cache a tensor is, or is a view of."""
        while tensor is not None:
            # A view's name is that of what it views and " (view)"; a permuted one ends differently.
            found = self._layers.get(ctypes.string_at(tensor + _NAME).partition(b" ")[0])
            if found is not None:
                return found
            tensor = _PTR(tensor + _VIEWED).value
        return None

    def _note_cells(self, tensor: int) -> None:
        """Keep the places of a micro-batch, told by the cache writes of the chosen layers."""
        layer = self._layer_of(tensor)
        index = _PTR(tensor + _SOURCES + 8).value
        if layer is None or index is None:
            return
        # On another device the input is a copy, named `DEVICE#attn_inp_k_idxs#0`.
        if _INDEX_INPUT not in ctypes.string_at(index + _NAME).split(b"#"):
            return
        places = self._array(index).ravel().copy()
        layer.places.append(places)
        layer.tokens = self._tokens_at(places, layer.seen)
        layer.seen += places.size

    def _tokens_at(self, places: Ints, seen: int) -> Ints:
        """Which tokens of the batch a micro-batch has; llama.cpp reorders those of streams."""
        if self._places is None or self._by_place is None:
            return np.arange(seen, seen + places.size)
        found = np.searchsorted(self._places, places, sorter=self._by_place)
        tokens: Ints = self._by_place[np.minimum(found, self._by_place.size - 1)]
        if not np.array_equal(self._places[tokens], places):
            raise RuntimeError("tokens lie elsewhere in their streams than was expected")
        return tokens

    def _read(self, tensor: int) -> None:
        query, key, _, mask = (_PTR(tensor + _SOURCES + 8 * at).value for at in range(4))
        layer = self._layer_of(key)
        assert layer is not None
        assert query is not None
        assert key is not None
        scale, slopes, layer.cap = _THREE_FLOATS(tensor + _PARAMETERS)
        if slopes or mask is None:
            raise RuntimeError("this model has no attention mask, or biases by distance (ALiBi)")
        # ggml divides by the cap before tanh and multiplies afterwards.
        layer.scale = scale / layer.cap if layer.cap else scale
        # Queries [streams, heads, tokens of each, d], keys [streams, key-value heads, columns, d],
        # masks [streams, 1, tokens of each, columns].
        streams, _, each, length = _shape(query)
        groups = _shape(key)[1]
        stream, token = np.divmod(np.arange(streams * each), each)
        if layer.tokens.size != stream.size or _shape(mask)[0] != streams:
            raise RuntimeError("a micro-batch has another shape than was expected")
        if layer.keys is None:
            layer.keys = np.zeros((groups, self._layout.total, length), dtype=np.float32)
        for held, raw in layer.restored:
            layer.keys[:, held] = _floats(raw).reshape(len(held), groups, length).swapaxes(0, 1)
        layer.restored.clear()
        places = layer.places[-1]
        cells, column = self._cells[layer.tokens], places
        if self._columns is None:
            column = places % self._layout.cells
        else:
            self._columns[cells] = places
        layer.keys[:, cells] = _floats(self._at(key, stream, column)).swapaxes(0, 1)
        wanted = np.flatnonzero(self._outputs[layer.tokens])
        chosen = self._at(query, stream[wanted], token[wanted]).astype(np.float32)
        seen = self._at(mask, stream[wanted], token[wanted])[:, 0]
        numbers = self._rows[layer.tokens[wanted]].tolist()
        for row, one, visible in zip(numbers, chosen, seen, strict=True):
            layer.rows[row] = one.reshape(groups, -1, length), visible

    def _at(self, tensor: int, streams: Ints, places: Ints) -> NDArray[Any]:
        """Of a tensor [streams, groups, places, d] what lies at N streams and places, [N, groups, d].

        From another device only these are fetched, those that follow each other at once.
        """
        if self._on_host(tensor):
            # Advanced indices around a slice: their axis comes first.
            found: NDArray[Any] = self._array(tensor)[streams, :, places]
            return found
        dtype, (_, groups, _, length) = _type(tensor), _shape(tensor)
        by_stream, by_group, by_place, by_element = _strides(tensor)
        out = np.empty((places.size, groups, length), dtype=dtype)
        follow = (np.diff(places) == 1) & (np.diff(streams) == 0)
        edges = [0, *(np.flatnonzero(~follow) + 1).tolist(), places.size] if places.size else []
        within = (groups - 1) * by_group + (length - 1) * by_element + dtype.itemsize
        for first, end in itertools.pairwise(edges):
            start = int(streams[first]) * by_stream + int(places[first]) * by_place
            raw = self._fetched(tensor, start, (end - first - 1) * by_place + within)
            shape, strides = (end - first, groups, length), (by_place, by_group, by_element)
            out[first:end] = np.ndarray(shape, dtype=dtype, buffer=raw, strides=strides)
        return out

    def _array(self, tensor: int) -> NDArray[Any]:
        """A tensor's data, slowest axis first: in place on the CPU, fetched from another device."""
        dtype, shape, strides = _type(tensor), _shape(tensor), _strides(tensor)
        size = dtype.itemsize + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        held: Any
        if self._on_host(tensor):
            held = (ctypes.c_byte * size).from_address(_PTR(tensor + _DATA).value or 0)
        else:
            held = self._fetched(tensor, 0, size)
        return np.ndarray(shape, dtype=dtype, buffer=held, strides=strides)

    def _on_host(self, tensor: int) -> bool:
        buffer, data = _PTR(tensor + _BUFFER).value, _PTR(tensor + _DATA).value
        return data is not None and (buffer is None or bool(self._is_host(buffer)))

    def _fetched(self, tensor: int, start: int, size: int) -> Bytes:
        held = np.empty(size, dtype=np.uint8)
        self._get(tensor, held.ctypes.data, start, size)
        return held


def _type(tensor: int) -> np.dtype[Any]:
    return _TYPES[_I32(tensor + _TYPE).value]


def _shape(tensor: int) -> tuple[int, ...]:
    """Sizes of a tensor's axes, slowest first."""
    return tuple(_FOUR_LONGS(tensor + _SIZES))[::-1]


def _strides(tensor: int) -> tuple[int, ...]:
    """Bytes between neighbours along a tensor's axes, slowest first."""
    return tuple(_FOUR_LONGS(tensor + _STRIDES))[::-1]


def _floats(values: NDArray[Any]) -> Floats:
    """Float32 of float32, float16, or bfloat16 in uint16."""
    if values.dtype == np.uint16:
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32)
