"""The kind `yes_no`: whether something is so."""

from typing import Final

from et_agent.answers.finders import (
    Found,
    find_boxed,
    find_first_line,
    find_last_line,
    find_marked,
)
from et_agent.answers.kinds.base import Kind, Reading, Suggestion
from et_agent.answers.kinds.text import read_words
from et_agent.answers.yes_no import asks_yes_or_no, yes_or_no

__all__ = ["YES_NO"]


class _YesNo(Kind):
    instruction = "Think briefly, and put only yes or no in \\boxed{}."
    noun = "yes or no"
    finders = (find_boxed, find_marked, find_last_line, find_first_line)

    def suggestion(self, question: str) -> Suggestion | None:
        """A question that yes and no answer."""
        if not asks_yes_or_no(question):
            return None
        return Suggestion(17, "The question can be answered with yes or no.")

    def rank(self, content: str, question: str) -> int | None:
        """The words themselves, where the question can be answered with them."""
        said = yes_or_no(content)
        return 9 if said is not None and (not question or asks_yes_or_no(question)) else None

    def read(self, found: Found, question: str) -> Reading | None:
        """Yes or no, in the leaf's word; of a box or a marker other words, such as "both", as text."""
        del question
        said = yes_or_no(found.content, at_end=found.found_by != "boxed")
        if said is not None:
            return Reading(said[1], ("yes_no", said[0]))
        return read_words(found) if found.found_by in ("boxed", "answer is") else None


YES_NO: Final = _YesNo()
