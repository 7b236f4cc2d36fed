"""Responses of an agent's model: their messages and tools, and messages that take their place."""

import uuid
from collections.abc import Mapping
from typing import Any

from langchain.agents.middleware import ModelRequest, ModelResponse
from langchain.agents.structured_output import StructuredOutputError
from langchain_core.messages import AIMessage, ToolCall
from langchain_core.utils.function_calling import convert_to_openai_tool

from et_agent.gate import Action, Decision, GatePolicy
from langchain_et_agent.passing_on import last_message

__all__ = [
    "Unstructured",
    "argument_schemas",
    "calls_tools",
    "identified",
    "in_place_of",
    "lacks_structure",
    "only",
    "refused",
    "tool_names",
]

Request = ModelRequest[Any]
Response = ModelResponse[Any]


def tool_names(request: Request) -> set[str]:
    """Names of the tools that the agent runs."""
    return {str(name) for tool in request.tools if (name := getattr(tool, "name", None))}


def argument_schemas(request: Request) -> dict[str, Mapping[str, Any]]:
    """JSON schemas of the arguments of the tools that the agent runs, by the tools' names."""
    functions = (
        convert_to_openai_tool(tool)["function"] for tool in request.tools if hasattr(tool, "name")
    )
    return {one["name"]: one.get("parameters", {"properties": {}}) for one in functions}


def calls_tools(request: Request, message: AIMessage) -> bool:
    """Whether all calls are of tools that the agent runs, rather than of a response format."""
    names = tool_names(request)
    return bool(message.tool_calls) and all(call["name"] in names for call in message.tool_calls)


def identified(message: AIMessage) -> AIMessage:
    """The message with an id, so that another one can take its place, and one for each of its calls.

    A call without an id of its own could run although it was rejected: nothing tells that the message
    that answers it is about it.
    """
    seen: set[str] = set()
    calls: list[ToolCall] = []
    for call in message.tool_calls:
        known = call["id"] if call["id"] and call["id"] not in seen else f"call_{uuid.uuid4().hex}"
        seen.add(known)
        calls.append({**call, "id": known})
    return message.model_copy(update={"id": message.id or uuid.uuid4().hex, "tool_calls": calls})


def in_place_of(message: AIMessage, text: str, *, metadata: dict[str, Any]) -> AIMessage:
    """A message that takes another one's place: no tool calls, which nobody would answer."""
    return AIMessage(
        text,
        id=message.id,
        name=message.name,
        usage_metadata=message.usage_metadata,
        response_metadata=metadata,
    )


def lacks_structure(request: Request, response: Response, decision: Decision) -> bool:
    """Whether another's answer passes that is a text, where the agent wants a structured response."""
    message = last_message(response)
    return (
        decision.escalated
        and decision.action is Action.ANSWER
        and request.response_format is not None
        and response.structured_response is None
        and not (message and message.tool_calls)
    )


class Unstructured(Response):
    """A response that is not in the agent's response format, with the error that says so."""

    def __init__(self, error: StructuredOutputError) -> None:
        super().__init__(result=[error.ai_message])
        self.error = error


def only(message: AIMessage) -> Response:
    """A response that is one message."""
    return ModelResponse(result=[message])


def refused(request: Request, policy: GatePolicy, topic: str | None, asked: int) -> Decision:
    """The decision about a response without a result.

    Args:
        request: What was asked.
        policy: The policy of the topic.
        topic: The tool whose policy it is; None for the general one.
        asked: How often the user was asked back.
    """
    return Decision(
        action=Action.ANSWER if policy.observe else Action.ABSTAIN,
        answer=None,
        threshold=policy.answer_at,
        reason="The response carries no confidence, because it is not from et-agent.",
        question=str(request.messages[-1].text) if request.messages else "",
        topic=topic,
        asked=asked,
        would=Action.ABSTAIN if policy.observe else None,
        trace_id=uuid.uuid4().hex,
    )
