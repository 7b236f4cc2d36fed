"""Steps of a real model, by hand."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from et_agent.decoding import EntropyTree, MultiChain, RunInputs, Scheduler, Tree
from et_agent.engines.base import Batch, Capacity, Step
from et_agent.engines.llama_cpp.attention import StepAttention
from et_agent.engines.llama_cpp.model import LlamaCppModel
from et_agent.engines.llama_cpp.sequences import _Streams

Logits = NDArray[np.float32]


def batch(rows: list[tuple[int, int, int, bool]]) -> Batch:
    """A batch of (token, position, sequence, output)."""
    tokens, positions, sequences, outputs = zip(*rows, strict=True)
    return Batch(
        np.array(tokens, dtype=np.int32),
        np.array(positions, dtype=np.int32),
        np.array(sequences, dtype=np.int32),
        np.array(outputs, dtype=np.bool_),
    )


def prompt_rows(tokens: list[int], sequence: int) -> list[tuple[int, int, int, bool]]:
    return [(t, i, sequence, i == len(tokens) - 1) for i, t in enumerate(tokens)]


def in_owner(model: LlamaCppModel, batch: Batch) -> tuple[Logits, StepAttention]:
    def work() -> tuple[Logits, StepAttention]:
        step: Step = model.decode(batch)
        assert isinstance(step.attention, StepAttention)
        return step.logits.copy(), step.attention

    return model.submit(work).result()


def configure(model: LlamaCppModel, longest: int) -> Capacity:
    """A cache for paths of so many positions, with attention read."""
    return model.submit(partial(model.configure, longest, attention=True)).result()


def visible_off_path(attention: StepAttention, index: int) -> int:
    """Cells off the path of output row `index` that llama.cpp lets it see; 0 if all is well."""
    _, columns = attention._path(index)
    found = 0
    for layer in attention._layers:
        visible = np.isfinite(layer.rows[index][1])
        visible[columns] = False
        found += int(np.count_nonzero(visible))
    return found


def stream_of(model: LlamaCppModel, sequence: int) -> int | None:
    """llama.cpp's stream of a sequence; None in a unified cache."""
    sequences = model._sequences
    return sequences._table.stream(sequence) if isinstance(sequences, _Streams) else None


def fork(model: LlamaCppModel, source: int, target: int, length: int) -> None:
    model.submit(partial(model.fork, source, target, length)).result()


def release(model: LlamaCppModel, *sequences: int) -> None:
    for sequence in sequences:
        model.submit(partial(model.release, sequence)).result()


def cosine(one: Logits, other: Logits) -> float:
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


def run_tree(
    model: LlamaCppModel,
    question: str,
    decoder: EntropyTree | MultiChain,
    seed: int,
    *,
    attention: bool = False,
) -> Tree:
    prompt = model.chat_tokens([{"role": "user", "content": question}])
    inputs = RunInputs(
        prompt_length=len(prompt),
        stop_tokens=model.info.stop_tokens,
        seed=seed,
        attention=attention,
    )
    return Scheduler(model).submit(prompt, decoder, inputs).result(300).tree
