"""llama.cpp's batch over arrays of our own, so that filling it copies arrays and nothing else."""

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from et_agent.arrays import Ints
from et_agent.engines.base import Batch, ModelInfo
from et_agent.engines.llama_cpp.binding import llama_cpp
from et_agent.errors import ContextError

__all__ = ["NativeBatch", "check_batch"]


def check_batch(tokens: Sequence[int], outputs: int, limits: ModelInfo) -> None:
    """Refuse a batch that would make llama.cpp abort the process.

    Args:
        tokens: The batch's tokens.
        outputs: How many of them have outputs.
        limits: What the model allows.

    Raises:
        ContextError: Too many tokens or rows with outputs, or a token that does not exist.
    """
    if not 1 <= len(tokens) <= limits.max_batch:
        raise ContextError(f"a batch has 1 to {limits.max_batch} tokens, not {len(tokens)}")
    if outputs > limits.max_outputs:
        raise ContextError(f"a batch has at most {limits.max_outputs} output rows, not {outputs}")
    if min(tokens) < 0 or max(tokens) >= limits.vocabulary:
        raise ContextError(f"a token lies outside the vocabulary of {limits.vocabulary}")


class NativeBatch:
    """A `llama_batch` in which every token belongs to one sequence, or to one and its twin.

    Args:
        most: Most tokens.

    Attributes:
        value: The batch, as `llama_decode` takes it.
        tokens, positions: int32 [most], in llama.cpp's order.
        sequences: int32 [most, 2], each token's sequence and its twin.
        outputs: int8 [most].
    """

    def __init__(self, most: int) -> None:
        self.tokens = np.zeros(most, dtype=np.int32)
        self.positions = np.zeros(most, dtype=np.int32)
        self.sequences = np.zeros((most, 2), dtype=np.int32)
        self._counts = np.ones(most, dtype=np.int32)
        self.outputs = np.zeros(most, dtype=np.int8)
        start = self.sequences.ctypes.data
        self._pointers = start + 8 * np.arange(most, dtype=np.uintp)

        def pointer(array: Any, kind: Any) -> Any:
            return ctypes.cast(array.ctypes.data, ctypes.POINTER(kind))

        self.value = llama_cpp.llama_batch(
            n_tokens=0,
            token=pointer(self.tokens, ctypes.c_int32),
            embd=None,
            pos=pointer(self.positions, ctypes.c_int32),
            n_seq_id=pointer(self._counts, ctypes.c_int32),
            seq_id=pointer(self._pointers, ctypes.POINTER(ctypes.c_int32)),
            logits=pointer(self.outputs, ctypes.c_int8),
        )

    def fill(self, batch: Batch, ids: Sequence[int], order: Ints | None, twin: int = 0) -> None:
        """Take a batch's tokens.

        Args:
            batch: The batch.
            ids: Its own sequence ids of them, in the batch's order.
            order: In which order llama.cpp gets them, int64 [N]; None for the batch's.
            twin: What is added for the twin of each; 0 for none.
        """
        count = self.value.n_tokens = len(ids)
        turn = slice(None) if order is None else order
        self.tokens[:count] = batch.tokens[turn]
        self.positions[:count] = batch.positions[turn]
        self.outputs[:count] = batch.outputs[turn]
        held = np.array(ids)[turn]
        self.sequences[:count, 0] = held
        self.sequences[:count, 1] = held + twin
        self._counts[:count] = 2 if twin else 1
