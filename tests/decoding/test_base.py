"""What all decoders share."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.decoding.base import sum_and_sample


@given(
    st.lists(st.floats(0, 1), min_size=0, max_size=5).map(lambda p: [x / max(1, sum(p)) for x in p])
)
def test_shares_of_sum_and_sample_sum_to_one_and_are_not_negative(known: list[float]) -> None:
    shares = sum_and_sample(known)
    assert len(shares) == len(known) + 1
    assert math.fsum(shares) == pytest.approx(1.0, abs=1e-12)
    assert min(shares) >= 0
    assert shares[:-1] == pytest.approx(known, abs=1e-12)


def test_probabilities_that_float32_makes_a_little_too_large_are_scaled() -> None:
    shares = sum_and_sample([0.7, 0.30000006])
    assert math.fsum(shares) == pytest.approx(1.0, abs=1e-12)
    assert shares[-1] == 0.0
