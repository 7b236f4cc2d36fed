"""The kinds of answer a question can have, and what the prompt asks for each."""

from enum import StrEnum
from typing import Final

from et_agent.errors import SettingsError

__all__ = ["ANSWER_MARKER", "AnswerKind", "instruction"]

ANSWER_MARKER: Final = "\\boxed{"
"""What the answer follows, as every kind's instruction asks."""


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


_INSTRUCTIONS: dict[AnswerKind, str] = {
    AnswerKind.NUMBER: "Reason step by step, and put the final number in \\boxed{}.",
    AnswerKind.MATH: "Reason step by step, and put your final answer within \\boxed{}.",
    AnswerKind.CHOICE: (
        "Reason step by step, and put only the letter of the correct option in \\boxed{}."
    ),
    AnswerKind.TEXT: "Think briefly, and put only the answer, a few words, in \\boxed{}.",
}


def instruction(kind: AnswerKind | str) -> str:
    """Return the default instruction of a kind, one sentence for the system prompt.

    Raises:
        SettingsError: if `kind` is unknown, or is `auto`: an instruction exists only for a kind
            that is decided, so call `guess_kind(question)` first.
    """
    decided = require_decided(kind)
    return _INSTRUCTIONS[decided]


def require_decided(kind: AnswerKind | str) -> AnswerKind:
    """Return `kind` as an enum member other than `auto`.

    Raises:
        SettingsError: if `kind` is unknown or `auto`.
    """
    try:
        member = AnswerKind(kind)
    except ValueError:
        known = ", ".join(member.value for member in AnswerKind)
        raise SettingsError(f"unknown answer kind {kind!r}; choose one of: {known}") from None
    if member is AnswerKind.AUTO:
        raise SettingsError(
            "the answer kind 'auto' must be decided first: "
            "call guess_kind(question) or decide_kind(question, leaves)"
        )
    return member
