"""p(a|x): how the model's belief is spread over answers, by path weight and by count."""

import math
from collections.abc import Sequence

import numpy as np
from pydantic import Field

from et_agent.arguments import checks_arguments
from et_agent.errors import InputError
from et_agent.renaming import warn_of_old_name
from et_agent.uncertainty.leaves import Leaves, Numbers, rank_of_class
from et_agent.validation import Frozen

__all__ = ["AnswerShare", "answer_distribution"]


class AnswerShare(Frozen):
    """One answer's part of p(a|x)."""

    answer: str | None
    """The answer; None for leaves that gave none."""
    share: float = Field(ge=0, le=1)
    """Share by path weight, in [0, 1]."""
    share_by_count: float = Field(ge=0, le=1)
    """Share by number of leaves, in [0, 1]; biased for trees, there to compare."""
    leaves: int = Field(ge=1)
    """Leaves that give it, counted with their codes."""


@checks_arguments
def answer_distribution(
    leaves: Leaves,
    *,
    labels: Sequence[str] | None = None,
    answer_logprobs: Numbers | None = None,
    words: Numbers | None = None,
) -> tuple[AnswerShare, ...]:
    """Return p(a|x) = sum of the path weights of the leaves that say a.

    Leaves without an answer make up a class of their own, "none". The estimate is unbiased if the
    weights are (sum-and-sample forks); counts over-weigh uncertain prefixes and are for comparison.

    Args:
        leaves: the leaves.
        labels: the string of each class; the class's number if not given.
        answer_logprobs: log-probability of each class, as `LeafTable.answer_logprobs` has it, nats
            `[classes]`; orders answers of equal share.
        words: the old name of `answer_logprobs`.

    Returns:
        The shares of all answers and of "none", largest first, of equals as `rank_of_class` has it,
        "none" last of them; each of the two kinds of share sums to 1.

    Raises:
        InputError: if a class has no label or no log-probability.
    """
    if words is not None:
        warn_of_old_name("answer_distribution(words=…)", "answer_logprobs")
        answer_logprobs = words
    if answer_logprobs is not None and np.ndim(answer_logprobs) != 1:
        raise InputError(
            f"answer_logprobs has {np.ndim(answer_logprobs)} dimensions: one is needed"
        )
    total = int(leaves.counts.sum())
    count_of = {one: round(share * total) for one, share in leaves.count_shares.items()}

    def rank(one: int | None) -> tuple[float, ...]:
        share = leaves.shares[one]
        if one is None:
            return rank_of_class(share, -math.inf, 0, len(leaves.index))
        if answer_logprobs is None:
            return rank_of_class(share, math.nan, count_of[one], one)
        _check_class(one, len(answer_logprobs), "answer_logprobs")
        return rank_of_class(share, float(answer_logprobs[one]), count_of[one], one)

    return tuple(
        AnswerShare(
            answer=_label(one, labels),
            share=leaves.shares[one],
            share_by_count=leaves.count_shares[one],
            leaves=count_of[one],
        )
        for one in sorted(leaves.shares, key=rank)
    )


def _label(member: int | None, labels: Sequence[str] | None) -> str | None:
    if member is None:
        return None
    if labels is None:
        return str(member)
    _check_class(member, len(labels), "labels")
    return labels[member]


def _check_class(member: int, given: int, what: str) -> None:
    if member >= given:
        raise InputError(f"class {member} has no {what}; pass {what} for all {member + 1} classes")
