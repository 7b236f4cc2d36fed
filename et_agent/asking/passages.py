r"""Passages to answer from: checked, and put into the prompt before the question.

They come first, so that further questions about them find them in the cache. The instruction says what
to reply where they do not hold the answer; `et_agent.answers.declining` reads that in any wording.
"""

from collections.abc import Sequence
from typing import Final, Protocol, runtime_checkable

from et_agent.answers import AnswerKind, instruction
from et_agent.answers.declining import NOT_THERE
from et_agent.asking.conversation import check_text
from et_agent.errors import QuestionError
from et_agent.validation import type_of

__all__ = [
    "Context",
    "Document",
    "checked_passages",
    "instructed_question",
    "passage_instruction",
    "question_with_passages",
    "shown_passages",
]


@runtime_checkable
class Document(Protocol):
    """A passage with a text, such as LangChain's `Document`."""

    @property
    def page_content(self) -> str:
        """The text."""
        ...


Context = str | Document | Sequence[str | Document]
"""One passage or several, each a text or a document."""

_FROM_PASSAGES: Final = "Answer from the passages alone."
_ELSE: Final = f"If they do not say it, reply \\boxed{{{NOT_THERE}}}."
_SHORT: Final = "Put only the answer, a few words copied from them, in \\boxed{}."


def checked_passages(context: object) -> tuple[str, ...]:
    """The texts of the passages in a context; () for None.

    Raises:
        QuestionError: There is no passage, or one is empty, not a text, or not valid UTF-8.
    """
    if context is None:
        return ()
    alone = isinstance(context, str | bytes | Document)
    given = [context] if alone else context
    if not isinstance(given, Sequence):
        raise QuestionError(
            f"the context is {type_of(context)}: pass a text, a document with page_content, or "
            "a list of them"
        )
    if not given:
        raise QuestionError(
            "the context has no passage: if a search found none, do not ask, or leave out the context "
            "to ask the model alone"
        )
    return tuple(
        check_text(_text(one), "the context" if alone else f"passage {number}")
        for number, one in enumerate(given, 1)
    )


def _text(given: object) -> object:
    return given.page_content if isinstance(given, Document) else given


def shown_passages(passages: Sequence[str]) -> str:
    """The passages as the prompt has them, each under a heading."""
    if len(passages) == 1:
        return f"Passage:\n{passages[0].strip()}"
    return "\n\n".join(f"Passage {at}:\n{one.strip()}" for at, one in enumerate(passages, 1))


def question_with_passages(passages: Sequence[str], question: str) -> str:
    """A question behind its passages; the question alone without any."""
    return f"{shown_passages(passages)}\n\nQuestion: {question}" if passages else question


def instructed_question(passages: Sequence[str], question: str) -> str:
    """All that somebody needs who gets one text: passages, question, and how to answer from them."""
    asked = question_with_passages(passages, question)
    told = f"{_FROM_PASSAGES} If they do not say it, reply: {NOT_THERE}."
    return f"{asked}\n\n{told}" if passages else asked


def passage_instruction(kind: AnswerKind) -> str:
    """The system prompt for answers of a kind out of passages.

    Words are copied from the passages, which needs no reasoning.
    """
    how = _SHORT if kind is AnswerKind.TEXT else instruction(kind)
    return f"{_FROM_PASSAGES} {how} {_ELSE}"
