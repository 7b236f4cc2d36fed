"""Between LangChain's messages and those of et-agent."""

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    InvalidToolCall,
    SystemMessage,
    ToolCall,
    ToolMessage,
)

from et_agent.errors import QuestionError
from et_agent.models.base import Message, MessageCall

__all__ = ["core_messages", "invalid_call", "new_tool_call"]

_ROLES: Final[tuple[tuple[type[BaseMessage], str], ...]] = (
    (SystemMessage, "system"),
    (HumanMessage, "user"),
    (AIMessage, "assistant"),
    (ToolMessage, "tool"),
)
# Parts of an assistant's message that are said elsewhere in it, or that are no part of what it said.
_NO_TEXT: Final = frozenset(
    {
        "function_call",
        "input_json_delta",
        "invalid_tool_call",
        "reasoning",
        "redacted_thinking",
        "thinking",
        "tool_call",
        "tool_call_chunk",
        "tool_use",
    }
)


def core_messages(messages: Sequence[BaseMessage]) -> list[Message]:
    """Messages as `et_agent.submit` takes them.

    Raises:
        QuestionError: A message is of a sort that no chat template knows, or holds more than text.
    """
    return [_message(one, number) for number, one in enumerate(messages, 1)]


def _message(given: BaseMessage, number: int) -> Message:
    made: Message = {"role": _role(given, number), "content": _text(given, number)}
    if isinstance(given, AIMessage) and given.tool_calls:
        made["tool_calls"] = [_call(call) for call in given.tool_calls]
    if isinstance(given, ToolMessage):
        made["tool_call_id"] = given.tool_call_id
        if given.name:
            made["name"] = given.name
    return made


def _role(given: BaseMessage, number: int) -> str:
    for kind, role in _ROLES:
        if isinstance(given, kind):
            return role
    if isinstance(given, ChatMessage):
        return given.role  # an unknown one is refused with the others
    raise QuestionError(
        f"message {number} is a {type(given).__name__}, which chat templates do not know: use human, "
        "ai, system and tool messages"
    )


def _text(given: BaseMessage, number: int) -> str:
    content = given.content
    if isinstance(content, str):
        return content
    parts = []
    for block in content:
        if isinstance(block, str):
            parts.append(block)
            continue
        kind = block.get("type")
        if kind == "text" and isinstance(block.get("text"), str):
            parts.append(block["text"])
        elif not (isinstance(given, AIMessage) and kind in _NO_TEXT):
            raise QuestionError(
                f"message {number} holds a part of type {kind!r}: only text is supported, no images, "
                "sound or files; describe it in words"
            )
    return "".join(parts)


def _call(call: ToolCall) -> MessageCall:
    made: MessageCall = {
        "type": "function",
        "function": {"name": call["name"], "arguments": call["args"]},
    }
    if call["id"] is not None:
        made["id"] = call["id"]
    return made


def new_tool_call(name: str, arguments: Mapping[str, Any]) -> ToolCall:
    """A tool call with an id of its own."""
    return ToolCall(
        name=name, args=json.loads(json.dumps(arguments)), id=_new_id(), type="tool_call"
    )


def invalid_call(text: str) -> InvalidToolCall:
    """A tool call that was cut off."""
    return InvalidToolCall(
        name=None,
        args=text,
        id=_new_id(),
        error="the tool call was cut off: allow more tokens (max_tokens)",
        type="invalid_tool_call",
    )


def _new_id() -> str:
    return f"call_{secrets.token_hex(12)}"
