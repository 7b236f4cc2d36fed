import math

import pytest
from hypothesis import given

from et_agent.errors import InputError
from et_agent.uncertainty import (
    maximum_entropy,
    normalised_predictive_entropy,
    normalised_predictive_entropy_by_count,
    predictive_entropy,
    predictive_entropy_by_count,
)

from .strategies import SomeLeaves, leaves_and_order, some_leaves


def test_entropies_worked_by_hand() -> None:
    index, weights, counts = [0, 0, 1, None], [0.25, 0.25, 0.25, 0.25], [1, 1, 4, 2]
    assert predictive_entropy(index, weights) == pytest.approx(1.5 * math.log(2))
    assert normalised_predictive_entropy(index, weights) == pytest.approx(0.75)
    assert normalised_predictive_entropy(index, weights, counts) == pytest.approx(0.5)
    assert predictive_entropy_by_count(index, counts) == pytest.approx(1.5 * math.log(2))
    assert normalised_predictive_entropy_by_count(index, counts) == pytest.approx(0.5)
    assert maximum_entropy(counts) == pytest.approx(3 * math.log(2))


def test_one_leaf_has_no_entropy() -> None:
    assert predictive_entropy([None], [1.0]) == 0
    assert normalised_predictive_entropy([0], [1.0]) == 0
    assert normalised_predictive_entropy_by_count([0]) == 0


def test_leaves_that_all_differ_have_all_of_it() -> None:
    assert normalised_predictive_entropy([0, 1, None], [1 / 3] * 3) == pytest.approx(1)
    assert normalised_predictive_entropy_by_count([0, 1, 2, 3]) == 1


def test_counts_must_be_sound() -> None:
    with pytest.raises(InputError, match="whole number"):
        maximum_entropy([0])
    with pytest.raises(InputError, match="no leaves"):
        predictive_entropy_by_count([])


@given(some_leaves())
def test_bounds(leaves: SomeLeaves) -> None:
    index, weights, counts = leaves.index, leaves.weights, leaves.counts
    assert 0 <= predictive_entropy(index, weights) <= math.log(len(index)) + 1e-12
    assert 0 <= predictive_entropy_by_count(index, counts) <= maximum_entropy(counts) + 1e-12
    assert 0 <= normalised_predictive_entropy(index, weights, counts) <= 1
    assert 0 <= normalised_predictive_entropy_by_count(index, counts) <= 1


@given(some_leaves(positive=True))
def test_entropy_is_zero_exactly_if_there_is_one_class(leaves: SomeLeaves) -> None:
    single = len(set(leaves.index)) == 1
    assert (predictive_entropy(leaves.index, leaves.weights) == 0) == single
    assert (predictive_entropy_by_count(leaves.index, leaves.counts) == 0) == single


@given(leaves_and_order())
def test_the_order_of_leaves_does_not_matter(pair: tuple[SomeLeaves, SomeLeaves]) -> None:
    one, other = pair
    assert predictive_entropy(one.index, one.weights) == predictive_entropy(
        other.index, other.weights
    )
