import pytest
from hypothesis import given

from et_agent.uncertainty import check_leaves, effective_sample_size

from .strategies import SomeLeaves, leaves_and_order, some_leaves


def worth(weights: list[float], counts: list[int] | None = None) -> float:
    return effective_sample_size(check_leaves([0] * len(weights), weights, counts))


def test_values_worked_by_hand() -> None:
    assert worth([0.25] * 4) == 4
    assert worth([1.0, 0.0]) == 1
    assert worth([0.5, 0.25, 0.25]) == pytest.approx(8 / 3)
    assert worth([0.75, 0.25], [3, 1]) == 4


@given(some_leaves())
def test_bounds(leaves: SomeLeaves) -> None:
    ess = effective_sample_size(leaves.checked)
    assert 1 <= ess <= sum(leaves.counts)


@given(some_leaves())
def test_a_leaf_of_multiplicity_m_is_m_equal_samples(leaves: SomeLeaves) -> None:
    spread = [
        weight / count
        for weight, count in zip(leaves.weights, leaves.counts, strict=True)
        for _ in range(count)
    ]
    assert effective_sample_size(leaves.checked) == pytest.approx(worth(spread))


@given(leaves_and_order())
def test_the_order_of_leaves_does_not_matter(pair: tuple[SomeLeaves, SomeLeaves]) -> None:
    one, other = pair
    assert effective_sample_size(one.checked) == effective_sample_size(other.checked)
