"""Which kind of answer a question asks for: a guess from its words, refined by what leaves say."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from et_agent.answers.finders import find_boxed, find_marked
from et_agent.answers.kinds import KINDS, AnswerKind
from et_agent.answers.own_words import own_words
from et_agent.answers.text import first_sentence
from et_agent.arguments import checks_arguments

__all__ = ["KindGuess", "decide_kind", "guess_kind"]


@dataclass(frozen=True)
class KindGuess:
    """A kind and the grounds for it."""

    kind: AnswerKind
    """Never `auto`."""

    reason: str
    """One sentence for a person."""


_END = 8000
"""Characters at either end of a question that are read: what is asked stands there."""
_MOST_CHARACTERS = 2000
_MIN_READABLE_SHARE = 0.5
"""Leaves overrule the question only if more than this share of those with an answer agree."""


@checks_arguments
def guess_kind(question: str) -> KindGuess:
    """Guess the kind of answer from the question alone.

    Lettered options make a `choice`; LaTeX or the vocabulary of algebra, `math`; "how many", or a
    quantity asked for with digits about, a `number`; a question that yes and no answer, `yes_no`;
    "when", a `date`; "name three", a `list`; and so on (each kind's `suggestion`); anything else is
    `text`. Of a long question both ends are read.
    """
    if len(question) > 2 * _END:
        question = f"{question[:_END]}\n{question[-_END:]}"
    given = ((kind.suggestion(question), name) for name, kind in KINDS.items())
    best, name = min((one, name) for one, name in given if one is not None)
    return KindGuess(name, best.reason)


@checks_arguments
def decide_kind(
    question: str,
    leaves: Sequence[str],
    weights: Sequence[float] | None = None,
    *,
    given: str = "",
) -> KindGuess:
    r"""Refine the guess by what the leaves' boxes and "answer is" say.

    A `choice` stays one, and so do `math`, which reads numbers and words just as well, `json` and
    `code`. Otherwise
    the sort of answer that has more than half of the weight of the leaves with a box or a marker
    wins over the guess. Leaves without box or marker have no say.

    Args:
        question: the question as asked.
        leaves: the text of each leaf.
        weights: the path weight of each leaf; all alike if not given.
        given: what else leaves may quote.
    """
    guess = guess_kind(question)
    shares: dict[AnswerKind, list[float]] = {}
    each = [1.0] * len(leaves) if weights is None else weights
    for leaf, weight in zip(leaves, each, strict=True):
        found = _sort_of_answer(leaf, question, given)
        if found is not None:
            shares.setdefault(found, []).append(weight)
    # fsum: the order of the leaves must not decide between equals.
    sorts = {sort: math.fsum(parts) for sort, parts in shares.items()}
    told = math.fsum(sorts.values())
    if not told or not KINDS[guess.kind].overruled:
        return guess
    sort, votes = min(sorts.items(), key=lambda item: (-item[1], item[0].value))
    if sort is guess.kind or votes <= told * _MIN_READABLE_SHARE:
        return guess
    share = f"{votes / told:.0%} of the answers are"
    reason = f"{share} {KINDS[sort].noun}, though the question suggested "
    return KindGuess(sort, f"{reason}{guess.kind.value}.")


def _sort_of_answer(leaf: str, question: str, given: str) -> AnswerKind | None:
    own = own_words(leaf, f"{given}\n{question}")
    found = find_boxed(own)
    if found is not None:
        return _sort_of_value(found.content, question)
    marked = find_marked(own)
    return None if marked is None else _sort_of_value(first_sentence(marked.content), question)


def _sort_of_value(content: str, question: str) -> AnswerKind:
    if len(content) > _MOST_CHARACTERS:
        return AnswerKind.TEXT
    ranks = ((kind.rank(content, question), name) for name, kind in KINDS.items())
    return min((rank, name) for rank, name in ranks if rank is not None)[1]
