"""OpenAI's interface as data: what requests may hold and what replies look like.

Field names: https://platform.openai.com/docs/api-reference; `reasoning_content` and
`chat_template_kwargs` are those of llama-server, vLLM and SGLang. The rest is in `et_agent` objects.
"""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from et_agent.gate import Decision
from et_agent.results import AskResult
from et_agent_server.settings import OnDoubt

__all__ = [
    "AgentOptions",
    "AgentReport",
    "Asked",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatRequest",
    "Choice",
    "ChoiceReport",
    "ChunkChoice",
    "CompletionChoice",
    "CompletionRequest",
    "Delta",
    "LogProbs",
    "Message",
    "ModelCard",
    "ModelList",
    "ReplyMessage",
    "StreamOptions",
    "TextCompletion",
    "TokenLogProb",
    "ToolCallReply",
    "UsageReport",
    "Wire",
    "example",
]

MOST_STOPS: Final = 16


class Wire(BaseModel):
    """Part of a request or a reply."""

    model_config = ConfigDict(
        extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False, protected_namespaces=()
    )


class Asked(Wire):
    """A request; a field that is null is one that is not given, as in OpenAI's own interface."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if value is not None}


def example(**fields: Any) -> ConfigDict:
    """The configuration of a shape with an example of it."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


class _Loose(BaseModel):
    """Part of a request of which only some fields matter."""

    model_config = ConfigDict(
        extra="allow", use_attribute_docstrings=True, allow_inf_nan=False, protected_namespaces=()
    )


class AgentOptions(Asked):
    """What et-agent can do beyond OpenAI's interface, as `et_agent` of a request."""

    leaves: int | None = Field(default=None, ge=1)
    """Leaves of the tree behind the reply; 1 decodes one path. Not together with `n`."""
    answer_at: float | None = Field(default=None, ge=0, le=1)
    """Lowest confidence at which a gate gives the answer. It lets any model's reply pass a gate."""
    on_doubt: OnDoubt | None = None
    """What the gate does below that."""
    kind: str | None = None
    """What an answer is: "number", "text", "choice", "long" and so on; "auto" guesses."""
    instruct: bool | None = None
    """Whether the instruction of the answer kind is added to a conversation without a system message.
    It asks for a marked answer, so that paths can be compared. By default only gated models add it."""
    context: list[str] | None = None
    """Passages to answer from."""
    thinking: Literal["auto", "on", "off"] = "auto"
    """Whether the model thinks first, for models that can."""
    max_thinking_tokens: int | None = Field(default=None, ge=0)
    """Tokens after which a thought is closed."""
    shows: Literal["leading", "reply"] = "leading"
    """What a stream shows: the leading path of the tree while it is decoded, or the reply when it is
    known. The report says whether both are one."""
    tree: bool = False
    """Whether the report carries the tree with the texts of all paths."""

    @property
    def gates(self) -> bool:
        """Whether it asks for a gate."""
        return self.answer_at is not None or self.on_doubt is not None


class ContentPart(_Loose):
    """Part of a message's content; only text is supported."""

    type: str
    text: str | None = None
    refusal: str | None = None


class FunctionCall(_Loose):
    """Which function is called with which arguments, as JSON."""

    name: str
    arguments: str


class ToolCallMessage(_Loose):
    """A tool call in an assistant's message."""

    id: str
    function: FunctionCall


class Message(_Loose):
    """A message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[ContentPart] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallMessage] | None = None
    tool_call_id: str | None = None


class StreamOptions(_Loose):
    """How a stream is written."""

    include_usage: bool = False
    """Whether a last piece tells what the reply cost."""


class _Sampled(Asked):
    """What requests for chats and for completions have in common."""

    model: str
    """A served model, `NAME` or `NAME:gated`."""
    n: int = Field(default=1, ge=1)
    """Choices: as many independent samples."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """Sampling temperature; 0 takes the most likely tokens."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Longest reply in tokens."""
    stop: str | list[str] | None = None
    """Texts that end a reply, up to 16."""
    seed: int | None = None
    """Random seed. The same seed gives the same reply; without one, each request gets its own."""
    stream: bool = False
    """Whether the reply is sent as it comes, as server-sent events."""
    stream_options: StreamOptions | None = None
    top_p: Literal[1] | None = None
    """Only 1: confidences are about the model's whole distribution."""
    frequency_penalty: Literal[0] | None = None
    presence_penalty: Literal[0] | None = None
    logit_bias: dict[str, float] | None = Field(default=None, max_length=0)
    user: str | None = None
    """Not used, like `metadata` and `store`: nothing is kept."""
    metadata: dict[str, JsonValue] | None = None
    store: bool | None = None


class ChatRequest(_Sampled):
    """A request for a reply to a conversation."""

    model_config = example(
        model="qwen2.5-coder-0.5b:gated",
        messages=[{"role": "user", "content": "How many legs have 3 cats and 2 birds?"}],
        et_agent={"leaves": 8, "answer_at": 0.8, "on_doubt": "abstain"},
    )

    messages: list[Message] = Field(min_length=1)
    """The conversation."""
    max_completion_tokens: int | None = Field(default=None, ge=1)
    """The newer name of `max_tokens`."""
    logprobs: bool | None = None
    """Whether each token's log-probability is told."""
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    """How many likely tokens are told beside each."""
    tools: list[dict[str, JsonValue]] | None = None
    """Functions that the model may call. Calls fit their schemas."""
    tool_choice: str | dict[str, JsonValue] | None = None
    """"auto", "none", "required", or the function that is to be called."""
    parallel_tool_calls: bool | None = None
    """False lets a reply make one call at most."""
    response_format: dict[str, JsonValue] | None = None
    """`json_schema` or `json_object`; a grammar makes the reply fit."""
    reasoning_effort: str | None = None
    """Option of that name of the chat template, for models whose template has it."""
    chat_template_kwargs: dict[str, JsonValue] | None = None
    """Options of the chat template."""
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    et_agent: AgentOptions = AgentOptions()


class CompletionRequest(_Sampled):
    """A request to continue a text as it is, without a chat template; no answer is judged."""

    model_config = example(model="qwen2.5-coder-0.5b", prompt="def fibonacci(n):", max_tokens=64)

    prompt: str | list[str] | list[int] | list[list[int]]
    """A text, tokens, or several of either."""
    logprobs: int | None = Field(default=None, ge=0, le=20)
    """How many likely tokens are told beside each."""
    echo: Literal[False] | None = None
    best_of: None = None
    suffix: None = None


class AgentReport(AskResult):
    """What et-agent found: the result of `et_agent.ask`, and the decision of a gate."""

    decision: Decision | None = None
    """What the gate decided; None without a gate."""
    streamed: Literal["confirmed", "replaced"] | None = None
    """Whether the text that a stream showed is the reply; None if it showed none beforehand."""
    reply: str | None = None
    """The reply that takes the place of what the stream showed; None unless it is "replaced"."""


class ChoiceReport(Wire):
    """What one choice of several says."""

    answer: str | None
    """Its answer, as in the distribution; None if it gives none."""
    share: float
    """Share of the choices that give this answer."""


class FunctionReply(Wire):
    """Which function is called with which arguments, as JSON."""

    name: str
    arguments: str


class ToolCallReply(Wire):
    """A tool call of a reply."""

    index: int | None = Field(default=None, exclude_if=lambda index: index is None)
    id: str
    type: Literal["function"] = "function"
    function: FunctionReply


class ReplyMessage(Wire):
    """The message of a choice."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: str | None = None
    """Why a gate gives no answer."""
    reasoning_content: str | None = Field(default=None, exclude_if=lambda text: text is None)
    tool_calls: list[ToolCallReply] | None = Field(
        default=None, exclude_if=lambda calls: calls is None
    )


class TopLogProb(Wire):
    """A token that could have come."""

    token: str
    logprob: float
    bytes: list[int] | None


class TokenLogProb(TopLogProb):
    """A token of a reply, temperature 1, nats."""

    logprob: float | None  # type: ignore[assignment]
    top_logprobs: list[TopLogProb] = []


class LogProbs(Wire):
    """Tokens of a reply."""

    content: list[TokenLogProb]


FinishReason = Literal["stop", "length", "tool_calls"]


class Choice(Wire):
    """A reply."""

    index: int
    message: ReplyMessage
    logprobs: LogProbs | None = None
    finish_reason: FinishReason
    et_agent: ChoiceReport | None = Field(default=None, exclude_if=lambda one: one is None)
    """Only with `n` above 1."""


class PromptDetails(Wire):
    """Of the prompt's tokens."""

    cached_tokens: int = 0


class CompletionDetails(Wire):
    """Of the generated tokens."""

    reasoning_tokens: int = 0


class UsageReport(Wire):
    """What a request cost; tokens that paths share count once."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails = PromptDetails()
    completion_tokens_details: CompletionDetails = CompletionDetails()


class ChatCompletion(Wire):
    """The reply to a conversation."""

    id: str
    """Also what `/v1/labels` takes."""
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: UsageReport
    system_fingerprint: str
    et_agent: AgentReport


class Delta(Wire):
    """What a piece of a stream adds to a message."""

    role: Literal["assistant"] | None = Field(default=None, exclude_if=lambda one: one is None)
    content: str | None = Field(default=None, exclude_if=lambda one: one is None)
    refusal: str | None = Field(default=None, exclude_if=lambda one: one is None)
    reasoning_content: str | None = Field(default=None, exclude_if=lambda one: one is None)
    tool_calls: list[ToolCallReply] | None = Field(default=None, exclude_if=lambda one: one is None)


class ChunkChoice(Wire):
    """What a piece of a stream says of a choice."""

    index: int
    delta: Delta
    logprobs: LogProbs | None = None
    finish_reason: FinishReason | None = None
    et_agent: ChoiceReport | None = Field(default=None, exclude_if=lambda one: one is None)


class ChatCompletionChunk(Wire):
    """A piece of a stream. The one with the last `finish_reason` has the report."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: UsageReport | None = Field(default=None, exclude_if=lambda one: one is None)
    system_fingerprint: str
    et_agent: AgentReport | None = Field(default=None, exclude_if=lambda one: one is None)


class CompletionLogProbs(Wire):
    """Tokens of a continuation, as the older interface lists them."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float]] | None
    text_offset: list[int]


class CompletionChoice(Wire):
    """A continuation."""

    index: int
    text: str
    logprobs: CompletionLogProbs | None = None
    finish_reason: Literal["stop", "length"] | None


class TextCompletion(Wire):
    """Continuations of a text; also a piece of their stream."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: UsageReport | None = Field(default=None, exclude_if=lambda one: one is None)
    system_fingerprint: str


class ModelCard(Wire):
    """A model that is offered."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["et-agent"] = "et-agent"
    et_agent: dict[str, Any]
    """Fingerprint, parameters, context, and whether a gate is behind the name."""


class ModelList(Wire):
    """All models that are offered."""

    object: Literal["list"] = "list"
    data: list[ModelCard]
