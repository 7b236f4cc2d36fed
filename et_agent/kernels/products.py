"""The compiled products without a model: for the check of a build, and for tests."""

import ctypes
from typing import Any

import numpy as np

from et_agent.arrays import Bytes, Floats

__all__ = ["Products"]

_ALIGNMENT = 64


class Products:
    """The products of a compiled library.

    Args:
        library: The library.
    """

    def __init__(self, library: Any) -> None:
        i32, i64, pointer = ctypes.c_int, ctypes.c_int64, ctypes.c_void_p
        self._size = library.et_kernels_packed_size
        self._size.restype, self._size.argtypes = i64, [i32, i64, i64]
        self._pack = library.et_kernels_pack
        self._pack.restype, self._pack.argtypes = None, [i32, i64, i64, pointer, pointer]
        self._product = library.et_kernels_product
        self._product.restype = None
        self._product.argtypes = [i32, i64, i64, i64, pointer, pointer, pointer, i32]

    def takes(self, kind: int, rows: int, columns: int) -> bool:
        """Whether the kernels know weights of this type and shape."""
        return int(self._size(kind, rows, columns)) > 0

    def product(self, kind: int, weights: Bytes, x: Floats, rows: int, threads: int = 1) -> Floats:
        """Values [tokens, columns] times the transposed weights, float32 [tokens, rows]."""
        tokens, columns = x.shape
        packed = np.empty(int(self._size(kind, rows, columns)) + _ALIGNMENT, dtype=np.uint8)
        place = -(-packed.ctypes.data // _ALIGNMENT) * _ALIGNMENT
        self._pack(kind, rows, columns, weights.ctypes.data, place)
        out = np.full((tokens, rows), np.nan, dtype=np.float32)
        self._product(kind, rows, columns, tokens, place, x.ctypes.data, out.ctypes.data, threads)
        return out
