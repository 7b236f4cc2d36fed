"""What can be set when a question is asked: one frozen object, handed on whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypedDict, Unpack, get_args

from et_agent.answers import AnswerKind
from et_agent.answers.joining import Equivalence
from et_agent.answers.kinds import answer_kind
from et_agent.answers.stops import StopSequences
from et_agent.asking.conversation import check_text
from et_agent.asking.decision_rule import DecisionRule
from et_agent.asking.passages import Context, checked_passages
from et_agent.calibration import Calibrator
from et_agent.decoding.base import Decoder, DecoderSettings
from et_agent.decoding.thresholds import Thresholds
from et_agent.engines.sampled import AnyModel
from et_agent.errors import SettingsError
from et_agent.templates.messages import Tool, ToolChoice
from et_agent.validation import DEEPEST, plain_json, shown, type_of

__all__ = [
    "DEFAULTS",
    "MOST_ALTERNATIVES",
    "AskKeywords",
    "AskOptions",
    "Calibration",
    "Chat",
    "PilotKeywords",
    "PromptKeywords",
    "Same",
    "ThinkingKeywords",
    "ThinkingMode",
    "check_model",
    "checked_options",
    "checked_schema",
]

MOST_ALTERNATIVES: Final = 50
"""The most `alternatives` per token."""
Calibration = Calibrator | Literal["auto"] | None
"""A calibrator; "auto" for one that matches model, decoder and prompt, if there is one; or None."""
Chat = Literal["model", "plain"]
"""The model's own chat template, or a plain prompt."""
ThinkingMode = Literal["auto", "on", "off"]
"""Whether the model thinks before it answers; "auto" for what its chat template does by itself."""

Same = Literal["meaning", "tests", "words"] | Equivalence
"""Which answers are one: of one meaning, by tests of words alone, of the same words, or by a judge."""


class PilotKeywords(TypedDict, total=False):
    """Those fields of `AskOptions`, as keywords, that pilots have too."""

    seed: int
    system_prompt: str | None
    chat: Chat


class ThinkingKeywords(TypedDict, total=False):
    """Those that are about thoughts."""

    thinking: ThinkingMode
    template_options: Mapping[str, Any]
    max_thinking_tokens: int | None


class PromptKeywords(PilotKeywords, ThinkingKeywords, total=False):
    """Those that evaluations have too."""


class AskKeywords(PromptKeywords, total=False):
    """The fields of `AskOptions` as keywords."""

    context: Context | None
    decoder: DecoderSettings | None
    kind: AnswerKind | str
    thresholds: Thresholds | None
    calibrator: Calibration
    tools: Sequence[Tool]
    tool_choice: ToolChoice
    parallel_tool_calls: bool
    schema: Mapping[str, Any] | None
    stop: Sequence[str]
    attention: bool
    decides: DecisionRule | None
    same: Same | None
    alternatives: int


# A dataclass, since `schema` would hide a method of pydantic's models.
@dataclass(frozen=True, kw_only=True)
class AskOptions:
    r"""How a question is answered.

    Attributes:
        context: Passages to answer from: a text, or several, or documents with `page_content`. The
            model is then told to answer from them alone, and to say so if they do not hold the answer.
            If most of the weight says so, the result has `declined` and no answer. `auto` reads words
            then, but for a question with lettered options.
        decoder: An `EntropyTree`, `MultiChain`, `Greedy` or `Direct`. If None, `EntropyTree(leaves=8)`
            with a context, `Direct()` for a question with lettered options and without a system
            prompt, else `EntropyTree()`.
        kind: What an answer is, an `AnswerKind` by its name: "number", "text", "long"; "auto" guesses.
        seed: Random seed, at least 0. The same seed, model and machine give the same tree.
        system_prompt: Replaces the default instruction; "" for none. The default is the instruction of
            the answer kind, or the schema if there is one. A conversation with a system message or
            with tools has no default. The prompt is added after the conversation's system message.
        chat: "model" for the model's own chat template, "plain" for a plain prompt.
        thresholds: Pilot thresholds; found by the model's fingerprint if None.
        calibrator: Gives the confidence; "auto" finds the one that applies to model, decoder and
            prompt, if there is any. Calibrators apply to questions answered in words.
        tools: Tools that the model may call, in OpenAI's form. Equal calls with equal arguments are
            one answer.
        tool_choice: "auto" lets the model call a tool or answer in words, "any" or "required" makes it
            call one, "none" hides them, a tool's name makes it call that. The four words are never
            names: `{"type": "function", "function": {"name": "any"}}` names such a tool. Calls
            fit the tool's schema: the tree forks among valid continuations only.
        parallel_tool_calls: Whether a reply may make several calls; it never does if a tool is named.
        schema: A JSON schema that the reply has to fit; equal JSON is one answer.
        stop: Texts that end a path in words and are cut off it. One that ends a path within
            `\boxed{}` closes the box if it can ("}"); else the path gives no answer. One that ends
            paths at `\boxed{` already is refused if the prompt asks for a box.
        attention: Read attention, which slows decoding down, for the tree's `received` and
            `prompt_attention` and for the features that need it. It is also read if the
            decoder's forks or the calibrator depend on it.
        decides: What is decided from the result, such as a `GatePolicy`, for decoders with `stop_risk`.
            Gates set it. None if the answer is what matters.
        thinking: "on" or "off" for models whose chat template has a switch for thoughts; "auto" leaves
            it to the template. Thoughts are no answers: answers are read, and a schema or tools hold,
            from the end of the thought on.
        template_options: Options of the chat template by name, such as {"reasoning_effort": "low"}.
        max_thinking_tokens: Tokens of a thought, after which it is closed as the template closes it; 0
            leaves it empty. None for 1,024. `max_tokens` of the decoder counts the answer alone.
        same: Which answers of kind "text", "date", "list" and "yes_no" are one. "words": those that are
            equal but for case, articles and punctuation. "meaning": also those that say the same in
            other words, by tests of the words and, where these do not tell, by what the model says of
            them. An `Equivalence` is asked in place of the model. "tests" asks neither. None for
            "tests" without a context and "words" with one.
        alternatives: Most likely tokens that the tree carries for every token, with the tokens' texts,
            for `Node.alternatives` and `Node.pieces`; at most 50. 0 carries neither.

    Raises:
        SettingsError: One of them is out of range or contradicts another one, whatever the question
            and the model.
        QuestionError: The system prompt is not a text, or the context holds no passage or one that is
            none.
    """

    context: Context | None = None
    decoder: DecoderSettings | None = None
    kind: AnswerKind | str = AnswerKind.AUTO
    seed: int = 0
    system_prompt: str | None = None
    chat: Chat = "model"
    thresholds: Thresholds | None = None
    calibrator: Calibration = "auto"
    tools: Sequence[Tool] = ()
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool = True
    schema: Mapping[str, Any] | None = None
    stop: Sequence[str] = ()
    attention: bool = False
    decides: DecisionRule | None = None
    thinking: ThinkingMode = "auto"
    template_options: Mapping[str, Any] = field(default_factory=dict)
    max_thinking_tokens: int | None = None
    same: Same | None = None
    alternatives: int = 0

    def __post_init__(self) -> None:
        _check_seed(self.seed)
        if self.system_prompt is not None and not _is_one_of(self.system_prompt, ("",)):
            check_text(self.system_prompt, "the system prompt")
        given: object = self.tools
        if not isinstance(given, Sequence) or isinstance(given, str | bytes):
            raise SettingsError(f"tools is {type_of(given)}: pass a list of tools")
        if checked_passages(self.context) and (self.tools or self.schema is not None):
            raise SettingsError(
                "a context is for answers in words: leave out the tools or the schema, or write the "
                "passages into the question"
            )
        answer_kind(self.kind)
        if not _is_one_of(self.chat, get_args(Chat)):
            raise SettingsError(f"chat is {shown(self.chat)}: use 'model' or 'plain'")
        if self.chat == "plain" and self.tools:
            raise SettingsError("conversations and tools need the chat template: use chat='model'")
        if self.schema is not None and not isinstance(self.schema, Mapping):
            raise SettingsError(f"schema is {type_of(self.schema)}: pass a JSON schema as a dict")
        if self.schema is not None:
            checked_schema(self.schema)
        if self.schema is not None and self.tools:
            raise SettingsError("tools and a schema exclude each other: pass one of them")
        self._check_thinking()
        StopSequences(self.stop)
        known = self.same is None or _is_one_of(self.same, ("meaning", "tests", "words"))
        if not known and not isinstance(self.same, Equivalence):
            raise SettingsError(
                f"same is {shown(self.same)}: use 'meaning', 'tests', 'words', or an object with a "
                "name and same(question, pairs) (et_agent.answers.joining.Equivalence)"
            )
        _check_alternatives(self.alternatives)
        _check_calibrator(self.calibrator)
        if self.decoder is not None and not isinstance(self.decoder, Decoder):
            raise SettingsError(
                f"{type(self.decoder).__name__} is not a decoder: it has no start()"
            )

    def _check_thinking(self) -> None:
        if not _is_one_of(self.thinking, get_args(ThinkingMode)):
            raise SettingsError(f"thinking is {shown(self.thinking)}: use 'auto', 'on' or 'off'")
        _check_template_options(self.template_options)
        limit = self.max_thinking_tokens
        if limit is not None and (
            isinstance(limit, bool) or not isinstance(limit, int) or limit < 0
        ):
            raise SettingsError(
                f"max_thinking_tokens is {shown(limit)}: use a whole number of 0 or more, or None"
            )
        if limit is not None and self.thinking == "off":
            raise SettingsError(
                "max_thinking_tokens limits thoughts, and thinking='off' has none: leave one out"
            )
        if self.chat == "plain" and (
            self.thinking == "on" or self.template_options or limit is not None
        ):
            raise SettingsError(
                "thinking, template_options and max_thinking_tokens need the chat template: use "
                "chat='model'"
            )

    def changed(self, **changes: Unpack[AskKeywords]) -> "AskOptions":
        """The same with other settings.

        Raises:
            InputError: See the class.
        """
        return replace(self, **changes) if changes else self


def checked_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a JSON schema, in plain types.

    Raises:
        SettingsError: It is not JSON, or too large.
    """
    copied: dict[str, Any] = plain_json(schema, "the JSON schema", deepest=2 * DEEPEST)
    return copied


def _check_template_options(options: object) -> None:
    if not isinstance(options, Mapping) or not all(isinstance(one, str) for one in options):
        raise SettingsError(
            f"template_options is {shown(options)}: pass a dict of the chat template's options by name"
        )
    plain_json(options, "template_options")


def _is_one_of(value: object, names: tuple[str, ...]) -> bool:
    return isinstance(value, str) and value in names


def _check_seed(seed: object) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise SettingsError(f"seed is {shown(seed)}: use a whole number of 0 or more")


def _check_alternatives(count: object) -> None:
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MOST_ALTERNATIVES:
        raise SettingsError(
            f"alternatives is {shown(count)}: use a whole number from 0 to {MOST_ALTERNATIVES}"
        )


def _check_calibrator(calibrator: object) -> None:
    known = calibrator is None or _is_one_of(calibrator, ("auto",))
    if not isinstance(calibrator, Calibrator) and not known:
        raise SettingsError(
            f"calibrator is {shown(calibrator)}: pass a Calibrator (Calibrator.load reads a file), "
            "'auto' or None"
        )


DEFAULTS: Final = AskOptions()


def checked_options(options: object) -> AskOptions:
    """Options, if they are.

    Raises:
        SettingsError: They are something else.
    """
    if not isinstance(options, AskOptions):
        raise SettingsError(
            f"options is {type_of(options)}: pass an AskOptions, or its fields by name"
        )
    return options


def check_model(model: object) -> None:
    """Refuse what is no model.

    Raises:
        SettingsError: It is none.
    """
    if isinstance(model, type) or not isinstance(model, AnyModel):
        raise SettingsError(
            f"the model is {type_of(model)}: pass what load_model returns, or an object with "
            "the methods of LanguageModel or SampledModel"
        )
