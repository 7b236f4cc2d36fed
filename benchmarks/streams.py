"""A key-value stream per branch against one cache for all: seconds per step, and whole trees.

    python -m benchmarks.streams [--model qwen2.5-coder-0.5b] [--questions 8] [--repeats 3]

Both models are in memory and take turns. Steps: branches that share a prompt and have gone on for a
number of tokens of their own. Trees: those of `rounds`, one question alone and all at once.
Writes benchmarks/results/streams.json. Nothing else may run meanwhile.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.machine import describe
from et_agent.asking import ask
from et_agent.decoding import EntropyTree
from et_agent.engines.base import DEFAULT_WIDTH, Batch
from et_agent.engines.llama_cpp.model import LlamaCppModel
from et_agent.engines.loading import load_model

OUT: Final = Path(__file__).parent / "results" / "streams.json"
QUESTIONS: Final = Path(__file__).parent / "questions" / "speed.txt"
SHAPES: Final = ((1, 150), (8, 150), (16, 150), (32, 50), (32, 150), (32, 300))
PROMPT: Final = 100
STEPS: Final = 6
SEED: Final = 11

Models = dict[str, LlamaCppModel]


def _decode(model: LlamaCppModel, rows: list[tuple[int, int]], seed: int, *, output: bool) -> None:
    """Decode random tokens at (position, sequence)."""
    positions, sequences = np.array(rows, dtype=np.int32).T
    tokens = np.random.default_rng(seed).integers(1000, 20000, len(rows)).astype(np.int32)
    outputs = np.full(len(rows), output)
    outputs[-1] = True
    model.decode(Batch(tokens, positions, sequences, outputs))


def step_time(model: LlamaCppModel, width: int, depth: int) -> float:
    """Median milliseconds of a step of `width` branches, `depth` tokens after their prompt."""
    model.configure(PROMPT + depth + STEPS)
    _decode(model, [(at, 0) for at in range(PROMPT)], 0, output=False)
    for sequence in range(1, width):
        model.fork(0, sequence, PROMPT)
    for sequence in range(width):
        rows = [(PROMPT + at, sequence) for at in range(depth)]
        for start in range(0, depth, 200):
            _decode(model, rows[start : start + 200], sequence, output=False)
    times = []
    for step in range(STEPS):
        rows = [(PROMPT + depth + step, sequence) for sequence in range(width)]
        began = time.perf_counter()
        _decode(model, rows, step, output=True)
        times.append(time.perf_counter() - began)
    model.configure(1)
    return 1000 * statistics.median(times[1:])  # the first one copies what was forked


def steps(models: Models, repeats: int) -> dict[str, Any]:
    """Milliseconds per step of both, and their ratios."""
    return {
        f"{width} rows, depth {depth}": compared(
            f"{width} rows, depth {depth}",
            models,
            repeats,
            lambda model, w=width, d=depth: model.submit(partial(step_time, model, w, d)).result(),  # type: ignore[misc]
        )
        for width, depth in SHAPES
        if width <= models["streams"].info.best_width
    }


def trees(models: Models, questions: list[str], repeats: int) -> dict[str, Any]:
    """Milliseconds of trees of both, and their ratios."""
    decoder = EntropyTree(schedule="rounds")

    def seconds(asked: str | list[str], model: LlamaCppModel) -> float:
        began = time.perf_counter()
        ask(model, asked, decoder=decoder, kind="number", seed=SEED)
        return 1000 * (time.perf_counter() - began)

    cases: dict[str, str | list[str]] = {
        "one tree": questions[0],
        f"{len(questions)} trees at once": questions,
    }
    return {
        name: compared(name, models, repeats, partial(seconds, asked))
        for name, asked in cases.items()
    }


def compared(
    name: str, models: Models, repeats: int, measure: Callable[[LlamaCppModel], float]
) -> dict[str, Any]:
    """Milliseconds of both models in turn, and the ratio of each pair."""
    times: dict[str, list[float]] = {key: [] for key in models}
    for turn in range(repeats):
        for key in list(models) if turn % 2 == 0 else list(models)[::-1]:
            times[key].append(measure(models[key]))
    ratios = [one / own for one, own in zip(times["one cache"], times["streams"], strict=True)]
    found = {
        **{f"{key}, ms": round(statistics.median(taken), 1) for key, taken in times.items()},
        "one cache over streams": round(statistics.median(ratios), 3),
        "all": [round(ratio, 3) for ratio in ratios],
    }
    print(f"{name}: {found}", file=sys.stderr, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--questions", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--width", type=int, default=DEFAULT_WIDTH, help="rows in a batch")
    options = parser.parse_args()
    lines = QUESTIONS.read_text(encoding="utf-8").splitlines()
    questions = [line for line in lines if line.strip()][: options.questions]
    load = partial(
        load_model, options.model, best_width=options.width, context=16384, prefix_memory=0
    )
    with load() as streams, load(stream_memory=0) as one:
        models = {"streams": streams, "one cache": one}
        found = {"steps": steps(models, options.repeats)}
        found["trees"] = trees(models, questions, options.repeats)
    kept = json.loads(OUT.read_text(encoding="utf-8")) if OUT.is_file() else {}
    kept[f"{options.model}, width {options.width}"] = {**found, "machine": describe()}
    OUT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
