"""The kind `long`: a reply of several sentences, which is judged claim by claim and not by votes."""

import re
from typing import Final

from et_agent.answers.finders import Found, find_all
from et_agent.answers.kinds.base import Kind, Reading, Suggestion
from et_agent.answers.text import normalised

__all__ = ["LONG"]

_WORD: Final = re.compile(r"[^\W\d_]")


class _Long(Kind):
    instruction = "Answer in two or three complete sentences."
    noun = "long answers"
    finders = (find_all,)
    reads_unfinished = True
    voted = False

    def suggestion(self, question: str) -> Suggestion | None:
        """None: whether sentences are wanted is for the caller to say."""
        del question
        return None

    def rank(self, content: str, question: str) -> int | None:
        """Never: any text could be one."""
        del content, question
        return None

    def read(self, found: Found, question: str) -> Reading | None:
        """The whole text, if it has any words. Only texts of the same words are equal."""
        del question
        if not _WORD.search(found.content):
            return None
        return Reading(found.content, ("long", normalised(found.content)))


LONG: Final = _Long()
