"""The kind `json`: a JSON value, compared in canonical form."""

import re
from typing import Any, Final

from et_agent.answers.finders import Found, find_boxed
from et_agent.answers.kinds.base import Kind, Reading, Suggestion
from et_agent.answers.own_words import code_blocks, own_words
from et_agent.answers.structured import canonical, read_json, read_json_at

__all__ = ["JSON"]

_ASKED: Final = re.compile(r"\bjson\b(?! file| schema)", re.IGNORECASE)
_ABOUT: Final = re.compile(
    r"^\W*(?:what|who|when|where|why|which|is|does|how (?:do|does|can|to))\b[^.?!]{0,80}\bjson\b",
    re.IGNORECASE,
)
_WANTED: Final = re.compile(
    r"\b(?:as|in|into|return|output|reply|respond|answer|give|write|produce|make)\b[^.?!]{0,40}"
    r"\bjson\b",
    re.IGNORECASE,
)
_MOST_CHARACTERS: Final = 20_000
_MOST_STARTS: Final = 20
_OPENING: Final = re.compile(r"[{\[]")
_LATEX: Final = re.compile(r"\\([{}_%$#&])")


def find_box(text: str) -> Found | None:
    """Find the last box that is in no block of code."""
    return find_boxed(own_words(text))


def find_json(text: str) -> Found | None:
    """Find the last block of code that is JSON, else the first object or list of the text."""
    for block in reversed(code_blocks(text)):
        if _value(block.code) is not _NOTHING:
            return Found(block.code.strip(), "json")
    part = text[-_MOST_CHARACTERS:]
    for opening in list(_OPENING.finditer(part))[:_MOST_STARTS]:
        try:
            _, end = read_json_at(part, opening.start())
        except ValueError:
            continue
        return Found(part[opening.start() : end], "json")
    return None


_NOTHING: Final = object()


def _value(text: str) -> Any:
    if len(text) > _MOST_CHARACTERS:
        return _NOTHING
    try:
        return read_json(text)
    except ValueError:
        return _NOTHING


class _Json(Kind):
    instruction = "Think briefly, and put only the JSON in \\boxed{} or in a block of code."
    noun = "JSON"
    overruled = False
    reads_code = True
    finders = (find_box, find_json)

    def suggestion(self, question: str) -> Suggestion | None:
        """The question says JSON, and does not ask what that is."""
        if _ASKED.search(question) is None:
            return None
        if _ABOUT.match(question) and not _WANTED.search(question):
            return None
        return Suggestion(12, "The question asks for JSON.")

    def rank(self, content: str, question: str) -> int | None:
        """An object; a list or number alone may be many things."""
        del question
        looks = content.lstrip().startswith("{") and '"' in content
        return 3 if looks and _value(content) is not _NOTHING else None

    def read(self, found: Found, question: str) -> Reading | None:
        """The value."""
        del question
        value = _value(found.content)
        if value is _NOTHING and found.found_by == "boxed":
            value = _value(_LATEX.sub(r"\1", found.content))
        if value is _NOTHING:
            return None
        shown = canonical(value)
        return Reading(shown, ("json", shown))


JSON: Final = _Json()
