"""The kinds of answer a question can have, and what the prompt asks for each."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from et_agent.answers.kinds.base import ANSWER_MARKER, Kind
from et_agent.answers.kinds.choice import CHOICE, DIRECT_INSTRUCTION
from et_agent.answers.kinds.code import CODE
from et_agent.answers.kinds.date import DATE
from et_agent.answers.kinds.json import JSON
from et_agent.answers.kinds.list import LIST
from et_agent.answers.kinds.long import LONG
from et_agent.answers.kinds.math import MATH
from et_agent.answers.kinds.number import NUMBER
from et_agent.answers.kinds.quantity import QUANTITY
from et_agent.answers.kinds.range import RANGE
from et_agent.answers.kinds.text import TEXT
from et_agent.answers.kinds.yes_no import YES_NO
from et_agent.arguments import checks_arguments
from et_agent.errors import SettingsError

__all__ = [
    "ANSWER_MARKER",
    "DIRECT_INSTRUCTION",
    "KINDS",
    "AnswerKind",
    "answer_kind",
    "instruction",
    "require_decided",
]


class AnswerKind(StrEnum):
    """What sort of answer a question asks for; it decides how a leaf is read and compared."""

    NUMBER = "number"
    """One exact number, in digits, as a fraction or in words; units are ignored."""

    MATH = "math"
    """A mathematical expression: LaTeX, set, interval, equation, matrix."""

    CHOICE = "choice"
    """The letter of one of the question's lettered options."""

    TEXT = "text"
    """A few words, compared as in SQuAD: case, articles and punctuation without meaning do not
    matter."""

    DATE = "date"
    """A date or a time of day, shown as ISO 8601."""

    QUANTITY = "quantity"
    """A number with its unit, compared in base units: 5 km is 5000 m."""

    RANGE = "range"
    """Two numbers or quantities and all between them."""

    LIST = "list"
    """Several parts, in any order unless the question asks for one."""

    YES_NO = "yes_no"
    """Whether something is so, in twelve languages."""

    JSON = "json"
    """A JSON value, compared in canonical form."""

    CODE = "code"
    """A program or a piece of one, compared by its tokens."""

    LONG = "long"
    """Several sentences, judged claim by claim; `auto` never takes it."""

    AUTO = "auto"
    """One of the others, guessed from the question and then from what the leaves say."""


KINDS: Final[Mapping[AnswerKind, Kind]] = MappingProxyType(
    {
        AnswerKind.NUMBER: NUMBER,
        AnswerKind.MATH: MATH,
        AnswerKind.CHOICE: CHOICE,
        AnswerKind.TEXT: TEXT,
        AnswerKind.DATE: DATE,
        AnswerKind.QUANTITY: QUANTITY,
        AnswerKind.RANGE: RANGE,
        AnswerKind.LIST: LIST,
        AnswerKind.YES_NO: YES_NO,
        AnswerKind.JSON: JSON,
        AnswerKind.CODE: CODE,
        AnswerKind.LONG: LONG,
    }
)
"""Every kind but `auto`: one module each."""


@checks_arguments
def instruction(kind: AnswerKind | str) -> str:
    """Return the default instruction of a kind, one sentence for the system prompt.

    Raises:
        SettingsError: if `kind` is unknown, or is `auto`: an instruction exists only for a kind
            that is decided, so call `guess_kind(question)` first.
    """
    return KINDS[require_decided(kind)].instruction


def _shown(kind: object) -> str:
    return repr(kind) if isinstance(kind, str) else f"of type {type(kind).__name__}"


def answer_kind(kind: AnswerKind | str) -> AnswerKind:
    """Return the kind that has a name.

    Raises:
        SettingsError: if there is none.
    """
    try:
        if not isinstance(kind, str):
            raise ValueError
        return AnswerKind(kind)
    except ValueError:
        kinds = ", ".join(AnswerKind)
        raise SettingsError(
            f"there is no answer kind {_shown(kind)}: choose one of: {kinds}"
        ) from None


def require_decided(kind: AnswerKind | str) -> AnswerKind:
    """Return `kind` as an enum member other than `auto`.

    Raises:
        SettingsError: if `kind` is unknown or `auto`.
    """
    member = answer_kind(kind)
    if member is AnswerKind.AUTO:
        raise SettingsError(
            "the answer kind 'auto' must be decided first: "
            "call guess_kind(question) or decide_kind(question, leaves)"
        )
    return member
