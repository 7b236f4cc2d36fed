"""Decisions with a limit of time on a loaded machine: how many end in time, with which action."""

import contextlib
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from et_agent import EntropyTree, load_model
from et_agent.errors import EtAgentError
from et_agent.gate import Gate, GatePolicy

__all__ = ["decisions"]

_CLIENTS: Final = 16
LIMIT: Final = 5.0
"""Seconds of a decision."""
GRACE: Final = 0.5
"""Seconds after which one that has not ended is late."""


@contextlib.contextmanager
def _loaded(loops: int) -> Iterator[None]:
    """Busy loops in processes of their own."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(loops)]
    try:
        yield
    finally:
        for one in busy:
            one.kill()
            one.wait()


def decisions(count: int, model: str, threads: int) -> dict[str, Any]:
    """Ask a gate so many questions, several at once.

    Args:
        count: Decisions.
        model: Name of the model.
        threads: CPU threads of the model.
    """
    gate = Gate(GatePolicy(answer_at=0.5, max_seconds=LIMIT))
    took: list[float] = []
    actions: Counter[str] = Counter()
    complete: Counter[bool] = Counter()
    with load_model(model, context=4096, max_sequences=64, threads=threads) as loaded:

        def decide(number: int) -> None:
            # From a few tokens to more than the time allows.
            tree = EntropyTree(leaves=1 + number % 8, max_tokens=4 << number % 5)
            began = time.perf_counter()
            try:
                decision = gate.ask(
                    loaded,
                    f"What is {number} plus {number * 7 % 90}?",
                    decoder=tree,
                    seed=number,
                    on_result=lambda result: complete.update([result.complete]),
                )
                actions[decision.action.value] += 1
            except EtAgentError as error:
                actions[type(error).__name__] += 1
            took.append(time.perf_counter() - began)

        with _loaded(2), ThreadPoolExecutor(_CLIENTS) as pool:
            list(pool.map(decide, range(count)))
    took.sort()
    in_time = sum(one <= LIMIT + GRACE for one in took)
    return {
        "decisions": count,
        "limit_seconds": LIMIT,
        "at_once": _CLIENTS,
        "in_time": in_time,
        "share_in_time": in_time / count,
        "cut_off": complete[False],
        "actions": dict(sorted(actions.items())),
        "median_seconds": round(took[count // 2], 3),
        "p99_seconds": round(took[int(count * 0.99)], 3),
        "longest_seconds": round(took[-1], 3),
    }
