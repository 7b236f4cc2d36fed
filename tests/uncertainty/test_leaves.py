from collections.abc import Callable, Sequence

import numpy as np
import pytest

import et_agent.uncertainty
from et_agent.errors import InputError
from et_agent.uncertainty import (
    answer_distribution,
    check_leaves,
    cut_off_share,
    effective_sample_size,
    margin,
    normalised_predictive_entropy,
    predictive_entropy,
)

Weights = Sequence[float]
ESTIMATORS: list[Callable[[Weights], object]] = [
    lambda weights: answer_distribution(check_leaves([0, 1], weights)),
    lambda weights: predictive_entropy(check_leaves([0, 1], weights)),
    lambda weights: normalised_predictive_entropy(check_leaves([0, 1], weights)),
    lambda weights: margin(check_leaves([0, 1], weights)),
    lambda weights: cut_off_share([True, False], check_leaves([0, 1], weights)),
    lambda weights: effective_sample_size(check_leaves([0, 1], weights)),
]


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([float("nan"), 1.0], "NaN"),
        ([float("inf"), 0.0], "NaN or infinite"),
        ([-0.5, 1.5], "negative"),
        ([0.5, 0.5 + 2e-9], "not 1"),
        ([0.0, 0.0], "not 1"),
    ],
)
def test_unsound_weights_are_an_error_and_never_certainty(
    estimator: Callable[[Weights], object], weights: Weights, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        estimator(weights)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_weights_within_the_tolerance_pass(estimator: Callable[[Weights], object]) -> None:
    estimator([0.5, 0.5 + 5e-10])


def test_lengths_must_agree() -> None:
    with pytest.raises(InputError, match="one weight per leaf"):
        check_leaves([0, 1, None], [0.5, 0.5])
    with pytest.raises(InputError, match="one count per leaf"):
        check_leaves([0, 1], [0.5, 0.5], [1])


def test_there_must_be_leaves() -> None:
    with pytest.raises(InputError, match="no leaves"):
        check_leaves([], [])


@pytest.mark.parametrize("counts", [[0, 1], [-1, 1], [1.5, 1], [float("nan"), 1]])
def test_counts_are_whole_and_positive(counts: list[float]) -> None:
    with pytest.raises(InputError, match="whole number"):
        check_leaves([0, 1], [0.5, 0.5], counts)


@pytest.mark.parametrize("member", [-1, 0.5, True])
def test_classes_are_whole_numbers(member: int) -> None:
    with pytest.raises(InputError, match="leaf 1"):
        check_leaves([0, member], [0.5, 0.5])


def test_numpy_arrays_are_welcome_and_stay_as_they_were() -> None:
    weights = np.array([0.25, 0.75])
    answer_distribution(check_leaves(list(np.array([0, 1])), weights, np.array([1, 3])))
    assert weights.tolist() == [0.25, 0.75]


def test_the_public_names_exist() -> None:
    for name in et_agent.uncertainty.__all__:
        assert hasattr(et_agent.uncertainty, name)


def test_a_class_that_cannot_be_shown_is_refused_all_the_same() -> None:
    deep: list[object] = []
    for _ in range(3000):
        deep = [deep]
    with pytest.raises(InputError, match="answer class of leaf 1"):
        check_leaves([0, deep], [0.5, 0.5])  # type: ignore[list-item]
