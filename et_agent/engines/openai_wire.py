"""The chat completions of OpenAI's interface as data: requests written, replies read.

Field names: https://platform.openai.com/docs/api-reference/chat; `chat_template_kwargs` and
`reasoning_content` are those of llama-server, vLLM and SGLang.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from et_agent.engines.sampled import (
    END,
    SERVER_CALLS,
    THOUGHT_END,
    Sample,
    SampleRequest,
    Token,
    TokenTable,
)
from et_agent.errors import ServerError
from et_agent.templates.messages import Message, MessageCall, ToolChoice
from et_agent.templates.reasoning import parted_by_tags

__all__ = [
    "Choice",
    "Completion",
    "Dialect",
    "ServedModel",
    "ServedModels",
    "are_copies",
    "body_of",
    "read",
    "sample_of",
]

MOST_ALTERNATIVES: Final = 20
"""Most `top_logprobs` that OpenAI's interface has; as many as DeepConf's confidence needs."""
_WORD: Final = re.compile(r"\s*\S+|\s+")
_FEWEST_COPIES: Final = 3
_LEAST_OF_COPIES: Final = -5.0
_NOT_TOLD: Final = -9999.0
"""What OpenAI's interface says of tokens that are not among the likeliest."""
_ENDED: Final = frozenset({"stop", "tool_calls", "function_call"})


@dataclass(frozen=True, slots=True)
class Dialect:
    """What of the interface a server takes. A refusal that names a parameter switches it off.

    Attributes:
        n: Whether it gives several choices per request.
        logprobs: How many alternatives it tells at each place; 0 without log-probabilities.
        seed: Whether it takes a seed.
        top_p: Whether it takes `top_p`, which is sent so that nothing is cut off the distribution.
        parallel_tool_calls: Whether it can be told how many calls a reply may make.
        max_tokens: Its name for the limit.
    """

    n: bool = True
    logprobs: int = MOST_ALTERNATIVES
    seed: bool = True
    top_p: bool = True
    parallel_tool_calls: bool = True
    max_tokens: str = "max_tokens"

    def without(self, refusal: str) -> "Dialect | None":
        """What is left after a refusal; None if it is about nothing that can be left out."""
        for name, on, change in (
            ("max_completion_tokens", self.max_tokens == "max_tokens", _NEWER_LIMIT),
            ("parallel_tool_calls", self.parallel_tool_calls, {"parallel_tool_calls": False}),
            ("logprobs", self.logprobs > 0, {"logprobs": _FEWER[self.logprobs]}),
            ("top_p", self.top_p, {"top_p": False}),
            ("seed", self.seed, {"seed": False}),
            ("n|n_cmpl", self.n, {"n": False}),
        ):
            if on and re.search(rf"(?<![a-z])(top_)?({name})(?![a-z])", refusal, re.IGNORECASE):
                return replace(self, **change)
        return None


_NEWER_LIMIT: Final[dict[str, Any]] = {"max_tokens": "max_completion_tokens"}
_FEWER: Final = {MOST_ALTERNATIVES: 5, 5: 0, 0: 0}
"""Alternatives to ask for after a refusal: some servers tell of five."""


def body_of(
    request: SampleRequest, model: str, dialect: Dialect, *, chain: int, count: int
) -> dict[str, Any]:
    """The body of a request.

    Args:
        request: What is asked.
        model: The server's name for the model.
        dialect: What the server takes.
        chain: Number of the first chain.
        count: How many choices are wanted.
    """
    body: dict[str, Any] = {
        "model": model,
        "messages": list(_messages(request.messages)),
        "temperature": request.temperature,
        dialect.max_tokens: request.max_tokens,
        "stream": False,
    }
    if dialect.top_p:
        body["top_p"] = 1
    if dialect.seed:
        # Far apart, since servers count on from the seed for further choices.
        body["seed"] = (request.seed * 1_000_003 + chain * 1_009) % 2**31
    if count > 1:
        body["n"] = count
    if dialect.logprobs:
        body |= {"logprobs": True, "top_logprobs": dialect.logprobs}
    if request.stop:
        body["stop"] = list(request.stop)
    if request.tools:
        body |= {"tools": list(request.tools), "tool_choice": _choice(request.tool_choice)}
        if dialect.parallel_tool_calls:
            body["parallel_tool_calls"] = request.parallel_tool_calls
    if request.schema is not None:
        body["response_format"] = _format(request.schema)
    if request.template_options:
        body["chat_template_kwargs"] = dict(request.template_options)
    return body


def _messages(messages: Sequence[Message]) -> Iterator[dict[str, Any]]:
    """Messages with an id for every call; a conversation may leave out those that it does not need.

    Results without an id answer the calls in their order.
    """
    made = 0
    waiting: list[str] = []
    for message in messages:
        sent: dict[str, Any] = dict(message)
        if calls := message.get("tool_calls"):
            ids = [call.get("id") or f"call_{made + at}" for at, call in enumerate(calls)]
            sent["tool_calls"] = list(map(_sent_call, calls, ids))
            made += len(calls)
            waiting = ids
        if message["role"] == "tool":
            answered = sent.setdefault("tool_call_id", waiting[0] if waiting else "call_0")
            waiting = [one for one in waiting if one != answered]
        yield sent


def _sent_call(call: MessageCall, number: str) -> dict[str, Any]:
    function = call["function"]
    arguments = json.dumps(function["arguments"], ensure_ascii=False)
    return {
        "id": number,
        "type": "function",
        "function": {"name": function["name"], "arguments": arguments},
    }


def _choice(choice: ToolChoice) -> Any:
    if isinstance(choice, Mapping):
        return dict(choice)
    if choice in ("auto", "none"):
        return choice
    if choice == "any":
        return "required"
    return {"type": "function", "function": {"name": choice}}


def _format(schema: Mapping[str, Any]) -> dict[str, Any]:
    if schema == {"type": "object"}:
        return {"type": "json_object"}
    form = {"name": "answer", "schema": dict(schema), "strict": True}
    return {"type": "json_schema", "json_schema": form}


class _Shape(BaseModel):
    """Part of a reply. What is not known here is left alone: servers add fields of their own."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


def _text(value: object) -> object:
    """A text, also where it comes as a list of parts; without halves of surrogate pairs."""
    if isinstance(value, list) and all(isinstance(one, Mapping) for one in value):
        value = "".join(str(one.get("text") or "") for one in value)
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


Text = Annotated[str | None, BeforeValidator(_text)]
Count = Annotated[int, Field(ge=0, le=2**40)]


def _logprob(value: object) -> object:
    """A log-probability; some servers write that of a probability of 0 as null or -Infinity."""
    return _NOT_TOLD if value is None or value == -math.inf else value


LogProb = Annotated[float, BeforeValidator(_logprob)]


class _Alternative(_Shape):
    logprob: LogProb


class _LogProbToken(_Shape):
    token: str
    logprob: LogProb
    listed: list[Annotated[int, Field(ge=0, le=255)]] | None = Field(default=None, alias="bytes")
    top_logprobs: list[_Alternative] | None = None

    @property
    def piece(self) -> bytes:
        """The bytes that it stands for."""
        if self.listed is not None:
            return bytes(self.listed)
        return self.token.encode("utf-8", "replace")


class _LogProbs(_Shape):
    content: list[_LogProbToken] | None = None


class _Function(_Shape):
    name: Annotated[str, BeforeValidator(_text)]
    arguments: Annotated[str | dict[str, Any] | None, BeforeValidator(_text)] = None


class _Call(_Shape):
    function: _Function


class _Reply(_Shape):
    content: Text = None
    reasoning_content: Text = None
    reasoning: Text = None
    refusal: Text = None
    tool_calls: list[_Call] | None = None


class Choice(_Shape):
    """One reply of a completion."""

    message: _Reply
    finish_reason: str | None = None
    logprobs: _LogProbs | None = None


class _PromptDetails(_Shape):
    cached_tokens: Count | None = None


class _CompletionDetails(_Shape):
    reasoning_tokens: Count | None = None


class _Usage(_Shape):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class Completion(_Shape):
    """A reply of the server to a request."""

    choices: Annotated[list[Choice], Field(min_length=1)]
    usage: _Usage | None = None


class _Meta(_Shape):
    n_params: Count | None = None
    size: Count | None = None
    n_vocab: Count | None = None


class ServedModel(_Shape):
    """A model as a server lists it; `root` is vLLM's, `meta` is llama-server's."""

    id: Annotated[str, BeforeValidator(_text)]
    root: Text = None
    meta: _Meta | None = None


class ServedModels(_Shape):
    """The models that a server lists."""

    data: list[ServedModel]


def read(shape: type[BaseModel], text: bytes) -> Any:
    """JSON of a server as a shape.

    Raises:
        ServerError: It is not JSON, or not of that shape.
    """
    try:
        return shape.model_validate(json.loads(text))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise ServerError(
            f"the server's reply is not one of OpenAI's interface: {where}: {first['msg']}"
        ) from None
    except (ValueError, RecursionError):
        raise ServerError(
            f"the server's reply of {len(text)} bytes is not JSON: is the address that of an "
            "OpenAI-compatible server, up to and with /v1?"
        ) from None


def are_copies(choices: Sequence[Choice]) -> bool:
    """Whether choices are so alike that they cannot be independent samples.

    They are, if three or more are equal although their tokens are together less likely than e^-5.
    """
    first = choices[0]
    listed = (first.logprobs.content if first.logprobs is not None else None) or []
    return (
        len(choices) >= _FEWEST_COPIES
        and all(one.message == first.message for one in choices)
        and math.fsum(one.logprob for one in listed) < _LEAST_OF_COPIES
    )


def sample_of(choice: Choice, table: TokenTable) -> Sample:
    """A choice as a sample. A thought that stands in its text, between tags, is one too.

    Its tokens are those of `logprobs`, as far as they spell its texts; else words, whose
    log-probabilities are not known.
    """
    message = choice.message
    thought = message.reasoning_content or message.reasoning or ""
    said = message.content or message.refusal or ""
    if not thought and (parts := parted_by_tags(said)) is not None:
        thought, said = parts
    calls = "".join(map(_written, message.tool_calls or ()))
    listed = (choice.logprobs.content if choice.logprobs is not None else None) or []
    pieces = [(one.piece, one) for one in listed]
    text = b"".join(piece for piece, _ in pieces)
    # The reply is last, behind a thought that may hold the same words.
    at = text.rfind(said.encode()) if said and pieces else -1
    number = table.number
    tokens: list[Token] = []
    if thought:
        before = text if at < 0 else text[:at]
        begin = before.find(thought.encode())
        tokens += _spelled(pieces, begin, thought, number)
        tokens.append(_silent(THOUGHT_END, tokens))
    tokens += _spelled(pieces, at, said, number)
    tokens += _spelled(pieces, -1, calls, number)
    ended = choice.finish_reason in _ENDED
    if ended:
        tokens.append(_silent(END, tokens))
    return Sample(tuple(tokens), "stop" if ended else "length")


def _written(call: _Call) -> str:
    """A call in a sample's text. What is no JSON is a quoted text, so that it can end no call."""
    given = call.function.arguments
    if isinstance(given, dict):
        given = json.dumps(given, ensure_ascii=False)
    try:
        json.loads(given or "{}")
    except (ValueError, RecursionError):
        given = json.dumps(given, ensure_ascii=False)
    form, name = SERVER_CALLS, json.dumps(call.function.name, ensure_ascii=False)[1:-1]
    return f"{form.opening}{name}{form.middle}{given or '{}'}{form.closing}"


def _spelled(
    pieces: Sequence[tuple[bytes, _LogProbToken]],
    begin: int,
    text: str,
    number: Callable[[bytes], int],
) -> Iterator[Token]:
    """The tokens of a text that begins at a byte of the listed ones; words where it is not there."""
    if begin < 0:
        for word in _WORD.findall(text):
            yield Token(number(word.encode("utf-8", "replace")), math.nan)
        return
    end, at = begin + len(text.encode()), 0
    for piece, one in pieces:
        low, high = max(begin, at), min(end, at + len(piece))
        if low < high:
            listed = (min(0.0, other.logprob) for other in one.top_logprobs or ())
            top = tuple(sorted((other for other in listed if other > _NOT_TOLD), reverse=True))
            log_prob = min(0.0, one.logprob)
            if log_prob <= _NOT_TOLD:
                # It is less likely than all that are listed.
                log_prob = top[-1] if top else math.nan
            yield Token(number(piece[low - at : high - at]), log_prob, top)
        at += len(piece)


def _silent(token: int, before: Sequence[Token]) -> Token:
    """A token of no text. Servers do not tell how likely it was.

    It counts as those before it do in the mean, and so hardly moves the mean of a path.
    """
    known = [one.log_prob for one in before]
    mean = math.fsum(known) / len(known) if known else math.nan
    return Token(token, mean, before[-1].top if before else ())
