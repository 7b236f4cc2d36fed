"""What the agent waits for after a model's message, in plain JSON types, and how it goes on.

A pause is written into the state together with the message that asks, by the model's node. The node
after it only interrupts: it runs again when the run is resumed, and must not decode or call anything.
The message that asks has no tool calls, so the history is valid whether the user replies or not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from langchain_core.messages import AIMessage, HumanMessage, message_to_dict, messages_from_dict

from et_agent.gate import Decision, ReviewedCall
from et_agent.gate.clarification import chosen, meant
from langchain_et_agent.replies import clarification_request, no_text, reply_to
from langchain_et_agent.reviews import carried_out, no_review, review_request, turned_down

__all__ = ["Outcome", "Pause", "ask_approval", "ask_choice", "ask_meaning", "go_on", "stop"]


class Pause(TypedDict):
    """What is waited for."""

    type: Literal["clarify", "choose", "approve", "end"]
    """A reply, a choice of tool calls, a person's approval of them, or nothing: the run ends here."""
    request: dict[str, Any]
    """What is shown to the person."""
    messages: list[dict[str, Any]]
    """Messages with tool calls that wait: the one to approve, or those to choose from."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the agent goes on.

    Attributes:
        update: The state's update.
        reviews: What a person decided about tool calls; empty if nobody decided.
    """

    update: dict[str, Any]
    reviews: tuple[ReviewedCall, ...] = ()


def stop() -> Pause:
    """The run ends with the message as it stands."""
    return {"type": "end", "request": {}, "messages": []}


def ask_meaning(decision: Decision) -> Pause:
    """The user is asked which reading is meant."""
    return {"type": "clarify", "request": dict(clarification_request(decision)), "messages": []}


def ask_choice(options: Sequence[AIMessage], decision: Decision) -> Pause:
    """The user is asked which of several tool calls is meant."""
    request = dict(clarification_request(decision))
    return {"type": "choose", "request": request, "messages": [*map(message_to_dict, options)]}


def ask_approval(
    message: AIMessage, decision: Decision, schemas: Mapping[str, Mapping[str, Any]]
) -> Pause:
    """A person is asked to approve tool calls; see `review_request`."""
    request = dict(review_request(message, decision, schemas))
    return {"type": "approve", "request": request, "messages": [message_to_dict(message)]}


def go_on(pause: Pause) -> Outcome:
    """Interrupt, and return how to go on once there is a reply that fits.

    Raises:
        GraphInterrupt: There is none yet; LangGraph takes it.
    """
    request = pause["request"]
    match pause["type"]:
        case "end":
            # With a response format the agent would ask the model again, and again.
            return Outcome({"jump_to": "end"})
        case "clarify":
            return Outcome(_said(reply_to(request, no_text), request))
        case "choose":
            return _after_choice(pause)
        case "approve":
            return _after_review(pause)


def _after_choice(pause: Pause) -> Outcome:
    options, request = _messages(pause), pause["request"]
    reply = reply_to(request, no_text)
    number = chosen(reply, len(options))
    if number is None:
        return Outcome(_said(reply, request))
    message = options[number]
    messages, reviews = carried_out(message, [{"type": "approve"}] * len(message.tool_calls))
    return Outcome({"messages": messages}, reviews)


def _after_review(pause: Pause) -> Outcome:
    (message,), request = _messages(pause), pause["request"]
    reply = reply_to(request, lambda reply: no_review(reply, request))
    if isinstance(reply, str):
        return Outcome(_said(reply, request), turned_down(message))
    messages, reviews = carried_out(message, reply["decisions"])
    return Outcome({"messages": messages}, reviews)


def _messages(pause: Pause) -> list[AIMessage]:
    """The messages whose calls wait."""
    found = messages_from_dict(pause["messages"])
    return [one for one in found if isinstance(one, AIMessage)]


def _said(reply: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """What the user says goes to the model."""
    readings = [one["text"] for one in request.get("readings", ())]
    return {"messages": [HumanMessage(meant(reply, readings))], "jump_to": "model"}
