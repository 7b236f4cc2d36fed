"""Speed and exactness of the compiled kernels beside llama.cpp's own products.

    python -m benchmarks.kernels stock FOLDER --instructions avx2
    python -m benchmarks.kernels run [--stock avx2=FOLDER --stock avx-vnni=FOLDER] [--curves]

`run` compares, for each instruction set, llama.cpp built for it with the same library and our kernels
attached: 24 chains and a prompt of 1,000 tokens, on one core and on all, in turn and in processes of
their own. Without `--stock` it takes the installed library and the best instruction set. A CPU that has
AVX512-VNNI but not AVX-VNNI runs the latter's code in the other encoding (`stock --evex`): the figures
then are those of the same instructions, the CPU's own aside. `exact` compares the probabilities after
each token of a text. All go to `benchmarks/results/kernels.json`, and by `tables` to
docs/performance.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.documents import put
from benchmarks.kernels import worker
from benchmarks.kernels.evex import needs_evex, use_evex
from benchmarks.kernels.stock import build_stock
from benchmarks.machine import describe
from et_agent.arrays import Doubles
from et_agent.evaluation.report import table
from et_agent.kernels import building, instructions
from et_agent.kernels.library import VARIABLE
from et_agent.kernels.threads import cores
from et_agent.storage import write_atomically

OUT: Final = Path(__file__).parents[1] / "results" / "kernels.json"
BEST: Final = "installed"


def _child(arguments: list[str], stock: Path | None, kernels: str, *, evex: bool) -> str:
    environment = {**os.environ, VARIABLE: kernels}
    if stock is not None:
        environment["LLAMA_CPP_LIB_PATH"] = environment["LD_LIBRARY_PATH"] = str(stock)
    command = [sys.executable, "-m", "benchmarks.kernels", *arguments]
    if evex:
        command.append("--evex")
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def compare(options: argparse.Namespace) -> None:
    """Measure each pair in turn, and keep the figures."""
    pairs: dict[str, Path | None] = {}
    for given in options.stock or ():
        name, _, folder = given.partition("=")
        pairs[name] = Path(folder).resolve()
    pairs = pairs or {BEST: None}
    known = json.loads(OUT.read_text("utf-8")) if OUT.is_file() else {}
    found = known.setdefault(options.model, {})
    for name, stock in pairs.items():
        set_name = instructions.usable()[0].name if name == BEST else name
        evex = set_name == "avx-vnni" and needs_evex()
        _child(["build", "--instructions", set_name], stock, set_name, evex=evex)
        tasks = ["chains", "prompt"] if name != BEST or not options.curves else list(worker.TASKS)
        entry: dict[str, Any] = {"machine": describe(), "emulated": evex}
        for threads in sorted({1, cores()}):
            asked = ["measure", "--model", options.model, "--threads", str(threads)]
            asked += ["--tasks", *(tasks if threads == cores() else ["chains", "prompt"])]
            runs: dict[str, list[dict[str, Any]]] = {"off": [], set_name: []}
            for _ in range(options.repeats):
                for kernels, kept in runs.items():
                    kept.append(json.loads(_child(asked, stock, kernels, evex=evex)))
            entry[f"{threads} cores"] = _summary(runs["off"], runs[set_name])
            print(name, threads, json.dumps(entry[f"{threads} cores"]["times as fast"]), flush=True)
        found[set_name] = entry
        write_atomically(OUT, (json.dumps(known, indent=1) + "\n").encode())


def _summary(own: list[dict[str, Any]], ours: list[dict[str, Any]]) -> dict[str, Any]:
    ratios = {
        task: [round(one[task] / other[task], 3) for one, other in zip(ours, own, strict=True)]
        for task in ("chains", "prompt")
    }
    return {
        "times as fast": {
            task: {"median": statistics.median(all_), "all": all_} for task, all_ in ratios.items()
        },
        "llama.cpp": _medians(own),
        "kernels": _medians(ours),
    }


def _medians(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Of what was measured, task by task."""
    found: dict[str, Any] = {"library": runs[0]["library"]}
    for task in runs[0]:
        values = [run[task] for run in runs]
        if isinstance(values[0], dict):
            found[task] = {
                key: round(statistics.median(one[key] for one in values), 3) for key in values[0]
            }
        elif isinstance(values[0], float):
            found[task] = round(statistics.median(values), 2)
    return found


def exact(options: argparse.Namespace) -> None:
    """Total variation between ways to decode one text, and how often their likeliest tokens agree."""
    best = instructions.usable()[0].name
    texts = {}
    with tempfile.TemporaryDirectory() as temporary:
        for kernels in ("off", best):
            out = Path(temporary) / f"{kernels}.npz"
            _child(
                ["texts", "--model", options.model, "--out", str(out)], None, kernels, evex=False
            )
            with np.load(out) as loaded:
                texts[kernels] = loaded["alone"], loaded["beside"]
    (own_alone, own_beside), (alone, beside) = texts["off"], texts[best]
    pairs = {
        "llama.cpp, alone or beside others": (own_alone, own_beside),
        "kernels, alone or beside others": (alone, beside),
        "kernels or llama.cpp, alone": (alone, own_alone),
        "kernels or llama.cpp, beside others": (beside, own_beside),
    }
    found = {
        "machine": describe(),
        "kernels": best,
        "mean total variation": {name: _apart(*pair) for name, pair in pairs.items()},
        "same likeliest token": {name: _same(*pair) for name, pair in pairs.items()},
    }
    known = json.loads(OUT.read_text("utf-8")) if OUT.is_file() else {}
    known.setdefault(options.model, {})["exactness"] = found
    write_atomically(OUT, (json.dumps(known, indent=1) + "\n").encode())
    print(json.dumps(found["mean total variation"], indent=1))


def tables() -> None:
    """Put the figures into docs/performance.md."""
    known = json.loads(OUT.read_text("utf-8"))
    rows = []
    for model, sets in known.items():
        for name, entry in sets.items():
            for count in ("1 cores", "2 cores"):
                if count in entry:
                    rows.append([model, name, count[0], *_cells(entry[count])])
    head = ["model", "instruction set", "cores", "24 chains", "tokens per second"]
    head += ["prompt of 1,000 tokens", "tokens per second"]
    cpus = sorted({entry["machine"]["cpu"] for sets in known.values() for entry in sets.values()})
    lines = [f"Times as fast as llama.cpp, median of runs in turn ({', '.join(cpus)}):", ""]
    lines += table(head, rows)
    curves = known["qwen2.5-coder-0.5b"]["avx512-vnni"]["2 cores"]
    for what, title in (
        ("rows", "rows of a batch: tokens per second"),
        ("lengths", "tokens before, 16 rows: tokens per second"),
        ("leaves", "chains of at most 64 tokens: seconds"),
    ):
        own, ours = curves["llama.cpp"][what], curves["kernels"][what]
        cells = [[one, f"{own[one]:.1f}", f"{ours[one]:.1f}"] for one in own]
        lines += ["", *table([title, "llama.cpp", "kernels"], cells)]
    put("docs/performance.md", "kernels", lines)


def _cells(entry: dict[str, Any]) -> list[str]:
    cells = []
    for task in ("chains", "prompt"):
        own, ours = entry["llama.cpp"][task], entry["kernels"][task]
        cells += [f"{entry['times as fast'][task]['median']:.1f}", f"{own:.0f} -> {ours:.0f}"]
    return cells


def _apart(one: Doubles, other: Doubles) -> float:
    return float(np.abs(one - other).sum(axis=1).mean() / 2)


def _same(one: Doubles, other: Doubles) -> float:
    return float((one.argmax(axis=1) == other.argmax(axis=1)).mean())


def _texts(options: argparse.Namespace) -> None:
    from et_agent.engines.loading import load_model

    with load_model(options.model, best_width=32, attention=False) as model:
        alone, beside = worker.texts(model)
    np.savez(options.out, alone=alone, beside=beside)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "do", choices=("run", "exact", "tables", "stock", "build", "measure", "texts")
    )
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--stock", action="append", metavar="SET=FOLDER")
    parser.add_argument("--curves", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--instructions", default="avx2")
    parser.add_argument("--evex", action="store_true")
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--tasks", nargs="+", default=[])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.evex and options.do != "stock":
        use_evex()
    match options.do:
        case "run":
            compare(options)
        case "exact":
            exact(options)
        case "tables":
            tables()
        case "stock":
            build_stock(options.folder.resolve(), options.instructions, evex=options.evex)
        case "build":
            building.build(instructions.by_name()[options.instructions])
        case "measure":
            print(json.dumps(worker.run(options.model, options.threads, options.tasks)))
        case _:
            _texts(options)


if __name__ == "__main__":
    main()
