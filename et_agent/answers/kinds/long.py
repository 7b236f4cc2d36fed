"""The kind `long`: a reply of several sentences, which is judged claim by claim and not by votes."""

from typing import Final

from et_agent.answers.finders import Found, find_all
from et_agent.answers.kinds.base import Kind, Reading, Suggestion
from et_agent.answers.text import normalised

__all__ = ["LONG"]


class _Long(Kind):
    instruction = "Answer in two or three complete sentences."
    noun = "long answers"
    finders = (find_all,)
    reads_code = True
    reads_unfinished = True

    def suggestion(self, question: str) -> Suggestion | None:
        """None: whether sentences are wanted is for the caller to say."""
        del question
        return None

    def rank(self, content: str, question: str) -> int | None:
        """Never: any text could be one."""
        del content, question
        return None

    def read(self, found: Found, question: str) -> Reading | None:
        """The whole text. Only texts of the same words are equal."""
        del question
        key = normalised(found.content)
        return Reading(found.content, ("long", key)) if key else None


LONG: Final = _Long()
