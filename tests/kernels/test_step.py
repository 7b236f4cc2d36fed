"""The compiled analysis against numpy's, on whatever logits there may be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.arrays import Floats
from et_agent.decoding.sampling import Distribution, StepDistributions
from et_agent.errors import DecodeError
from et_agent.kernels.step import step_kernels

pytestmark = pytest.mark.skipif(step_kernels() is None, reason="the kernels are not in use here")

SIZES = st.sampled_from([1, 2, 20, 127, 128, 129, 1000, 4096, 5001])


@st.composite
def steps(draw: st.DrawFn) -> tuple[Floats, list[float]]:
    rows, size = draw(st.integers(1, 5)), draw(SIZES)
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    scale = draw(st.sampled_from([0.0, 0.01, 1.0, 5.0, 40.0, 300.0]))
    logits = (generator.standard_normal((rows, size)) * scale).astype(np.float32)
    if draw(st.booleans()):
        logits[:, 0] += np.float32(20.0)
    if draw(st.booleans()) and size > 1:
        logits[:, generator.permutation(size)[: size // 2]] = -np.inf
    temperatures = draw(
        st.lists(st.sampled_from([0.3, 0.7, 1.0, 1.5]), min_size=rows, max_size=rows)
    )
    return logits, temperatures


def both(
    logits: Floats, temperatures: list[float]
) -> list[tuple[Distribution, Distribution, Floats, Floats]]:
    ours, theirs = logits.copy(), logits.copy()
    compiled = StepDistributions(threads=2).analyse(ours, temperatures)
    plain = StepDistributions(None).analyse(theirs, temperatures)
    return list(zip(compiled, plain, ours, theirs, strict=True))


@given(steps())
def test_statistics_and_masses(step: tuple[Floats, list[float]]) -> None:
    for one, other, mass, expected in both(*step):
        np.testing.assert_allclose(one.statistics, other.statistics, rtol=1e-4, atol=2e-4)
        np.testing.assert_allclose(mass, expected, rtol=1e-5, atol=1e-30)
        assert one.total == pytest.approx(other.total, rel=1e-6)
        assert mass.max() == 1.0


@given(steps(), st.floats(0, 1, exclude_max=True))
def test_a_draw_lies_in_its_interval(step: tuple[Floats, list[float]], u: float) -> None:
    for one, _, mass, _ in both(*step):
        token = one.draw(u)
        assert mass[token] > 0
        before = mass[:token].sum(dtype=np.float64)
        slack = 1e-5 * one.total
        assert before - slack <= u * one.total <= before + float(mass[token]) + slack


@given(steps(), st.floats(0, 1, exclude_max=True), st.integers(0, 2**32))
def test_a_draw_without_some_tokens(step: tuple[Floats, list[float]], u: float, seed: int) -> None:
    for one, _, mass, _ in both(*step):
        before = mass.copy()
        generator = np.random.default_rng(seed)
        likeliest = one.top(int(generator.integers(1, 4)))
        out = [*likeliest, int(generator.integers(mass.size)), likeliest[0]]
        token = one.draw_excluding(u, out)
        np.testing.assert_array_equal(mass, before)
        left = mass.astype(np.float64)
        left[out] = 0.0
        if token is None:
            assert left.sum() == 0
        else:
            assert left[token] > 0
            so_far, slack = left[:token].sum(), 1e-5 * left.sum()
            assert so_far - slack <= u * left.sum() <= so_far + left[token] + slack


@given(steps())
def test_codes_go_where_numpy_sends_them(step: tuple[Floats, list[float]]) -> None:
    codes = (np.arange(16) + 0.37) / 16
    for one, _, mass, _ in both(*step):
        sent = list(one.send(codes))
        assert sum(part.size for _, part in sent) == 16
        assert all(mass[token] > 0 and part[0] >= 0 and part[-1] < 1 for token, part in sent)
        assert len({token for token, _ in sent}) == len(sent)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_unusable_logits_are_an_error(value: float) -> None:
    logits = np.zeros((3, 300), dtype=np.float32)
    logits[1, 200] = value
    with pytest.raises(DecodeError, match=f"unusable logits .*{value}"):
        StepDistributions(threads=2).analyse(logits, [1.0] * 3)


def test_all_ruled_out_is_an_error() -> None:
    logits = np.full((2, 300), -np.inf, dtype=np.float32)
    with pytest.raises(DecodeError, match="unusable logits"):
        StepDistributions().analyse(logits, [1.0] * 2)


def test_a_vocabulary_of_another_size_and_more_rows() -> None:
    steps = StepDistributions()
    for rows, size in ((1, 300), (5, 300), (2, 1000), (3, 40)):
        found = steps.analyse(np.zeros((rows, size), dtype=np.float32), [0.7] * rows)
        assert len(found) == rows
        assert found[-1].statistics.entropy == pytest.approx(np.log(size))
