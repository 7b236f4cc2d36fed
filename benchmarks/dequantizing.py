"""Quantized against dequantized weights: seconds per step by its width, whole trees, and agreement.

    python -m benchmarks.dequantizing [--model qwen2.5-coder-0.5b] [--questions 3] [--repeats 3]

Both copies are in memory and take turns. Agreement is the KL divergence, in nats per token, between the
next-token distributions of the two over the tree's own texts; beside it stands what the quantized model
has against itself when the same tokens are decoded in batches of another shape.
Writes benchmarks/results/dequantizing.json. Nothing else may run meanwhile.
"""

import argparse
import json
import statistics
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.special import log_softmax

from benchmarks.machine import describe
from et_agent.arrays import Bools, Doubles
from et_agent.asking import ask
from et_agent.decoding import EntropyTree
from et_agent.engines.base import Batch
from et_agent.engines.llama_cpp.model import LlamaCppModel
from et_agent.engines.loading import load_model

OUT: Final = Path(__file__).parent / "results" / "dequantizing.json"
QUESTIONS: Final = Path(__file__).parent / "questions" / "speed.txt"
WIDTHS: Final = (1, 4, 8, 16, 24, 32)
STEPS: Final = 6
SEED: Final = 11

Models = dict[str, LlamaCppModel]


def step_times(model: LlamaCppModel, width: int) -> float:
    """Median milliseconds of a step with `width` branches near their beginning."""
    rng = np.random.default_rng(width)
    sequences = np.arange(width, dtype=np.int32)
    times = []
    for position in range(2 + STEPS):
        tokens = rng.integers(1000, 20000, width).astype(np.int32)
        positions = np.full(width, position, dtype=np.int32)
        batch = Batch(tokens, positions, sequences, np.ones(width, dtype=np.bool_))
        began = time.perf_counter()
        model.decode(batch)
        times.append(time.perf_counter() - began)
    for sequence in sequences.tolist():
        model.release(sequence)
    return 1000 * statistics.median(times[2:])


def steps(models: Models, repeats: int) -> dict[str, Any]:
    """Milliseconds per step of both, and their ratios."""
    found: dict[str, Any] = {}
    for width in WIDTHS:
        times: dict[str, list[float]] = {name: [] for name in models}
        for _ in range(repeats):
            for name, model in models.items():
                times[name].append(model.submit(partial(step_times, model, width)).result())
        ratios = [p / u for p, u in zip(times["quantized"], times["dequantized"], strict=True)]
        found[f"{width} rows"] = {
            **{f"{name}, ms": round(statistics.median(taken), 1) for name, taken in times.items()},
            "quantized over dequantized": round(statistics.median(ratios), 3),
            "all": [round(ratio, 3) for ratio in ratios],
        }
        print(f"{width} rows: {found[f'{width} rows']}", file=sys.stderr, flush=True)
    return found


def trees(models: Models, questions: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Tokens per second of trees of `rounds`, question by question, in turn; and the trees' texts."""
    decoder = EntropyTree(schedule="rounds")
    rates: dict[str, list[float]] = {name: [] for name in models}
    answers: dict[str, list[str | None]] = {name: [] for name in models}
    texts = []
    for number, question in enumerate(questions):
        for name in list(models) if number % 2 == 0 else list(models)[::-1]:
            result = ask(models[name], question, decoder=decoder, kind="number", seed=SEED)
            rates[name].append(result.usage.tokens_per_second)
            answers[name].append(result.answer)
            if name == "quantized" and result.tree is not None:
                texts.append(result.tree.leaves[0].text)
        print({name: round(rate[-1], 1) for name, rate in rates.items()}, file=sys.stderr)
    ratios = [u / p for p, u in zip(rates["quantized"], rates["dequantized"], strict=True)]
    return {
        "tokens a second, dequantized over quantized": round(statistics.median(ratios), 3),
        "all": [round(ratio, 3) for ratio in ratios],
        "tokens a second": {k: [round(v, 1) for v in values] for k, values in rates.items()},
        "answers": answers,
    }, texts


def log_probs(model: LlamaCppModel, tokens: list[int], at_once: int) -> Doubles:
    """log p of the whole vocabulary after each token, decoded `at_once` tokens per batch."""

    def work() -> Doubles:
        rows = []
        for start in range(0, len(tokens), at_once):
            part = np.array(tokens[start : start + at_once], dtype=np.int32)
            positions = np.arange(start, start + part.size, dtype=np.int32)
            batch = Batch(part, positions, np.zeros_like(part), np.ones(part.size, dtype=np.bool_))
            rows.append(model.decode(batch).logits.astype(np.float64))
        model.release(0)
        return np.asarray(log_softmax(np.concatenate(rows), axis=1), dtype=np.float64)

    return model.submit(work).result()


def agreement(models: Models, texts: list[str]) -> dict[str, Any]:
    """KL divergence and equal favourites over some texts."""
    divergences: dict[str, list[Doubles]] = {}
    equal: dict[str, list[Bools]] = {}
    for text in texts:
        tokens = models["quantized"].tokenize(text)[:256]
        base = log_probs(models["quantized"], tokens, 32)
        for name, other in (
            ("dequantized", log_probs(models["dequantized"], tokens, 32)),
            ("quantized, batches of 1", log_probs(models["quantized"], tokens, 1)),
        ):
            divergences.setdefault(name, []).append((np.exp(base) * (base - other)).sum(axis=1))
            equal.setdefault(name, []).append(base.argmax(axis=1) == other.argmax(axis=1))
    return {
        f"quantized in batches of 32 against {name}": {
            "tokens": sum(part.size for part in parts),
            "mean KL, nats": round(float(np.concatenate(parts).mean()), 6),
            "same favourite": round(float(np.concatenate(equal[name]).mean()), 4),
        }
        for name, parts in divergences.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--questions", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    lines = QUESTIONS.read_text(encoding="utf-8").splitlines()
    questions = [line for line in lines if line.strip()][: options.questions]
    with (
        load_model(options.model) as quantized,
        load_model(options.model, dequantize=True) as dequantized,
    ):
        models = {"quantized": quantized, "dequantized": dequantized}
        found: dict[str, Any] = {"steps": steps(models, options.repeats)}
        found["trees"], texts = trees(models, questions)
        found["agreement"] = agreement(models, texts)
    kept = json.loads(OUT.read_text(encoding="utf-8")) if OUT.is_file() else {}
    kept[options.model] = {**found, "machine": describe()}
    OUT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
