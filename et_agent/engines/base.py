"""The interfaces of models: those that give logits, in two parts, and those that give samples only.

A `LanguageModel` gives the logits of every token. Its tokenizer turns text and conversations into
tokens and back. Its engine holds up to `max_sequences` sequences in a cache and extends them in
batches. A fork shares its prefix with its source, so the prefix is decoded once. All methods that touch
the cache run in the engine's owner thread. `submit` runs work in that thread. Grammars need the
tokenizer alone (`et_agent.grammar`).

A `SampledModel` (`engines/sampled.py`) takes a conversation and gives whole replies.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from et_agent.arrays import Bytes, Ints
from et_agent.engines.prefix_store import PrefixStore
from et_agent.errors import SettingsError
from et_agent.templates.messages import Message, Tool
from et_agent.templates.reasoning import ReasoningFormat
from et_agent.templates.tool_format import ToolFormat

__all__ = [
    "DEFAULT_WIDTH",
    "Attention",
    "Batch",
    "Capacity",
    "Engine",
    "LanguageModel",
    "ModelIdentity",
    "ModelInfo",
    "Step",
    "Tokenizer",
]

T = TypeVar("T")

DEFAULT_WIDTH = 32
"""Rows per batch. 32 give more rows per second than 16 on 2 cores (benchmarks/results/streams.json)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """What every model says of itself.

    Attributes:
        name: Catalog name or file name; of a server, its name for the model.
        fingerprint: SHA-256 of the model file, or of what a server says about its model; a constant for
            scripted models.
        stop_tokens: Tokens that end a generation.
        attention_layers: Layers whose attention can be read; empty if none can.
        parameters: Number of weights; 0 if that is not known.
        library: What decodes: the library, its version and the kernels in use; empty for scripted
            models.
    """

    name: str
    fingerprint: str
    stop_tokens: frozenset[int]
    attention_layers: tuple[int, ...] = ()
    parameters: int = 0
    library: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo(ModelIdentity):
    """What a loaded model is and what it supports.

    Attributes:
        vocabulary: Number of tokens V.
        context: Positions that the cache has if all sequences share it.
        longest_path: Largest number of positions of one sequence, including the prompt.
        max_sequences: Largest number of sequences at once; `configure` returns the actual number.
        max_batch: Largest number of tokens in a batch.
        max_outputs: Largest number of rows with logits in a batch.
        best_width: Rows in a batch with the best tokens per second.
        chat_template: Whether the model file has a chat template.
        threads: CPU threads that decode.
        window: Positions that layers with a sliding window see; 0 if there are none.
        max_pending: Largest number of questions that wait or are decoded at once; None for any.
    """

    vocabulary: int
    context: int
    longest_path: int
    max_sequences: int
    max_batch: int
    max_outputs: int
    best_width: int
    chat_template: bool
    threads: int = 1
    window: int = 0
    max_pending: int | None = None

    def __post_init__(self) -> None:
        if self.max_pending is not None and self.max_pending < 1:
            raise SettingsError(
                f"max_pending is {self.max_pending}, so that nothing could be asked: use 1 or more, "
                "or None for any number"
            )


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a model's cache is ready for.

    Attributes:
        sequences: Number of sequences at once; their ids are 0 to `sequences` - 1.
        longest: Largest number of positions of one of them.
    """

    sequences: int
    longest: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Tokens to decode in one call. Row i puts `tokens[i]` at `positions[i]` of `sequences[i]`.

    Attributes:
        tokens, positions, sequences: int32 [N].
        outputs: bool [N]; rows whose next-token logits are returned.
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
        """Attention of output row `index` on the token before it and on itself.

        Returns:
            float32 [layers, heads, 2]; the first value is NaN for the first token of a path.
        """
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """The result of a decode; valid until the next decode.

    Attributes:
        rows: float32 [outputs, V], writable, as the engine has them.
        attention: Attention of the batch's output rows; None if none is read.
        order: Which of `rows` each of the batch's output rows has, int64 [outputs]; None for the same
            order.
    """

    rows: NDArray[np.float32]
    attention: Attention | None
    order: Ints | None = None

    @property
    def logits(self) -> NDArray[np.float32]:
        """Logits in the order of the batch's output rows, float32 [outputs, V]; a copy if need be."""
        return self.rows if self.order is None else self.rows[self.order]


@runtime_checkable
class Tokenizer(Protocol):
    """Converts text to tokens and back, and applies the chat template. Safe in any thread."""

    @property
    def info(self) -> ModelInfo:
        """What the model is and what it supports."""
        ...

    def tokenize(self, text: str) -> list[int]:
        """Tokens of plain text. Text that looks like a control token stays plain text."""
        ...

    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token stands for; empty for control tokens."""
        ...

    def chat_tokens(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        options: Mapping[str, Any] | None = None,
    ) -> list[int]:
        """Tokens of a chat prompt that ends where the assistant's reply begins.

        Args:
            messages: The messages.
            tools: Tools that the model is shown.
            options: Options of the template by name, such as {"enable_thinking": False}.

        Raises:
            SettingsError: The template has no such option.
            UnsupportedModelError: The model has no chat template, or one without tools.
        """
        ...

    def reasoning_format(self) -> ReasoningFormat | None:
        """How the model writes its thoughts; None without a chat template, or if that has none."""
        ...

    def template_tokens(self, text: str) -> list[int]:
        """Tokens of text as a chat template has it: the names of control tokens stand for these."""
        ...

    def tool_format(self) -> ToolFormat:
        """How the model's chat template writes a tool call.

        Raises:
            UnsupportedModelError: The model has no chat template, or one without tools.
        """
        ...

    def plain_tokens(self, text: str) -> list[int]:
        """Tokens of a prompt without chat template, with the model's beginning-of-text token."""
        ...


@runtime_checkable
class Engine(Protocol):
    """Holds sequences in a cache and extends them in batches."""

    @property
    def info(self) -> ModelInfo:
        """What the model is and what it supports."""
        ...

    @property
    def free_positions(self) -> int:
        """Positions of the cache that no sequence uses."""
        ...

    @property
    def prefixes(self) -> PrefixStore | None:
        """What is kept of sequences that were parked; None if nothing is. Owner thread only."""
        ...

    def configure(self, longest: int, *, attention: bool = False) -> Capacity:
        """Prepare the cache for paths of `longest` positions. This removes all sequences.

        Owner thread only. A path that is longer than the model allows still does not fit.

        Args:
            longest: Number of positions.
            attention: Whether attention is read from here on, if the model gives it. Reading it slows
                every step down.

        Raises:
            ContextError: There is not enough memory for the cache.
        """
        ...

    def decode(self, batch: Batch) -> Step:
        """Extend sequences with a batch of tokens. Owner thread only.

        Raises:
            ContextError: The batch does not fit; nothing was changed.
            DecodeError: The library that decodes failed.
        """
        ...

    def fork(self, source: int, target: int, length: int) -> None:
        """Make the unused sequence `target` share the first `length` tokens of `source`."""
        ...

    def release(self, sequence: int) -> None:
        """Remove a sequence. Positions that no other sequence shares become free."""
        ...

    def park(self, sequence: int, start: int) -> Bytes | None:
        """Remove a sequence, and return its key-values so that they can be restored.

        Returns:
            uint8 [length - start, bytes of a position], from position `start` on; None if they are
            not to be had.
        """
        ...

    def restore(self, sequence: int, rows: Bytes) -> bool:
        """Fill the unused sequence with the key-values of a path's first positions.

        Args:
            sequence: The sequence.
            rows: uint8 [length, bytes of a position], joined from what `park` gave.

        Returns:
            Whether they were taken; the sequence is unused otherwise.

        Raises:
            ContextError: The sequence is used, or there are not as many free positions.
        """
        ...

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        """Run `work` in the owner thread.

        Raises:
            ModelClosedError: The model was closed.
        """
        ...

    def close(self) -> None:
        """Free the model. Safe to call twice."""
        ...


@runtime_checkable
class LanguageModel(Tokenizer, Engine, Protocol):
    """A model that gives logits: a tokenizer and an engine in one. Every decoder runs on it."""
