"""The kind `text`: a few words, compared as in SQuAD."""

from typing import Final

from et_agent.answers.finders import Found
from et_agent.answers.kinds.base import Kind, Reading, Suggestion
from et_agent.answers.text import MAX_ANSWER_CHARACTERS, first_sentence, normalised, readable

__all__ = ["TEXT", "read_words"]

_MAX_CHARACTERS: Final = 10 * MAX_ANSWER_CHARACTERS
"""Before wrapping and further sentences are taken off; a longer line is not worth the work."""
_LAST: Final = 99


def read_words(found: Found) -> Reading | None:
    """A short line as words: the kind `text`, and what other kinds fall back on."""
    if len(found.content) > _MAX_CHARACTERS:
        return None
    content = first_sentence(found.content) if found.found_by == "answer is" else found.content
    value = readable(content)
    key = normalised(value)
    if not key or len(value) > MAX_ANSWER_CHARACTERS:
        return None
    return Reading(value, ("text", key))


class _Text(Kind):
    instruction = "Think briefly, and put only the answer, a few words, in \\boxed{}."
    noun = "words"

    def suggestion(self, question: str) -> Suggestion | None:
        """What no other kind claims."""
        del question
        return Suggestion(_LAST, "The question asks for words, not for a number or an option.")

    def rank(self, content: str, question: str) -> int | None:
        """What no other kind claims."""
        del content, question
        return _LAST

    def read(self, found: Found, question: str) -> Reading | None:
        """A short line; case, articles and most punctuation do not count."""
        del question
        return read_words(found)


TEXT: Final = _Text()
