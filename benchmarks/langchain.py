"""The runnable's batches: their throughput, and whether an event loop goes on beside them.

    python -m benchmarks.langchain [--model qwen2.5-coder-0.5b] [--questions 8] [--leaves 4 8 16]

A loop of invokes and one `batch` answer the same questions in turn, as often as `--repeats` says, with
trees of each size; then a task that wants to wake every 10 ms runs beside `abatch`. Writes
benchmarks/results/langchain.json. Nothing else may run meanwhile.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.machine import describe
from et_agent.decoding import EntropyTree
from et_agent.engines.base import DEFAULT_WIDTH
from et_agent.engines.loading import load_model
from et_agent.results import AskResult
from et_agent.runnables import EntropyTreeRunnable

OUT: Final = Path(__file__).parent / "results" / "langchain.json"
QUESTIONS: Final = Path(__file__).parent / "questions" / "speed.txt"
TICK: Final = 0.01
SEED: Final = 11


def timed(ask: Callable[[], list[AskResult]]) -> dict[str, Any]:
    """Seconds and tokens of some questions."""
    began = time.perf_counter()
    results = ask()
    seconds = time.perf_counter() - began
    tokens = sum(result.usage.tokens_decoded for result in results)
    return {
        "seconds": round(seconds, 2),
        "tokens": tokens,
        "tokens_per_second": round(tokens / seconds, 1),
        "recomputed": sum(result.usage.tokens_recomputed for result in results),
        "answers": [result.answer for result in results],
    }


def throughput(tree: EntropyTreeRunnable, questions: list[str], repeats: int) -> dict[str, Any]:
    """A loop of invokes against one batch, in turn."""
    runs = []
    for repeat in range(repeats):
        ways: dict[str, Callable[[], list[AskResult]]] = {
            "loop": lambda: [tree.invoke(question) for question in questions],
            "batch": lambda: tree.batch(questions),
        }
        order = list(ways) if repeat % 2 == 0 else list(ways)[::-1]
        runs.append({way: timed(ways[way]) for way in order})
        print(f"{runs[-1]}", file=sys.stderr, flush=True)
    return {
        "questions a second, batch over loop": ratio(runs, "seconds", "loop", "batch"),
        "tokens a second, batch over loop": ratio(runs, "tokens_per_second", "batch", "loop"),
        "runs": runs,
    }


def ratio(runs: list[dict[str, Any]], what: str, over: str, under: str) -> dict[str, Any]:
    """Median and all values of one way's figure over the other's."""
    values = [run[over][what] / run[under][what] for run in runs]
    return {"median": round(statistics.median(values), 3), "all": [round(v, 3) for v in values]}


async def lateness(tree: EntropyTreeRunnable, questions: list[str]) -> dict[str, Any]:
    """How late a 10 ms ticker wakes beside `abatch`, and in an event loop with nothing else."""
    idle = await ticking(asyncio.sleep(2.0))
    busy = await ticking(tree.abatch(questions))
    return {"idle": idle, "beside abatch": busy}


async def ticking(work: Any) -> dict[str, float]:
    """Milliseconds by which ticks were late while some work was done."""
    late: list[float] = []

    async def tick() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(TICK)
            late.append(1000 * (time.perf_counter() - began - TICK))

    ticker = asyncio.create_task(tick())
    await work
    ticker.cancel()
    return {
        "ticks": len(late),
        "latest_ms": round(max(late), 2),
        "p99_ms": round(statistics.quantiles(late, n=100)[-1], 2),
        "median_ms": round(statistics.median(late), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--questions", type=int, default=8)
    parser.add_argument("--leaves", type=int, nargs="+", default=[4, 8, 16])
    parser.add_argument("--max-tokens", type=int, default=320)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--width", type=int, default=DEFAULT_WIDTH, help="rows in a batch")
    parser.add_argument("--threads", type=int, help="of llama.cpp; all cores by default")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    lines = QUESTIONS.read_text(encoding="utf-8").splitlines()
    questions = [line for line in lines if line.strip()][: options.questions]
    with load_model(
        options.model, threads=options.threads, best_width=options.width, prefix_memory=0
    ) as model:
        trees = {
            leaves: EntropyTreeRunnable(
                model=model,
                decoder=EntropyTree(
                    schedule="rounds", leaves=leaves, max_tokens=options.max_tokens
                ),
                kind="number",
                seed=SEED,
            )
            for leaves in options.leaves
        }
        first, largest = trees[options.leaves[0]], trees[max(options.leaves)]
        first.invoke(questions[0], max_tokens=8)  # the first decode of a process is slower
        found = json.loads(options.out.read_text("utf-8")) if options.out.is_file() else {}
        for leaves, tree in trees.items():
            found[f"{leaves} leaves"] = {
                "model": options.model,
                "questions": len(questions),
                "max_tokens": options.max_tokens,
                "rows in a batch": options.width,
                "throughput": throughput(tree, questions, options.repeats),
                "machine": describe(),
            }
        found["lateness of a 10 ms ticker"] = {
            "leaves": max(options.leaves),
            **asyncio.run(lateness(largest, questions)),
            "machine": describe(),
        }
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
