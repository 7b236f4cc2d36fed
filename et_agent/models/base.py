"""What a model has to offer: sequences that share prefixes, and batches that extend them.

A model holds up to `max_sequences` sequences in one cache of `context` cells. A fork shares the
cells of its source, so a prefix is stored once. All methods that touch the cache run in the model's
owner thread; `submit` brings work there.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["DEFAULT_WIDTH", "Attention", "Batch", "LanguageModel", "Message", "ModelInfo", "Step"]

T = TypeVar("T")

DEFAULT_WIDTH = 16
"""Rows in a batch. More bring little on few cores: each row then shares the cache with more cells."""

Message = Mapping[str, str]
"""A chat message: `role` ("system", "user", "assistant") and `content`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What a loaded model is and what it allows.

    Attributes:
        name: Catalog name or file name.
        fingerprint: SHA-256 of the model file; a constant for scripted models.
        vocabulary: Number of tokens V.
        context: Cells of the shared cache.
        longest_path: Most positions of one sequence, prompt included.
        max_sequences: Sequences that may live at once.
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

    def chat_tokens(self, messages: Sequence[Message]) -> list[int]:
        """Tokens of a chat prompt that ends where the assistant begins to speak.

        Raises:
            UnsupportedModelError: The model has no chat template.
        """
        ...

    def plain_tokens(self, text: str) -> list[int]:
        """Tokens of a prompt without chat template, with the model's beginning-of-text token."""
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
