"""et-agent beside what its users would take in its place: the same model file, the same questions.

    python -m benchmarks.peers estimate
    python -m benchmarks.peers run [--budget SECONDS] [--repeats 2] [--out FILE]
    python -m benchmarks.peers table [--out FILE]

The questions are six of the SVAMP test set and six of GSM8K's. Each system answers them with 16
samples at temperature 0.7, one question alone and all queued, in a process of its own. et-agent
samples from the whole distribution, peers with llama.cpp's default cuts (top-k 40, top-p 0.95,
min-p 0.05); `--sampling pure` turns these off. et-agent's reader of answers reads them all.

The machine must be idle. If others take more than 5 % of the CPU beside a job, it is marked as
disturbed and done again at the next run. Finished jobs stay in the results file, and a run goes on
where the last one ended, so a comparison can be made in pieces of `--budget` seconds. Needs Linux.

A system that is not there is left out. Each of them is named by an option or an environment
variable:

    --server     PEERS_SERVER      llama-server
    --xllamacpp  PEERS_XLLAMACPP   the python of an environment with xllamacpp
    --uqlm       PEERS_UQLM        with "uqlm>=0.6,<0.7", langchain-openai and "pyarrow<22"
    --polygraph  PEERS_POLYGRAPH   with "lm-polygraph>=0.7,<0.8"

llama-server is compared best if it comes from the same sources as llama-cpp-python's library.
Unpack what `pip download --no-deps --no-binary :all: llama-cpp-python==VERSION` fetches, and in
`vendor/llama.cpp`:

    cmake -B build -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DLLAMA_BUILD_SERVER=ON
    cmake --build build --target llama-server

This takes about 15 minutes on two cores; the program is `build/bin/llama-server`. UQLM and
LM-Polygraph need an environment each, since they hold back numpy and others: `python -m venv
FOLDER`, then `FOLDER/bin/pip install` with what is named above; they bring torch. Both ask
llama-server. Their scores that need a model from a hub are left out.
"""

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from benchmarks.peers.plan import MODES, SYSTEMS, Task, expected, tasks
from benchmarks.peers.running import Places, Results, Setup, run
from benchmarks.peers.scoring import load_questions
from benchmarks.peers.table import tables
from et_agent.weights.catalog import DEFAULT_MODEL, locate

OUT = Path(__file__).parent.parent / "results" / "peers.json"
PLACES = ("server", "xllamacpp", "uqlm", "polygraph")


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    names = [one.name for one in SYSTEMS]
    parser = argparse.ArgumentParser(
        "python -m benchmarks.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=["run", "table", "estimate"])
    parser.add_argument("--out", type=Path, default=OUT, help="the results file")
    parser.add_argument("--budget", type=float, help="seconds that a run may take")
    parser.add_argument("--repeats", type=int, default=2, help="how often all questions are asked")
    parser.add_argument("--questions", type=int, default=12, help="the first ones of both sets")
    parser.add_argument("--part", type=int, default=6, help="questions in a round")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    parser.add_argument("--systems", nargs="+", choices=names, default=names)
    parser.add_argument("--sampling", choices=["default", "pure"], default="default")
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--max-tokens", type=int, default=320)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="as for load_model")
    parser.add_argument("--seed", type=int, default=11)
    for name in PLACES:
        default = os.environ.get(f"PEERS_{name.upper()}")
        parser.add_argument(f"--{name}", metavar="PATH", default=default)
    return parser.parse_args(arguments)


def estimate(planned: list[Task], results: Results, samples: int) -> None:
    """Print what is still to do."""
    total = 0.0
    for task in planned:
        if results.lack(task):
            need = expected(task, results.jobs, samples)
            total += need
            print(f"{task.key:24} {need:5.0f} s {total:7.0f} s")
    print(f"about {total / 60:.0f} minutes")


def main() -> None:
    options = options_of()
    if options.command == "table":
        print(tables(json.loads(options.out.read_text(encoding="utf-8"))))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no process is left behind
    model = locate(options.model).path
    places = Places(sys.executable, str(model), *(getattr(options, name) for name in PLACES))
    systems = []
    for one in SYSTEMS:
        if one.name in options.systems:
            if lacking := places.missing(one):
                print(f"{one.title} is left out: there is no --{lacking}")
            else:
                systems.append(one)
    questions = load_questions()[: options.questions]
    planned = list(
        tasks(systems, questions, options.modes, part=options.part, repeats=options.repeats)
    )
    setup = Setup(
        model=model.name,
        samples=options.samples,
        max_tokens=options.max_tokens,
        sampling=options.sampling,
        seed=options.seed,
        threads=len(os.sched_getaffinity(0)),
        part=options.part,
        questions=[one.id for one in questions],
    )
    results = Results(options.out, setup)
    if options.command == "estimate":
        estimate(planned, results, options.samples)
        return
    run(planned, setup, places, results, options.budget)
    print(tables(json.loads(options.out.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
