"""The kernels, compiled for one instruction set and called without a model."""

import ctypes
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from et_agent.arrays import Floats
from et_agent.kernels.building import compile_library, find_compiler
from et_agent.kernels.instructions import InstructionSet, by_name
from et_agent.kernels.products import Products

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


class Kernels(Products):
    """A compiled library."""

    def __init__(self, library: Path) -> None:
        self.library = ctypes.CDLL(str(library))
        super().__init__(self.library)
        i32, i64, pointer = ctypes.c_int, ctypes.c_int64, ctypes.c_void_p
        self._attention = self.library.et_kernels_attention
        self._attention.restype = i32
        self._attention.argtypes = [i32, *[i64] * 6, ctypes.c_float, *[pointer] * 5, i32]
        self.library.et_kernels_instructions.restype = ctypes.c_char_p
        self.library.et_kernels_attach.restype = ctypes.c_char_p
        self.library.et_kernels_attach.argtypes = [ctypes.c_char_p]

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
