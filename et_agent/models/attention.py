"""Attention weights read out of llama.cpp's running graph, without changing it.

llama.cpp calls back before and after each graph node. For the chosen layers the softmax node is read
while its buffer is alive; its columns are cache cells, which the index input of the cache's SET_ROWS
nodes ties to the tokens of the batch. With flash attention there is no such node, so it is off.

The layout of `ggml_tensor` is not part of llama-cpp-python's interface; `layout_is_known` compares it
with what this module was written for, and attention stays off on any other.
"""

import ctypes
import logging
from collections.abc import Callable
from typing import Any, Final

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from et_agent.models.cells import CellTable

__all__ = ["AttentionReader", "StepAttention", "default_layers", "layout_is_known"]

_log = logging.getLogger("et_agent.llama_cpp")

# Offsets in ggml_tensor, bytes (llama-cpp-python 0.3.36).
_BUFFER: Final = 8
_SIZES: Final = 16
_STRIDES: Final = 48
_OP: Final = 80
_SOURCES: Final = 152
_DATA: Final = 248
_NAME: Final = 256
_OVERHEAD: Final = 368
_SOFTMAX_PREFIX: Final = b"kq_soft_max-"
_INDEX_INPUT: Final = b"attn_inp_k_idxs"

_I32 = ctypes.c_int32.from_address
_PTR = ctypes.c_void_p.from_address
_FOUR_LONGS = (ctypes.c_int64 * 4).from_address


def _function(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    # Through the llama library that is already loaded: loading libggml by name maps a second copy.
    function: Callable[..., Any] = getattr(llama_cpp.llama_cpp._lib, name)
    function.restype = result  # type: ignore[attr-defined]
    function.argtypes = list(arguments)  # type: ignore[attr-defined]
    return function


def layout_is_known() -> bool:
    """Whether this build's tensor layout is the one that this module reads."""
    try:
        return int(_function("ggml_tensor_overhead", ctypes.c_size_t)()) == _OVERHEAD
    except AttributeError:
        return False


def default_layers(layers: int) -> tuple[int, ...]:
    """Two layers in the later half, where attention follows meaning rather than position [C]."""
    return tuple(sorted({layers // 2, (3 * layers) // 4} & set(range(layers))))


def _op_number(name: bytes) -> int:
    op_name = _function("ggml_op_name", ctypes.c_char_p, ctypes.c_int)
    for number in range(200):
        found = op_name(number)
        if found == name:
            return number
        if found is None:
            break
    raise AttributeError(f"this llama.cpp has no operation {name.decode()}")


class StepAttention:
    """Attention of the output rows of one decode; valid until the next one."""

    def __init__(
        self, sums: NDArray[np.float32], scale: float, table: CellTable, rows: list[tuple[int, int]]
    ) -> None:
        self._sums, self._scale, self._table, self._rows = sums, scale, table, rows

    def row(self, index: int) -> NDArray[np.float32]:
        """Attention of output row `index` over its own path, float32 [position + 1]."""
        sequence, position = self._rows[index]
        cells = self._table.path(sequence, position + 1)
        row: NDArray[np.float32] = self._sums[index].take(cells)
        row *= self._scale
        return row

    def outside(self, index: int) -> float:
        """Attention of output row `index` on cells that are not on its path; 0 if all is well."""
        sequence, position = self._rows[index]
        others = self._sums[index].copy()
        others[self._table.path(sequence, position + 1)] = 0
        return float(others.sum()) * self._scale


class AttentionReader:
    """The callback and what it gathered during one decode.

    Args:
        layers: Layers to read; the result is their mean.
        heads: Attention heads of the model.
        cells: Size of the cache, padded as llama.cpp pads it.
        max_outputs: Most output rows in a batch.

    Raises:
        AttributeError: This llama.cpp lacks a function or operation that is needed.
    """

    def __init__(self, layers: tuple[int, ...], heads: int, cells: int, max_outputs: int) -> None:
        self.layers = layers
        self._heads = heads
        self._softmax = _op_number(b"SOFT_MAX")
        self._set_rows = _op_number(b"SET_ROWS")
        self._is_host = _function("ggml_backend_buffer_is_host", ctypes.c_bool, ctypes.c_void_p)
        self._get = _function(
            "ggml_backend_tensor_get",
            None,
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_size_t,
            ctypes.c_size_t,
        )
        self._wanted = {_SOFTMAX_PREFIX + str(layer).encode(): layer for layer in layers}
        self._sums = np.zeros((max_outputs, cells), dtype=np.float32)
        self._outputs: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)
        self._cache_names = {b"cache_k_l" + str(layer).encode(): layer for layer in layers}
        self._cells: dict[int, list[NDArray[np.int64]]] = {layer: [] for layer in layers}
        self._offset = dict.fromkeys(layers, 0)
        self._filled = dict.fromkeys(layers, 0)
        self.error: Exception | None = None
        self._armed = False
        # llama.cpp keeps the pointer for the context's life, so the object must live as long.
        self.callback = llama_cpp.llama_cpp.ggml_backend_sched_eval_callback(self._on_node)

    def begin(self, outputs: NDArray[np.bool_]) -> None:
        """Get ready for a decode whose rows with `outputs` [N] are wanted."""
        self._outputs = outputs
        for layer in self.layers:
            self._cells[layer].clear()
            self._offset[layer] = self._filled[layer] = 0
        self.error = None
        self._armed = True

    def finish(
        self, table: CellTable, rows: list[tuple[int, int]]
    ) -> Callable[[], StepAttention] | None:
        """End a decode; the result is built once the cells are in `table`.

        Args:
            table: Cell table of the cache.
            rows: (sequence, position) of the output rows.
        """
        self._armed = False
        if self.error is not None or any(count != len(rows) for count in self._filled.values()):
            return None
        scale = 1.0 / (self._heads * len(self.layers))
        return lambda: StepAttention(self._sums, scale, table, rows)

    @property
    def cells(self) -> NDArray[np.int64] | None:
        """Cells that the tokens of the last batch got, int64 [N]; None when they were not seen."""
        found = [np.concatenate(parts) for parts in self._cells.values() if parts]
        # Layers may lie in different caches (sliding window), whose cells must then agree.
        if len(found) < len(self.layers) or found[0].size != self._outputs.size:
            return None
        if any(not np.array_equal(found[0], other) for other in found[1:]):
            return None
        return found[0]

    def _on_node(self, tensor: int, ask: bool, _user_data: Any) -> bool:
        # Never raise and never stop the graph here: decode would report success with stale data.
        if not self._armed:
            return not ask
        try:
            if ask:
                op = _I32(tensor + _OP).value
                if op == self._softmax:
                    return ctypes.string_at(tensor + _NAME) in self._wanted
                if op == self._set_rows:
                    self._note_cells(tensor)
                return False
            self._read(tensor)
        except Exception as error:
            self.error = error
            self._armed = False
        return not ask

    def _note_cells(self, tensor: int) -> None:
        """Keep the cells of a micro-batch, told by the cache writes of the chosen layers."""
        layer = self._cache_names.get(ctypes.string_at(tensor + _NAME).partition(b" ")[0])
        index = _PTR(tensor + _SOURCES + 8).value
        if layer is None or index is None or ctypes.string_at(index + _NAME) != _INDEX_INPUT:
            return
        count = _FOUR_LONGS(index + _SIZES)[0]
        values = self._array(index, (count,), np.dtype(np.int64)).copy()
        self._cells[layer].append(values)

    def _read(self, tensor: int) -> None:
        layer = self._wanted[ctypes.string_at(tensor + _NAME)]
        keys, tokens, heads, _ = _FOUR_LONGS(tensor + _SIZES)
        weights = self._array(tensor, (heads, tokens, keys), np.dtype(np.float32))
        offset = self._offset[layer]
        wanted = self._outputs[offset : offset + tokens]
        self._offset[layer] = offset + tokens
        count = int(np.count_nonzero(wanted))
        if count == 0:
            return
        chosen = weights if count == tokens else weights[:, np.flatnonzero(wanted)]
        start = self._filled[layer]
        target = self._sums[start : start + count]
        if layer == self.layers[0]:
            np.add.reduce(chosen, axis=0, out=target[:, :keys])
            target[:, keys:] = 0
        else:
            target[:, :keys] += np.add.reduce(chosen, axis=0)
        self._filled[layer] = start + count

    def _array(self, tensor: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """A tensor's data: in place on the CPU, fetched from another device."""
        size = int(np.prod(shape)) * dtype.itemsize
        strides = _FOUR_LONGS(tensor + _STRIDES)
        packed = dtype.itemsize
        for axis, length in enumerate(reversed(shape)):
            if strides[axis] != packed:
                raise RuntimeError("an attention tensor is not packed")
            packed *= length
        buffer, data = _PTR(tensor + _BUFFER).value, _PTR(tensor + _DATA).value
        if data is not None and (buffer is None or self._is_host(buffer)):
            return (
                np.ctypeslib.as_array((ctypes.c_byte * size).from_address(data))
                .view(dtype)
                .reshape(shape)
            )
        held = np.empty(shape, dtype=dtype)
        self._get(tensor, held.ctypes.data, 0, size)
        return held
