"""The kind `number`: one exact number, in digits, as a fraction or in words."""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import re
from typing import Final

from et_agent.answers.finders import Found
from et_agent.answers.kinds.base import Kind, Reading, Suggestion
from et_agent.answers.number import (
    display_number,
    number_in_prose,
    number_in_value,
    plain_number,
)

__all__ = ["NUMBER"]

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
_WORD = re.compile(r"(?<!\\)[A-Za-z]{2,}")
_MOST_WORDS_BESIDE: Final = 3


class _Number(Kind):
    instruction = "Reason step by step, and put the final number in \\boxed{}."
    noun = "numbers"

    def suggestion(self, question: str) -> Suggestion | None:
        """The words "how many" decide; else a quantity, calculation or amount, with figures about."""
        if _COUNT_WORDS.search(question):
            return Suggestion(2, "The question asks how many or how much.")
        figures = len(_DIGITS.findall(question))
        quantity = _QUANTITY_WORDS.search(question)
        if quantity is not None and figures:
            return Suggestion(4, f'The question says "{quantity.group()}" and gives figures.')
        if _WORDS_ASKED.search(question):
            return None
        if _SUM.search(question):
            return Suggestion(5, "The question is a calculation with figures.")
        asked = _ASKED.search(question)
        needed = 1 if _AMOUNT_WORDS.search(question) else _FIGURES_OF_A_WORD_PROBLEM
        if asked is None or figures < needed:
            return None
        return Suggestion(6, f'The question asks "{asked.group()}" and gives figures.')

    def rank(self, content: str) -> int | None:
        """A bare number is one; "12 apples" too, but "14 December 1972" and "Apollo 11" are words."""
        if plain_number(content) is not None:
            return 0
        if number_in_value(content) is None and number_in_prose(content) is None:
            return None
        digits = len(re.findall(r"\d+(?:[.,]\d+)*", content))
        leads = re.match(r"\W*\d", content) is not None
        few_words = len(_WORD.findall(content)) <= _MOST_WORDS_BESIDE
        return 2 if digits == 0 or (digits == 1 and leads and few_words) else None

    def read(self, found: Found, question: str) -> Reading | None:
        """The number of a box, or of a sentence; units are ignored."""
        del question
        if found.found_by == "boxed":
            number = number_in_value(found.content)
        else:
            number = number_in_prose(found.content, prefer_first=found.found_by == "answer is")
        return None if number is None else Reading(display_number(number), ("number", number))


NUMBER: Final = _Number()
