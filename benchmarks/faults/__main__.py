"""Faults, kills, deadlines and a soak, counted: the tables of docs/reliability.md.

    python -m benchmarks.faults [--part NAME …]

- injected: all tests with the mark `fault`; how many faults were injected, and survived.
- kills: an evaluation that is killed 20 times at random moments after progress.
- decisions: 1,000 decisions of a gate with a limit of 5 s, beside two busy loops.
- soak: 2,000 questions with random settings through a server, and what is left of them.

Each part goes to benchmarks/results/faults.json when it has ended, so that the others can be run again
alone. A soak of all questions takes about 20 minutes of two idle cores; a line per tenth goes to
`--progress`.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks.faults.decisions import decisions
from benchmarks.faults.injected import injected
from benchmarks.faults.pages import write_tables
from benchmarks.faults.soak import soak
from benchmarks.machine import describe
from et_agent.storage import write_atomically

RESULTS: Final = Path(__file__).parents[1] / "results" / "faults.json"


def kills(count: int, seed: int = 0) -> dict[str, Any]:
    """Kill an evaluation; what was lost and what was done twice."""
    from tests.evaluation.kills import killed_evaluation

    with tempfile.TemporaryDirectory() as folder:
        return asdict(killed_evaluation(Path(folder), count, seed))


def main() -> None:
    """Run parts, keep what they found, and write the tables."""
    given = argparse.ArgumentParser(description=__doc__)
    names = ("injected", "kills", "decisions", "soak")
    given.add_argument("--part", nargs="*", choices=names, default=names)
    given.add_argument("--model", default="smollm2-135m")
    given.add_argument("--threads", type=int, default=1)
    given.add_argument("--decisions", type=int, default=1000)
    given.add_argument("--questions", type=int, default=2000)
    given.add_argument("--progress", type=Path, default=Path(os.devnull))
    options = given.parse_args()
    parts: Mapping[str, Callable[[], dict[str, Any]]] = {
        "injected": injected,
        "kills": lambda: kills(20),
        "decisions": lambda: decisions(options.decisions, options.model, options.threads),
        "soak": lambda: soak(options.questions, options.model, options.threads, options.progress),
    }
    for name in options.part:
        load = os.getloadavg()[0]
        part = {**parts[name](), "load_before": round(load, 1), "machine": describe()}
        found = json.loads(RESULTS.read_text("utf-8")) if RESULTS.is_file() else {}
        found[name] = part
        write_atomically(RESULTS, json.dumps(found, indent=1) + "\n")
        print(name, {key: one for key, one in part.items() if key not in ("faults", "tenths")})
    write_tables(json.loads(RESULTS.read_text("utf-8")))


if __name__ == "__main__":
    main()
