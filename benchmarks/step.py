"""Our own time per step, beside that of llama.cpp: analysis of logits, draws, bookkeeping.

    python -m benchmarks.step

writes benchmarks/results/step.json and its table in docs/performance.md. Chains of the 0.5B model are
decoded in steps of 16 and of 32 rows. `llama_decode` is timed inside of each step, the analysis too;
the rest is Python. Each figure is the median over the steps of a run after the first ten.
"""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from benchmarks.documents import put
from benchmarks.machine import describe
from et_agent.decoding import MultiChain
from et_agent.decoding.base import RunInputs
from et_agent.decoding.sampling import StepDistributions
from et_agent.decoding.scheduler import Scheduler
from et_agent.engines.llama_cpp.binding import llama_cpp
from et_agent.engines.llama_cpp.model import LlamaCppModel
from et_agent.engines.loading import load_model
from et_agent.evaluation.report import table
from et_agent.storage import write_atomically

OUT: Final = Path(__file__).parent / "results" / "step.json"
ROWS: Final = (16, 32)
TOKENS: Final = 120
PROMPT: Final = 60
REPEATS: Final = 3

T = TypeVar("T")


class Clock:
    """Seconds of each call of a function."""

    def __init__(self, function: Callable[..., T]) -> None:
        self._function = function
        self.times: list[float] = []

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        began = time.perf_counter()
        try:
            return self._function(*arguments, **keywords)
        finally:
            self.times.append(time.perf_counter() - began)


def measure(model: LlamaCppModel, rows: int) -> dict[str, float]:
    """Medians over the steps of one run, milliseconds."""
    scheduler = Scheduler(model, width=rows)
    library, analyse, step = llama_cpp, StepDistributions.analyse, scheduler._step
    original = library.llama_decode
    decode, analysis, whole = Clock(original), Clock(analyse), Clock(step)
    library.llama_decode = decode
    StepDistributions.analyse = lambda *given: analysis(*given)  # type: ignore[method-assign]
    scheduler._step = whole  # type: ignore[method-assign]
    try:
        prompt = list(range(1000, 1000 + PROMPT))
        inputs = RunInputs(prompt_length=PROMPT, stop_tokens=frozenset())
        scheduler.submit(prompt, MultiChain(leaves=rows, max_tokens=TOKENS), inputs).result()
    finally:
        library.llama_decode = original
        StepDistributions.analyse = analyse  # type: ignore[method-assign]
    count = min(map(len, (decode.times, analysis.times, whole.times))) - 10
    found = [
        statistics.median(clock.times[-count - 1 : -1]) * 1000
        for clock in (whole, decode, analysis)
    ]
    step_ms, decode_ms, analysis_ms = found
    return {
        "step": step_ms,
        "llama_decode": decode_ms,
        "analysis": analysis_ms,
        "Python": step_ms - decode_ms - analysis_ms,
        "own share": 1 - decode_ms / step_ms,
    }


def main() -> None:
    found: dict[str, Any] = {"machine": describe()}
    with load_model("qwen2.5-coder-0.5b", attention=False, prefix_memory=0) as model:
        found["library"] = model.info.library
        measure(model, 16)
        for rows in ROWS:
            runs = [measure(model, rows) for _ in range(REPEATS)]
            found[f"{rows} rows"] = {
                key: round(statistics.median(run[key] for run in runs), 4) for key in runs[0]
            }
            print(rows, found[f"{rows} rows"], flush=True)
    head = ["rows", "step, ms", "`llama_decode`", "analysis", "Python", "ours"]
    parts = ("step", "llama_decode", "analysis", "Python")
    cells = []
    for rows in ROWS:
        of_rows = found[f"{rows} rows"]
        times = [f"{of_rows[part]:.1f}" for part in parts]
        cells.append([str(rows), *times, f"{of_rows['own share']:.1%}"])
    put("docs/performance.md", "own", [f"{found['machine']['cpu']}:", "", *table(head, cells)])
    write_atomically(OUT, (json.dumps(found, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
