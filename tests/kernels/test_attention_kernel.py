"""Attention as llama.cpp's graphs have it, against float64."""

from typing import Final

import numpy as np
import pytest
from scipy.special import softmax

from et_agent.arrays import Doubles, Floats
from tests.kernels.compiled import Halves, Kernels

F16: Final = 1
BF16: Final = 30


def halves(kind: int, values: Floats) -> tuple[Halves, Doubles]:
    """As the cache holds them, and what that stands for."""
    if kind == F16:
        rounded = values.astype(np.float16)
        return rounded.view(np.uint16), rounded.astype(np.float64)
    upper = (values.view(np.uint32) >> 16).astype(np.uint16)
    return upper, (upper.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


class Case:
    """Random queries, keys, values and a mask, and the exact result."""

    def __init__(
        self,
        kind: int,
        *,
        width: int = 64,
        heads: int = 14,
        key_heads: int = 2,
        tokens: int = 1,
        keys: int = 100,
        streams: int = 1,
        seed: int = 0,
    ) -> None:
        random = np.random.default_rng(seed)
        self.kind, self.scale = kind, width**-0.5
        self.q = 2 * random.standard_normal((streams, heads, tokens, width), dtype=np.float32)
        shape = (streams, key_heads, keys, width)
        self.k, k = halves(kind, random.standard_normal(shape, dtype=np.float32))
        self.v, v = halves(kind, random.standard_normal(shape, dtype=np.float32))
        seen = random.random((streams, tokens, keys)) < 0.7
        seen[..., keys - tokens :] &= np.tri(tokens, dtype=np.bool_)
        seen[..., 0] = True
        self.mask = np.where(seen, 0.0, -np.inf).astype(np.float16).view(np.uint16)
        share = heads // key_heads
        scores = self.q.astype(np.float64) @ k.repeat(share, axis=1).swapaxes(2, 3)
        scores = np.where(seen[:, None], scores * self.scale, -np.inf)
        self.exact = (softmax(scores, axis=3) @ v.repeat(share, axis=1)).swapaxes(1, 2)

    def run(self, kernels: Kernels, threads: int = 1) -> Floats | None:
        return kernels.attention(self.kind, self.q, self.k, self.v, self.mask, self.scale, threads)


@pytest.mark.parametrize("kind", [F16, BF16])
@pytest.mark.parametrize("tokens", [1, 2, 7, 8, 33, 64, 150])
@pytest.mark.parametrize("streams", [1, 3])
def test_as_exact_as_float32(kernels: Kernels, kind: int, tokens: int, streams: int) -> None:
    case = Case(kind, tokens=tokens, keys=tokens + 131, streams=streams, seed=tokens)
    found = case.run(kernels, threads=2)
    assert found is not None
    assert np.abs(found - case.exact).max() < 5e-6


@pytest.mark.parametrize("kind", [F16, BF16])
@pytest.mark.parametrize(
    ("width", "heads", "key_heads"), [(128, 12, 2), (80, 4, 4), (32, 8, 1), (96, 5, 1), (256, 8, 4)]
)
def test_other_shapes(kernels: Kernels, kind: int, width: int, heads: int, key_heads: int) -> None:
    for tokens in (1, 40):
        case = Case(kind, width=width, heads=heads, key_heads=key_heads, tokens=tokens, keys=77)
        found = case.run(kernels)
        assert found is not None
        assert np.abs(found - case.exact).max() < 5e-6


def test_neither_place_nor_others_change_a_token(kernels: Kernels) -> None:
    case = Case(BF16, streams=4, keys=200)
    together = case.run(kernels)
    assert together is not None
    for stream in range(4):
        alone = Case(BF16, streams=1, keys=200)
        at = slice(stream, stream + 1)
        alone.q, alone.k, alone.v, alone.mask = case.q[at], case.k[at], case.v[at], case.mask[at]
        found = alone.run(kernels)
        assert found is not None
        assert np.array_equal(found[0], together[stream])
        # The same keys further on in the cache.
        empty = np.full((1, 1, 37), 0xFC00, dtype=np.uint16)
        noise = np.full((1, 2, 37, 64), 0x7F80, dtype=np.uint16)
        alone.k = np.ascontiguousarray(np.concatenate([noise, alone.k], axis=2))
        alone.v = np.ascontiguousarray(np.concatenate([noise, alone.v], axis=2))
        alone.mask = np.ascontiguousarray(np.concatenate([empty, alone.mask], axis=2))
        moved = alone.run(kernels)
        assert moved is not None
        assert np.array_equal(moved[0], together[stream])


def test_a_token_that_sees_nothing_gets_zeros(kernels: Kernels) -> None:
    for tokens in (2, 70):
        case = Case(F16, tokens=tokens, keys=90)
        case.mask[0, 1] = 0xFC00
        found = case.run(kernels)
        assert found is not None
        assert not found[0, 1].any()
        assert np.abs(found[0, 0] - case.exact[0, 0]).max() < 5e-6


def test_large_scores_and_numbers_that_are_none(kernels: Kernels) -> None:
    case = Case(F16, tokens=3)
    case.q[0, :, 1] *= 1e4
    case.q[0, :, 2] = np.nan
    found = case.run(kernels)
    assert found is not None
    assert np.isfinite(found[0, :2]).all()
    assert np.abs(found[0, 0] - case.exact[0, 0]).max() < 5e-6


def test_what_stays_with_llama_cpp(kernels: Kernels) -> None:
    assert Case(F16, heads=9, key_heads=1).run(kernels) is None, "too many heads to a key"
    assert Case(F16, width=40).run(kernels) is None
