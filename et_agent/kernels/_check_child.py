"""The child process of a check: multiply random weights and compare, print what is wrong as JSON.

The reference is the product of the dequantized weights with the tokens in float64. llama.cpp rounds the
tokens to 8 bits before it multiplies, and so do the kernels: their error may be as large as that of
llama.cpp's own products (`vec_dot`) on the same data, and no larger.
"""

import ctypes
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from et_agent.arrays import Doubles, Floats
from et_agent.kernels.threads import let_threads_sleep

TYPES: Final = {"Q4_0": 2, "Q5_0": 6, "Q8_0": 8, "Q4_K": 12, "Q5_K": 13, "Q6_K": 14}
"""Types of ggml that the kernels may know, by their numbers in ggml.h."""
NEEDED: Final = ("Q5_0", "Q8_0", "Q4_K", "Q6_K")
ROWS: Final = 240
COLUMNS: Final = 768
TOKENS: Final = (1, 5, 24, 70)
MARGIN: Final = 1.05
"""Tokens are rounded and sums taken in another order: that much more error is chance."""


class _Traits(ctypes.Structure):
    """`ggml_type_traits`."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("block", ctypes.c_int64),
        ("interleaved", ctypes.c_int64),
        ("size", ctypes.c_size_t),
        ("quantized", ctypes.c_bool),
        ("to_float", ctypes.c_void_p),
        ("from_float", ctypes.c_void_p),
    )


class _CpuTraits(ctypes.Structure):
    """`ggml_type_traits_cpu`."""

    _fields_ = (
        ("from_float", ctypes.c_void_p),
        ("vec_dot", ctypes.c_void_p),
        ("vec_dot_type", ctypes.c_int),
        ("rows", ctypes.c_int64),
    )


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


class Ggml:
    """llama.cpp's own quantization and products."""

    def __init__(self, cpu: Path) -> None:
        self._cpu = ctypes.CDLL(str(cpu))
        self._base = ctypes.CDLL(str(cpu.parent / "libggml-base.so"))
        self._base.ggml_get_type_traits.restype = ctypes.POINTER(_Traits)
        self._cpu.ggml_get_type_traits_cpu.restype = ctypes.POINTER(_CpuTraits)
        self._base.ggml_quantize_chunk.restype = ctypes.c_size_t
        self._cpu.ggml_cpu_init()

    def row_size(self, kind: int, columns: int) -> int:
        """Bytes of a row."""
        traits = self._base.ggml_get_type_traits(kind).contents
        return int(columns // traits.block * traits.size)

    def quantize(self, kind: int, weights: Floats) -> bytearray:
        """Weights [rows, columns] as llama.cpp keeps them."""
        rows, columns = weights.shape
        packed = bytearray(rows * self.row_size(kind, columns))
        self._base.ggml_quantize_chunk(
            kind,
            ctypes.c_void_p(weights.ctypes.data),
            (ctypes.c_char * len(packed)).from_buffer(packed),
            ctypes.c_int64(0),
            ctypes.c_int64(rows),
            ctypes.c_int64(columns),
            None,
        )
        return packed

    def dequantize(self, kind: int, packed: bytearray, rows: int, columns: int) -> Floats:
        """Back to float32 [rows, columns]."""
        out = np.empty((rows, columns), dtype=np.float32)
        held = (ctypes.c_char * len(packed)).from_buffer(packed)
        traits = self._base.ggml_get_type_traits(kind).contents
        _CONVERT(traits.to_float)(ctypes.addressof(held), out.ctypes.data, out.size)
        return out

    def product(self, kind: int, packed: bytearray, rows: int, tokens: Floats) -> Floats:
        """llama.cpp's own products of one row and one token at a time, [tokens, rows]."""
        count, columns = tokens.shape
        traits = self._cpu.ggml_get_type_traits_cpu(kind).contents
        rounded = self._cpu.ggml_get_type_traits_cpu(traits.vec_dot_type).contents
        convert, dot = _CONVERT(rounded.from_float), _DOT(traits.vec_dot)
        held = (ctypes.c_char * len(packed)).from_buffer(packed)
        out = np.empty((count, rows), dtype=np.float32)
        line = ctypes.create_string_buffer(self.row_size(traits.vec_dot_type, columns))
        size = self.row_size(kind, columns)
        for at in range(count):
            convert(tokens[at].ctypes.data, ctypes.addressof(line), columns)
            for row in range(rows):
                place = out[at].ctypes.data + 4 * row
                weights = ctypes.addressof(held) + row * size
                dot(columns, place, 0, weights, 0, ctypes.addressof(line), 0, 1)
        return out


def kernel_product(
    kernels: Any, kind: int, packed: bytearray, rows: int, tokens: Floats
) -> Floats | None:
    """The kernels' products, [tokens, rows]; None for a type that they do not know."""
    count, columns = tokens.shape
    shape = (kind, ctypes.c_int64(rows), ctypes.c_int64(columns))
    kernels.et_kernels_packed_size.restype = ctypes.c_int64
    size = kernels.et_kernels_packed_size(*shape)
    if not size:
        return None
    held = (ctypes.c_char * len(packed)).from_buffer(packed)
    repacked = np.empty(size + 64, dtype=np.uint8)
    place = ctypes.c_void_p(-(-repacked.ctypes.data // 64) * 64)
    kernels.et_kernels_pack(*shape, held, place)
    out = np.full((count, rows), np.nan, dtype=np.float32)
    inputs, outputs = ctypes.c_void_p(tokens.ctypes.data), ctypes.c_void_p(out.ctypes.data)
    kernels.et_kernels_product(*shape, ctypes.c_int64(count), place, inputs, outputs, 2)
    return out


def problems(kernels: Any, ggml: Ggml) -> Iterator[str]:
    """What is wrong with the products."""
    generator = np.random.default_rng(19)
    for name, kind in TYPES.items():
        weights = generator.standard_normal((ROWS, COLUMNS), dtype=np.float32) * np.float32(0.05)
        packed = ggml.quantize(kind, weights)
        exact: Doubles = ggml.dequantize(kind, packed, ROWS, COLUMNS).astype(np.float64)
        for count in TOKENS:
            tokens = generator.standard_normal((count, COLUMNS), dtype=np.float32)
            tokens *= np.float32(10.0) ** generator.integers(-3, 3, (count, 1)).astype(np.float32)
            ours = kernel_product(kernels, kind, packed, ROWS, tokens)
            if ours is None:
                if name in NEEDED:
                    yield f"{name} is not known"
                break
            truth = tokens.astype(np.float64) @ exact.T
            own, theirs = (
                float(np.sqrt(np.mean(np.square(_relative(found, truth)))))
                for found in (ours, ggml.product(kind, packed, ROWS, tokens))
            )
            if not own <= MARGIN * theirs:  # also NaN
                yield f"{name} times {count} tokens: error {own:.2g}, llama.cpp's is {theirs:.2g}"


def _relative(found: Floats, truth: Doubles) -> Doubles:
    """Error of each token's products relative to their size, [tokens]."""
    error: Doubles = np.linalg.norm(found - truth, axis=1)
    size: Doubles = np.linalg.norm(truth, axis=1)
    return error / size


def main(kernels: str, llama: str) -> None:
    """Check one library and print {"problems": [...]}."""
    let_threads_sleep()
    ggml = Ggml(Path(llama))
    library = ctypes.CDLL(kernels)
    library.et_kernels_attach.restype = ctypes.c_char_p
    refused = library.et_kernels_attach(llama.encode())
    found = [refused.decode()] if refused else list(problems(library, ggml))
    print(json.dumps({"problems": found}))


if __name__ == "__main__":
    main(*sys.argv[1:3])
