"""Records what a run asks of a llama.cpp model, and replays it as bare llama.cpp calls."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import llama_cpp

from et_agent.models.base import Batch
from et_agent.models.llama_cpp import LlamaCppModel

Operation = tuple[str, Batch | tuple[int, ...]]


@contextmanager
def recorded(model: LlamaCppModel) -> Iterator[list[Operation]]:
    """Collect all decodes, forks and releases of a model while the block runs."""
    operations: list[Operation] = []
    decode, fork, release = model.decode, model.fork, model.release

    def spy_decode(batch: Batch):  # type: ignore[no-untyped-def]
        operations.append(("decode", batch))
        return decode(batch)

    def spy_fork(source: int, target: int, length: int) -> None:
        operations.append(("fork", (source, target, length)))
        fork(source, target, length)

    def spy_release(sequence: int) -> None:
        operations.append(("release", (sequence,)))
        release(sequence)

    model.decode, model.fork, model.release = spy_decode, spy_fork, spy_release  # type: ignore[method-assign]
    try:
        yield operations
    finally:
        del model.decode, model.fork, model.release


def replay(model: LlamaCppModel, operations: list[Operation]) -> float:
    """Seconds that the bare llama.cpp calls of the same batches take."""

    def work() -> float:
        context, memory, batch = model._context, model._memory, model._batch
        llama_cpp.llama_memory_clear(memory, False)
        started = time.perf_counter()
        for _, what in operations:
            if isinstance(what, Batch):
                count = what.tokens.size
                model._tokens[:count] = what.tokens
                model._positions[:count] = what.positions
                model._sequences[:count] = what.sequences
                model._outputs[:count] = what.outputs
                batch.n_tokens = count
                if llama_cpp.llama_decode(context, batch):
                    raise RuntimeError("llama_decode failed in the replay")
            elif len(what) == 3:
                llama_cpp.llama_memory_seq_cp(memory, what[0], what[1], 0, what[2])
            else:
                llama_cpp.llama_memory_seq_rm(memory, what[0], -1, -1)
        seconds = time.perf_counter() - started
        model._forget_everything()
        return seconds

    return model.submit(work).result()
