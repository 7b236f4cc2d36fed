"""From what was asked to a prompt: everything that is checked before a token is decoded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from et_agent.answers import AnswerKind, guess_kind, instruction
from et_agent.answers.kinds import ANSWER_MARKER
from et_agent.answers.stops import StopSequences
from et_agent.calling import CallForm, JsonForm, call_form
from et_agent.conversation import Conversation, check_text
from et_agent.engines.base import Constraint, LanguageModel
from et_agent.errors import SettingsError
from et_agent.reporting import path_text
from et_agent.templates.messages import Message, Tool

__all__ = ["Asked", "Chat", "Question", "answer_kind"]

Chat = Literal["model", "plain"]
Question = str | Sequence[Message]
"""A question, or a conversation whose last user message is to be answered."""

PLAIN_STOP: Final = "\nQuestion:"
"""Where a base model, done with its answer, begins another question of its own."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that was checked.

    Attributes:
        conversation: What was said, system prompt included.
        kind: The answer kind that was asked for.
        reading_kind: The same, or what the question suggests.
        chat: Whether the model's chat template is used.
        stops: What ends a path in words.
        form: The form that replies have, or may have; None for words only.
        prompt: Prompt tokens.
        constraint: The grammar of the form.
    """

    conversation: Conversation
    kind: AnswerKind
    reading_kind: AnswerKind
    chat: Chat
    stops: StopSequences
    form: JsonForm | CallForm | None
    prompt: list[int]
    constraint: Constraint | None

    @classmethod
    def of(
        cls,
        model: LanguageModel,
        question: Question,
        *,
        kind: AnswerKind | str,
        system_prompt: str | None,
        chat: Chat,
        tools: Sequence[Tool] = (),
        tool_choice: str = "auto",
        schema: Mapping[str, Any] | None = None,
        stop: Sequence[str] = (),
    ) -> "Asked":
        """Check a question; arguments and errors as for `submit`."""
        conversation = Conversation.of(question)
        if system_prompt:
            check_text(system_prompt, "the system prompt")
        wanted = answer_kind(kind)
        if chat not in get_args(Chat):
            raise SettingsError(f"chat is {chat!r}: use 'model' or 'plain'")
        if chat == "plain" and (tools or not isinstance(question, str)):
            raise SettingsError("conversations and tools need the chat template: use chat='model'")
        if schema is not None and tools:
            raise SettingsError("tools and a schema exclude each other: pass one of them")
        reading = guess_kind(conversation.question).kind if wanted is AnswerKind.AUTO else wanted
        shown, form = call_form(model, tools, tool_choice) if tools else ((), None)
        if not tools and tool_choice not in ("auto", "none"):
            call_form(model, tools, tool_choice)
        structured = form if schema is None else JsonForm(schema)
        if system_prompt is None:
            if isinstance(structured, JsonForm):
                system_prompt = structured.instruction
            elif conversation.system or structured is not None:
                system_prompt = ""  # a prompt of the caller's own, or the template's for tools
            else:
                system_prompt = instruction(reading)
        conversation = conversation.with_system(system_prompt)
        stops = StopSequences([*stop, PLAIN_STOP] if chat == "plain" else stop)
        if structured is None or (isinstance(structured, CallForm) and structured.free):
            _check_stops(stops, conversation)
        constraint = None if structured is None else structured.constraint(model)
        return cls(
            conversation=conversation,
            kind=wanted,
            reading_kind=reading,
            chat=chat,
            stops=stops,
            form=structured,
            prompt=_prompt(model, conversation, shown, chat),
            constraint=constraint,
        )

    @property
    def instruction(self) -> str:
        """The system prompt; empty for none."""
        return self.conversation.system

    def ends(self, model: LanguageModel, tokens: Sequence[int]) -> bool:
        """Whether a path has ended although its last token ends no generation.

        Structured replies end where their grammar leaves nothing but a space to say. Stop sequences
        are not looked for in them: a call that is cut off is of no use.
        """
        if self.form is not None:
            text = path_text(model, tokens)
            if self.form.begins(text):
                return self.form.ends(text)
        if not self.stops:
            return False
        return self.stops.within(_tail(model, tokens, self.stops.longest))


def _tail(model: LanguageModel, tokens: Sequence[int], size: int) -> bytes:
    """The last bytes of a path: its last token's and at least `size` - 1 before."""
    text = model.token_bytes(tokens[-1])
    wanted = len(text) + size - 1
    for token in reversed(tokens[:-1]):
        if len(text) >= wanted:
            break
        text = model.token_bytes(token) + text
    return text


def answer_kind(kind: AnswerKind | str) -> AnswerKind:
    """The kind of a name.

    Raises:
        SettingsError: There is none.
    """
    try:
        return AnswerKind(kind)
    except ValueError as error:
        kinds = ", ".join(AnswerKind)
        raise SettingsError(f"there is no answer kind {kind!r}: choose one of {kinds}") from error


def _check_stops(stops: StopSequences, conversation: Conversation) -> None:
    """Refuse to cut off an answer that the prompt asks to be marked."""
    stop = stops.within_marker()
    wanted = any(
        ANSWER_MARKER.rstrip("{") in message["content"]
        for message in conversation.messages
        if message["role"] in ("system", "user")
    )
    if wanted and stop is not None:
        raise SettingsError(
            f"the stop sequence {stop!r} would end paths before the answer, which the prompt wants "
            f"behind {ANSWER_MARKER}: use another one, or a prompt that asks for no box "
            "(system_prompt='' leaves out the instruction)"
        )


def _prompt(
    model: LanguageModel, conversation: Conversation, tools: Sequence[Tool], chat: Chat
) -> list[int]:
    if chat == "plain":
        head = f"{conversation.system}\n\n" if conversation.system else ""
        return model.plain_tokens(f"{head}Question: {conversation.question}\nAnswer:")
    if tools:
        return model.chat_tokens(conversation.messages, tools)
    return model.chat_tokens(conversation.messages)
