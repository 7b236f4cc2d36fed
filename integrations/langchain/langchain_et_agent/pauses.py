"""What the agent waits for after a model's message, in plain JSON types, and how it goes on.

A pause is written into the state together with the message that asks, by the model's node. The node
after it only interrupts: it runs again when the run is resumed, and must not decode or call anything.
The message that asks has no tool calls, so the history is valid whether the user replies or not.
"""

from typing import Any, Literal, TypedDict

from langchain.agents.middleware.human_in_the_loop import HITLRequest
from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    HumanMessage,
    ToolMessage,
    message_to_dict,
    messages_from_dict,
)
from langgraph.types import interrupt

from et_agent.errors import InputError
from et_agent.gate import Decision
from langchain_et_agent.replies import clarification_request, meant

__all__ = ["Pause", "ask_approval", "ask_meaning", "go_on", "stop"]


class Pause(TypedDict):
    """What is waited for."""

    type: Literal["clarify", "approve", "end"]
    """A reply, a person's approval of tool calls, or nothing: the run ends here."""
    request: dict[str, Any]
    """What is shown to the person."""
    message: dict[str, Any] | None
    """The message whose tool calls wait for approval."""


def stop() -> Pause:
    """The run ends with the message as it stands."""
    return {"type": "end", "request": {}, "message": None}


def ask_meaning(decision: Decision) -> Pause:
    """The user is asked which reading is meant."""
    return {"type": "clarify", "request": dict(clarification_request(decision)), "message": None}


def ask_approval(message: AIMessage, decision: Decision) -> Pause:
    """A person is asked to approve tool calls; the request is that of HumanInTheLoopMiddleware."""
    request: HITLRequest = {
        "action_requests": [
            {"name": call["name"], "args": call["args"], "description": decision.reason}
            for call in message.tool_calls
        ],
        "review_configs": [
            {"action_name": call["name"], "allowed_decisions": ["approve", "reject", "respond"]}
            for call in message.tool_calls
        ],
    }
    return {"type": "approve", "request": dict(request), "message": message_to_dict(message)}


def go_on(pause: Pause) -> dict[str, Any] | None:
    """Interrupt, and return the state's update once there is a reply.

    Raises:
        GraphInterrupt: There is no reply yet; LangGraph takes it.
        InputError: The reply is of another form than the request asks for.
    """
    if pause["type"] == "end":
        # With a response format the agent would ask the model again, and again.
        return {"jump_to": "end"}
    reply = interrupt(pause["request"])
    if isinstance(reply, str) and reply.strip():
        readings = pause["request"].get("readings", [])
        said = HumanMessage(meant(reply, [one["text"] for one in readings]))
        return {"messages": [said], "jump_to": "model"}
    if pause["type"] == "clarify":
        raise InputError(
            f"the reply to a clarifying question is a text, not {reply!r}: resume with "
            'Command(resume="...")'
        )
    assert pause["message"] is not None
    (message,) = messages_from_dict([pause["message"]])
    assert isinstance(message, AIMessage)
    return {"messages": _reviewed(message, reply)}


def _reviewed(message: AIMessage, reply: Any) -> list[AnyMessage]:
    """The message with its calls again, and a tool message for every call that must not run."""
    decisions = reply.get("decisions") if isinstance(reply, dict) else None
    if not isinstance(decisions, list) or len(decisions) != len(message.tool_calls):
        raise InputError(
            f"the reply is {reply!r}: resume with a text, or with "
            '{"decisions": [{"type": "approve"}, …]}, one decision for each of the '
            f"{len(message.tool_calls)} calls"
        )
    answers: list[AnyMessage] = []
    for call, decision in zip(message.tool_calls, decisions, strict=True):
        verdict = decision.get("type") if isinstance(decision, dict) else None
        if verdict == "approve":
            continue
        if verdict not in ("reject", "respond"):
            raise InputError(
                f"the decision about {call['name']} is {decision!r}: its type is approve, reject "
                "or respond"
            )
        text = decision.get("message") or (
            "The user declined this call. It was not run; do not repeat it unless asked to."
        )
        answers.append(
            ToolMessage(
                text,
                name=call["name"],
                tool_call_id=call["id"] or "",
                status="success" if verdict == "respond" else "error",
            )
        )
    return [message, *answers]
