"""What a model has to offer, in two parts: its tokenizer and its engine.

The tokenizer turns text and conversations into tokens and back. The engine holds up to `max_sequences`
sequences in a cache and extends them in batches. A fork shares a beginning with its source, which is
decoded once. All methods that touch the cache run in the engine's owner thread; `submit` brings work
there.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from et_agent.templates.messages import Message, Tool, ToolFormat

__all__ = [
    "DEFAULT_WIDTH",
    "Attention",
    "Batch",
    "Capacity",
    "Constraint",
    "Engine",
    "LanguageModel",
    "ModelInfo",
    "Step",
    "Tokenizer",
]

T = TypeVar("T")

DEFAULT_WIDTH = 32
"""Rows in a batch: 32 give more rows a second than 16 on 2 cores (benchmarks/results/streams.json)."""


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
        max_sequences: Sequences that may live at once, at most; `configure` tells how many do.
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
class Capacity:
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
class Tokenizer(Protocol):
    """Text to tokens and back, the model's chat template included. Safe in any thread."""

    @property
    def info(self) -> ModelInfo:
        """What the model is and what it allows."""
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

    def plain_tokens(self, text: str) -> list[int]:
        """Tokens of a prompt without chat template, with the model's beginning-of-text token."""
        ...


@runtime_checkable
class Engine(Protocol):
    """Sequences in a cache, and the batches that extend them."""

    @property
    def info(self) -> ModelInfo:
        """What the model is and what it allows."""
        ...

    @property
    def free_cells(self) -> int:
        """Cells of the cache that no sequence uses."""
        ...

    def configure(self, longest: int) -> Capacity:
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


@runtime_checkable
class LanguageModel(Tokenizer, Engine, Protocol):
    """A model that questions can be asked: tokenizer and engine in one."""
