"""What the agent waits for after a model's message, in plain JSON types, and how it goes on.

A pause is written into the state together with the message that asks, by the model's node. The node
after it only interrupts: it runs again when the run is resumed, and must not decode or call anything.
The message that asks has no tool calls, so the history is valid whether the user replies or not.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal, TypedDict

from langchain.agents.middleware.human_in_the_loop import HITLRequest
from langchain_core.messages import (
    AIMessage,
    HumanMessage,
    ToolCall,
    ToolMessage,
    message_to_dict,
    messages_from_dict,
)

from et_agent.gate import Decision
from et_agent.gate.clarification import chosen, meant
from langchain_et_agent.replies import clarification_request, no_text, reply_to

__all__ = ["Pause", "ask_approval", "ask_choice", "ask_meaning", "go_on", "stop"]

_VERDICTS: Final[list[Literal["approve", "edit", "reject", "respond"]]] = [
    "approve",
    "reject",
    "respond",
]


class Pause(TypedDict):
    """What is waited for."""

    type: Literal["clarify", "choose", "approve", "end"]
    """A reply, a choice of tool calls, a person's approval of them, or nothing: the run ends here."""
    request: dict[str, Any]
    """What is shown to the person."""
    messages: list[dict[str, Any]]
    """Messages with tool calls that wait: the one to approve, or those to choose from."""


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


def ask_approval(message: AIMessage, decision: Decision) -> Pause:
    """A person is asked to approve tool calls; the request is that of HumanInTheLoopMiddleware."""
    request: HITLRequest = {
        "action_requests": [
            {"name": call["name"], "args": call["args"], "description": decision.reason}
            for call in message.tool_calls
        ],
        "review_configs": [
            {"action_name": call["name"], "allowed_decisions": [*_VERDICTS]}
            for call in message.tool_calls
        ],
    }
    return {"type": "approve", "request": dict(request), "messages": [message_to_dict(message)]}


def go_on(pause: Pause) -> dict[str, Any]:
    """Interrupt, and return the state's update once there is a reply that fits.

    Raises:
        GraphInterrupt: There is none yet; LangGraph takes it.
    """
    if pause["type"] == "end":
        # With a response format the agent would ask the model again, and again.
        return {"jump_to": "end"}
    if pause["type"] == "clarify":
        return _said(reply_to(pause["request"], no_text), pause)
    messages = messages_from_dict(pause["messages"])
    if pause["type"] == "choose":
        reply = reply_to(pause["request"], no_text)
        number = chosen(reply, len(messages))
        return _said(reply, pause) if number is None else {"messages": [messages[number]]}
    (message,) = messages
    assert isinstance(message, AIMessage)
    calls = message.tool_calls
    reply = reply_to(pause["request"], lambda reply: _no_review(reply, calls))
    if isinstance(reply, str):
        return _said(reply, pause)
    answers = map(_tool_message, calls, reply["decisions"])
    return {"messages": [message, *(one for one in answers if one is not None)]}


def _said(reply: str, pause: Pause) -> dict[str, Any]:
    """What the user says goes to the model."""
    readings = [one["text"] for one in pause["request"].get("readings", ())]
    return {"messages": [HumanMessage(meant(reply, readings))], "jump_to": "model"}


def _no_review(reply: Any, calls: list[ToolCall]) -> str | None:
    """What is wrong with a reply about tool calls; a text is one too."""
    if no_text(reply) is None:
        return None
    decisions = reply.get("decisions") if isinstance(reply, dict) else None
    if not isinstance(decisions, list) or len(decisions) != len(calls):
        return (
            f'the reply is {reply!r}: resume with {{"decisions": [{{"type": "approve"}}, …]}}, one '
            f"decision for each of the {len(calls)} calls, or with a text"
        )
    for call, decision in zip(calls, decisions, strict=True):
        if not isinstance(decision, dict) or decision.get("type") not in _VERDICTS:
            return (
                f"the decision about {call['name']} is {decision!r}: its type is "
                f"{', '.join(_VERDICTS)}"
            )
    return None


def _tool_message(call: ToolCall, decision: dict[str, Any]) -> ToolMessage | None:
    """What stands in for the result of a call that must not run; None for one that may."""
    if decision["type"] == "approve":
        return None
    declined = "The user declined this call. It was not run; do not repeat it unless asked to."
    return ToolMessage(
        decision.get("message") or declined,
        name=call["name"],
        tool_call_id=call["id"] or "",
        status="success" if decision["type"] == "respond" else "error",
    )
