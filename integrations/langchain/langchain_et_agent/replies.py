"""Asking the user what is meant, and reading the reply."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypedDict

from et_agent.errors import InputError
from et_agent.gate import Decision

__all__ = [
    "ClarificationRequest",
    "clarification_request",
    "no_text",
    "reply_to",
]


class ReadingRequest(TypedDict):
    """One reading."""

    text: str
    answer: str | None


class ClarificationRequest(TypedDict):
    """Value of the interrupt; the run goes on with `Command(resume="the user's reply")`."""

    type: Literal["clarification"]
    question: str
    """What to ask the user."""
    readings: list[ReadingRequest]
    """Readings to choose from; a reply may be the number of one, counted from 1."""
    reason: str
    """Why the user is asked."""
    trace_id: str
    """Trace id of the decision."""


def clarification_request(decision: Decision) -> ClarificationRequest:
    """What the user is shown.

    Raises:
        InputError: The decision is not to ask back.
    """
    if decision.clarifying_question is None:
        raise InputError(f"the decision is to {decision.action}: it has no clarifying question")
    return {
        "type": "clarification",
        "question": decision.clarifying_question,
        "readings": [{"text": one.text, "answer": one.answer} for one in decision.readings],
        "reason": decision.reason,
        "trace_id": decision.trace_id,
    }


def no_text(reply: Any) -> str | None:
    """What is wrong with a reply that should be a text; None if nothing is."""
    if isinstance(reply, str) and reply.strip():
        return None
    return f'the reply is {reply!r}: resume with a text, Command(resume="...")'


def reply_to(request: Mapping[str, Any], wrong: Callable[[Any], str | None]) -> Any:
    """Interrupt, and return the reply.

    LangGraph keeps replies, so an error here would come back at every attempt to go on. A reply that
    does not fit is asked for again instead, with what is wrong with it as "problem".

    Args:
        request: The value of the interrupt, in plain JSON types.
        wrong: Says what is wrong with a reply, or None.

    Raises:
        GraphInterrupt: There is no fitting reply yet; LangGraph takes it.
    """
    from langgraph.types import interrupt

    reply = interrupt(dict(request))
    while (problem := wrong(reply)) is not None:
        reply = interrupt({**request, "problem": problem})
    return reply
