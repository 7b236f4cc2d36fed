"""What the numbers of a result owe each other. Where they do not, there is an error and no confidence.

All is checked at every result, in one pass over its nodes and leaves: it costs less than to make them.
"""

import contextlib
import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from et_agent.errors import DecodeError, InputError

if TYPE_CHECKING:
    from et_agent.results import AskResult, TreeReport

__all__ = ["check_result", "sound_numbers"]

_TOLERANCE: Final = 1e-6
"""Of sums of shares and weights, which are of float64."""
_MOST_ATTENTION: Final = 1.01
"""Of shares of attention, which are kept as float16."""


@contextlib.contextmanager
def sound_numbers() -> Iterator[None]:
    """Take numbers that contradict each other for a fault of ours or the model's, not the caller's.

    Raises:
        DecodeError: A record was refused within.
    """
    try:
        yield
    except InputError as error:
        raise DecodeError(
            f"the numbers of this result contradict each other, so that it is not given: {error}. "
            "Reload the model; if it happens again, please report it"
        ) from error


def check_result(result: "AskResult") -> None:
    """Compare what a result says of itself.

    Raises:
        ValueError: A distribution does not sum to 1, the answer's share is another one than the
            distribution has, there is a confidence without an answer, the effective sample size exceeds
            the leaves, or the tree contradicts itself.
    """
    _sum_to_one("shares of the answers", (one.share for one in result.distribution))
    _sum_to_one("shares by count", (one.share_by_count for one in result.distribution))
    if result.answer is None:
        if result.share or result.confidence is not None:
            raise ValueError("there is a share or a confidence without an answer")
    # Two answers may read the same, and differ in what they are read as.
    elif not any(
        one.answer == result.answer and abs(one.share - result.share) <= _TOLERANCE
        for one in result.distribution
    ):
        raise ValueError(f"the share {result.share} of the answer is not that of the distribution")
    if result.confidence is not None and not result.complete:
        raise ValueError("there is a confidence of a tree that was cut short")
    leaves = sum(one.leaves for one in result.distribution)
    if not 1 - _TOLERANCE <= result.ess <= leaves + _TOLERANCE:
        raise ValueError(
            f"the effective sample size {result.ess} is not within 1 and {leaves} leaves"
        )
    for path, field in result.fields.items():
        _sum_to_one(
            f"shares of the field {path}",
            (field.share, *(one.share for one in field.alternatives)),
        )
    if result.tree is not None:
        _check_tree(result.tree)


def _check_tree(tree: "TreeReport") -> None:
    """Leaves weigh 1 in all, nodes as the leaves below, and no number is out of its range."""
    _sum_to_one("weights of the leaves", (one.weight for one in tree.leaves))
    below = [0.0] * len(tree.nodes)
    for leaf in tree.leaves:
        below[leaf.node] += leaf.weight
    for at in range(len(tree.nodes) - 1, -1, -1):
        node = tree.nodes[at]
        if node.parent is not None:
            below[node.parent] += below[at]
        if abs(node.weight - below[at]) > _TOLERANCE:
            raise ValueError(f"node {at} weighs {node.weight}, the leaves below it {below[at]}")
        _within(f"entropies of node {at}", node.entropies, 0.0, math.inf)
        _within(f"log-probabilities of node {at}", node.log_probs, -math.inf, 0.0)
        _within(f"attention of node {at}", node.received or (), 0.0, _MOST_ATTENTION)
        _within(f"attention of node {at}", node.prompt_attention or (), 0.0, _MOST_ATTENTION)


def _sum_to_one(what: str, parts: Iterable[float]) -> None:
    total = math.fsum(parts)
    if not abs(total - 1.0) <= _TOLERANCE:
        raise ValueError(f"the {what} sum to {total}, not to 1")


def _within(what: str, values: Iterable[float | None], least: float, most: float) -> None:
    known = [one for one in values if one is not None]
    if known and not (least <= min(known) and max(known) <= most):
        raise ValueError(f"the {what} are not within {least} and {most}")
