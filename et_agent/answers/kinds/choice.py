"""The kind `choice`: the letter of one of the question's lettered options."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from et_agent.answers.choice import letter_in_prose, letter_in_value, options_of
from et_agent.answers.finders import Found
from et_agent.answers.kinds.base import Kind, Reading, Suggestion

__all__ = ["CHOICE", "DIRECT_INSTRUCTION"]

DIRECT_INSTRUCTION: Final = "Reply with the letter of the correct option only."
"""For a reply whose first token is read, without reasoning."""


@lru_cache(maxsize=64)
def _options(question: str) -> Mapping[str, str]:
    """The options of a question, whose leaves are read one after another."""
    return options_of(question)


class _Choice(Kind):
    instruction = "Reason step by step, and put only the letter of the correct option in \\boxed{}."
    noun = "letters"
    overruled = False

    def suggestion(self, question: str) -> Suggestion | None:
        """Lettered options."""
        options = _options(question)
        if not options:
            return None
        first, *_, last = options
        return Suggestion(0, f"The question offers options {first} to {last}.")

    def rank(self, content: str, question: str) -> int | None:
        """No content by itself says that it is a letter of the question's."""
        del content, question
        return None

    def read(self, found: Found, question: str) -> Reading | None:
        """The letter, or that of the option whose text it is; "B, C" of several."""
        options = _options(question)
        if found.found_by == "boxed":
            letter = letter_in_value(found.content, options)
        else:
            letter = letter_in_prose(found.content, options)
        return None if letter is None else Reading(letter, ("choice", letter))


CHOICE: Final = _Choice()
