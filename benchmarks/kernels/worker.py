"""One process of the comparison: a library is loaded once and for all."""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.special import softmax

from et_agent.arrays import Doubles
from et_agent.asking import ask
from et_agent.decoding import MultiChain
from et_agent.engines.base import Batch
from et_agent.engines.llama_cpp.model import LlamaCppModel
from et_agent.engines.loading import load_model

__all__ = ["TASKS", "run"]

_ROOT: Final = Path(__file__).parents[2]
_TEXT: Final = _ROOT / "docs" / "architecture.md"
_QUESTIONS: Final = _ROOT / "benchmarks" / "questions" / "speed.txt"
_PROMPT: Final = 1000
_CHAINS: Final = 24
_CHAIN_TOKENS: Final = 64
_TEXT_TOKENS: Final = 200
ROWS: Final = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64)
LENGTHS: Final = (64, 256, 512, 1024)


def _text(model: LlamaCppModel, count: int) -> list[int]:
    tokens = model.tokenize(_TEXT.read_text("utf-8"))
    assert len(tokens) >= count
    return tokens[:count]


def chains(model: LlamaCppModel, *, tokens: int = _CHAIN_TOKENS) -> float:
    """Tokens per second of 24 chains of one question."""
    question = _QUESTIONS.read_text("utf-8").splitlines()[0]
    decoder = MultiChain(leaves=_CHAINS, max_tokens=tokens)
    began = time.perf_counter()
    found = ask(model, question, decoder=decoder, kind="number", seed=1, calibrator=None)
    return found.usage.tokens_decoded / (time.perf_counter() - began)


def prompt(model: LlamaCppModel) -> float:
    """Tokens per second of a prompt of 1,000."""
    return model.submit(partial(_read, model, _text(model, _PROMPT))).result()


def _read(model: LlamaCppModel, tokens: list[int]) -> float:
    model.configure(len(tokens))
    began = time.perf_counter()
    _extend(model, tokens, 0)
    seconds = time.perf_counter() - began
    model.release(0)
    return len(tokens) / seconds


def _extend(model: LlamaCppModel, tokens: Sequence[int], sequence: int) -> None:
    most = model.info.max_batch
    for at in range(0, len(tokens), most):
        part = np.array(tokens[at : at + most], dtype=np.int32)
        outputs = np.zeros(part.size, dtype=np.bool_)
        outputs[-1] = True
        positions = np.arange(at, at + part.size, dtype=np.int32)
        model.decode(Batch(part, positions, np.full(part.size, sequence, np.int32), outputs))


def rows(model: LlamaCppModel) -> dict[str, float]:
    """Tokens per second over the rows of a batch, after 160 tokens."""
    return model.submit(lambda: {str(n): _rate(model, n, 160) for n in ROWS}).result()


def lengths(model: LlamaCppModel) -> dict[str, float]:
    """Tokens per second of 16 rows over the length of their paths."""
    return model.submit(lambda: {str(n): _rate(model, 16, n) for n in LENGTHS}).result()


def _rate(model: LlamaCppModel, count: int, length: int) -> float:
    """The fastest of some steps; each row has a beginning of this length."""
    model.configure(length + 8)
    _extend(model, _text(model, length), 0)
    for row in range(1, count):
        model.fork(0, row, length)
    best = min(_steps(model, count, length))
    for row in range(count):
        model.release(row)
    return count / best


def _steps(model: LlamaCppModel, count: int, length: int) -> Iterator[float]:
    sequences = np.arange(count, dtype=np.int32)
    for step in range(6):
        batch = Batch(
            (sequences + 10 + step).astype(np.int32),
            np.full(count, length + step, dtype=np.int32),
            sequences,
            np.ones(count, dtype=np.bool_),
        )
        began = time.perf_counter()
        model.decode(batch)
        yield time.perf_counter() - began


def leaves(model: LlamaCppModel) -> dict[str, float]:
    """Seconds of chains of one question over their number."""
    found = {}
    question = _QUESTIONS.read_text("utf-8").splitlines()[0]
    for count in (4, 8, 16, 32):
        decoder = MultiChain(leaves=count, max_tokens=_CHAIN_TOKENS)
        began = time.perf_counter()
        ask(model, question, decoder=decoder, kind="number", seed=1, calibrator=None)
        found[str(count)] = time.perf_counter() - began
    return found


def texts(model: LlamaCppModel) -> tuple[Doubles, Doubles]:
    """Probabilities after each token of a text decoded alone, and beside 23 others, [tokens, V]."""
    tokens = model.tokenize(_TEXT.read_text("utf-8"))
    alone, beside = (
        model.submit(partial(_probabilities, model, tokens, count)).result()
        for count in (1, _CHAINS)
    )
    return alone, beside


def _probabilities(model: LlamaCppModel, tokens: list[int], count: int) -> Doubles:
    """After each token of the first sequence; the others have the same text from later places on."""
    model.configure(_TEXT_TOKENS)
    sequences = np.arange(count, dtype=np.int32)
    found = []
    for at in range(_TEXT_TOKENS):
        step = model.decode(
            Batch(
                np.array([tokens[at + 5 * row] for row in range(count)], dtype=np.int32),
                np.full(count, at, dtype=np.int32),
                sequences,
                np.ones(count, dtype=np.bool_),
            )
        )
        found.append(softmax(step.logits[0].astype(np.float64)))
    for sequence in sequences.tolist():
        model.release(sequence)
    return np.array(found)


TASKS: Final = {
    "chains": chains,
    "prompt": prompt,
    "rows": rows,
    "lengths": lengths,
    "leaves": leaves,
}


def run(model: str, threads: int, tasks: Sequence[str]) -> dict[str, Any]:
    """Measure tasks in this process, after some steps to warm up."""
    with load_model(
        model, threads=threads, best_width=64, max_sequences=72, attention=False, prefix_memory=0
    ) as loaded:
        chains(loaded, tokens=4)
        return {"library": loaded.info.library, **{one: TASKS[one](loaded) for one in tasks}}
