"""p(a|x): how the model's belief is spread over answers, by path weight and by count."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from et_agent.errors import InputError
from et_agent.renaming import warn_of_old_name
from et_agent.uncertainty.leaves import Index, Numbers, check_leaves, rank_of_class

__all__ = ["AnswerDistribution", "AnswerShare", "answer_distribution"]


@dataclass(frozen=True)
class AnswerShare:
    """One answer's part of the distribution."""

    index: int | None
    """The answer's class; None for "none", the leaves without an answer."""

    answer: str | None
    """The label of the class; None for "none"."""

    share: float
    """p(a|x) by path weight, in [0, 1]."""

    count_share: float
    """p(a|x) by number of leaves, each counted with its multiplicity, in [0, 1]."""

    leaves: int
    """Number of leaves that give it, with multiplicity."""


@dataclass(frozen=True)
class AnswerDistribution:
    """Shares of all answers and of "none"; each of the two kinds of share sums to 1."""

    shares: tuple[AnswerShare, ...]
    """Largest `share` first, of equals as `rank_of_class` has it, "none" last of them."""

    @property
    def top(self) -> AnswerShare:
        """The largest share, which may be "none"."""
        return self.shares[0]

    @property
    def top_answer(self) -> AnswerShare | None:
        """The largest share of an answer; None if no leaf gave one."""
        return next((share for share in self.shares if share.index is not None), None)

    @property
    def none_share(self) -> float:
        """The share, by path weight, of leaves without an answer."""
        return next((share.share for share in self.shares if share.index is None), 0.0)


def answer_distribution(
    index: Index,
    weights: Numbers,
    counts: Numbers | None = None,
    *,
    labels: Sequence[str] | None = None,
    answer_logprobs: Numbers | None = None,
    words: Numbers | None = None,
) -> AnswerDistribution:
    """Return p(a|x) = sum of the path weights of the leaves that say a.

    Leaves without an answer make up a class of their own, "none". The estimate is unbiased if the
    weights are (sum-and-sample forks); counts over-weigh uncertain prefixes and are for comparison.

    Args:
        index: answer class of each leaf, `[leaves]`, None for none.
        weights: path weights `[leaves]`, which sum to 1.
        counts: multiplicity of each leaf `[leaves]`; all 1 if not given.
        labels: the string of each class; the class's number if not given.
        answer_logprobs: log-probability of each class, as `LeafTable.answer_logprobs` has it, nats
            `[classes]`; orders answers of equal share.
        words: the old name of `answer_logprobs`.

    Raises:
        InputError: if the leaves are unsound (see `leaves.check_leaves`), or a class has no label or
            no log-probability.
    """
    if words is not None:
        warn_of_old_name("answer_distribution(words=…)", "answer_logprobs")
        answer_logprobs = words
    leaves = check_leaves(index, weights, counts)
    by_weight = leaves.share_of_class(leaves.weights)
    by_count = leaves.share_of_class(leaves.counts)
    total = int(leaves.counts.sum())
    shares = [
        AnswerShare(
            index=None if member is None else int(member),
            answer=_label(member, labels),
            share=share,
            count_share=by_count[member],
            leaves=round(by_count[member] * total),
        )
        for member, share in by_weight.items()
    ]

    def rank(one: AnswerShare) -> tuple[float, ...]:
        if one.index is None:
            return rank_of_class(one.share, -math.inf, 0, len(index))
        if answer_logprobs is None:
            return rank_of_class(one.share, math.nan, one.leaves, one.index)
        _check_class(one.index, len(answer_logprobs), "answer_logprobs")
        logprob = float(answer_logprobs[one.index])
        return rank_of_class(one.share, logprob, one.leaves, one.index)

    return AnswerDistribution(tuple(sorted(shares, key=rank)))


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
