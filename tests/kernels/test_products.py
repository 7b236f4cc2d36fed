"""Products of quantized weights: as exact as llama.cpp's own, whatever the shape of the batch."""

import itertools
from typing import Final

import numpy as np
import pytest

from et_agent.arrays import Doubles, Floats
from et_agent.kernels.building import llama_library
from et_agent.kernels.ggml import TYPES, Ggml
from tests.kernels.compiled import Kernels

llama_cpp = pytest.importorskip("llama_cpp")

Q8_0: Final = 8
Q8_K: Final = 15
K_QUANTS: Final = (12, 13, 14)


@pytest.fixture(scope="module")
def stock() -> Ggml:
    library = llama_library()
    assert library is not None
    return Ggml(library)


def apart(found: Floats, exact: Doubles) -> float:
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


@pytest.mark.parametrize("name", TYPES)
def test_as_exact_as_llama_cpp(kernels: Kernels, stock: Ggml, name: str) -> None:
    kind = TYPES[name]
    random = np.random.default_rng(kind)
    shapes = [(48, 256), (37, 512), (16, 768)]
    shapes += [] if kind in K_QUANTS else [(33, 32), (48, 896)]
    for rows, columns in shapes:
        weights = random.standard_normal((rows, columns), dtype=np.float32)
        weights *= np.exp(random.standard_normal((rows, columns // 32)).repeat(32, axis=1))
        packed = stock.quantized(kind, weights)
        x = random.standard_normal((5, columns), dtype=np.float32)
        x *= np.exp(2 * random.standard_normal((5, columns // 32)).repeat(32, axis=1)).astype("f4")
        exact = x.astype(np.float64) @ stock.values(kind, packed, columns).astype(np.float64).T
        found = kernels.product(kind, packed, x, rows)
        assert apart(found, exact) <= 1.05 * apart(stock.product(kind, packed, x), exact)


@pytest.mark.parametrize("name", TYPES)
def test_only_rounding_apart_from_llama_cpp(kernels: Kernels, stock: Ggml, name: str) -> None:
    """Tokens of whole numbers are quantized without loss, so that only sums differ."""
    kind = TYPES[name]
    random = np.random.default_rng(kind)
    weights = random.standard_normal((32, 512), dtype=np.float32)
    packed = stock.quantized(kind, weights)
    x = random.integers(-126, 127, (3, 512)).astype(np.float32)
    x[:, ::32] = 127
    exact = x.astype(np.float64) @ stock.values(kind, packed, 512).astype(np.float64).T
    assert apart(kernels.product(kind, packed, x, 32), exact) < 1e-6


@pytest.mark.parametrize("name", TYPES)
def test_extreme_values_stay_exact(kernels: Kernels, stock: Ggml, name: str) -> None:
    """The largest weights times the largest values must not saturate 16-bit sums."""
    kind = TYPES[name]
    bits = itertools.cycle([1.0, 1.0, -1.0])
    weights = np.array([next(bits) for _ in range(32 * 512)], dtype=np.float32).reshape(32, 512)
    weights[:16] = np.abs(weights[:16])
    weights[:16, ::256] = -1.0
    weights[8:16] *= -1.0
    packed = stock.quantized(kind, weights)
    x = np.full((3, 512), 127.0, dtype=np.float32)
    x[1] *= -1.0
    x[2] *= np.sign(weights[20])
    exact = x.astype(np.float64) @ stock.values(kind, packed, 512).astype(np.float64).T
    assert np.abs(kernels.product(kind, packed, x, 32) - exact).max() < 1e-5 * 127 * 512


@pytest.mark.parametrize("name", TYPES)
def test_a_token_gets_the_same_in_every_batch(kernels: Kernels, stock: Ggml, name: str) -> None:
    kind = TYPES[name]
    random = np.random.default_rng(1)
    packed = stock.quantized(kind, random.standard_normal((40, 512), dtype=np.float32))
    x = random.standard_normal((130, 512), dtype=np.float32)
    together = kernels.product(kind, packed, x, 40)
    for tokens in (1, 2, 3, 5, 7, 11, 12, 13, 17, 23, 24, 31, 64):
        assert np.array_equal(kernels.product(kind, packed, x[:tokens], 40), together[:tokens])
    assert np.array_equal(kernels.product(kind, packed, x, 40, threads=3), together)


@pytest.mark.parametrize("name", TYPES)
def test_zeros_and_values_that_are_no_numbers(kernels: Kernels, stock: Ggml, name: str) -> None:
    kind = TYPES[name]
    random = np.random.default_rng(2)
    packed = stock.quantized(kind, random.standard_normal((16, 1024), dtype=np.float32))
    x = random.standard_normal((6, 1024), dtype=np.float32)
    plain = kernels.product(kind, packed, x, 16)
    x[0] = 0.0
    x[1, 256:512] = 0.0
    x[2, 7], x[3, 300] = np.nan, np.inf
    x[4] *= 1e-38
    found = kernels.product(kind, packed, x, 16)
    exact = x[1].astype(np.float64) @ stock.values(kind, packed, 1024).astype(np.float64).T
    assert not found[0].any()
    assert apart(found[1], exact) < 0.03
    assert np.abs(found[4]).max() < 1e-30
    assert np.array_equal(found[5], plain[5])


def test_what_stays_with_llama_cpp(kernels: Kernels) -> None:
    assert not kernels.takes(12, 16, 128), "K-quants have blocks of 256"
    assert not kernels.takes(8, 16, 48)
    assert not kernels.takes(0, 16, 256), "float32"
    assert not kernels.takes(10, 16, 256), "Q2_K"
