"""The kinds of answer a question can have, and what the prompt asks for each."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from et_agent.answers.kinds.base import ANSWER_MARKER, Kind
from et_agent.answers.kinds.choice import CHOICE, DIRECT_INSTRUCTION
from et_agent.answers.kinds.math import MATH
from et_agent.answers.kinds.number import NUMBER
from et_agent.answers.kinds.text import TEXT
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
    """A few words, compared as in SQuAD: case, articles and punctuation do not matter."""

    AUTO = "auto"
    """One of the others, guessed from the question and then from what the leaves say."""


KINDS: Final[Mapping[AnswerKind, Kind]] = MappingProxyType(
    {
        AnswerKind.NUMBER: NUMBER,
        AnswerKind.MATH: MATH,
        AnswerKind.CHOICE: CHOICE,
        AnswerKind.TEXT: TEXT,
    }
)
"""Every kind but `auto`: one module each."""


def instruction(kind: AnswerKind | str) -> str:
    """Return the default instruction of a kind, one sentence for the system prompt.

    Raises:
        SettingsError: if `kind` is unknown, or is `auto`: an instruction exists only for a kind
            that is decided, so call `guess_kind(question)` first.
    """
    return KINDS[require_decided(kind)].instruction


def answer_kind(kind: AnswerKind | str) -> AnswerKind:
    """Return the kind that has a name.

    Raises:
        SettingsError: if there is none.
    """
    try:
        return AnswerKind(kind)
    except ValueError:
        kinds = ", ".join(AnswerKind)
        raise SettingsError(f"there is no answer kind {kind!r}: choose one of: {kinds}") from None


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
