"""llama.cpp's own quantization and products without a model: what the kernels are held against."""

import ctypes
from pathlib import Path
from typing import Final

import numpy as np

from et_agent.arrays import Bytes, Floats

__all__ = ["TYPES", "Ggml"]

TYPES: Final = {
    "Q4_0": 2,
    "Q4_1": 3,
    "Q5_0": 6,
    "Q5_1": 7,
    "Q8_0": 8,
    "Q4_K": 12,
    "Q5_K": 13,
    "Q6_K": 14,
    "IQ4_NL": 20,
}
"""Types that the kernels know, by their numbers in ggml.h."""

_CONVERT = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
_DOT = ctypes.CFUNCTYPE(
    None,
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
)


class _Traits(ctypes.Structure):
    """`ggml_type_traits`."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("block", ctypes.c_int64),
        ("interleaved", ctypes.c_int64),
        ("size", ctypes.c_size_t),
        ("quantized", ctypes.c_bool),
        ("to_float", _CONVERT),
        ("from_float", _CONVERT),
    )


class _CpuTraits(ctypes.Structure):
    """`ggml_type_traits_cpu`."""

    _fields_ = (
        ("from_float", _CONVERT),
        ("dot", _DOT),
        ("dot_type", ctypes.c_int),
        ("rows", ctypes.c_int64),
    )


class Ggml:
    """llama.cpp's CPU library.

    Args:
        cpu: The library.
    """

    def __init__(self, cpu: Path) -> None:
        self._cpu = ctypes.CDLL(str(cpu))
        self._base = ctypes.CDLL(str(cpu.with_name(cpu.name.replace("-cpu.", "-base."))))
        self._base.ggml_get_type_traits.restype = ctypes.POINTER(_Traits)
        self._base.ggml_quantize_chunk.restype = ctypes.c_size_t
        self._cpu.ggml_get_type_traits_cpu.restype = ctypes.POINTER(_CpuTraits)
        self._cpu.ggml_cpu_init()

    def row_bytes(self, kind: int, columns: int) -> int:
        """Bytes of a row of weights."""
        traits = self._base.ggml_get_type_traits(kind).contents
        return int(columns // traits.block * traits.size)

    def quantized(self, kind: int, weights: Floats) -> Bytes:
        """Weights [rows, columns] as llama.cpp keeps them, uint8 [rows, bytes of a row]."""
        rows, columns = weights.shape
        out = np.zeros((rows, self.row_bytes(kind, columns)), dtype=np.uint8)
        self._base.ggml_quantize_chunk(
            kind,
            weights.ctypes.data_as(ctypes.c_void_p),
            out.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_int64(0),
            ctypes.c_int64(rows),
            ctypes.c_int64(columns),
            None,
        )
        return out

    def values(self, kind: int, quantized: Bytes, columns: int) -> Floats:
        """Back to float32 [rows, columns]."""
        out = np.zeros((len(quantized), columns), dtype=np.float32)
        self._base.ggml_get_type_traits(kind).contents.to_float(
            quantized.ctypes.data, out.ctypes.data, out.size
        )
        return out

    def product(self, kind: int, quantized: Bytes, x: Floats) -> Floats:
        """Tokens [tokens, columns] times the transposed weights, one row and one token at a time."""
        traits = self._cpu.ggml_get_type_traits_cpu(kind).contents
        rounded = self._cpu.ggml_get_type_traits_cpu(traits.dot_type).contents
        tokens, columns = x.shape
        line = np.zeros(self.row_bytes(traits.dot_type, columns), dtype=np.uint8)
        out = np.zeros((tokens, len(quantized)), dtype=np.float32)
        for token in range(tokens):
            rounded.from_float(x[token].ctypes.data, line.ctypes.data, columns)
            for row in range(len(quantized)):
                target = out[token, row : row + 1].ctypes.data
                traits.dot(
                    columns, target, 0, quantized[row].ctypes.data, 0, line.ctypes.data, 0, 1
                )
        return out
