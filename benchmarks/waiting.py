"""How llama.cpp's threads should wait for each other: alone, and beside other busy processes.

    python -m benchmarks.waiting [--repeats 3]

A step of the 0.5B model is timed in a process of its own for each setting of GOMP_SPINCOUNT, in turn,
alone and beside as many busy loops as there are cores. Writes benchmarks/results/waiting.json. Nothing
else may run meanwhile.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.machine import describe
from et_agent.engines.base import Batch
from et_agent.engines.loading import load_model

OUT: Final = Path(__file__).parent / "results" / "waiting.json"
SPINS: Final = ("", "0", "1000", "3000", "10000")
"""Turns of a waiting loop before a thread sleeps; "" for libgomp's own, about 300,000."""
WIDTHS: Final = (1, 16)
STEPS: Final = 8


def step_times() -> dict[int, float]:
    """Median milliseconds of a step at each width, after 6 others."""
    found = {}
    with load_model("qwen2.5-coder-0.5b", attention=False) as model:

        def work() -> None:
            rng = np.random.default_rng(0)
            for width in WIDTHS:
                rows = np.arange(width, dtype=np.int32)
                times = []
                for position in range(6 + STEPS):
                    began = time.perf_counter()
                    model.decode(
                        Batch(
                            rng.integers(1000, 20000, width).astype(np.int32),
                            np.full(width, position, dtype=np.int32),
                            rows,
                            np.ones(width, dtype=np.bool_),
                        )
                    )
                    times.append(time.perf_counter() - began)
                found[width] = 1000 * statistics.median(times[-STEPS:])
                for row in rows.tolist():
                    model.release(row)

        model.submit(work).result()
    return found


def measured(spin: str) -> dict[str, float]:
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    # Set even where it is libgomp's own, since et-agent would put its default there.
    environment["GOMP_SPINCOUNT"] = spin or "300000"
    made = subprocess.run(
        [sys.executable, "-m", "benchmarks.waiting", "--child"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(made.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(step_times()))
        return
    cores = len(os.sched_getaffinity(0))
    times: dict[str, list[float]] = {}
    for _ in range(options.repeats):
        for place in ("alone", "beside busy loops"):
            loops = [
                subprocess.Popen([sys.executable, "-c", "while True: pass"])
                for _ in range(cores if place != "alone" else 0)
            ]
            try:
                for spin in SPINS:
                    for width, taken in measured(spin).items():
                        key = f"{place}, {width} rows, spin {spin or 'by default'}"
                        times.setdefault(key, []).append(taken)
                        print(f"{key}: {taken:.0f} ms", file=sys.stderr, flush=True)
            finally:
                for loop in loops:
                    loop.kill()
                    loop.wait()
    found = {key: round(statistics.median(values), 1) for key, values in times.items()}
    content = {"machine": describe(), "milliseconds a step, median": found, "all": times}
    OUT.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
