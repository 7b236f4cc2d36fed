"""The engine against an independent implementation, transformers, which reads the same GGUF files.

    python -m benchmarks.crosscheck --reference /path/to/python

`--reference` is a Python with torch, transformers and gguf; nothing of it is a dependency. Compared are
log-probabilities and attention of short and long texts, forks of a shared beginning among them, in real
models as they are shipped and as float16, with the products of each instruction set that this CPU has
(AVX-VNNI in the encoding of AVX512-VNNI where it has no other) and with llama.cpp's own, and in tiny
random models whose windows the texts exceed. The results go to benchmarks/results/crosscheck.json, the
table to docs/reliability.md, and log-probabilities of a few positions to
tests/engines/llama_cpp/reference.json.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.documents import put
from benchmarks.kernels.evex import needs_evex, use_evex
from benchmarks.machine import describe
from et_agent.engines.llama_cpp.dequantizing import dequantized
from et_agent.engines.llama_cpp.model import STREAM_MEMORY, LlamaCppModel
from et_agent.errors import KernelError
from et_agent.kernels.building import build
from et_agent.kernels.instructions import usable
from et_agent.weights.catalog import fingerprint_of, locate
from et_agent.weights.gguf import read_gguf
from tests.tiny_models import ARCHITECTURES, tiny_model

ROOT: Final = Path(__file__).parent.parent.parent
RESULTS: Final = ROOT / "benchmarks" / "results" / "crosscheck.json"
KEPT: Final = ROOT / "tests" / "engines" / "llama_cpp" / "reference.json"

MODELS: Final = ("smollm2-135m", "qwen2.5-coder-0.5b")
WINDOW: Final = 64
UNREAD: Final[dict[str, dict[str, Any]]] = {
    "gemma2": {"query_pre_attn_scalar": 32},
    "gemma3": {"query_pre_attn_scalar": 32},
    "gpt-oss": {
        "head_dim": 32,
        "sliding_window": WINDOW,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    },
    "phi3": {"pad_token_id": None},
    "qwen3": {"head_dim": 32},
    "qwen3moe": {"head_dim": 32},
}
"""What transformers 5.24 takes from the published models of a family and not from the file."""
SHORT: Final = {
    "sum": "What is 17 + 25? Give only the number.",
    "prose": "The tide came in slowly over the flat sand, and by noon the boats that had lain on",
    "code": "def median(values):\n    ordered = sorted(values)\n    middle = len(ordered) // 2\n    if",
    "language": "東京は日本の首都であり、世界で最も人口の多い都市の一つです。Größe und Maß: ½ µm,",
}
ENDINGS: Final = (
    " In short, this clause says that the licensor",
    "\n\n1. Who may use it? Anybody. 2. What must be kept? The notices. 3. What is",
    " 12, 24, 36, 48, 60, 72,",
)
LONG, SHARED = 2000, 300
_SURE: Final = 0.01
"""Probability from which log-probabilities are compared: below it, rounding is most of them."""

TOLERANCE: Final[dict[str, tuple[float, float, float]]] = {
    # weights: largest total variation, |difference of log p|, |difference of an attention weight|
    "as shipped": (0.20, 1.0, 0.10),
    # A cache of bfloat16: keys of the 0.5B are so large that they lose most by it.
    "float16": (0.20, 1.0, 0.05),
    # They attend sharply, and the cache holds keys and values as bfloat16.
    "random": (0.05, 0.30, 0.05),
}
"""What is taken for rounding. llama.cpp rounds activations to 8 bits where weights are quantized."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to run the engine."""

    weights: str
    kernels: str
    cache: str


def real_settings(names: Sequence[str]) -> Iterator[Setting]:
    """All kernels over streams, the best ones in one row too, and the float16 copy."""
    for name in (*names, "off"):
        yield Setting("as shipped", name, "streams")
    best = names[0] if names else "off"
    yield Setting("as shipped", best, "one row")
    yield Setting("float16", "off", "streams")


def tiny_settings(names: Sequence[str]) -> Iterator[Setting]:
    """Float weights, which no kernel of ours multiplies; attention may be ours."""
    for name in (*names[:1], "off"):
        for cache in ("streams", "one row"):
            yield Setting("random", name, cache)


def real_texts(model: LlamaCppModel) -> dict[str, Any]:
    """Texts of a real model, and which of them share a beginning."""
    license_text = (ROOT / "LICENSE").read_text("utf-8")
    tokens = model.tokenize(license_text)
    texts = {name: model.tokenize(text) for name, text in SHORT.items()}
    texts["sum"] = model.chat_tokens([{"role": "user", "content": SHORT["sum"]}])
    texts["long"] = tokens[:LONG]
    endings = {
        f"fork {at}": tokens[:SHARED] + model.tokenize(one) for at, one in enumerate(ENDINGS)
    }
    return {
        "texts": [described(name, one) for name, one in {**texts, **endings}.items()],
        "forks": [{"texts": list(endings), "cut": SHARED}],
    }


def tiny_texts() -> dict[str, Any]:
    """Random tokens, within the window and far past it; forks that leave before and after it."""
    draw = np.random.default_rng(5)
    path = draw.integers(0, 250, 400).tolist()
    texts = {"short": path[:40], "long": path}
    early = {f"early {at}": path[:40] + draw.integers(0, 250, 20).tolist() for at in range(2)}
    late = {f"late {at}": path[:300] + draw.integers(0, 250, 100).tolist() for at in range(3)}
    return {
        "texts": [described(name, one) for name, one in {**texts, **early, **late}.items()],
        "forks": [{"texts": list(early), "cut": 40}, {"texts": list(late), "cut": 300}],
    }


def described(name: str, tokens: list[int]) -> dict[str, Any]:
    """A text with the positions that are compared: up to 15 over it, the last ones included."""
    last = len(tokens) - 1
    places = {
        *np.linspace(last // 8, last, 12).astype(int).tolist(),
        *range(max(0, last - 3), last),
    }
    return {"name": name, "tokens": tokens, "positions": sorted(places)}


def referred(python: str, task: dict[str, Any], work: Path) -> tuple[Any, dict[str, str]]:
    """What the other implementation finds, and its versions."""
    given, found = work / "reference-task.json", work / "reference.npz"
    given.write_text(json.dumps(task), "utf-8")
    script = Path(__file__).with_name("reference.py")
    # Not from the working folder: nothing of ours is to be imported there.
    said = subprocess.run(
        [python, "-I", str(script), str(given), str(found)],
        capture_output=True,
        text=True,
        cwd=work,
    )
    if said.returncode:
        raise RuntimeError(said.stderr.strip().splitlines()[-1])
    return dict(np.load(found)), json.loads(said.stdout.splitlines()[-1])


def decoded(task: dict[str, Any], kernels: str, work: Path) -> tuple[Any, dict[str, str]]:
    """What the engine finds with some kernels, and what decoded."""
    given, found = work / "task.json", work / "engine.npz"
    given.write_text(json.dumps(task), "utf-8")
    command = [sys.executable, "-m", "benchmarks.crosscheck.engine", str(given), str(found)]
    environ = {**os.environ, "ET_AGENT_KERNELS": kernels}
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environ)
    return dict(np.load(found)), json.loads(said.stdout.splitlines()[-1])


def variation(one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    """Total variation of rows of log-probabilities."""
    found: NDArray[Any] = 0.5 * np.abs(np.exp(one) - np.exp(other)).sum(axis=-1)
    return found


def compared(task: dict[str, Any], found: Any, reference: Any) -> dict[str, float | int]:
    """How far the engine's numbers are from the reference's."""
    names = [one["name"] for one in task["texts"]]
    mine = np.concatenate([found[f"{one}/log_probs"] for one in names])
    other = np.concatenate([reference[f"{one}/log_probs"] for one in names])
    sure = other >= np.log(_SURE)
    apart = np.where(sure, np.abs(mine - other), 0.0)
    agree = mine.argmax(axis=-1) == other.argmax(axis=-1)
    top = np.sort(np.exp(other), axis=-1)
    tv = variation(mine, other)
    forks, against = [], []
    for group in task["forks"]:
        for text in (one for one in task["texts"] if one["name"] in group["texts"]):
            name, after = text["name"], np.array(text["positions"]) >= group["cut"]
            forks.append(variation(found[f"{name}/forked"], reference[f"{name}/log_probs"][after]))
            against.append(variation(found[f"{name}/forked"], found[f"{name}/log_probs"][after]))
    row: dict[str, float | int] = {
        "positions": len(agree),
        "top-1 equal": int(agree.sum()),
        "largest lead where not": round(
            float(np.max((top[:, -1] - top[:, -2])[~agree], initial=0)), 4
        ),
        "total variation, mean": round(float(tv.mean()), 6),
        "total variation, largest": round(float(tv.max()), 6),
        "log p apart, largest": round(float(apart.max()), 6),
        "forks, largest variation": round(float(np.concatenate(forks).max()), 6),
        "forks against read afresh": round(float(np.concatenate(against).max()), 6),
    }
    if task["layers"]:
        row["attention apart, largest"] = round(
            max(map(float, attentions(names, found, reference))), 6
        )
    return row


def attentions(names: list[str], found: Any, reference: Any) -> Iterator[float]:
    """Largest difference of an attention weight in each text, of the last token."""
    for name in names:
        other = reference[f"{name}/attention"].reshape(-1, reference[f"{name}/attention"].shape[-1])
        mine = found[f"{name}/attention"].reshape(other.shape)
        # Where a model has sinks, what goes into them is left out on our side.
        yield np.abs(mine - other / other.sum(axis=-1, keepdims=True)).max()


def checked(row: dict[str, Any]) -> list[str]:
    """What exceeds the tolerance."""
    tv, log_p, attention = TOLERANCE[row["weights"]]
    limits = {
        "total variation, largest": tv,
        "forks, largest variation": tv,
        "log p apart, largest": log_p,
        "attention apart, largest": attention,
    }
    # NaN is within no limit.
    return [f"{key} {row[key]}" for key, most in limits.items() if not row.get(key, 0.0) <= most]


def rows_of(
    name: str, python: str, work: Path, threads: int, kernels: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Rows of a model; of one that transformers does not read, why."""
    real = name in MODELS
    if real:
        located = locate(name)
        path, parts = located.path, read_gguf(located.path).parts
        fingerprint = fingerprint_of(located, parts)
        with LlamaCppModel(path, threads=threads, prefix_memory=0, max_sequences=4) as model:
            layers = list(model.info.attention_layers)
            task = {**real_texts(model), "layers": layers}
    else:
        path, fingerprint = tiny_model(work, name, window=WINDOW), ""
        task = {**tiny_texts(), "layers": [0, 1]}
    task |= {"threads": threads, "file": str(path), "config": UNREAD.get(name, {})}
    task["evex"] = needs_evex()
    try:
        reference, versions = referred(python, task, work)
    except RuntimeError as error:
        yield {"model": name, "weights": "random", "not compared": str(error)[:200]}
        return
    if name == MODELS[0]:
        kept = few(task, reference, versions, fingerprint)
        KEPT.write_text(json.dumps(kept) + "\n", "utf-8")
    for one in real_settings(kernels) if real else tiny_settings(kernels):
        halves = one.weights == "float16"
        run = {
            **task,
            "file": str(dequantized(read_gguf(path), fingerprint) if halves else path),
            "repack": real,
            "stream_memory": STREAM_MEMORY if one.cache == "streams" else 0,
        }
        found, said = decoded(run, one.kernels, work)
        row = {"model": name, **asdict(one), **said, **compared(run, found, reference)}
        yield {**row, "reference": versions, "exceeds": checked(row)}


def few(
    task: dict[str, Any], reference: Any, versions: dict[str, str], fingerprint: str
) -> dict[str, Any]:
    """Of each short text the likeliest tokens after three positions, as numbers."""
    texts = []
    for text in task["texts"]:
        if len(text["tokens"]) > 100:
            continue
        log_probs = reference[f"{text['name']}/log_probs"]
        rows = []
        for at in (0, len(text["positions"]) // 2, len(text["positions"]) - 1):
            likely = np.argsort(-log_probs[at])[:10]
            rows.append(
                {
                    "position": text["positions"][at],
                    "tokens": likely.tolist(),
                    "log_probs": [round(float(one), 4) for one in log_probs[at][likely]],
                }
            )
        texts.append({"name": text["name"], "tokens": text["tokens"], "rows": rows})
    return {"fingerprint": fingerprint, "from": versions, "texts": texts}


def main() -> int:
    """Compare, write, and tell what exceeds the tolerance."""
    names = (*MODELS, *sorted(set(ARCHITECTURES) - {"mamba"}))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", help=f"of {', '.join(names)}; all by default")
    parser.add_argument(
        "--reference", required=True, help="a Python with torch, transformers, gguf"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--kernels", nargs="*", help="instruction sets; all of this CPU by default")
    given = parser.parse_args()
    if needs_evex():
        use_evex()
    built = []
    for one in usable():
        try:
            if given.kernels is None or one.name in given.kernels:
                build(one, say=print)
                built.append(one.name)
        except KernelError as error:
            print(f"no kernels for {one.name}: {error}")
    wrong = []
    for name in given.models or names:
        rows = []
        with tempfile.TemporaryDirectory() as folder:
            for row in rows_of(name, given.reference, Path(folder), given.threads, built):
                rows.append(row)
                wrong += row.get("exceeds", [])
                print(row, flush=True)
                # At once, since a model takes minutes.
                keep(rows, names)
    print(*wrong, sep="\n")
    return bool(wrong)


def keep(rows: list[dict[str, Any]], names: Sequence[str]) -> None:
    """Put the rows of a model in place of earlier ones with the same setting."""
    known = json.loads(RESULTS.read_text("utf-8"))["rows"] if RESULTS.exists() else []
    places = {place_of(one): one for one in [*known, *rows]}
    merged = sorted(places.values(), key=lambda one: names.index(one["model"]))
    found = {"machine": describe(), "tolerance": TOLERANCE, "rows": merged}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    write_table(merged)


def place_of(row: dict[str, Any]) -> tuple[str, ...]:
    """What a row is about."""
    return (row["model"], row["weights"], row.get("kernels", ""), row.get("cache", ""))


def write_table(rows: list[dict[str, Any]]) -> None:
    """Put the table into the page."""
    columns = (
        *("total variation, mean", "total variation, largest", "log p apart, largest"),
        *("forks, largest variation", "attention apart, largest"),
    )
    lines = [
        "| model | weights | kernels | cache | top-1 equal | " + " | ".join(columns) + " |",
        "|---|---|---|---|" + "---:|" * (len(columns) + 1),
    ]
    for row in rows:
        if "not compared" in row:
            continue
        names = f"| {row['model']} | {row['weights']} | {row['kernels']} | {row['cache']} | "
        equal = f"{row['top-1 equal']} of {row['positions']} | "
        lines.append(names + equal + " | ".join(f"{row[one]:.4f}" for one in columns) + " |")
    put("docs/reliability.md", "crosscheck", ["", *lines, ""])


if __name__ == "__main__":
    sys.exit(main())
