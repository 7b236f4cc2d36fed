"""Fields of structured answers: what they say, when two say the same, and where their texts stand.

A field is a value that holds no further ones: a number, a text, true, false, null, or an empty object
or list. Objects are compared name by name and lists index by index, so an item that is inserted at the
front of a list moves all others.
"""

import functools
import json
import re
import unicodedata
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from et_agent.answers.field_paths import Step
from et_agent.answers.structured import canonical
from et_agent.answers.text import normalised

__all__ = [
    "ABSENT",
    "Body",
    "Span",
    "Steps",
    "field_key",
    "fields_of",
    "spans_of",
    "spans_within",
    "value_at",
]

Steps = tuple[Step, ...]
Span = tuple[int, int]
"""The first byte of a text's part, and the one after its last."""

ABSENT: Final = object()
"""In place of the value of a field that an answer lacks."""

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_DECODER: Final = json.JSONDecoder()
_CODE: Final = re.compile(r"[\d@/\\_]|\S[.:]\S")
"""In a text such as an identifier, an amount or an address every sign counts."""


@dataclass(frozen=True, slots=True)
class Body:
    """The JSON of a reply: all of it, or the arguments of the tool that it calls.

    Attributes:
        value: The JSON value.
        start: Where its text begins within the reply's, characters.
        tool: Name of the tool; None for a reply that is JSON itself.
        spans: Where the fields stand in the reply's text, characters, where that is not one JSON.
    """

    value: Any
    start: int
    tool: str | None = None
    spans: Mapping[Steps, Span] | None = None

    @property
    def whole(self) -> Any:
        """The value; for a call an object with the tool's name and its arguments."""
        return self.value if self.tool is None else {self.tool: self.value}


def fields_of(value: Any, before: Steps = ()) -> Iterator[tuple[Steps, Any]]:
    """Steps and value of every field, in the order of writing."""
    if isinstance(value, dict) and value:
        for name, one in value.items():
            yield from fields_of(one, (*before, name))
    elif isinstance(value, list) and value:
        for index, one in enumerate(value):
            yield from fields_of(one, (*before, index))
    else:
        yield before, value


def value_at(value: Any, steps: Sequence[Step]) -> Any:
    """What a path leads to, which may hold further values; `ABSENT` if it leads nowhere."""
    for step in steps:
        if isinstance(step, int):
            if not isinstance(value, list) or step >= len(value):
                return ABSENT
        elif not isinstance(value, dict) or step not in value:
            return ABSENT
        value = value[step]
    return value


def field_key(value: Any) -> Hashable:
    r"""What is equal for values that say the same.

    Numbers are equal as numbers, 5 and 5.0. Texts in words are equal as in SQuAD, without case,
    punctuation and articles (`et_agent.answers.text.normalised`). In a text that has a digit, one of
    `@ / \ _`, or a dot or colon within a word, case and every sign count, only spaces and compatible
    forms (NFKC) do not. Objects and lists are equal as canonical JSON.
    """
    return _text_key(value) if isinstance(value, str) else canonical(value)


@functools.lru_cache(1024)
def _text_key(text: str) -> Hashable:
    if _CODE.search(text):
        return "code", " ".join(unicodedata.normalize("NFKC", text).split())
    return "text", normalised(text)


def spans_of(body: Body, text: str) -> dict[Steps, Span]:
    """Where the fields of a reply stand in its text, quotation marks included, in bytes of UTF-8.

    Args:
        body: The reply's JSON.
        text: The reply.
    """
    if body.spans is not None:
        found = dict(body.spans)
    else:
        found = spans_within(text, body.start, () if body.tool is None else (body.tool,))
    if text.isascii():
        return found
    byte = _byte_of_character(text)
    return {steps: (byte[start], byte[end]) for steps, (start, end) in found.items()}


def spans_within(text: str, start: int, steps: Steps) -> dict[Steps, Span]:
    """Where the fields of JSON that begins at a character stand, in characters."""
    found: dict[Steps, Span] = {}
    _scan(text, start, steps, found)
    return found


def _byte_of_character(text: str) -> list[int]:
    """Where each character begins in UTF-8, and where the last one ends."""
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    sizes = 1 + (codes >= 0x80) + (codes >= 0x800).astype(np.int64) + (codes >= 0x10000)
    return [0, *np.cumsum(sizes).tolist()]


def _scan(text: str, at: int, steps: Steps, found: dict[Steps, Span]) -> int:
    """Note where the fields of valid JSON stand, in characters; gives its end."""
    at = _past_spaces(text, at)
    closing = {"{": "}", "[": "]"}.get(text[at])
    inner = at + 1 if closing is None else _past_spaces(text, at + 1)
    if closing is None or text[inner] == closing:
        end = inner + 1 if closing else _DECODER.raw_decode(text, at)[1]
        found[steps] = at, end
        return end
    at, index = inner, 0
    while True:
        step: Step = index
        if closing == "}":
            step, at = _DECODER.raw_decode(text, at)
            at = _past_spaces(text, at) + 1
        at = _past_spaces(text, _scan(text, at, (*steps, step), found))
        if text[at] == closing:
            return at + 1
        at, index = _past_spaces(text, at + 1), index + 1


def _past_spaces(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None
    return found.end()
