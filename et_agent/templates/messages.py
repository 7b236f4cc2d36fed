"""What is said in a conversation, tools and calls included, as plain data."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NotRequired, TypedDict

__all__ = ["FunctionCall", "Message", "MessageCall", "Tool", "ToolChoice", "with_examples"]

Tool = Mapping[str, Any]
"""A tool that the model may call, in OpenAI's form: `{"type": "function", "function": {"name": …,
"description": …, "parameters": JSON schema}}`."""
ToolChoice = str | Mapping[str, Any]
"""Whether tools are called, and which, in OpenAI's form."""


class FunctionCall(TypedDict):
    """Which function an assistant called, with which arguments by name."""

    name: str
    arguments: Mapping[str, Any]


class MessageCall(TypedDict):
    """A tool call in an assistant's message; a tool's message names its `id`."""

    id: NotRequired[str]
    type: NotRequired[str]
    function: FunctionCall


class Message(TypedDict):
    """A chat message.

    Roles are "system", "user", "assistant" and "tool". `content` is text, empty where an assistant
    only calls tools; a tool's is what the call gave, and `tool_call_id` names the call.
    `reasoning_content` is what an assistant thought before; templates show it or leave it out.
    """

    role: str
    content: str
    reasoning_content: NotRequired[str]
    tool_calls: NotRequired[Sequence[MessageCall]]
    tool_call_id: NotRequired[str]
    name: NotRequired[str]


def with_examples(instruction: str, examples: Iterable[tuple[Message, str]]) -> list[Message]:
    """A system prompt and what was asked and replied so far, to go before a question of the kind.

    Args:
        instruction: The system prompt.
        examples: What was asked, with the reply.
    """
    turns = ((asked, Message(role="assistant", content=reply)) for asked, reply in examples)
    return [Message(role="system", content=instruction), *(one for turn in turns for one in turn)]
