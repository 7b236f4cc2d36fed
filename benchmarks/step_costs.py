"""Seconds of decode steps of 1 to 24 rows.

    python -m benchmarks.step_costs [--cores 1]

Writes benchmarks/results/step_costs.json, from which `benchmarks.tables` models the seconds of stored
runs. Each number is the least of many steps of as many branches, 64 tokens after a prompt. On one core
it is the time of the thread that decodes, so that other processes take no part in it; on several it is
wall time and wants an idle machine.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from benchmarks.machine import describe
from benchmarks.runs import LARGER, SMALL
from et_agent.arrays import Doubles
from et_agent.engines.base import Batch
from et_agent.engines.llama_cpp.model import LlamaCppModel
from et_agent.engines.loading import load_model
from et_agent.storage import write_atomically

OUT: Final = Path(__file__).parent / "results" / "step_costs.json"
ROWS: Final = (1, 2, 4, 8, 12, 16, 24)
STEPS: Final = 12
REPEATS: Final = 3
DEPTH: Final = 64


@dataclass(frozen=True)
class StepCurve:
    """Seconds of a step by its rows.

    Attributes:
        rows: Rising.
        seconds: Of steps of so many rows.
    """

    rows: Doubles
    seconds: Doubles

    def of(self, steps: Doubles, tokens: Doubles) -> Doubles:
        """Seconds of so many steps that decode so many tokens in all: those of steps of mean width."""
        found: Doubles = steps * np.interp(tokens / steps, self.rows, self.seconds)
        return found

    @classmethod
    def measured(cls, model: str) -> Self:
        """That of a model in benchmarks/results/step_costs.json."""
        by_rows = json.loads(OUT.read_text("utf-8"))[model]["milliseconds by rows"]
        rows = np.array([float(one) for one in by_rows])
        return cls(rows, np.array(list(by_rows.values())) / 1000)


def described() -> str:
    """Where the curves were measured."""
    machine = json.loads(OUT.read_text("utf-8"))["machine"]
    return f"{machine['cpu']}, cores: {machine['cores used']}"


def steps_of(model: LlamaCppModel, rows: int, cores: int) -> Iterator[float]:
    """Seconds of steps of so many rows."""
    clock = time.thread_time if cores == 1 else time.perf_counter
    model.configure(DEPTH + STEPS + 1)
    sequences = np.arange(rows, dtype=np.int32)
    prompt = np.arange(1000, 1000 + DEPTH, dtype=np.int32)
    last = np.arange(DEPTH) == DEPTH - 1
    model.decode(Batch(prompt, np.arange(DEPTH, dtype=np.int32), np.zeros_like(prompt), last))
    for sequence in range(1, rows):
        model.fork(0, sequence, DEPTH)
    for step in range(STEPS):
        tokens = (2000 + 37 * sequences + 101 * step).astype(np.int32)
        batch = Batch(tokens, np.full_like(tokens, DEPTH + step), sequences, tokens > 0)
        began = clock()
        model.decode(batch)
        yield clock() - began


def measured(name: str, cores: int) -> dict[str, Any]:
    """The curve of one model."""
    with load_model(name, attention=False, prefix_memory=0, threads=cores) as model:
        best = dict.fromkeys(ROWS, np.inf)
        for _ in range(REPEATS):
            for rows in ROWS:
                found = model.submit(lambda: min(steps_of(model, rows, cores))).result()  # noqa: B023
                best[rows] = min(best[rows], found)
        library = model.info.library
    return {
        "library": library,
        "milliseconds by rows": {str(rows): round(1000 * best[rows], 2) for rows in ROWS},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", type=int, default=1)
    cores = parser.parse_args().cores
    found: dict[str, Any] = {"machine": describe() | {"cores used": cores}}
    for name in (SMALL, LARGER):
        found[name] = measured(name, cores)
        print(name, found[name], flush=True)
    write_atomically(OUT, (json.dumps(found, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
