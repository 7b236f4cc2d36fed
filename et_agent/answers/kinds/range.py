"""The kind `range`: two numbers and all between them."""

# Other scripts are what this reads.
# ruff: noqa: RUF001

import re
from typing import Final

from et_agent.answers.finders import Found
from et_agent.answers.kinds.base import Kind, Reading, Suggestion
from et_agent.answers.kinds.text import read_words
from et_agent.answers.ranges import range_in_prose, range_in_value
from et_agent.answers.text import first_sentence, readable

__all__ = ["RANGE"]

_ASKED: Final = re.compile(
    r"\b(?:from when (?:to|until)|between (?:which|what)|(?:what|which) (?:is the )?(?:normal |"
    r"typical |usual |price |age |"
    r"temperature |salary )*range\b(?! of (?:the )?(?:function|f\b|data|numbers|set))|what years|"
    r"during which years|in which years|"
    r"give a range|von wann bis wann|zwischen welchen|welche[rm]? bereich|de quand à quand|"
    r"entre quelles?|entre quels|"
    r"de cuándo a cuándo|entre qué|qué rango|da quando a quando|tra quali|de quando a quando|"
    r"entre quais|"
    r"с какого по какой|между какими|в каком диапазоне)\b"
    r"|从哪年到哪年|什么范围|範囲(?=は|を|で答|[?？。]|$)|"
    r"何年から何年|범위|몇 년부터|نطاق|بين أي|कितने से कितने|किस सीमा",
    re.IGNORECASE,
)


_BARE_HYPHEN: Final = re.compile(r"(\d+)-(\d+)")


class _Range(Kind):
    instruction = "Think briefly, and put only the range, from lowest to highest, in \\boxed{}."
    noun = "ranges"

    def suggestion(self, question: str) -> Suggestion | None:
        """A range, or from when to when."""
        found = _ASKED.search(question)
        return None if found is None else Suggestion(18, f'The question says "{found.group()}".')

    def rank(self, content: str, question: str) -> int | None:
        """Two ascending numbers with a sign or word between them; a pair in brackets is mathematics."""
        if "[" in content or "(" in content:
            return None
        hyphen = _BARE_HYPHEN.fullmatch(readable(content))
        # "555-1234" is a telephone number.
        if hyphen is not None and len(hyphen[1]) != len(hyphen[2]) and not _ASKED.search(question):
            return None
        return 6 if range_in_value(content, question) is not None else None

    def read(self, found: Found, question: str) -> Reading | None:
        """The range of a box or of a sentence; other words as text."""
        if found.found_by == "boxed":
            said = range_in_value(found.content, question)
        else:
            first = found.found_by == "answer is"
            sentence = first_sentence(found.content) if first else found.content
            said = range_in_value(readable(sentence), question)
            said = said or range_in_prose(sentence, question, prefer_first=first)
        words = read_words(found)
        if said is None or words is None:
            return words
        return Reading(words.value, ("range", said.dimension, said.low, said.high))


RANGE: Final = _Range()
