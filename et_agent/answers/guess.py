"""Which kind of answer a question asks for: a guess from its words, refined by what leaves say."""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from et_agent.answers.choice import options_of
from et_agent.answers.finders import find_boxed, find_marked
from et_agent.answers.kinds import AnswerKind
from et_agent.answers.number import number_in_prose, number_in_value, plain_number
from et_agent.answers.text import first_sentence

__all__ = ["KindGuess", "decide_kind", "guess_kind"]


@dataclass(frozen=True)
class KindGuess:
    """A kind and the grounds for it."""

    kind: AnswerKind
    """Never `auto`."""

    reason: str
    """One sentence for a person."""


_LATEX = re.compile(
    r"\\(?:d?frac|sqrt|begin|pi|theta|alpha|infty|cdot|left|circ|int|sum|lim|sin|cos|tan|log|le|ge|"
    r"mathbb|mathbf|angle|triangle|overline|pmod|equiv|binom)(?![A-Za-z])|\$[^$]*[\\^_=][^$]*\$"
)
_MATH_WORDS = re.compile(
    r"\b(?:solve (?:for|the (?:equation|inequality|system))|simplif(?:y|ied)|factor(?:ise|ize)?"
    r" (?:the|completely)|expand|express (?:the |your |in )|expression|interval notation|interval|"
    r"matri(?:x|ces)|polynomial|derivative|integral|eigenvalues?|in terms of|coordinates|"
    r"equation of|inverse function|domain of|range of (?:the )?function|vector|"
    r"all (?:real |integer |possible )?(?:values|solutions|roots)|"
    r"remainder when|greatest common divisor|modulo)\b",
    re.IGNORECASE,
)
_QUANTITY_WORDS = re.compile(
    r"\b(?:how (?:many|much|old|far|long|tall|fast|heavy|big|large|high|wide|deep)|"
    r"what (?:is|was|are) the (?:total|sum|average|mean|number|amount|cost|price|difference|"
    r"percentage|probability|product|remaining|value|area|perimeter|volume|speed|distance)|"
    r"what (?:percentage|percent|fraction|number|year)|"
    r"calculate|compute|find the (?:total|number|sum|value|average|cost|area|volume))\b",
    re.IGNORECASE,
)
_ASKED = re.compile(r"\b(?:what|find|calculate|how)\b", re.IGNORECASE)
_AMOUNT_WORDS = re.compile(
    r"\b(?:total|combined|average|sum|number of|amount|price|cost|salary|age|measure of)\b",
    re.IGNORECASE,
)
_FIGURES_OF_A_WORD_PROBLEM = 2
_COUNT_WORDS = re.compile(r"\bhow (?:many|much)\b", re.IGNORECASE)
_SUM = re.compile(r"\d\s*[-+*/×÷^]\s*\(?\d")
_DIGITS = re.compile(r"\d+(?:[.,:]\d+)*")
_WORDS_ASKED = re.compile(
    r"\b(?:who|whom|whose|where|which (?:person|country|city)|what (?:is|was) the name)\b",
    re.IGNORECASE,
)
_MIN_READABLE_SHARE = 0.5
"""Leaves overrule the question only if more than this share of those with an answer agree."""


def guess_kind(question: str) -> KindGuess:
    """Guess the kind of answer from the question alone.

    Lettered options make a `choice`; LaTeX or the vocabulary of algebra, `math`; "how many", or a
    quantity asked for with digits about, a `number`; anything else is `text`.
    """
    options = options_of(question)
    if options:
        return KindGuess(
            AnswerKind.CHOICE, f"The question offers options A to {list(options)[-1]}."
        )
    # "how many" settles it in plain prose; in LaTeX the answer may still be an expression.
    if _LATEX.search(question):
        return KindGuess(AnswerKind.MATH, "The question contains LaTeX.")
    if _COUNT_WORDS.search(question):
        return KindGuess(AnswerKind.NUMBER, "The question asks how many or how much.")
    math_word = _MATH_WORDS.search(question)
    if math_word is not None:
        return KindGuess(AnswerKind.MATH, f'The question says "{math_word.group()}".')
    figures = len(_DIGITS.findall(question))
    quantity = _QUANTITY_WORDS.search(question)
    if quantity is not None and figures:
        reason = f'The question says "{quantity.group()}" and gives figures.'
        return KindGuess(AnswerKind.NUMBER, reason)
    if not _WORDS_ASKED.search(question):
        if _SUM.search(question):
            return KindGuess(AnswerKind.NUMBER, "The question is a calculation with figures.")
        asked = _ASKED.search(question)
        needed = 1 if _AMOUNT_WORDS.search(question) else _FIGURES_OF_A_WORD_PROBLEM
        if asked is not None and figures >= needed:
            reason = f'The question asks "{asked.group()}" and gives figures.'
            return KindGuess(AnswerKind.NUMBER, reason)
    return KindGuess(AnswerKind.TEXT, "The question asks for words, not for a number or an option.")


def decide_kind(
    question: str, leaves: Sequence[str], weights: Sequence[float] | None = None
) -> KindGuess:
    r"""Refine the guess by what the leaves' boxes and "answer is" say.

    A `choice` stays one, and so does `math`, which reads numbers and words just as well. Otherwise
    the sort of answer that has more than half of the weight of the leaves with a box or a marker
    wins over the guess. Leaves without box or marker have no say.

    Args:
        question: the question as asked.
        leaves: the text of each leaf.
        weights: the path weight of each leaf; all alike if not given.
    """
    guess = guess_kind(question)
    shares: dict[AnswerKind, list[float]] = {}
    each = [1.0] * len(leaves) if weights is None else weights
    for leaf, weight in zip(leaves, each, strict=True):
        found = _sort_of_answer(leaf)
        if found is not None:
            shares.setdefault(found, []).append(weight)
    # fsum: the order of the leaves must not decide between equals.
    sorts = {sort: math.fsum(parts) for sort, parts in shares.items()}
    told = math.fsum(sorts.values())
    if guess.kind is AnswerKind.CHOICE or not told:
        return guess
    sort, votes = min(sorts.items(), key=lambda item: (-item[1], item[0].value))
    if guess.kind is AnswerKind.MATH or sort is guess.kind or votes <= told * _MIN_READABLE_SHARE:
        return guess
    names = {
        AnswerKind.NUMBER: "numbers",
        AnswerKind.MATH: "mathematical expressions",
        AnswerKind.TEXT: "words",
    }
    share = f"{votes / told:.0%} of the answers are"
    reason = f"{share} {names[sort]}, though the question suggested "
    return KindGuess(sort, f"{reason}{guess.kind.value}.")


_EXPRESSION = re.compile(
    r"\\(?!text|mbox|mathrm|textbf|\$|%|,|!|;| )[A-Za-z{]|[\^_]|\d[a-z]\b|[=<>≤≥±√π∞]|"
    r"(?<![A-Za-z])[A-Za-z]\s*[-+*/]\s*[\w(]|\)\s*\(|^\s*[\[({]\s*-?[\w.\\]+\s*,.*[\])}]\s*$|\d\s*,\s+-?\d|^-?\d+\s*,\s*-\d"
)
_PRODUCT = re.compile(r"\d\s*[A-Za-z]\b|[A-Za-z]\s*[-+*^]")
_WORD = re.compile(r"(?<!\\)[A-Za-z]{2,}")


def _sort_of_answer(leaf: str) -> AnswerKind | None:
    found = find_boxed(leaf)
    if found is not None:
        return _sort_of_value(found.content)
    marked = find_marked(leaf)
    return None if marked is None else _sort_of_value(first_sentence(marked.content))


def _sort_of_value(content: str) -> AnswerKind:
    if plain_number(content) is not None:
        return AnswerKind.NUMBER
    if _EXPRESSION.search(content) and not _names_one_number(content):
        return AnswerKind.MATH
    if number_in_value(content) is not None or number_in_prose(content) is not None:
        # "12 apples" is a number; "14 December 1972" and "Apollo 11" are words.
        digits = len(re.findall(r"\d+(?:[.,]\d+)*", content))
        leads = re.match(r"\W*\d", content) is not None
        if digits == 0 or (digits == 1 and leads and len(_WORD.findall(content)) <= 3):
            return AnswerKind.NUMBER
    return AnswerKind.TEXT


def _names_one_number(content: str) -> bool:
    # "x = 5" or "3 + 4 = 7" ends in a number and is no formula to compare; "2x - 7y = 0" is one.
    head, equals, tail = content.rpartition("=")
    return bool(equals) and plain_number(tail) is not None and not _PRODUCT.search(head)
