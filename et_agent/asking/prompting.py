"""From what was asked to a prompt: everything that is checked before a token is decoded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from et_agent.answers import AnswerKind, guess_kind, instruction
from et_agent.answers.joining import JOINED_KINDS
from et_agent.answers.kinds import ANSWER_MARKER, DIRECT_INSTRUCTION, answer_kind
from et_agent.answers.stops import StopSequences
from et_agent.asking.calling import CallForm, JsonForm, call_form
from et_agent.asking.conversation import Conversation
from et_agent.asking.lettered import lettered_prompt
from et_agent.asking.options import AskOptions, Chat, Same, checked_schema
from et_agent.asking.passages import (
    checked_passages,
    passage_instruction,
    question_with_passages,
    shown_passages,
)
from et_agent.asking.sampled import chain_decoder, checked_form, sample_request
from et_agent.asking.spoken import spoken
from et_agent.asking.thinking import Thinking
from et_agent.decoding.base import DecoderSettings
from et_agent.decoding.constraint import Constraint
from et_agent.decoding.direct import Direct, Lettered
from et_agent.decoding.schedules import EntropyTree
from et_agent.decoding.thinking import (
    ThinkingConstraint,
    Thoughts,
    thought_ending,
    unthinking_tokens,
)
from et_agent.engines.base import LanguageModel
from et_agent.engines.sampled import AnyModel, SampledModel, SampleRequest
from et_agent.errors import PromptTooLongError, SettingsError
from et_agent.templates.messages import Message, Tool
from et_agent.validation import MOST_CHARACTERS

__all__ = ["PreparedPrompt", "Question"]

Question = str | Sequence[Message]
"""A question, or a conversation whose last user message is to be answered."""

PASSAGE_DECODER: Final = EntropyTree(leaves=8)
"""The default decoder of answers out of passages; their general map was fitted on such trees."""
LONG_DECODER: Final = EntropyTree(leaves=6, schedule="stratified", temperature=0.5)
"""The default decoder of long answers. Leaves that part late say the same in the same words, so
nothing is forked."""
_LONGEST_TOKEN: Final = 32
"""Characters per token that no text has on average; words have four."""
PLAIN_STOP: Final = "\nQuestion:"
"""Where a base model, done with its answer, begins another question of its own."""


@dataclass(frozen=True, slots=True)
class PreparedPrompt:
    """A question that was checked, as the model gets it.

    Attributes:
        conversation: What was said, system prompt and passages included.
        passages: What is to be answered from; none if the model is asked alone.
        copied: Whether the answer is words only because it stands in passages.
        kind: The answer kind that was asked for.
        reading_kind: The same, or what the question suggests.
        chat: Whether the model's chat template is used.
        stops: What ends a path in words.
        own_stops: Whether the caller gave stop sequences; a plain prompt has one anyway.
        form: The form that replies have, or may have; None for words only.
        prompt: Prompt tokens; none for models that give whole replies.
        sampled: What those are asked.
        constraint: The grammar of the form.
        decoder: What decodes it.
        lettered: How the prompt goes on for each order of the options; None if these are not read.
        tools: Names of the tools that were passed.
        template_options: Options that the chat template got.
        max_thinking_tokens: Tokens after which a thought is closed; None where the model thinks not.
        thoughts: Tells thoughts and answers apart; None where the model has no thoughts.
        spoken: The model as its replies are read: with texts for control tokens that calls consist of.
        begun: The assistant's text that the reply goes on with; empty for none.
        same: Which answers are one.
    """

    conversation: Conversation
    passages: tuple[str, ...]
    copied: bool
    kind: AnswerKind
    reading_kind: AnswerKind
    chat: Chat
    stops: StopSequences
    own_stops: bool
    form: JsonForm | CallForm | None
    prompt: list[int]
    sampled: SampleRequest | None
    constraint: Constraint | None
    decoder: DecoderSettings
    lettered: Lettered | None
    tools: tuple[str, ...]
    template_options: Mapping[str, Any]
    max_thinking_tokens: int | None
    thoughts: Thoughts | None
    spoken: AnyModel
    begun: str
    same: Same

    @classmethod
    def of(cls, model: AnyModel, question: Question, options: AskOptions) -> "PreparedPrompt":
        """Check a question and prepare its prompt; errors as for `submit`."""
        conversation = Conversation.of(question)
        if options.chat == "plain" and not isinstance(question, str):
            raise SettingsError("conversations and tools need the chat template: use chat='model'")
        passages = checked_passages(options.context)
        _check_length(model, conversation, passages)
        kind = reading_kind = answer_kind(options.kind)
        copied = False
        if kind is AnswerKind.AUTO:
            reading_kind = guess_kind(conversation.question).kind
            copied = bool(passages) and reading_kind is not AnswerKind.CHOICE
            if copied:  # numbers too
                kind = reading_kind = AnswerKind.TEXT
        thinking = Thinking.of(model, options)
        shown, calls = call_form(
            model, options.tools, options.tool_choice, parallel=options.parallel_tool_calls
        )
        form = calls if options.schema is None else JsonForm(checked_schema(options.schema))
        if isinstance(model, SampledModel):
            form, decoder = checked_form(form), chain_decoder(options)
            if reading_kind is AnswerKind.LONG and form is None:
                _check_votes(decoder)
        else:
            if isinstance(form, CallForm) and not form.free:
                thinking = thinking.before_calls()
            decoder = _decoder(options, conversation, reading_kind, form, thinks=thinking.thinks)
        direct = isinstance(decoder, Direct)
        system_prompt = options.system_prompt
        if system_prompt is None and passages:
            system_prompt = passage_instruction(reading_kind)
        elif system_prompt is None:
            system_prompt = _default_system(conversation, form, reading_kind, direct=direct)
        conversation = conversation.with_system(system_prompt)
        stops = StopSequences(
            [*options.stop, PLAIN_STOP] if options.chat == "plain" else options.stop
        )
        if form is None or (isinstance(form, CallForm) and form.free):
            _check_stops(stops, conversation)

        shown_conversation = conversation.shown_as(
            question_with_passages(passages, conversation.question)
        )
        tokens = _Tokens([])
        sampled: SampleRequest | None = None
        if isinstance(model, LanguageModel):
            tokens = _tokens(model, conversation, passages, shown, options, thinking, decoder, form)
        else:
            sampled = sample_request(shown_conversation, options, decoder, form, shown, stops)
        return cls(
            conversation=shown_conversation,
            passages=passages,
            copied=copied,
            kind=kind,
            reading_kind=reading_kind,
            chat=options.chat,
            stops=stops,
            own_stops=bool(options.stop),
            form=form,
            constraint=tokens.constraint,
            prompt=tokens.prompt,
            sampled=sampled,
            tools=tuple(tool["function"]["name"] for tool in options.tools),
            decoder=decoder,
            lettered=tokens.lettered,
            template_options=thinking.template,
            max_thinking_tokens=None if direct else thinking.limit,
            thoughts=tokens.thoughts,
            spoken=tokens.spoken or model,
            begun=conversation.begun,
            same=options.same or ("words" if passages else "tests"),
        )

    def going_on_with(self, model: LanguageModel, text: str) -> list[int]:
        """Tokens of the prompt with a text behind its last message; the reply follows at once."""
        *earlier, last = self.conversation.without_beginning.messages
        asked: Message = {**last, "content": f"{last['content']}\n\n{text}"}
        return unthinking_tokens(model, [*earlier, asked], self.template_options)

    @property
    def expected_form(self) -> str:
        """The form of the answer, as far as it is known beforehand."""
        if isinstance(self.form, JsonForm):
            return "json"
        if self.form is not None and not self.form.free:
            return "tool_call"
        return self.reading_kind.value

    def same_for(self, form: str) -> str:
        """Name of what makes answers of a form one; answers of most forms are compared by value."""
        if self.form is not None or form not in JOINED_KINDS:
            return "words"
        return self.same if isinstance(self.same, str) else self.same.name

    @property
    def instruction(self) -> str:
        """The system prompt; empty for none."""
        return self.conversation.system


@dataclass(frozen=True, slots=True)
class _Tokens:
    """A prompt in tokens, with what holds for the tokens that follow it; see `PreparedPrompt`."""

    prompt: list[int]
    spoken: LanguageModel | None = None
    constraint: Constraint | None = None
    lettered: Lettered | None = None
    thoughts: Thoughts | None = None


def _tokens(
    model: LanguageModel,
    conversation: Conversation,
    passages: Sequence[str],
    shown: Sequence[Tool],
    options: AskOptions,
    thinking: Thinking,
    decoder: DecoderSettings,
    form: JsonForm | CallForm | None,
) -> _Tokens:
    reads = spoken(model, form.format) if isinstance(form, CallForm) else model

    def tokens_of(text: str) -> list[int]:
        asked = conversation.with_question(text)
        return _prompt(model, asked, passages, shown, options.chat, thinking.template)

    lettered: Lettered | None = None
    thoughts: Thoughts | None = None
    if isinstance(decoder, Direct):
        prompt, lettered = lettered_prompt(
            model, conversation.question, lambda text: _ended(model, tokens_of(text), thinking)
        )
    else:
        prompt = tokens_of(conversation.question)
        thoughts = thinking.thoughts(reads, prompt, decoder.max_tokens)
    constraint = None if form is None else form.constraint(model)
    if thoughts is not None:
        constraint = ThinkingConstraint(model, thoughts, prompt, constraint)
    return _Tokens(prompt, reads, constraint, lettered, thoughts)


def _check_length(model: AnyModel, conversation: Conversation, passages: Sequence[str]) -> None:
    """Refuse what no context holds before anything reads it: kinds are guessed, templates rendered."""
    size = sum(len(one["content"]) for one in conversation.messages) + sum(map(len, passages))
    what = "the question and its passages have" if passages else "the question has"
    if not isinstance(model, LanguageModel):
        if size > MOST_CHARACTERS:
            raise PromptTooLongError(
                f"{what} {size} characters: shorten it to {MOST_CHARACTERS} or fewer"
            )
    elif size > model.info.context * _LONGEST_TOKEN:
        raise PromptTooLongError(
            f"{what} {size} characters, more than the context of {model.info.context} tokens can hold: "
            f"{'give fewer passages' if passages else 'shorten it'}, or use a larger context"
        )


def _decoder(
    options: AskOptions,
    conversation: Conversation,
    kind: AnswerKind,
    form: JsonForm | CallForm | None,
    *,
    thinks: bool,
) -> DecoderSettings:
    """The decoder that was asked for, or the default.

    Letters are read directly where the prompt is et-agent's own: reasoning makes small models worse at
    choices (docs/confidence.md). Models that were trained to think first do so before choices too.
    """
    if kind is AnswerKind.LONG and form is None and options.decoder is not None:
        _check_votes(options.decoder)
    if options.context is not None:
        if isinstance(options.decoder, Direct):
            raise SettingsError(
                "Direct reads the letters of options, none of which can say that the passages do not "
                "hold the answer: use another decoder, or leave out the context"
            )
        if options.decoder is None:
            return LONG_DECODER if kind is AnswerKind.LONG else PASSAGE_DECODER
        return options.decoder
    if options.decoder is None:
        if kind is AnswerKind.LONG and form is None:
            return LONG_DECODER
        own = options.system_prompt is not None or conversation.system
        direct = kind is AnswerKind.CHOICE and form is None and not own and not thinks
        return Direct() if direct else EntropyTree()
    if isinstance(options.decoder, Direct):
        if form is not None:
            raise SettingsError(
                "Direct reads the letters of options: leave out the tools or the schema, or use "
                "another decoder"
            )
        if kind is not AnswerKind.CHOICE:
            raise SettingsError(
                f"Direct reads the letters of options, and the question is asked as {kind.value}: "
                'write the options on lines of their own, such as "A) …", or use another decoder'
            )
        if options.thinking == "on" or options.max_thinking_tokens is not None:
            raise SettingsError(
                "Direct reads the letters of options without a thought before them: leave out thinking "
                "and max_thinking_tokens, or use another decoder"
            )
    return options.decoder


def _check_votes(decoder: DecoderSettings) -> None:
    """Refuse to stop by votes where there are none."""
    given = [name for name in sorted(decoder.stopping) if getattr(decoder, name) is not None]
    if given:
        raise SettingsError(
            f"long answers are not voted on, so nothing tells when to stop: leave out "
            f"{', '.join(given)}, or use another kind"
        )


def _default_system(
    conversation: Conversation,
    form: JsonForm | CallForm | None,
    kind: AnswerKind,
    *,
    direct: bool,
) -> str:
    if isinstance(form, JsonForm):
        return form.instruction
    if conversation.system or form is not None:
        return ""  # a prompt of the caller's own, or the template's for tools
    return DIRECT_INSTRUCTION if direct else instruction(kind)


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


def _ended(model: LanguageModel, prompt: list[int], thinking: Thinking) -> list[int]:
    """A prompt after which the answer follows at once."""
    return prompt if thinking.form is None else [*prompt, *thought_ending(model, prompt)]


def _prompt(
    model: LanguageModel,
    conversation: Conversation,
    passages: Sequence[str],
    tools: Sequence[Tool],
    chat: Chat,
    template: Mapping[str, Any],
) -> list[int]:
    if chat == "plain":
        head = [conversation.system] if conversation.system else []
        if passages:
            head.append(shown_passages(passages))
        asked = f"Question: {conversation.question}\nAnswer:"
        return model.plain_tokens("\n\n".join([*head, asked]))
    asked = question_with_passages(passages, conversation.question)
    messages = conversation.with_question(asked).messages
    if template:
        return model.chat_tokens(messages, tools, template)
    return model.chat_tokens(messages, tools) if tools else model.chat_tokens(messages)
