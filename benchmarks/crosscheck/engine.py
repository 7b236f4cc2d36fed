"""What the engine makes of the same file and tokens: read alone, and forked from a shared beginning.

    ET_AGENT_KERNELS=avx2 python -m benchmarks.crosscheck.engine TASK.json RESULT.npz

A process of its own, since kernels are attached once.
"""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.kernels.evex import use_evex
from et_agent.engines.base import Batch
from et_agent.engines.llama_cpp.attention import StepAttention
from et_agent.engines.llama_cpp.model import LlamaCppModel
from et_agent.kernels.library import attach

Floats = NDArray[np.float32]
_PIECE: Final = 128
"""Tokens in a batch."""


def log_softmax(logits: Floats) -> Floats:
    """Log-probabilities of rows of logits, in float64 inside."""
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=-1, keepdims=True)
    found: Floats = (wide - np.log(np.exp(wide).sum(axis=-1, keepdims=True))).astype(np.float32)
    return found


def batch_of(rows: list[tuple[int, int, int, bool]]) -> Batch:
    """A batch of (token, position, sequence, output)."""
    tokens, positions, sequences, outputs = zip(*rows, strict=True)
    return Batch(
        np.array(tokens, dtype=np.int32),
        np.array(positions, dtype=np.int32),
        np.array(sequences, dtype=np.int32),
        np.array(outputs, dtype=np.bool_),
    )


def decode(
    model: LlamaCppModel, rows: list[tuple[int, int, int, bool]]
) -> tuple[dict[tuple[int, int], Floats], Any]:
    """Decode rows in pieces: log-probabilities by (sequence, position), and the last attention."""
    found: dict[tuple[int, int], Floats] = {}
    attention: Any = None
    for at in range(0, len(rows), _PIECE):
        part = rows[at : at + _PIECE]
        step = model.decode(batch_of(part))
        wanted = [(one[2], one[1]) for one in part if one[3]]
        if wanted:
            found |= dict(zip(wanted, log_softmax(step.logits), strict=True))
            if isinstance(step.attention, StepAttention):
                attention = step.attention.weights(len(wanted) - 1).copy()
    return found, attention


def alone(model: LlamaCppModel, text: dict[str, Any]) -> tuple[Floats, Any]:
    """A text read afresh: log-probabilities [positions, V] and attention of its last token."""
    wanted = set(text["positions"])
    rows = [(token, at, 0, at in wanted) for at, token in enumerate(text["tokens"])]
    found, attention = decode(model, rows)
    model.release(0)
    return np.stack([found[0, at] for at in text["positions"]]), attention


def forked(model: LlamaCppModel, texts: list[dict[str, Any]], cut: int) -> dict[str, Floats]:
    """Texts that share their first `cut` tokens, as forks that are decoded side by side."""
    shared = texts[0]["tokens"][:cut]
    # What lies around them must not show: another sequence before, and one that is given back.
    decode(model, [(token, at, 9, False) for at, token in enumerate(shared[:40])])
    decode(model, [(token, at, 0, False) for at, token in enumerate(shared)])
    model.release(9)
    for number in range(1, len(texts)):
        model.fork(0, number, cut)
    rows = [
        (text["tokens"][at], at, number, at in text["positions"])
        for at in range(cut, max(len(text["tokens"]) for text in texts))
        for number, text in enumerate(texts)
        if at < len(text["tokens"])
    ]
    found, _ = decode(model, rows)
    for number in range(len(texts)):
        model.release(number)
    return {
        text["name"]: np.stack([found[number, at] for at in text["positions"] if at >= cut])
        for number, text in enumerate(texts)
    }


def main() -> None:
    """Run the task; what it found goes to a file, which kernels decoded to stdout."""
    task = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    if task["evex"]:
        use_evex()
    longest = max(len(text["tokens"]) for text in task["texts"])
    out: dict[str, Any] = {}
    with LlamaCppModel(
        Path(task["file"]),
        context=max(4096, 2 * longest),
        threads=task["threads"],
        attention=bool(task["layers"]),
        attention_layers=tuple(task["layers"]) or None,
        max_sequences=64,
        repack=task["repack"],
        stream_memory=task["stream_memory"],
        prefix_memory=0,
    ) as model:

        def work() -> None:
            model.configure(longest, attention=bool(task["layers"]))
            for text in task["texts"]:
                log_probs, attention = alone(model, text)
                out[f"{text['name']}/log_probs"] = log_probs
                if attention is not None:
                    out[f"{text['name']}/attention"] = attention
            for group in task["forks"]:
                members = [one for one in task["texts"] if one["name"] in group["texts"]]
                for name, found in forked(model, members, group["cut"]).items():
                    out[f"{name}/forked"] = found

        model.submit(partial(work)).result()
        np.savez(sys.argv[2], **out)
        print(json.dumps({"kernels": attach().name, "library": model.info.library}))


if __name__ == "__main__":
    main()
