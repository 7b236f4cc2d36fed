"""Records what a run asks of llama.cpp, and replays it as bare calls."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import llama_cpp
from numpy.typing import NDArray

from et_agent.engines.llama_cpp.model import LlamaCppModel

_MEMORY = ("llama_memory_seq_cp", "llama_memory_seq_rm")


@dataclass(slots=True)
class Recording:
    """Calls in their order.

    Attributes:
        calls: Name of a memory function with its arguments after the memory, or "llama_decode"
            with tokens, positions, sequences and outputs.
        cells: Positions that the cache was arranged for.
    """

    calls: list[tuple[str, Sequence[Any]]] = field(default_factory=list)
    cells: int = 0


def _buffers(model: LlamaCppModel) -> tuple[NDArray[Any], ...]:
    batch = model._batch
    return batch.tokens, batch.positions, batch.sequences, batch.outputs


@contextmanager
def recorded(model: LlamaCppModel) -> Iterator[Recording]:
    """Collect what a model asks of llama.cpp while the block runs; no other model may be at work."""
    recording = Recording()
    functions: dict[str, Callable[..., Any]] = {
        name: getattr(llama_cpp, name) for name in ("llama_decode", *_MEMORY)
    }

    def spy(name: str) -> Callable[..., Any]:
        def call(held: Any, *arguments: Any) -> Any:
            if name == "llama_decode":
                count = arguments[0].n_tokens
                given: Sequence[Any] = [buffer[:count].copy() for buffer in _buffers(model)]
            else:
                given = arguments
            recording.calls.append((name, given))
            return functions[name](held, *arguments)

        return call

    for name in functions:
        setattr(llama_cpp, name, spy(name))
    try:
        yield recording
    finally:
        for name, function in functions.items():
            setattr(llama_cpp, name, function)
        recording.cells = model._layout.cells


def replay(model: LlamaCppModel, recording: Recording) -> float:
    """Seconds that the bare llama.cpp calls take."""

    def work() -> float:
        model.configure(recording.cells)
        context, memory, batch = model._native.context, model._memory, model._batch.value
        started = time.perf_counter()
        for name, given in recording.calls:
            if name != "llama_decode":
                getattr(llama_cpp, name)(memory, *given)
                continue
            batch.n_tokens = given[0].size
            for buffer, values in zip(_buffers(model), given, strict=True):
                buffer[: values.size] = values
            if llama_cpp.llama_decode(context, batch):
                raise RuntimeError("llama_decode failed in the replay")
        seconds = time.perf_counter() - started
        model._forget_everything()
        return seconds

    return model.submit(work).result()
