"""Evaluations that are killed at random moments after progress, and what is lost or done twice."""

import json
import os
import random
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from et_agent.decoding import MultiChain
from et_agent.evaluation.running import EvaluationProgress, evaluate
from et_agent.evaluation.store import RunStore
from tests.evaluation.conftest import half_knowing_model, sums

DECODERS = {"chains": MultiChain(leaves=1), "more": MultiChain(leaves=2)}
QUESTIONS = 50


@dataclass
class Killed:
    """What became of an evaluation that was killed again and again.

    Attributes:
        kills: Kills after at least one more question was finished, while others were not.
        losing: Kills after which a finished question was gone or another than before.
        doubling: Kills after which the next process decoded a finished question again.
        differing: Questions that an evaluation without kills answered otherwise.
    """

    kills: int = 0
    losing: int = 0
    doubling: int = 0
    differing: int = 0


def killed_evaluation(folder: Path, kills: int, seed: int) -> Killed:
    """Kill an evaluation so often, let it end, and compare it with one that was let alone."""
    draw, path, found = random.Random(seed), folder / "killed.sqlite", Killed()
    before: Mapping[tuple[str, str], Any] = {}
    while found.kills < kills:
        told = _kill(path, draw.uniform(0, 0.04))
        now = _finished(path)
        if len(now) == QUESTIONS * len(DECODERS):
            path.unlink()  # it was too quick
            before = {}
            continue
        found.kills += 1
        found.losing += not before.items() <= now.items()
        found.doubling += bool(told) and told[0] != len(before)
        before = now
    _evaluate(path)
    _evaluate(folder / "alone.sqlite")
    whole, alone = _finished(path), _finished(folder / "alone.sqlite")
    found.losing += not before.items() <= whole.items()
    found.differing = sum(whole.get(key) != one for key, one in alone.items())
    found.differing += len(whole.keys() - alone.keys())
    return found


def _kill(path: Path, seconds: float) -> list[int]:
    """Kill an evaluation some time after its next question; the counts that it told."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _evaluate(path, lambda progress: os.write(write, b"%d\n" % progress.done))
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, encoding="ascii") as pipe:
        counts = [int(line) for line in (pipe.readline(), pipe.readline()) if line]
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return counts


def _evaluate(path: Path, on_progress: Any = None) -> None:
    def note(progress: EvaluationProgress) -> None:
        if on_progress is not None:
            on_progress(progress)

    with half_knowing_model() as model, RunStore(path) as store:
        evaluate(model, sums(QUESTIONS), DECODERS, store, data="sums", on_progress=note)


def _finished(path: Path) -> Mapping[tuple[str, str], Any]:
    """All finished questions; what tells the time is left out."""
    with RunStore(path) as store:
        return {
            (run.name, record.item): json.dumps(
                {key: one for key, one in record.as_json().items() if key != "seconds"}
            )
            for run in store.runs()
            for record in store.records(run)
        }
