"""How long README's first question takes as a user asks it, with kernels and without.

    python -m benchmarks.first_question [--model NAME] [--threads N] [--repeats 3] [--without 3]

Each run is a process of its own, in turn, with an empty store of prefixes. Adds to
benchmarks/results/first_question.json, or replaces what was measured there with the same CPU and
model and number of threads. On a machine that does other work meanwhile, the seconds are an upper
bound: `load` is the number of processes that ran or waited for a core when a run began. The seconds
of CPU time with one thread (`cpu`) depend on them far less.
"""

import argparse
import json
import os
import resource
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


def asked(model: str, kernels: str, threads: int | None = None) -> dict[str, Any]:
    """One run: seconds of the command, and what it says of itself."""
    program = [
        sys.executable,
        "-c",
        "from et_agent.cli.start import main; raise SystemExit(main())",
    ]
    command = [*program, "ask", "--json", "--model", model]
    if threads is not None:
        command += ["--threads", str(threads)]
    command += ["--", QUESTION]
    environment = {**os.environ, VARIABLE: kernels}
    load = os.getloadavg()[0]
    before = cpu_seconds()
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    taken = time.perf_counter() - began
    result = json.loads(done.stdout)
    usage = result["usage"]
    return {
        "command": round(taken, 2),
        "question": round(usage["seconds"], 2),
        "tokens": usage["tokens_decoded"],
        "steps": usage["steps"],
        "answer": result["answer"],
        "cpu": round(cpu_seconds() - before, 2),
        "load": round(load, 1),
    }


def cpu_seconds() -> float:
    """What ended child processes have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "seconds of the command": statistics.median(one["command"] for one in runs),
        "seconds of the question": statistics.median(one["question"] for one in runs),
        "steps": statistics.median(one["steps"] for one in runs),
        "runs": runs,
    }


def key_of(measured: dict[str, Any]) -> tuple[str, str, str, int | None]:
    """CPUs of one name may know different instructions."""
    machine = measured["machine"]
    features = machine["llama_cpp_features"]
    return machine["cpu"], features, measured["model"], measured.get("threads")


def keep(measured: dict[str, Any]) -> None:
    """Add to the results, in the place of what the same CPU and model had."""
    known = json.loads(OUT.read_text())["measured"] if OUT.is_file() else []
    others = [one for one in known if key_of(one) != key_of(measured)]
    document = {"asked": QUESTION, "measured": [*others, measured]}
    write_atomically(OUT, json.dumps(document, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="as for load_model")
    parser.add_argument("--threads", type=int, help="CPU threads; all cores unless given")
    parser.add_argument("--repeats", type=int, default=3, help="runs with kernels")
    parser.add_argument("--without", type=int, default=3, help="runs without; 0 for none")
    options = parser.parse_args()
    runs: dict[str, list[dict[str, Any]]] = {"kernels": [], "llama.cpp": []}
    for number in range(max(options.repeats, options.without)):
        for name, wanted, kernels in (
            ("kernels", options.repeats, ""),
            ("llama.cpp", options.without, "off"),
        ):
            if number < wanted:
                runs[name].append(asked(options.model, kernels, options.threads))
                print(name, runs[name][-1], flush=True)
    found = {name: summary(made) for name, made in runs.items() if made}
    what = {"machine": describe(), "model": options.model, "threads": options.threads}
    keep({**what, **found})


if __name__ == "__main__":
    main()
