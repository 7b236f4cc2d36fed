r"""From a leaf's text to its answer: find a string, read it as the kind says, compare it."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

from et_agent.answers.braces import boxes
from et_agent.answers.choice import letter_in_prose, letter_in_value, options_of
from et_agent.answers.expression import (
    expression_in_prose,
    normal_form,
    readable_expression,
    word_of,
)
from et_agent.answers.finders import FINDERS, Found, FoundBy, find_marked
from et_agent.answers.guess import decide_kind
from et_agent.answers.kinds import AnswerKind, require_decided
from et_agent.answers.number import (
    display_number,
    number_in_prose,
    number_in_value,
    plain_number,
)
from et_agent.answers.text import MAX_ANSWER_CHARACTERS, first_sentence, normalised, readable

__all__ = ["Extracted", "extract", "read_value"]


@dataclass(frozen=True)
class Extracted:
    """The answer that one leaf gives."""

    raw: str
    """The string found, as the leaf has it."""

    value: str
    """The answer to show: "72", "\\frac{1}{2}", "B", "Paris"."""

    key: Hashable
    """Canonical form: equal keys are equal answers; for `math` alone the converse may fail."""

    found_by: FoundBy
    """Which finder saw it: "boxed", "answer is" or "last line"."""


_MAX_CHARACTERS_OF_TEXT = 10 * MAX_ANSWER_CHARACTERS
"""Before wrapping and further sentences are taken off; a longer line is not worth the work."""


@dataclass(frozen=True)
class _Reading:
    value: str
    key: Hashable


_Options = Mapping[str, str]
_Reader = Callable[[Found, _Options], _Reading | None]


def extract(
    text: str,
    kind: AnswerKind | str,
    *,
    question: str | None = None,
    finished: bool = True,
) -> Extracted | None:
    r"""Return the answer in a leaf's text, or None if it gives none.

    The last filled `\boxed{}` is asked first, then the last "answer is", "Answer:" or "####", then
    the last line. If there is a box that the kind cannot read, the last line is not asked: the leaf
    did give its answer, and it was another sort of thing.

    Args:
        text: what the model generated, any length.
        kind: how to read it; `auto` decides from the question and this text alone.
        question: for `choice`, maps an option's text to its letter; for `auto`, guides the guess.
        finished: False for a leaf that the token limit cut off. Then only a closed box or a marker
            whose line is complete counts, since the cut may have gone through the answer.

    Raises:
        SettingsError: if `kind` is unknown.
    """
    if kind == AnswerKind.AUTO:
        decided = decide_kind(question or "", [text]).kind
    else:
        decided = require_decided(kind)
    options = options_of(question) if question and decided is AnswerKind.CHOICE else {}
    read = _READERS[decided]
    box_seen = False
    for found in _candidates(text, finished=finished):
        if found.found_by == "last line" and box_seen:
            return None
        reading = read(found, options)
        if reading is not None:
            return Extracted(found.content, reading.value, reading.key, found.found_by)
        box_seen = box_seen or found.found_by == "boxed"
    return None


def read_value(
    text: str, kind: AnswerKind | str, *, question: str | None = None
) -> Extracted | None:
    """Return an answer that stands by itself, such as a data set's; None if `kind` cannot read it.

    Args:
        text: the answer, as it would stand in a box.
        kind: how to read it; not `auto`.
        question: for `choice`, maps an option's text to its letter.

    Raises:
        SettingsError: if `kind` is unknown or `auto`.
    """
    decided = require_decided(kind)
    options = options_of(question) if question and decided is AnswerKind.CHOICE else {}
    reading = _READERS[decided](Found(text, "boxed"), options)
    return None if reading is None else Extracted(text, reading.value, reading.key, "boxed")


def _candidates(text: str, *, finished: bool) -> list[Found]:
    if finished:
        found = [finder(text) for finder in FINDERS]
    else:
        closed = [box.content.strip() for box in boxes(text) if box.closed]
        boxed = [Found(content, "boxed") for content in closed if content]
        complete_lines = text.rpartition("\n")[0]
        found = [boxed[-1] if boxed else None, find_marked(complete_lines)]
    return [candidate for candidate in found if candidate is not None]


def _read_number(found: Found, _options: _Options) -> _Reading | None:
    if found.found_by == "boxed":
        number = number_in_value(found.content)
    else:
        number = number_in_prose(found.content, prefer_first=found.found_by == "answer is")
    return None if number is None else _Reading(display_number(number), ("number", number))


def _read_choice(found: Found, options: _Options) -> _Reading | None:
    if found.found_by == "boxed":
        letter = letter_in_value(found.content, options)
    else:
        letter = letter_in_prose(found.content, options)
    return None if letter is None else _Reading(letter, ("choice", letter))


def _read_text(found: Found, _options: _Options) -> _Reading | None:
    if len(found.content) > _MAX_CHARACTERS_OF_TEXT:
        return None
    content = first_sentence(found.content) if found.found_by == "answer is" else found.content
    value = readable(content)
    key = normalised(value)
    if not key or len(value) > MAX_ANSWER_CHARACTERS:
        return None
    return _Reading(value, ("text", key))


def _read_math(found: Found, _options: _Options) -> _Reading | None:
    if found.found_by == "boxed":
        expression: str | None = found.content
    else:
        sentence = first_sentence(found.content)
        prefer_first = found.found_by == "answer is"
        expression = expression_in_prose(sentence, prefer_first=prefer_first)
        if expression is None:
            number = number_in_prose(sentence, prefer_first=prefer_first)
            expression = None if number is None else display_number(number)
    if expression is None:
        return None
    value = readable_expression(expression)
    key = _math_key(value)
    return None if key is None else _Reading(value, key)


def _math_key(expression: str) -> tuple[str, str | Fraction] | None:
    number = plain_number(expression)
    if number is not None:
        return ("number", number)
    word = word_of(expression)
    if word is not None:
        # One letter is a variable or an option: there x and X differ.
        return ("text", word if len(word) == 1 else normalised(word))
    form = normal_form(expression)
    return ("math", form) if form else None


_READERS: Mapping[AnswerKind, _Reader] = MappingProxyType(
    {
        AnswerKind.NUMBER: _read_number,
        AnswerKind.MATH: _read_math,
        AnswerKind.CHOICE: _read_choice,
        AnswerKind.TEXT: _read_text,
    }
)
