r"""Where in a leaf the answer stands: in a box, behind a marker, or on the last line."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from et_agent.answers.braces import boxes

__all__ = ["FINDERS", "Finder", "Found", "FoundBy", "find_boxed", "find_last_line", "find_marked"]

FoundBy = Literal["boxed", "answer is", "last line", "json", "tool call"]
"""Name of the finder that a string came from; the last two for structured replies."""

_MARKER = re.compile(
    r"\b(?:answer|(?:correct|right|best) (?:option|choice))\b"
    r"(?:[ \t]+(?:to|for|choice|option)\b[^.:\n]{0,80}?)?[*_ \t]*"
    r"(?::|=|(?:is|was|are|will be|would be|must be|should be)\b"
    r"(?:[ \t]*(?:therefore|thus|then)\b,?)?[ \t]*:?)",
    re.IGNORECASE,
)
_HEADING = re.compile(r"^[#* \t]*(?:the )?final answer[*: \t]*$", re.IGNORECASE | re.MULTILINE)
_HASHES = re.compile(r"^[ \t]*####[ \t]*(\S.*)")
_DECORATION = " \t\r\f\v$*_`:"
_CHAT_CLOSING = re.compile(
    r"^(?:i hope|hope (?:this|that)|let me know|please let me|if you have)\b", re.I
)
_MAX_LINES_AFTER_MARKER = 4


@dataclass(frozen=True)
class Found:
    """A string that may be the answer, and the finder that saw it."""

    content: str
    """The string as the leaf has it, white space at the ends removed."""

    found_by: FoundBy
    """Which finder."""


Finder = Callable[[str], Found | None]
"""Looks for an answer in a leaf's text; None if its pattern does not occur."""


def find_boxed(text: str) -> Found | None:
    r"""Find the content of the last box that holds anything: `\boxed{}`, `\fbox{}`, `\boxed 5`."""
    contents = [box.content.strip() for box in boxes(text)]
    filled = [content for content in contents if content]
    return Found(filled[-1], "boxed") if filled else None


def find_marked(text: str) -> Found | None:
    """Find what follows the last "answer is", "Answer:" or a closing "####" line (GSM8K).

    That is the rest of the marker's line, or the next line with content if the rest is empty.
    """
    lines = _lines(text)
    hashes = _HASHES.match(lines[-1]) if lines else None
    if hashes is not None:
        return Found(hashes[1].rstrip(), "answer is")
    ends = sorted(match.end() for match in (*_MARKER.finditer(text), *_HEADING.finditer(text)))
    for end in reversed(ends):
        content = _first_content(text[end:])
        if content is not None:
            return Found(content, "answer is")
    return None


def find_last_line(text: str) -> Found | None:
    """Find the last line with content, closing courtesies such as "I hope this helps" aside."""
    for line in reversed(_lines(text)):
        if not _CHAT_CLOSING.match(line.strip()):
            return Found(line.strip(), "last line")
    return None


FINDERS: tuple[Finder, ...] = (find_boxed, find_marked, find_last_line)
"""The finders in the order in which they are asked."""


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if _has_content(line)]


def _has_content(line: str) -> bool:
    # A line of nothing but emphasis or the brackets of a displayed formula says nothing.
    return line.strip(_DECORATION) not in ("", "\\[", "\\]", "\\(", "\\)")


def _first_content(rest: str) -> str | None:
    for line in rest.splitlines()[:_MAX_LINES_AFTER_MARKER]:
        if _has_content(line):
            return line.strip().lstrip("*_: \t").strip() or None
    return None
