"""Checked leaves: the arrays that every estimator here starts from."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from et_agent.arrays import Doubles, Ints, doubles
from et_agent.errors import InputError
from et_agent.validation import shown

__all__ = [
    "SHARE_DIGITS",
    "Index",
    "Leaves",
    "Numbers",
    "check_leaves",
    "rank_of_class",
]

Index = Sequence[int | None]
"""Answer class of each leaf, `[leaves]`; None for a leaf without an answer or cut off."""

Numbers = Sequence[float] | Sequence[int] | Doubles | Ints
"""One number per leaf, `[leaves]`."""

SHARE_DIGITS: Final = 9
"""Shares that are equal to so many decimals are equal."""
_LOGPROB_DIGITS: Final = 5
_TOLERANCE = 1e-9


# Without slots, so that shares are worked out once.
@dataclass(frozen=True)
class Leaves:
    """Leaves whose arrays agree in length and whose values are sound. Made by `check_leaves`."""

    index: tuple[int | None, ...]
    """Answer class of each leaf, None for none."""

    weights: Doubles
    """Path weights `[leaves]`, not negative, sum 1."""

    counts: Doubles
    """Multiplicities `[leaves]`, whole numbers of at least 1."""

    @cached_property
    def shares(self) -> dict[int | None, float]:
        """Each class's share by path weight, in order of first appearance."""
        return _share_of_class(self.index, self.weights)

    @cached_property
    def count_shares(self) -> dict[int | None, float]:
        """Each class's share by number of leaves, in order of first appearance."""
        return _share_of_class(self.index, self.counts)


def rank_of_class(
    share: float, answer_logprob: float, leaves: float, member: int
) -> tuple[float, float, float, int]:
    """What answers are sorted by, the heaviest first.

    Of equal shares the one whose tokens the model finds likelier comes first, then the one of more
    leaves, then the smaller class. With few leaves equals are common, and the tokens' probability
    tells the right one more often than the order of leaves does (docs/experiments.md).

    Args:
        share: Part of the weight.
        answer_logprob: Log of the mean probability of the answer's tokens over its leaves, nats;
            NaN where it was not measured.
        leaves: How many leaves give it, or any number that grows with them.
        member: Number of the class.
    """
    # Rounded, since ties must not hang on the order in which weights were summed, nor on less than
    # what is kept of a log-probability.
    known = not math.isnan(answer_logprob)
    logprob = round(answer_logprob, _LOGPROB_DIGITS) if known else -math.inf
    return (-round(share, SHARE_DIGITS), -logprob, -leaves, member)


def _share_of_class(index: tuple[int | None, ...], numbers: Doubles) -> dict[int | None, float]:
    """Return each class's share of `numbers` `[leaves]`, in order of first appearance."""
    parts: dict[int | None, list[float]] = {}
    for member, number in zip(index, numbers.tolist(), strict=True):
        parts.setdefault(member, []).append(number)
    total = _exact_sum(numbers)
    return {member: math.fsum(part) / total for member, part in parts.items()}


def check_leaves(index: Index, weights: Numbers, counts: Numbers | None = None) -> Leaves:
    """Return the leaves as arrays.

    Args:
        index: answer class of each leaf, `[leaves]`, None for none.
        weights: path weights `[leaves]`, which sum to 1.
        counts: multiplicities `[leaves]`; all 1 if not given.

    Raises:
        InputError: if there is no leaf, lengths differ, a class is negative, a weight is negative,
            NaN or infinite, the weights do not sum to 1 within 1e-9, or a count is not a whole
            number of at least 1.
    """
    classes = _check_index(index)
    return Leaves(
        classes,
        _check_weights(weights, leaves=len(classes)),
        _check_counts(counts, leaves=len(classes)),
    )


def _check_index(index: Index) -> tuple[int | None, ...]:
    """Return the answer class of each leaf.

    Raises:
        InputError: if there is no leaf, or a class is neither None nor a whole number from 0 on.
    """
    if not isinstance(index, Iterable):
        raise InputError(f"the answer classes are a {type(index).__name__}: pass one for each leaf")
    classes = tuple(index)
    if not classes:
        raise InputError("there are no leaves; pass the answer class of at least one leaf")
    suspects = [leaf for leaf, member in enumerate(classes) if not _is_class(member)]
    if suspects:
        raise InputError(
            f"the answer class of leaf {suspects[0]} is {shown(classes[suspects[0]])}; "
            "pass None or the class's number, 0 or more"
        )
    return classes


def _is_class(member: object) -> bool:
    if member is None:
        return True
    whole = isinstance(member, int | np.integer) and not isinstance(member, bool)
    return whole and int(member) >= 0  # type: ignore[call-overload]


def _check_weights(weights: Numbers, *, leaves: int) -> Doubles:
    """Return path weights as float64 `[leaves]`.

    Raises:
        InputError: as `check_leaves`.
    """
    array = doubles(weights, "the path weights")
    if array.shape != (leaves,):
        raise InputError(
            f"weights have shape {array.shape} for {leaves} leaves; pass one weight per leaf"
        )
    if leaves == 0:
        raise InputError("there are no leaves; pass the weight of at least one leaf")
    if not np.isfinite(array).all():
        raise InputError("a path weight is NaN or infinite; the tree that made it is broken")
    if (array < 0).any():
        raise InputError(
            f"a path weight is negative ({array.min():g}); weights are probabilities of paths"
        )
    total = _exact_sum(array)
    if abs(total - 1) > _TOLERANCE:
        raise InputError(
            f"path weights sum to {total!r}, not 1; "
            "keep the weight of cut-off leaves too, or divide by the sum"
        )
    return array


def _check_counts(counts: Numbers | None, *, leaves: int) -> Doubles:
    """Return multiplicities as float64 `[leaves]`, all 1 if `counts` is None.

    Raises:
        InputError: as `check_leaves`.
    """
    if counts is None:
        return np.ones(leaves, dtype=np.float64)
    array = doubles(counts, "the counts")
    if array.shape != (leaves,):
        raise InputError(
            f"counts have shape {array.shape} for {leaves} leaves; pass one count per leaf"
        )
    if not (np.isfinite(array).all() and (array >= 1).all() and (array == np.round(array)).all()):
        raise InputError("every count must be a whole number of at least 1; drop leaves of count 0")
    return array


def _exact_sum(numbers: Doubles) -> float:
    # fsum does not depend on the order, so neither do shares, ties and entropies.
    return math.fsum(numbers.tolist())
