"""From what LangChain passes around to a conversation: plain messages of text, checked."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, NotRequired

from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    MessageLikeRepresentation,
    SystemMessage,
    ToolCall,
    ToolMessage,
    convert_to_messages,
)
from langchain_core.prompt_values import PromptValue
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from et_agent.asking.passages import Context
from et_agent.asking.prompting import Question
from et_agent.errors import QuestionError
from et_agent.templates.messages import Message, MessageCall
from et_agent.validation import type_of

__all__ = ["Asked", "QuestionWithContext", "TreeInput", "asked_of", "conversation", "question_of"]

_Said = str | PromptValue | Sequence[MessageLikeRepresentation]


class QuestionWithContext(TypedDict):
    """A question and the passages that it is to be answered from."""

    question: str | list[AnyMessage]
    context: NotRequired[str | list[str | Document]]


TreeInput = _Said | Mapping[str, object]
"""A question, a prompt value or messages; or a `QuestionWithContext`, whose question is one of them."""

_ROLES: Final = {"user": "user", "human": "user", "assistant": "assistant", "ai": "assistant"} | {
    "system": "system",
    "developer": "system",
}
_NOT_SAID: Final = frozenset(
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
"""Blocks of an assistant's message that are not part of its text: thoughts, and calls, which stand
in `tool_calls` too."""


def conversation(value: _Said) -> list[Message]:
    """Messages as `role` ("system", "user", "assistant", "tool") and `content`, in order.

    An assistant's message with calls has `tool_calls` too, each {"id", "type": "function",
    "function": {"name", "arguments"}} with the arguments as a mapping, as chat templates want them;
    a tool's message has `tool_call_id`. Thoughts of an assistant's message, in its content or in
    `additional_kwargs["reasoning_content"]`, are its `reasoning_content`.
    A call whose arguments are not JSON is left out, and so is the message that answers it.

    Raises:
        QuestionError: Nothing is asked, something is not a message, holds more than text (images are
            not supported), or answers a call that nobody made.
    """
    messages = _messages(value)
    if not messages:
        raise QuestionError("there are no messages: pass at least one human message")
    calls: set[str | None] = set()
    malformed: set[str | None] = set()
    found: list[Message] = []
    for number, message in enumerate(messages, 1):
        plain = _plain(message, number)
        if isinstance(message, AIMessage):
            malformed.update(call.get("id") for call in message.invalid_tool_calls)
        calls.update(call.get("id") for call in plain.get("tool_calls", ()))
        if plain["role"] == "tool" and plain.get("tool_call_id") in malformed - calls:
            continue  # no template can show the call that it answers
        if plain["role"] == "tool" and plain.get("tool_call_id") not in calls:
            raise QuestionError(
                f"message {number} answers the tool call {plain['tool_call_id']!r}, which no message "
                "before it makes: keep the assistant's message with that call"
            )
        found.append(plain)
    return found


class Asked(NamedTuple):
    """What `submit` is to be asked.

    Attributes:
        question: The question or conversation.
        system: The system prompt; None for the default.
        context: The passages, not checked yet; None without.
    """

    question: Question
    system: str | None
    context: Context | None


def asked_of(value: TreeInput) -> Asked:
    """What is asked, and from which passages.

    Raises:
        QuestionError: As for `conversation`; a mapping has no question, or other keys than `question`
            and `context`.
    """
    if not isinstance(value, Mapping):
        return Asked(*question_of(value), None)
    unknown = sorted(map(str, value.keys() - {"question", "context"}))
    if unknown or "question" not in value:
        what = f"the key {', '.join(unknown)}" if unknown else "no question"
        raise QuestionError(
            f'the input has {what}: pass {{"question": …, "context": …}}, the context as a text or as '
            "a list of texts or documents"
        )
    context: Context | None = value.get("context")  # type: ignore[assignment] # checked when asked
    return Asked(*question_of(value["question"]), context)  # type: ignore[arg-type] # so is this


def question_of(value: _Said) -> tuple[Question, str | None]:
    """What `submit` is to be asked, and with which system prompt; None for the default.

    One human message is a question like a text, so that plain prompts can be made of it too;
    anything longer is passed on as a conversation, its system message in it.

    Raises:
        QuestionError: As for `conversation`.
    """
    messages = conversation(value)
    system = messages[0]["content"] if messages[0]["role"] == "system" else None
    rest = messages if system is None else messages[1:]
    if [one["role"] for one in rest] == ["user"]:
        return rest[0]["content"], system
    return messages, None if system is None else ""


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
        except Exception as error:  # it raises many kinds if it is not a message
            raise QuestionError(f"the messages cannot be read: {error}") from error
    raise QuestionError(
        f"{type_of(value)} is not a question: pass a text, messages or a prompt value"
    )


def _plain(message: BaseMessage, number: int) -> Message:
    text = _text(message, number)
    match message:
        case SystemMessage():
            return {"role": "system", "content": text}
        case HumanMessage():
            return {"role": "user", "content": text}
        case AIMessage():
            plain: Message = {"role": "assistant", "content": text}
            if thought := _thought(message):
                plain["reasoning_content"] = thought
            if message.tool_calls:
                plain["tool_calls"] = [_call(call) for call in message.tool_calls]
            return plain
        case ToolMessage():
            told: Message = {"role": "tool", "content": text, "tool_call_id": message.tool_call_id}
            if message.name:
                told["name"] = message.name
            return told
        case ChatMessage() if message.role in _ROLES:
            return {"role": _ROLES[message.role], "content": text}
        case _:
            role = message.role if isinstance(message, ChatMessage) else message.type
            raise QuestionError(
                f"message {number} is of the kind {role!r}: use system, human, AI and tool messages"
            )


def _thought(message: AIMessage) -> str:
    """What the model thought before it said it; empty for nothing."""
    given = message.additional_kwargs.get("reasoning_content")
    if isinstance(given, str):
        return given
    blocks = message.content if isinstance(message.content, list) else []
    texts = [
        block.get("reasoning", block.get("thinking"))
        for block in blocks
        if isinstance(block, dict) and block.get("type") in ("reasoning", "thinking")
    ]
    return "\n\n".join(text for text in texts if isinstance(text, str))


def _call(call: ToolCall) -> MessageCall:
    made: MessageCall = {
        "type": "function",
        "function": {"name": call["name"], "arguments": call["args"]},
    }
    if call["id"] is not None:
        made["id"] = call["id"]
    return made


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
            text = block.get("text")
            if not isinstance(text, str):
                raise QuestionError(
                    f"message {number} holds a text block whose text is {text!r}: give it a text, or "
                    "leave the block out"
                )
            texts.append(text)
        elif not (isinstance(message, AIMessage) and kind in _NOT_SAID):
            what = "an image" if "image" in kind else f"a block of the kind {kind!r}"
            raise QuestionError(
                f"message {number} holds {what}: only text is supported, so leave it out or describe "
                "it in words"
            )
    return "".join(texts)
