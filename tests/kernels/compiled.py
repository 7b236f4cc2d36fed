"""The kernels, compiled for one instruction set and called without a model."""

import ctypes
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from et_agent.arrays import Floats
from et_agent.kernels.building import compile_library, find_compiler
from et_agent.kernels.instructions import InstructionSet, by_name

Bytes: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
Halves: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.uint16]]

SETS: Final = by_name() | {
    # In the encoding that CPUs with AVX512-VNNI have.
    "avx-vnni": InstructionSet(
        "avx-vnni",
        by_name()["avx2"].features | {"avx512vl", "avx512_vnni"},
        (*by_name()["avx2"].flags, "-DET_KERNELS_EVEX"),
    )
}


class Kernels:
    """A compiled library."""

    def __init__(self, library: Path) -> None:
        self.library = ctypes.CDLL(str(library))
        i32, i64, pointer = ctypes.c_int, ctypes.c_int64, ctypes.c_void_p
        self._size = self.library.et_kernels_packed_size
        self._size.restype, self._size.argtypes = i64, [i32, i64, i64]
        self._pack = self.library.et_kernels_pack
        self._pack.restype, self._pack.argtypes = None, [i32, i64, i64, pointer, pointer]
        self._product = self.library.et_kernels_product
        self._product.restype = None
        self._product.argtypes = [i32, i64, i64, i64, pointer, pointer, pointer, i32]
        self._attention = self.library.et_kernels_attention
        self._attention.restype = i32
        self._attention.argtypes = [i32, *[i64] * 6, ctypes.c_float, *[pointer] * 5, i32]
        self.library.et_kernels_instructions.restype = ctypes.c_char_p
        self.library.et_kernels_attach.restype = ctypes.c_char_p
        self.library.et_kernels_attach.argtypes = [ctypes.c_char_p]

    def takes(self, kind: int, rows: int, columns: int) -> bool:
        return int(self._size(kind, rows, columns)) > 0

    def product(
        self,
        kind: int,
        weights: Bytes,
        x: Floats,
        rows: int,
        threads: int = 1,
    ) -> Floats:
        """Values [tokens, columns] times the transposed weights."""
        tokens, columns = x.shape
        packed = np.empty(int(self._size(kind, rows, columns)), dtype=np.uint8)
        self._pack(kind, rows, columns, weights.ctypes.data, packed.ctypes.data)
        out = np.full((tokens, rows), np.nan, dtype=np.float32)
        places = (packed.ctypes.data, x.ctypes.data, out.ctypes.data)
        self._product(kind, rows, columns, tokens, *places, threads)
        return out

    def attention(
        self,
        kind: int,
        q: Floats,
        k: Halves,
        v: Halves,
        mask: Halves,
        scale: float,
        threads: int = 1,
    ) -> Floats | None:
        """Results [streams, tokens, heads, width]; None where llama.cpp keeps the work."""
        streams, heads, tokens, width = q.shape
        key_heads, keys = k.shape[1:3]
        out = np.full((streams, tokens, heads, width), np.nan, dtype=np.float32)
        sizes = (width, heads, key_heads, tokens, keys, streams)
        places = [array.ctypes.data for array in (q, k, v, mask, out)]
        done = self._attention(kind, *sizes, scale, *places, threads)
        return out if done else None


def compile_kernels(wanted: InstructionSet, folder: Path) -> Kernels:
    """Compile the sources for an instruction set and load them."""
    library = folder / "kernels.so"
    compile_library(find_compiler()[0], wanted.flags, library)
    return Kernels(library)
