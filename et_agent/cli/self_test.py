"""A few seconds of decoding that show whether a model works on this machine.

Run as a module in a child process, since a broken build of llama.cpp can end the process:

    python -m et_agent.cli.self_test '{"spec": "smollm2-135m", "threads": null, "gpu": {}}'
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from et_agent.asking import submit
from et_agent.cli import loading
from et_agent.decoding.schedules import EntropyTree
from et_agent.engines.base import Batch, LanguageModel
from et_agent.engines.opening import needing_logits
from et_agent.engines.sampled import AnyModel
from et_agent.errors import EtAgentError
from et_agent.wording import counted

__all__ = ["Check", "self_test"]

Status = Literal["ok", "warn", "fail"]
_QUESTION: Final = "How many legs have 3 cats and 2 birds together?"
_BRANCH: Final = 8
_LEAST_COSINE: Final = 0.999
_EARLY: Final = 48
"""Where a path that has grown past the window is forked again: its first cells must still be there."""
_ROW_TOLERANCE: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Check:
    """One line of `doctor`.

    Attributes:
        name: What was looked at.
        status: "ok", "warn" or "fail".
        detail: What was found.
        fix: What to do about it; empty when all is well.
    """

    name: str
    status: Status
    detail: str
    fix: str = ""


def self_test(open_model: Callable[[], AbstractContextManager[AnyModel]]) -> list[Check]:
    """Load a model, decode a short tree, and look at attention and forks."""
    checks: list[Check] = []
    try:
        started = time.perf_counter()
        with open_model() as opened:
            model = needing_logits(opened, "the self-test")
            seconds = time.perf_counter() - started
            checks.append(Check("load", "ok", f"{model.info.name} in {seconds:.1f} s"))
            checks.append(_tree(model))
            tokens = model.plain_tokens(_QUESTION)
            checks += model.submit(lambda: _look_at_branches(model, tokens)).result()
            if 0 < model.info.window < model.info.longest_path - 2 * _EARLY:
                checks.append(model.submit(lambda: _look_past_window(model, tokens)).result())
    except EtAgentError as error:
        checks.append(Check("self-test", "fail", str(error)))
    return checks


def _tree(model: LanguageModel) -> Check:
    chat: Literal["model", "plain"] = "model" if model.info.chat_template else "plain"
    decoder = EntropyTree(leaves=4, max_tokens=32)
    usage = submit(model, _QUESTION, decoder=decoder, chat=chat).result().usage
    speed = f"{usage.tokens_per_second:.0f} tokens/s"
    leaves = counted(usage.leaves, "leaf", "leaves")
    detail = f"{leaves}, {counted(usage.tokens_decoded, 'token')}, {speed}"
    if usage.tokens_per_second < 5:
        return Check("tree", "warn", detail, "use a smaller model, or see --threads")
    return Check("tree", "ok", detail)


def _batch(tokens: Sequence[int], positions: Sequence[int], sequences: Sequence[int]) -> Batch:
    outputs = np.zeros(len(tokens), dtype=np.bool_)
    last = {sequence: row for row, sequence in enumerate(sequences)}
    outputs[list(last.values())] = True
    return Batch(
        np.array(tokens, dtype=np.int32),
        np.array(positions, dtype=np.int32),
        np.array(sequences, dtype=np.int32),
        outputs,
    )


def _look_at_branches(model: LanguageModel, prompt: list[int]) -> list[Check]:
    """In the owner thread: two branches side by side, then the second one alone."""
    rows: list[NDArray[np.float32]] = []
    model.configure(len(prompt) + _BRANCH, attention=True)
    step = model.decode(_batch(prompt, range(len(prompt)), [0] * len(prompt)))
    order = np.argsort(-step.logits[0])
    branches = [[int(order[0])], [int(order[1])]]
    model.fork(0, 1, len(prompt))
    together = step.logits[0]
    for offset in range(_BRANCH):
        at = len(prompt) + offset
        step = model.decode(_batch([branch[-1] for branch in branches], [at, at], [0, 1]))
        together = step.logits[1].copy()
        if step.attention is not None:
            rows += [step.attention.row(0).copy(), step.attention.row(1).copy()]
        if offset < _BRANCH - 1:
            for branch, logits in zip(branches, step.logits, strict=True):
                branch.append(int(logits.argmax()))
    model.release(0)
    model.release(1)
    path = [*prompt, *branches[1]]
    alone = model.decode(_batch(path, range(len(path)), [2] * len(path))).logits[0].copy()
    model.release(2)
    detail = "a forked branch has the logits of its tokens decoded alone"
    return [_attention(rows), _same("forks", detail, together, alone)]


def _look_past_window(model: LanguageModel, prompt: list[int]) -> Check:
    """In the owner thread: a path past the sliding window is forked at an early token.

    A sequence that came before it leaves free cells, and another takes these and more: llama.cpp would
    take those that have left the window.
    """
    window = model.info.window
    length = window + 2 * _EARLY
    path = (prompt * (length // len(prompt) + 1))[:length]
    model.configure(length + 1)
    _fill(model, path[: _EARLY // 2], 1)
    _fill(model, path, 0)
    model.release(1)
    _fill(model, path[_EARLY::-1], 2)
    model.fork(0, 3, _EARLY)
    other = path[-1]
    forked = model.decode(_batch([other], [_EARLY], [3])).logits[0].copy()
    for sequence in (0, 2, 3):
        model.release(sequence)
    alone = _fill(model, [*path[:_EARLY], other], 1)
    model.release(1)
    detail = f"after {length} tokens, a fork at {_EARLY} has the logits of its tokens alone"
    return _same(f"window of {window}", detail, forked, alone)


def _fill(model: LanguageModel, tokens: Sequence[int], sequence: int) -> NDArray[np.float32]:
    """Decode a path in as many batches as it takes; returns its last logits."""
    most = model.info.max_batch
    for at in range(0, len(tokens), most):
        part = tokens[at : at + most]
        step = model.decode(_batch(part, range(at, at + len(part)), [sequence] * len(part)))
    logits: NDArray[np.float32] = step.logits[-1].copy()
    return logits


def _attention(rows: Sequence[NDArray[np.float32]]) -> Check:
    if not rows:
        return Check(
            "attention",
            "warn",
            "attention cannot be read: forks use entropy alone",
            "install the llama-cpp-python version that et-agent was built for",
        )
    off = max(abs(float(row.sum(dtype=np.float64)) - 1.0) for row in rows)
    detail = f"{len(rows)} rows sum to 1 within {off:.1e}"
    if off <= _ROW_TOLERANCE:
        return Check("attention", "ok", detail)
    return Check(
        "attention", "fail", detail, "use --no-attention, and report the model and its llama.cpp"
    )


def _same(
    name: str, detail: str, found: NDArray[np.float32], expected: NDArray[np.float32]
) -> Check:
    one, other = found.astype(np.float64), expected.astype(np.float64)
    norm = float(np.linalg.norm(one) * np.linalg.norm(other))
    cosine = float(one @ other) / norm if norm else 1.0
    if cosine >= _LEAST_COSINE:
        return Check(name, "ok", f"{detail} (cosine {cosine:.6f})")
    wrong = f"{detail.replace('has', 'should have')} (cosine {cosine:.6f})"
    return Check(name, "fail", wrong, "choose another model, and report this one")


def _main() -> None:
    wanted = json.loads(sys.argv[1])
    checks = self_test(
        lambda: loading.open_model(
            wanted["spec"],
            threads=wanted["threads"],
            gpu=loading.GpuSettings(**wanted["gpu"]),
        )
    )
    print(json.dumps([asdict(check) for check in checks]))


if __name__ == "__main__":
    _main()
