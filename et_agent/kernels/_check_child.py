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
from typing import Final

import numpy as np

from et_agent.arrays import Doubles, Floats
from et_agent.kernels.ggml import TYPES, Ggml
from et_agent.kernels.products import Products
from et_agent.kernels.threads import let_threads_sleep

ROWS: Final = 240
COLUMNS: Final = 768
TOKENS: Final = (1, 5, 24, 70)
MARGIN: Final = 1.05
"""Tokens are rounded and sums taken in another order: that much more error is chance."""


def problems(kernels: Products, ggml: Ggml) -> Iterator[str]:
    """What is wrong with the products."""
    generator = np.random.default_rng(19)
    for name, kind in TYPES.items():
        weights = generator.standard_normal((ROWS, COLUMNS), dtype=np.float32) * np.float32(0.05)
        packed = ggml.quantized(kind, weights)
        exact: Doubles = ggml.values(kind, packed, COLUMNS).astype(np.float64)
        if not kernels.takes(kind, ROWS, COLUMNS):
            yield f"{name} is not known"
            continue
        for count in TOKENS:
            tokens = generator.standard_normal((count, COLUMNS), dtype=np.float32)
            tokens *= np.float32(10.0) ** generator.integers(-3, 3, (count, 1)).astype(np.float32)
            ours = kernels.product(kind, packed, tokens, ROWS, threads=2)
            truth = tokens.astype(np.float64) @ exact.T
            own, theirs = (
                float(np.sqrt(np.mean(np.square(_relative(found, truth)))))
                for found in (ours, ggml.product(kind, packed, tokens))
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
    found = [refused.decode()] if refused else list(problems(Products(library), ggml))
    print(json.dumps({"problems": found}))


if __name__ == "__main__":
    main(*sys.argv[1:3])
