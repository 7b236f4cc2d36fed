"""The kind `math`: a mathematical expression, as LaTeX, set, interval, equation or matrix."""

# Unicode look-alikes are what models write.

import re
import time
from collections.abc import Hashable, Sequence
from fractions import Fraction
from typing import Final

from et_agent.answers.base_numerals import same_numeral
from et_agent.answers.characters import is_cjk, plain_characters
from et_agent.answers.expression import (
    expression_in_prose,
    normal_form,
    readable_expression,
    word_of,
)
from et_agent.answers.finders import Found
from et_agent.answers.kinds.base import Kind, Reading, Suggestion
from et_agent.answers.number import display_number, number_in_prose, plain_number
from et_agent.answers.numerals import Convention, convention_of
from et_agent.answers.text import first_sentence, normalised
from et_agent.answers.worker import MathWorker, shared_worker

__all__ = ["MATH"]

_MOST_CHARACTERS: Final = 2000

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
_EXPRESSION = re.compile(
    r"\\(?!text|mbox|mathrm|textbf|\$|%|,|!|;| )[A-Za-z{]|[\^_]|\d[a-z]\b|[=<>≤≥±√π∞]|"
    r"(?<![A-Za-z])[A-Za-z]\s*[-+*/]\s*[\w(]|\)\s*\(|^\s*[\[({]\s*-?[\w.\\]+\s*,.*[\])}]\s*$|"
    r"\d\s*,\s+-?\d|^-?\d+\s*,\s*-\d"
)
_SHORT_WORD = re.compile(r"[A-Za-z]{2,3}")
_PRODUCT = re.compile(r"\d\s*[A-Za-z]\b|[A-Za-z]\s*[-+*^]")


class _Math(Kind):
    instruction = "Reason step by step, and put your final answer within \\boxed{}."
    noun = "mathematical expressions"
    overruled = False

    def suggestion(self, question: str) -> Suggestion | None:
        """LaTeX, or the vocabulary of algebra.

        "How many" settles plain prose before the latter; in LaTeX the answer may still be an
        expression.
        """
        if _LATEX.search(question):
            return Suggestion(10, "The question contains LaTeX.")
        word = _MATH_WORDS.search(question)
        return None if word is None else Suggestion(25, f'The question says "{word.group()}".')

    def rank(self, content: str, question: str) -> int | None:
        """Signs of a formula that is not one number."""
        del question
        formula = len(content) <= _MOST_CHARACTERS and _EXPRESSION.search(content)
        return 15 if formula and not _names_one_number(content) else None

    def read(self, found: Found, question: str) -> Reading | None:
        """The expression of a box or of a sentence, else the number of the sentence."""
        if len(found.content) > 10 * _MOST_CHARACTERS:
            return None
        convention = convention_of(question)
        boxed = found.found_by == "boxed"
        expression = found.content if boxed else _in_sentence(found, convention)
        if expression is None:
            return None
        value = readable_expression(expression)
        key = _key(value, convention)
        return None if key is None else Reading(value, key)

    def representatives(
        self, keys: Sequence[Hashable], worker: MathWorker | None, seconds: float
    ) -> dict[Hashable, Hashable]:
        """Compare further: numbers by value, words as words, all else by math-verify in a subprocess.

        math-verify's equality is not transitive: `1, 2` equals both `(1,2)` and `(2,1)`. So each key,
        shortest first, joins the first class with *all* of whose keys it is equal: a partition that
        does not depend on the order of the leaves, and no class holds two keys that differ. Two
        expressions that cannot be compared within the limits are equal only if their normal forms are.
        """
        comparer = _Comparer(worker, time.monotonic() + seconds)
        classes: list[list[Hashable]] = []
        representative: dict[Hashable, Hashable] = {}
        for key in sorted(keys, key=_key_order):
            members = next(
                (one for one in classes if all(comparer.equal(known, key) for known in one)), None
            )
            if members is None:
                members = []
                classes.append(members)
            members.append(key)
            representative[key] = members[0]
        return representative


MATH: Final = _Math()


def _names_one_number(content: str) -> bool:
    # "x = 5" or "3 + 4 = 7" ends in a number and is not a formula to compare; "2x - 7y = 0" is one.
    head, equals, tail = content.rpartition("=")
    return bool(equals) and plain_number(tail) is not None and not _PRODUCT.search(head)


def _in_sentence(found: Found, convention: Convention) -> str | None:
    # "The answer is 5!" is no factorial.
    sentence = first_sentence(found.content).rstrip("!")
    if any(map(is_cjk, sentence)):
        sentence = plain_characters(sentence)
    prefer_first = found.found_by == "answer is"
    expression = expression_in_prose(sentence, prefer_first=prefer_first)
    if expression is not None:
        return expression
    number = number_in_prose(sentence, prefer_first=prefer_first, convention=convention)
    return None if number is None else display_number(number)


def _key(expression: str, convention: Convention) -> tuple[str, str | Fraction] | None:
    number = plain_number(expression, convention)
    if number is not None:
        return ("number", number)
    word = word_of(expression)
    if word is not None:
        # One letter is a variable or an option: there x and X differ.
        return ("text", word if len(word) == 1 else normalised(word))
    form = normal_form(expression)
    return ("math", form) if form else None


class _Comparer:
    """Equality of two keys of kind `math`, cheapest way first."""

    def __init__(self, worker: MathWorker | None, deadline: float) -> None:
        self._worker = worker
        self._deadline = deadline

    def equal(self, left: Hashable, right: Hashable) -> bool:
        (left_tag, left_form), (right_tag, right_form) = _parts(left), _parts(right)
        # Two numbers, or two words, are equal only if their keys are.
        if left_tag == right_tag != "math":
            return False
        if "text" in (left_tag, right_tag):
            # A short word may stand without the `\\text` that tells it from a product.
            return _SHORT_WORD.fullmatch(str(left_form)) is not None and (
                str(left_form).casefold() == str(right_form).casefold()
            )
        left_latex, right_latex = _latex(left_form), _latex(right_form)
        numeral = same_numeral(left_latex, right_latex)
        if numeral is not None:
            return numeral
        if time.monotonic() >= self._deadline:
            return False
        worker = shared_worker() if self._worker is None else self._worker
        return worker.equal(left_latex, right_latex) is True


def _parts(key: Hashable) -> tuple[str, str | Fraction]:
    assert isinstance(key, tuple)
    tag, form = key
    return tag, form


def _key_order(key: Hashable) -> tuple[int, str, str]:
    tag, form = _parts(key)
    return len(str(form)), str(form), tag


def _latex(form: str | Fraction) -> str:
    if isinstance(form, str):
        return form
    if form.denominator == 1:
        return str(form.numerator)
    sign = "-" if form < 0 else ""
    return rf"{sign}\frac{{{abs(form.numerator)}}}{{{form.denominator}}}"
