"""Conversations: checked before a model sees them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from et_agent.errors import QuestionError
from et_agent.templates.messages import Message, MessageCall
from et_agent.validation import plain_json, text_fault, type_of

__all__ = ["Conversation", "check_text", "is_conversation"]

_ROLES: Final = ("system", "user", "assistant", "tool")


def check_text(text: object, what: str = "the question") -> str:
    """Check that a text can be a question, and return it.

    Raises:
        QuestionError: It is not a string, is empty, or contains NUL bytes or invalid UTF-8.
    """
    checked = _readable(text, what)
    if not checked.strip():
        raise QuestionError(f"{what} is empty: pass some text")
    return checked


def _readable(text: object, what: str) -> str:
    if not isinstance(text, str):
        raise QuestionError(f"{what} is {type_of(text)}: pass a string")
    if (fault := text_fault(text)) is not None:
        raise QuestionError(f"{what} {fault}")
    return text


def is_conversation(question: object) -> bool:
    """Whether something given as a question is the messages of one conversation."""
    return (
        isinstance(question, Sequence)
        and not isinstance(question, str | bytes)
        and bool(question)
        and all(isinstance(one, Mapping) for one in question)
    )


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages that a model can answer.

    Attributes:
        messages: What was said.
        question: The text of the last user message.
        system: The text of the system messages that it begins with; empty without.
    """

    messages: tuple[Message, ...]
    question: str
    system: str

    @classmethod
    def of(cls, question: object) -> "Conversation":
        """That of a question, or of messages.

        Raises:
            QuestionError: There is no user message, a role is unknown, a text is missing, or a
                tool's message does not answer a call.
        """
        if isinstance(question, str) or not isinstance(question, Sequence):
            text = check_text(question)
            return cls(({"role": "user", "content": text},), text, "")
        if isinstance(question, bytes):
            check_text(question)
        messages = tuple(_message(one, number) for number, one in enumerate(question, 1))
        if not messages:
            raise QuestionError("the conversation is empty: add a user message")
        asked = [one["content"] for one in messages if one["role"] == "user"]
        if not asked:
            only = (
                " only system messages" if messages[-1]["role"] == "system" else " no user message"
            )
            raise QuestionError(f"the conversation has{only}: add a user message")
        check_text(asked[-1], "the last user message")
        _check_calls(messages)
        head = [one["content"] for one in messages[: _leading_systems(messages)]]
        return cls(messages, asked[-1], "\n\n".join(filter(None, head)))

    @property
    def single(self) -> bool:
        """Whether it is one question, with nothing said before but system messages."""
        later = self.messages[_leading_systems(self.messages) :]
        return [one["role"] for one in later] == ["user"]

    @property
    def informed(self) -> bool:
        """Whether more than turns came before: what tools replied, or later system messages."""
        later = self.messages[_leading_systems(self.messages) :]
        return any(one["role"] in ("tool", "system") for one in later)

    @property
    def begun(self) -> str:
        """The assistant's text with which it ends and the reply goes on; empty for none."""
        last = self.messages[-1]
        begins = last["role"] == "assistant" and not last.get("tool_calls")
        return last["content"] if begins else ""

    @property
    def without_beginning(self) -> "Conversation":
        """The same without that text."""
        return replace(self, messages=self.messages[:-1]) if self.begun else self

    def with_question(self, text: str) -> "Conversation":
        """With another text in its last user message."""
        last = max(at for at, one in enumerate(self.messages) if one["role"] == "user")
        changed: Message = {**self.messages[last], "content": text}
        messages = (*self.messages[:last], changed, *self.messages[last + 1 :])
        return replace(self, messages=messages, question=text)

    @property
    def given(self) -> str:
        """What a reply may quote: what users and tools said, passages among it.

        System messages say how to reply, with the very words that answers are then written in.
        """
        others = (one for one in self.messages if one["role"] in ("user", "tool"))
        return "\n".join(one["content"] for one in others if one["content"])

    def shown_as(self, text: str) -> "Conversation":
        """The same question, with another text in the last user message for the model to see."""
        return replace(self.with_question(text), question=self.question)

    def with_system(self, text: str) -> "Conversation":
        """With a text at the end of its first system message, made where there is none."""
        if not text:
            return self
        if self.messages[0]["role"] == "system":
            first, rest = self.messages[0]["content"], self.messages[1:]
            content = f"{first}\n\n{text}" if first else text
        else:
            content, rest = text, self.messages
        system = f"{self.system}\n\n{text}" if self.system else text
        made: Message = {"role": "system", "content": content}
        return replace(self, messages=(made, *rest), system=system)


def _leading_systems(messages: Sequence[Message]) -> int:
    roles = [one["role"] for one in messages]
    return next(at for at, role in enumerate(roles) if role != "system")


def _message(given: Any, number: int) -> Message:
    what = f"message {number}"
    if not isinstance(given, Mapping):
        raise QuestionError(f"{what} is {type_of(given)}: use {{'role': 'user', 'content': '…'}}")
    role = given.get("role")
    if role not in _ROLES:
        raise QuestionError(f"{what} has the role {role!r}: use one of {', '.join(_ROLES)}")
    content = given.get("content")
    if isinstance(content, Sequence) and not isinstance(content, str | bytes):
        raise QuestionError(
            f"{what} consists of parts, but only text is supported, no images or files: pass one "
            "string"
        )
    calls = given.get("tool_calls") or ()
    made: Message = {"role": role, "content": ""}
    if content is not None or not calls:
        made["content"] = _readable(content, f"the content of {what}")
    if calls:
        if role != "assistant":
            raise QuestionError(
                f"{what} has tool_calls, which only an assistant's message may have: remove them"
            )
        if not isinstance(calls, Sequence) or isinstance(calls, str | bytes):
            raise QuestionError(
                f"the tool_calls of {what} are {type_of(calls)}: pass a list of calls"
            )
        made["tool_calls"] = [_call(call, what) for call in calls]
    if given.get("reasoning_content") and role == "assistant":
        what_thought = f"the reasoning_content of {what}"
        made["reasoning_content"] = _readable(given["reasoning_content"], what_thought)
    for key in ("tool_call_id", "name"):
        if given.get(key) is not None:
            made[key] = _readable(given[key], f"{key} of {what}")
    return made


def _call(given: Any, what: str) -> MessageCall:
    try:
        function = given["function"]
        name, arguments = function["name"], function["arguments"]
    except (KeyError, TypeError) as error:
        lacking = error if isinstance(error, KeyError) else "a function"
        raise QuestionError(
            f"a tool call of {what} lacks {lacking}: use {{'id': …, 'function': {{'name': …, "
            "'arguments': {…}}}"
        ) from error
    if not isinstance(arguments, Mapping):
        raise QuestionError(
            f"the arguments of a tool call of {what} are {type_of(arguments)}: pass a dict of "
            "arguments by name"
        )
    plain = plain_json(arguments, f"a tool call of {what}", error=QuestionError)
    made: MessageCall = {
        "type": "function",
        "function": {
            "name": check_text(name, f"the tool's name in {what}"),
            "arguments": plain,
        },
    }
    if given.get("id") is not None:
        made["id"] = _readable(given["id"], f"the id of a tool call of {what}")
    return made


def _check_calls(messages: Sequence[Message]) -> None:
    """Every tool's message has to answer a call of the assistant's message before it."""
    made: list[str | None] = []
    for number, message in enumerate(messages, 1):
        if message["role"] != "tool":
            made = [call.get("id") for call in message.get("tool_calls", ())]
            continue
        wanted = message.get("tool_call_id")
        if not made or (wanted is not None and None not in made and wanted not in made):
            which = "a call" if wanted is None else f"the call {wanted!r}"
            raise QuestionError(
                f"message {number} is a tool's result for {which}, which the assistant's message "
                "before it does not make: add that message with its tool_calls"
            )
