import math

import pytest
from hypothesis import given

from et_agent.uncertainty import (
    check_leaves,
    maximum_entropy,
    normalised_predictive_entropy,
    normalised_predictive_entropy_by_count,
    predictive_entropy,
    predictive_entropy_by_count,
)

from .strategies import SomeLeaves, leaves_and_order, some_leaves


def test_entropies_worked_by_hand() -> None:
    leaves = check_leaves([0, 0, 1, None], [0.25, 0.25, 0.25, 0.25], [1, 1, 4, 2])
    alike = check_leaves(leaves.index, leaves.weights)
    assert predictive_entropy(leaves) == pytest.approx(1.5 * math.log(2))
    assert normalised_predictive_entropy(alike) == pytest.approx(0.75)
    assert normalised_predictive_entropy(leaves) == pytest.approx(0.5)
    assert predictive_entropy_by_count(leaves) == pytest.approx(1.5 * math.log(2))
    assert normalised_predictive_entropy_by_count(leaves) == pytest.approx(0.5)
    assert maximum_entropy(leaves) == pytest.approx(3 * math.log(2))


def test_one_leaf_has_no_entropy() -> None:
    assert predictive_entropy(check_leaves([None], [1.0])) == 0
    assert normalised_predictive_entropy(check_leaves([0], [1.0])) == 0
    assert normalised_predictive_entropy_by_count(check_leaves([0], [1.0])) == 0


def test_leaves_that_all_differ_have_all_of_it() -> None:
    leaves = check_leaves([0, 1, None], [1 / 3] * 3)
    assert normalised_predictive_entropy(leaves) == pytest.approx(1)
    leaves = check_leaves([0, 1, 2, 3], [0.25] * 4)
    assert normalised_predictive_entropy_by_count(leaves) == 1


@given(some_leaves())
def test_bounds(some: SomeLeaves) -> None:
    leaves = some.checked
    assert 0 <= predictive_entropy(leaves) <= math.log(len(some.index)) + 1e-12
    assert 0 <= predictive_entropy_by_count(leaves) <= maximum_entropy(leaves) + 1e-12
    assert 0 <= normalised_predictive_entropy(leaves) <= 1
    assert 0 <= normalised_predictive_entropy_by_count(leaves) <= 1


@given(some_leaves(positive=True))
def test_entropy_is_zero_exactly_if_there_is_one_class(leaves: SomeLeaves) -> None:
    single = len(set(leaves.index)) == 1
    assert (predictive_entropy(leaves.checked) == 0) == single
    assert (predictive_entropy_by_count(leaves.checked) == 0) == single


@given(leaves_and_order())
def test_the_order_of_leaves_does_not_matter(pair: tuple[SomeLeaves, SomeLeaves]) -> None:
    one, other = pair
    assert predictive_entropy(one.checked) == predictive_entropy(other.checked)
