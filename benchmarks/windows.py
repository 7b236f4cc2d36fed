"""Forks past sliding windows, on tiny models of many architectures, for docs/models.md.

    python -m benchmarks.windows [--again] [--seconds N]

A path grows past its window. A sequence before it is given up, and another takes its cells and more.
Then the path is forked at several positions, and a few tokens are decoded there. Their logits are
compared with those of the same tokens decoded alone. So are forks of a path whose key-values were taken
out of the cache and put back. For comparison, twins are left out: llama.cpp then gives away the cells
of one row that have left the window. The weights are random; Gemma-3-270M joins in if it is cached.
What was measured is kept, and not measured again.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from benchmarks.documents import ROOT, put
from benchmarks.machine import describe
from et_agent.engines.base import Batch
from et_agent.engines.llama_cpp import model as model_module
from et_agent.engines.llama_cpp.layout import choose_layout
from et_agent.engines.llama_cpp.model import LlamaCppModel
from et_agent.storage import write_atomically
from et_agent.weights.catalog import list_models
from tests.tiny_models import tiny_model

OUT = ROOT / "benchmarks" / "results" / "windows.json"
REAL = "gemma-3-270m"
CASES: tuple[tuple[str, int | None, int, tuple[int, ...]], ...] = (
    ("gemma2", None, 4800, (48, 1000)),
    ("gemma3", 512, 2000, (48, 400, 1000, 1900)),
    ("gpt-oss", 128, 1000, (48, 100, 400, 900)),
    ("cohere2", 512, 2000, (48, 400, 1000, 1900)),
    ("exaone4", 128, 600, (48, 300, 500)),
    ("llama4", None, 8600, (48, 1000)),
    ("phi3", 512, 1500, (48, 400, 1000)),
    ("qwen3moe", None, 1000, (48, 900)),
    ("deepseek2", None, 1000, (48, 900)),
)
"""Architecture, window that the file names, length of the path, and where it is forked."""


def fill(model: LlamaCppModel, path: Sequence[int], sequence: int, start: int = 0) -> Any:
    """Decode what follows the first `start` tokens of a path; returns the last logits."""

    def work() -> NDArray[np.float32]:
        for at in range(start, len(path), model.info.max_batch):
            part = path[at : at + model.info.max_batch]
            count, last = len(part), at + len(part) == len(path)
            outputs = np.zeros(count, dtype=np.bool_)
            outputs[-1] = last
            step = model.decode(
                Batch(
                    np.array(part, dtype=np.int32),
                    np.arange(at, at + count, dtype=np.int32),
                    np.full(count, sequence, dtype=np.int32),
                    outputs,
                )
            )
        logits: NDArray[np.float32] = step.logits[0].copy()
        return logits

    return model.submit(work).result()


def some_tokens(model: LlamaCppModel, count: int, seed: int) -> list[int]:
    most = min(250, model.info.vocabulary)
    tokens: list[int] = np.random.default_rng(seed).integers(0, most, count).tolist()
    return tokens


def release(model: LlamaCppModel, *sequences: int) -> None:
    for one in sequences:
        model.submit(partial(model.release, one)).result()


def cosine(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    first, second = one.astype(np.float64), other.astype(np.float64)
    return float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))


def forks(model: LlamaCppModel, path: list[int], positions: Sequence[int], source: int) -> float:
    """Least cosine of forks of a sequence against their tokens alone."""
    least = 1.0
    for at in positions:
        other = [*path[:at], *some_tokens(model, 8, at)]
        model.submit(partial(model.fork, source, 3, at)).result()
        forked = fill(model, other, 3, at)
        release(model, 3)
        least = min(least, cosine(forked, fill(model, other, 4)))
        release(model, 4)
    return least


def measure(path: Path, length: int, positions: Sequence[int], *, memory: int) -> dict[str, Any]:
    with LlamaCppModel(
        path, context=4 * length, max_sequences=6, best_width=4, repack=False, stream_memory=memory
    ) as model:
        model.submit(partial(model.configure, length + 16)).result()
        tokens = some_tokens(model, length, 0)
        fill(model, some_tokens(model, 60, 1), 1)
        fill(model, tokens, 0)
        release(model, 1)
        fill(model, some_tokens(model, 200, 2), 2)
        found = {
            "window": model.info.window,
            "longest": model.info.longest_path,
            "unified": model._layout.unified,
            "forks": forks(model, tokens, positions, 0),
            "restored": None,
        }
        rows = model.submit(partial(model.park, 0, 0)).result()
        if rows is not None and model.submit(partial(model.restore, 5, rows)).result():
            found["restored"] = forks(model, tokens, positions, 5)
        return found


def without_twins() -> AbstractContextManager[Any]:
    """Let llama.cpp give away what has left a window."""

    def choose(longest: int, **others: int) -> Any:
        return choose_layout(longest, **{**others, "window": 0})

    return patch.object(model_module, "choose_layout", choose)


def case(path: Path, named: int | None, length: int, positions: Sequence[int]) -> dict[str, Any]:
    one_row = measure(path, length, positions, memory=0)
    streams = measure(path, length, positions, memory=8 << 30)
    assert one_row["unified"]
    assert not streams["unified"]
    found = {
        "named": named,
        "window": one_row["window"],
        "length": length,
        "positions": list(positions),
        "longest": one_row["longest"],
        "one row": one_row["forks"],
        "streams": streams["forks"],
        "restored": min(one_row["restored"] or -1, streams["restored"] or -1),
    }
    if one_row["window"]:
        with without_twins():
            found["given away"] = measure(path, length, positions, memory=0)["forks"]
    return found


def lines(results: Mapping[str, dict[str, Any]]) -> list[str]:
    head = (
        "| model | window in its file | in llama.cpp | path | forked at | a stream each | one row "
        "| kept and put back | one row without twins |"
    )
    rows = [head, "|---|---|---|---|---|---|---|---|---|"]
    for name, one in results.items():
        cells = [
            name,
            "none" if one["named"] is None else str(one["named"]),
            str(one["window"] or "none"),
            f"{one['length']:,}",
            ", ".join(f"{at:,}" for at in one["positions"]),
            *(f"{one[key]:.6f}" for key in ("streams", "one row", "restored")),
            f"{one['given away']:.3f}" if "given away" in one else "",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", action="store_true", help="measure all of it again")
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no more after so many")
    given = parser.parse_args()
    began = time.perf_counter()
    kept: dict[str, dict[str, Any]] = {}
    if OUT.is_file() and not given.again:
        kept = json.loads(OUT.read_text("utf-8"))["results"]
    jobs: dict[str, Callable[[Path], dict[str, Any]]] = {
        f"tiny {one[0]}": partial(_tiny, *one) for one in CASES
    }
    cached = next(one for one in list_models() if one.entry.name == REAL)
    if cached.cached:
        jobs[REAL] = lambda _: case(cached.path, 512, 700, (48, 400))
    with tempfile.TemporaryDirectory() as temporary:
        for name, job in jobs.items():
            if name in kept or time.perf_counter() - began > given.seconds:
                continue
            kept[name] = job(Path(temporary))
            print(name, kept[name], f"{time.perf_counter() - began:.0f} s", flush=True)
            text = json.dumps({"machine": describe(), "results": kept}, indent=1) + "\n"
            write_atomically(OUT, text.encode())
    put("docs/models.md", "windows", lines({name: kept[name] for name in jobs if name in kept}))


def _tiny(
    architecture: str, window: int | None, length: int, positions: Sequence[int], folder: Path
) -> dict[str, Any]:
    return case(tiny_model(folder, architecture, window=window), window, length, positions)


if __name__ == "__main__":
    main()
