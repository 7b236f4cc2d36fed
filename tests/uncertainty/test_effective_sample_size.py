import pytest
from hypothesis import given

from et_agent.uncertainty import effective_sample_size

from .strategies import SomeLeaves, leaves_and_order, some_leaves


def test_values_worked_by_hand() -> None:
    assert effective_sample_size([0.25] * 4) == 4
    assert effective_sample_size([1.0, 0.0]) == 1
    assert effective_sample_size([0.5, 0.25, 0.25]) == pytest.approx(8 / 3)
    assert effective_sample_size([0.75, 0.25], [3, 1]) == 4


@given(some_leaves())
def test_bounds(leaves: SomeLeaves) -> None:
    ess = effective_sample_size(leaves.weights, leaves.counts)
    assert 1 <= ess <= sum(leaves.counts)


@given(some_leaves())
def test_a_leaf_of_multiplicity_m_is_m_equal_samples(leaves: SomeLeaves) -> None:
    spread = [
        weight / count
        for weight, count in zip(leaves.weights, leaves.counts, strict=True)
        for _ in range(count)
    ]
    together = effective_sample_size(leaves.weights, leaves.counts)
    assert together == pytest.approx(effective_sample_size(spread))


@given(leaves_and_order())
def test_the_order_of_leaves_does_not_matter(pair: tuple[SomeLeaves, SomeLeaves]) -> None:
    one, other = pair
    assert effective_sample_size(one.weights, one.counts) == effective_sample_size(
        other.weights, other.counts
    )
