"""How long README's first question takes as a user asks it, with kernels and without.

    python -m benchmarks.first_question [--repeats 3]

Each run is a process of its own, in turn, with an empty store of prefixes. Writes
benchmarks/results/first_question.json. The machine must be idle.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.machine import describe
from et_agent.kernels.library import VARIABLE
from et_agent.storage import write_atomically
from et_agent.weights.catalog import DEFAULT_MODEL

OUT: Final = Path(__file__).parent / "results" / "first_question.json"
QUESTION: Final = (
    "Natalia sold clips to 48 friends in April, and half as many in May. How many in all?"
)


def asked(kernels: str) -> dict[str, Any]:
    """One run: seconds of the command, and what it says of itself."""
    command = [str(Path(sys.executable).with_name("et-agent")), "ask", "--json", "--", QUESTION]
    environment = {**os.environ, VARIABLE: kernels}
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    taken = time.perf_counter() - began
    result = json.loads(done.stdout)
    usage = result["usage"]
    return {
        "command": round(taken, 2),
        "question": round(usage["seconds"], 2),
        "tokens": usage["tokens_decoded"],
        "answer": result["answer"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    runs: dict[str, list[dict[str, Any]]] = {"kernels": [], "llama.cpp": []}
    for _ in range(options.repeats):
        runs["kernels"].append(asked(""))
        runs["llama.cpp"].append(asked("off"))
    found = {
        name: {
            "seconds of the command": statistics.median(one["command"] for one in made),
            "seconds of the question": statistics.median(one["question"] for one in made),
            "runs": made,
        }
        for name, made in runs.items()
    }
    document = {"machine": describe(), "model": DEFAULT_MODEL, "asked": QUESTION, **found}
    write_atomically(OUT, json.dumps(document, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
