import pytest
from hypothesis import example, given

from et_agent.uncertainty import answer_distribution, check_leaves, margin

from .strategies import SomeLeaves, leaves_and_order, some_leaves


@pytest.mark.parametrize(
    ("index", "weights", "expected"),
    [
        ([0, 1, 1], [0.5, 0.25, 0.125 + 0.125], 0.0),
        ([0, 1, 2], [0.5, 0.375, 0.125], 0.125),
        ([0, None], [0.25, 0.75], 0.25),
        ([None, None], [0.5, 0.5], 0.0),
        ([3], [1.0], 1.0),
    ],
)
def test_values_worked_by_hand(
    index: list[int | None], weights: list[float], expected: float
) -> None:
    assert margin(check_leaves(index, weights)) == expected


@given(some_leaves())
@example(SomeLeaves([None, 0, 1], [1.0, 0.0, 8e-100], [1, 1, 1]))  # equal, by all that is shown
def test_bounds(leaves: SomeLeaves) -> None:
    found, shares = margin(leaves.checked), answer_distribution(leaves.checked)
    assert 0 <= found <= max((one.share for one in shares if one.answer is not None), default=0)


@given(leaves_and_order())
def test_the_order_of_leaves_does_not_matter(pair: tuple[SomeLeaves, SomeLeaves]) -> None:
    one, other = pair
    assert margin(one.checked) == margin(other.checked)
