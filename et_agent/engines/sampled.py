"""The interface of models that give whole replies, not logits: servers.

A `SampledModel` takes a `SampleRequest`, a conversation and how it is to be sampled, and gives one
`Sample` per chain. Pieces of the replies are numbered as they come, so that trees hold them as tokens.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, runtime_checkable

from et_agent.engines.base import LanguageModel, ModelIdentity
from et_agent.templates.messages import Message, Tool
from et_agent.templates.tool_format import ToolFormat

__all__ = [
    "END",
    "SERVER_CALLS",
    "THOUGHT_END",
    "AnyModel",
    "Sample",
    "SampleRequest",
    "SampleUsage",
    "SampledModel",
    "Token",
    "TokenTable",
]

END: Final = 0
"""The token that ends a sample that the model ended by itself. It stands for no text."""
THOUGHT_END: Final = 1
"""The token between a thought and the reply. It stands for no text."""
SERVER_CALLS: Final = ToolFormat(
    '<tool_call>{"name": "',
    '", "arguments": ',
    "}</tool_call>",
    '}</tool_call><tool_call>{"name": "',
)
"""How a sample's text has the calls that a server gave as data."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a reply.

    Attributes:
        token: Its number (`TokenTable`).
        log_prob: Its log-probability at temperature 1, nats; NaN where the server did not tell.
        top: Log-probabilities of the likeliest tokens at its place, falling; empty if not told.
    """

    token: int
    log_prob: float
    top: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One reply.

    Attributes:
        tokens: Its thought, if any, `THOUGHT_END` behind it, its text with its tool calls, and `END`
            if the model ended it.
        finish: Whether the model ended it, or a limit did.
    """

    tokens: tuple[Token, ...]
    finish: Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class SampleUsage:
    """What a server says that samples cost; None where it does not say.

    Attributes:
        requests: Requests that were answered.
        prompt_tokens: Tokens of the prompt.
        cached_tokens: Tokens of the prompt that the first request found in the server's cache.
        completion_tokens: Generated tokens of all samples.
        reasoning_tokens: Those of them that belong to thoughts.
    """

    requests: int = 0
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRequest:
    """A conversation, and how replies are sampled.

    Attributes:
        messages: The conversation.
        temperature: Sampling temperature; 0 for the likeliest tokens.
        max_tokens: Longest reply in tokens, its thought included.
        seed: Seed of the first chain; chain k has a seed of its own that follows from it.
        stop: Texts that end a reply.
        tools: Tools that the model may call.
        tool_choice: "auto", "any", or the name of a tool.
        parallel_tool_calls: Whether a reply may make several calls.
        schema: A JSON schema that the reply has to fit; None for words.
        template_options: Options of the server's chat template.
    """

    messages: Sequence[Message]
    temperature: float
    max_tokens: int
    seed: int = 0
    stop: Sequence[str] = ()
    tools: Sequence[Tool] = ()
    tool_choice: str = "auto"
    parallel_tool_calls: bool = True
    schema: Mapping[str, Any] | None = None
    template_options: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class SampledModel(Protocol):
    """A model that gives whole replies. `MultiChain` and `Greedy` run on it."""

    @property
    def info(self) -> ModelIdentity:
        """What the model is; its stop token is `END`."""
        ...

    def token_bytes(self, token: int) -> bytes:
        """The bytes of a piece of a reply; empty for `END` and `THOUGHT_END`."""
        ...

    def tool_format(self) -> ToolFormat:
        """How a sample's text has tool calls."""
        ...

    def sample(
        self, request: SampleRequest, chains: range, take: Callable[[int, Sample], None]
    ) -> "Future[SampleUsage]":
        """Sample replies. Returns at once; cancelling what it returns closes its connections.

        Args:
            request: What is asked.
            chains: Numbers of the chains to sample.
            take: Called with each chain's number and sample, in a thread of the model's.

        Returns:
            What they cost. It raises `ServerError` if the server failed, `UnsupportedModelError` if it
            refused the request, `QuestionError` if the prompt is too long, and `ModelClosedError`.

        Raises:
            ModelClosedError: The model was closed.
        """
        ...

    def close(self) -> None:
        """End all requests. Safe to call twice."""
        ...


AnyModel = LanguageModel | SampledModel
"""A model that can be asked questions."""


class TokenTable:
    """Numbers for pieces of replies, as they come; a server's own numbers are not known."""

    def __init__(self) -> None:
        self._bytes: list[bytes] = [b"", b""]
        self._numbers: dict[bytes, int] = {}

    def number(self, piece: bytes) -> int:
        """The number of a piece, given now if it is new. For one thread."""
        found = self._numbers.get(piece)
        if found is None:
            self._bytes.append(piece)
            found = self._numbers[piece] = len(self._bytes) - 1
        return found

    def bytes_of(self, token: int) -> bytes:
        """The bytes of a piece; safe in any thread."""
        return self._bytes[token]
