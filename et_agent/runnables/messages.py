"""From what LangChain passes around to a conversation: plain messages of text, checked."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    MessageLikeRepresentation,
    SystemMessage,
    ToolMessage,
    convert_to_messages,
)
from langchain_core.prompt_values import PromptValue

from et_agent.errors import QuestionError

__all__ = ["TreeInput", "conversation", "single_question"]

TreeInput = str | PromptValue | Sequence[MessageLikeRepresentation]
"""A question, a prompt value, or messages."""

_ROLES: Final = {"user": "user", "human": "user", "assistant": "assistant", "ai": "assistant"} | {
    "system": "system",
    "developer": "system",
}
_NOT_SAID: Final = frozenset({"reasoning", "thinking", "tool_use", "tool_call", "function_call"})
"""Blocks of an assistant's message that are no text of it: thoughts, and calls, which stand in
`tool_calls` too."""


def conversation(value: TreeInput) -> list[dict[str, Any]]:
    """Messages as `role` ("system", "user", "assistant", "tool") and `content`, in order.

    An assistant's message with calls has `tool_calls` too, each {"id", "type": "function",
    "function": {"name", "arguments"}} with the arguments as a mapping, as chat templates want them;
    a tool's message has `tool_call_id`.

    Raises:
        QuestionError: Nothing is asked, something is no message, holds more than text (images are
            not supported), or answers a call that nobody made.
    """
    messages = _messages(value)
    if not messages:
        raise QuestionError("there are no messages: pass at least one human message")
    calls: set[str | None] = set()
    found = []
    for number, message in enumerate(messages, 1):
        plain = _plain(message, number)
        calls.update(call["id"] for call in plain.get("tool_calls", ()))
        if plain["role"] == "tool" and plain["tool_call_id"] not in calls:
            raise QuestionError(
                f"message {number} answers the tool call {plain['tool_call_id']!r}, which no message "
                "before it makes: keep the assistant's message with that call"
            )
        found.append(plain)
    return found


def single_question(messages: Sequence[Mapping[str, Any]]) -> tuple[str, str | None]:
    """The question of a conversation that is one human message, and its system prompt if any.

    Raises:
        QuestionError: There is no human message, or there is more than one question.
    """
    system = messages[0]["content"] if messages[0]["role"] == "system" else None
    rest = messages if system is None else messages[1:]
    if not rest:
        raise QuestionError("there is a system message and no question: add a human message")
    if len(rest) > 1 or rest[0]["role"] != "user":
        roles = ", ".join(str(one["role"]) for one in messages)
        raise QuestionError(
            f"the conversation has the roles {roles}: one human message is read, with a system "
            "message before it or without; put what was said before into that message"
        )
    return rest[0]["content"], system


def _messages(value: object) -> list[BaseMessage]:
    if isinstance(value, str):
        return [HumanMessage(value)]
    if isinstance(value, BaseMessage):
        return [value]
    if isinstance(value, PromptValue):
        return value.to_messages()
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        try:
            return convert_to_messages(value)
        except Exception as error:  # it raises many kinds for what is no message
            raise QuestionError(f"the messages cannot be read: {error}") from error
    raise QuestionError(
        f"a {type(value).__name__} is no question: pass a text, messages or a prompt value"
    )


def _plain(message: BaseMessage, number: int) -> dict[str, Any]:
    text = _text(message, number)
    match message:
        case SystemMessage():
            return {"role": "system", "content": text}
        case HumanMessage():
            return {"role": "user", "content": text}
        case AIMessage():
            plain: dict[str, Any] = {"role": "assistant", "content": text}
            if message.tool_calls:
                plain["tool_calls"] = [
                    {
                        "id": call["id"],
                        "type": "function",
                        "function": {"name": call["name"], "arguments": call["args"]},
                    }
                    for call in message.tool_calls
                ]
            return plain
        case ToolMessage():
            return {"role": "tool", "content": text, "tool_call_id": message.tool_call_id}
        case ChatMessage() if message.role in _ROLES:
            return {"role": _ROLES[message.role], "content": text}
        case _:
            role = message.role if isinstance(message, ChatMessage) else message.type
            raise QuestionError(
                f"message {number} is of the kind {role!r}: use system, human, AI and tool messages"
            )


def _text(message: BaseMessage, number: int) -> str:
    if isinstance(message.content, str):
        return message.content
    texts = []
    for block in message.content:
        if isinstance(block, str):
            texts.append(block)
            continue
        # An ImagePromptValue gives nothing but the address of its image.
        kind = str(block.get("type", "image" if "url" in block else "untyped"))
        if kind == "text":
            texts.append(str(block.get("text", "")))
        elif not (isinstance(message, AIMessage) and kind in _NOT_SAID):
            what = "an image" if "image" in kind else f"a block of the kind {kind!r}"
            raise QuestionError(
                f"message {number} holds {what}: only text is supported, so leave it out or describe "
                "it in words"
            )
    return "".join(texts)
