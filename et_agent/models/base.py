"""What a model has to offer: sequences that share prefixes, and batches that extend them.

A model holds up to `max_sequences` sequences in its cache. A fork shares a beginning with its source,
which is decoded once. All methods that touch the cache run in the model's owner thread; `submit`
brings work there.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NotRequired, Protocol, TypedDict, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DEFAULT_WIDTH",
    "Attention",
    "Batch",
    "Constraint",
    "FunctionCall",
    "LanguageModel",
    "Message",
    "MessageCall",
    "ModelInfo",
    "Room",
    "Step",
    "Tool",
    "ToolFormat",
]

T = TypeVar("T")

DEFAULT_WIDTH = 32
"""Rows in a batch: 32 give more rows a second than 16 on 2 cores (benchmarks/results/streams.json)."""

Tool = Mapping[str, Any]
"""A tool that the model may call, in OpenAI's form: `{"type": "function", "function": {"name": …,
"description": …, "parameters": JSON schema}}`."""


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
    """

    role: str
    content: str
    tool_calls: NotRequired[Sequence[MessageCall]]
    tool_call_id: NotRequired[str]
    name: NotRequired[str]


@dataclass(frozen=True, slots=True)
class ToolFormat:
    """How a model writes a tool call: `opening` NAME `middle` ARGUMENTS `closing`.

    Attributes:
        opening: Up to the tool's name.
        middle: Between the name and the arguments, which are a JSON object.
        closing: What follows them.
    """

    opening: str
    middle: str
    closing: str

    @property
    def marker(self) -> str:
        """The text that tells a call from other text: what stands before its JSON, or else all."""
        return self.opening.partition("{")[0].strip() or self.opening


class Constraint(Protocol):
    """Which tokens may follow a path: a grammar over a model's tokens. Owner thread only."""

    def allowed(self, tokens: Sequence[int]) -> NDArray[np.bool_] | None:
        """Which tokens may come next.

        Args:
            tokens: Generated tokens of a path, each of which was allowed where it stands.

        Returns:
            bool [V], not to be written to; None where every token may come.

        Raises:
            DecodeError: The path itself is not allowed.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What a loaded model is and what it allows.

    Attributes:
        name: Catalog name or file name.
        fingerprint: SHA-256 of the model file; a constant for scripted models.
        vocabulary: Number of tokens V.
        context: Cells of the cache when all sequences share one.
        longest_path: Most positions of one sequence, prompt included.
        max_sequences: Sequences that may live at once, at most; `arrange` tells how many do.
        max_batch: Most tokens in a batch.
        max_outputs: Most rows with logits in a batch.
        best_width: Rows in a batch with the best tokens per second.
        stop_tokens: Tokens that end a generation.
        chat_template: Whether the model carries a chat template of its own.
        attention_layers: Layers whose attention is read; empty when none is.
    """

    name: str
    fingerprint: str
    vocabulary: int
    context: int
    longest_path: int
    max_sequences: int
    max_batch: int
    max_outputs: int
    best_width: int
    stop_tokens: frozenset[int]
    chat_template: bool
    attention_layers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Room:
    """What a model's cache is ready for.

    Attributes:
        sequences: Sequences that may live at once; their ids are 0 to `sequences` - 1.
        longest: Positions that one of them may have.
    """

    sequences: int
    longest: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Tokens to decode in one call. Row i puts `tokens[i]` at `positions[i]` of `sequences[i]`.

    Attributes:
        tokens, positions, sequences: int32 [N].
        outputs: bool [N]; rows whose next-token logits are wanted.
    """

    tokens: NDArray[np.int32]
    positions: NDArray[np.int32]
    sequences: NDArray[np.int32]
    outputs: NDArray[np.bool_]


class Attention(Protocol):
    """Attention of the output rows of one step."""

    def row(self, index: int) -> NDArray[np.float32]:
        """Attention of output row `index` over its own path, mean over heads and chosen layers.

        Returns:
            float32 [position + 1], summing to 1.
        """
        ...

    def near(self, index: int) -> NDArray[np.float32]:
        """What output row `index` gives the token before it and itself.

        Returns:
            float32 [layers, heads, 2]; the first is NaN for the first token of all.
        """
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """What a decode gave back; valid until the next decode.

    Attributes:
        logits: float32 [outputs, V], writable, in the order of the batch's output rows.
        attention: Attention of the same rows; None when the model gives none.
    """

    logits: NDArray[np.float32]
    attention: Attention | None


@runtime_checkable
class LanguageModel(Protocol):
    """A model that the scheduler can drive."""

    @property
    def info(self) -> ModelInfo:
        """What the model is and what it allows."""
        ...

    @property
    def free_cells(self) -> int:
        """Cells of the cache that no sequence uses."""
        ...

    def tokenize(self, text: str) -> list[int]:
        """Tokens of plain text; control-token text in it stays plain text."""
        ...

    def token_bytes(self, token: int) -> bytes:
        """The bytes a token stands for; empty for control tokens."""
        ...

    def chat_tokens(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> list[int]:
        """Tokens of a chat prompt that ends where the assistant begins to speak.

        Raises:
            UnsupportedModelError: The model has no chat template, or one that knows no tools.
        """
        ...

    def tool_format(self) -> ToolFormat:
        """How the model's chat template writes a tool call.

        Raises:
            UnsupportedModelError: It has no chat template, or one that knows no tools.
        """
        ...

    def constraint(self, gbnf: str) -> Constraint:
        """A grammar over the model's tokens, from its GBNF text with a rule `root`.

        When the text is complete, the tokens that end a generation are allowed.

        Raises:
            SettingsError: The grammar is not valid.
        """
        ...

    def plain_tokens(self, text: str) -> list[int]:
        """Tokens of a prompt without chat template, with the model's beginning-of-text token."""
        ...

    def arrange(self, longest: int) -> Room:
        """Get the cache ready for paths of `longest` positions; it forgets all sequences.

        Owner thread only. A path that is longer than the model allows finds no room all the same.

        Raises:
            ContextError: There is no memory for the cache.
        """
        ...

    def decode(self, batch: Batch) -> Step:
        """Extend sequences by a batch of tokens. Owner thread only.

        Raises:
            ContextError: The batch does not fit; nothing was changed.
            DecodeError: llama.cpp failed.
        """
        ...

    def fork(self, source: int, target: int, length: int) -> None:
        """Let the unused sequence `target` share the first `length` tokens of `source`."""
        ...

    def release(self, sequence: int) -> None:
        """Forget a sequence; cells that no other sequence shares become free."""
        ...

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        """Run `work` in the owner thread.

        Raises:
            ModelClosedError: The model was closed.
        """
        ...

    def close(self) -> None:
        """Free the model; safe to call twice."""
        ...
