"""Hostile input over all surfaces, counted: crashes, hangs and exceptions that are none of ours.

    python -m benchmarks.hostile --count 100000

Each surface runs in processes of its own, so that a crash is counted and not the end. A run that was
stopped goes on where it was (`--fresh` begins anew). The counts are in benchmarks/results/hostile.json,
from which docs/reliability.md has its table.

    python -m benchmarks.hostile --guided 300

fuzzes each surface that reads bytes for so many seconds, guided by coverage (see guided.py), and keeps
its counts beside the others.
"""

import argparse
import collections
import contextlib
import importlib.util
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.documents import put
from benchmarks.hostile.calls import CALLED, Work
from benchmarks.hostile.drawing import flipped, reshaped, text
from benchmarks.hostile.files import READ, opened
from et_agent.errors import EtAgentError

RESULTS: Final = Path(__file__).parent.parent / "results" / "hostile.json"
HANG: Final = 5.0
"""Seconds of a processor: other work on the machine stretches those of the clock."""
STUCK: Final = 60.0
"""Seconds of the clock, after which a call hangs whatever it does."""
ROUND: Final = 90.0
"""Seconds of one process; it may take a while longer to begin and to end."""
SHARES: Final = {
    "public functions": 0.08,
    "JSON": 0.2,
    "questions": 0.01,
    "answers": 0.06,
    "GGUF headers": 0.14,
    "chat templates": 0.03,
    "calibrators": 0.04,
    "policies": 0.08,
    "settings": 0.08,
    "stores of runs": 0.02,
    "exchanged runs": 0.04,
    "data sets": 0.04,
    "question files": 0.03,
    "results and pages": 0.03,
    "replies of servers": 0.05,
    "server bodies": 0.01,
    "kernels' cache": 0.02,
    "kept measurements": 0.02,
    "prefix files": 0.02,
}
COUNTS: Final = ("inputs", "refused", "crashes", "hangs", "raw exceptions")


@contextlib.contextmanager
def work_of(surface: str, folder: Path) -> Iterator[Work]:
    """What throws one input at a surface."""
    if surface in CALLED:
        os.environ |= {"ET_AGENT_CACHE": str(folder), "ET_AGENT_CONFIG": f"{folder}/config.toml"}
        yield CALLED[surface](folder)
        return
    with opened(surface, folder) as read:

        def work(draw: random.Random) -> object:
            if draw.random() < 0.05:
                return read.read(text(draw).encode("utf-8", "surrogatepass"))
            changed = draw.choice([flipped, reshaped])
            return read.read(changed(draw, draw.choice(read.seeds)))

        yield work


def thrown(surface: str, count: int, seed: int, seconds: float) -> dict[str, Any]:
    """Throw inputs at a surface, and count what comes back."""
    warnings.simplefilter("ignore")
    draw, raw, hangs = random.Random(seed), collections.Counter[str](), 0
    done = refused = 0
    longest = 0.0
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        work_of(surface, Path(folder)) as work,
    ):
        last = time.perf_counter() + seconds
        while done < count and time.perf_counter() < last:
            began, worked = time.perf_counter(), time.process_time()
            said: object = None
            try:
                said = work(draw)
            except EtAgentError as error:
                said, refused = error, refused + 1
            except BaseException as error:
                said = error
                where = " in ".join(reversed([*_frames(error)][-3:]))
                raw[f"{type(error).__name__}: {str(error)[:200]!r} at {where}"] += 1
            took, work_took = time.perf_counter() - began, time.process_time() - worked
            longest = max(longest, work_took)
            if work_took > HANG or took > STUCK:
                hangs += 1
                raw[
                    f"hang of {work_took:.1f} s, {took:.1f} s by the clock: {str(said)[:200]!r}"
                ] += 1
            done += 1
    return {
        "inputs": done,
        "refused": refused,
        "crashes": 0,
        "hangs": hangs,
        "raw exceptions": sum(raw.values()) - hangs,
        "longest seconds": round(longest, 2),
        "raw": dict(raw.most_common(20)),
    }


def _frames(error: BaseException) -> Iterator[str]:
    at = error.__traceback__
    while at is not None:
        yield f"{Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno}"
        at = at.tb_next


def round_of(surface: str, count: int, seed: int) -> dict[str, Any]:
    """What one process counted; one that crashed or hung for ever counts as one input."""
    command = [sys.executable, "-m", "benchmarks.hostile", "--surface", surface]
    command += ["--count", str(count), "--seed", str(seed)]
    try:
        ended = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=False, timeout=10 * ROUND
        )
    except subprocess.TimeoutExpired:
        return {**dict.fromkeys(COUNTS, 0), "inputs": 1, "hangs": 1}
    if ended.returncode:
        print(f"{surface}, seed {seed}: ended with {ended.returncode}", flush=True)
        return {**dict.fromkeys(COUNTS, 0), "inputs": 1, "crashes": 1}
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def added(known: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """The counts of earlier rounds and of another one."""
    raw = collections.Counter(known.get("raw", {}))
    raw.update(found.get("raw", {}))
    return {
        **{name: known.get(name, 0) + found[name] for name in COUNTS},
        "longest seconds": max(known.get("longest seconds", 0), found.get("longest seconds", 0)),
        "rounds": known.get("rounds", 0) + 1,
        "raw": dict(raw.most_common(20)),
    }


def guided(surface: str, seconds: int) -> dict[str, Any]:
    """What a fuzzer that is guided by coverage counted at a surface."""
    command = [sys.executable, "-m", "benchmarks.hostile.guided", surface]
    ended = subprocess.run(
        [*command, f"-max_total_time={seconds}"], stderr=subprocess.PIPE, text=True, check=False
    )
    inputs = re.search(r"stat::number_of_executed_units: (\d+)", ended.stderr)
    seen = re.findall(r" cov: (\d+) ", ended.stderr)
    if inputs is None or not seen:
        sys.exit(f"{surface}: the fuzzer did not run:\n{ended.stderr[-2000:]}")
    if ended.returncode:
        print(ended.stderr[-4000:])
    found = bool(ended.returncode)
    return {"inputs": int(inputs[1]), "seconds": seconds, "edges": int(seen[-1]), "found": found}


def run_guided(surfaces: Sequence[str], seconds: int) -> None:
    """Fuzz surfaces one after another, and keep the counts."""
    if importlib.util.find_spec("atheris") is None:
        sys.exit("--guided needs atheris: pip install atheris (Linux and macOS)")
    for surface in surfaces:
        found = guided(surface, seconds)
        results = json.loads(RESULTS.read_text("utf-8"))
        known = results.setdefault("guided", {}).get(surface, {})
        for name in ("inputs", "seconds", "found"):
            found[name] += known.get(name, 0)
        results["guided"][surface] = found
        print(surface, found, flush=True)
        _write(results)


def main() -> None:
    """Throw inputs at all surfaces and write the counts, or at one and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fresh", action="store_true", help="forget earlier rounds")
    parser.add_argument("--surface", choices=sorted(SHARES), help="one alone, printed only")
    parser.add_argument("--guided", type=int, metavar="SECONDS", help="by coverage, with atheris")
    given = parser.parse_args()
    if given.guided:
        run_guided([given.surface] if given.surface else sorted(READ), given.guided)
        return
    if given.surface:
        # Surfaces may print.
        counted = thrown(given.surface, given.count, given.seed, ROUND)
        sys.stdout.write("\n" + json.dumps(counted) + "\n")
        sys.stdout.flush()
        os._exit(0)
    found: dict[str, Any] = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    results = {} if given.fresh else found.get("surfaces", {})
    waiting = dict.fromkeys(SHARES)
    while waiting:
        # In turns, so that a run that is stopped has seen all of them.
        for surface in list(waiting):
            known = results.get(surface, {})
            left = round(given.count * SHARES[surface]) - known.get("inputs", 0)
            if left <= 0:
                del waiting[surface]
                continue
            counted = round_of(surface, left, given.seed + known.get("rounds", 0))
            results[surface] = added(known, counted)
            print(surface, results[surface], flush=True)
            _write({**found, "surfaces": results})


def _write(found: dict[str, Any]) -> None:
    surfaces, by_coverage = found["surfaces"], found.get("guided", {})
    total = {name: sum(one.get(name, 0) for one in surfaces.values()) for name in COUNTS}
    ordered = {name: surfaces[name] for name in SHARES if name in surfaces}
    found = {"total": total, "surfaces": ordered, "guided": by_coverage}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    lines = [
        "| surface | inputs | refused | crashes | hangs | raw exceptions |",
        "|---|" + "---:|" * 5,
    ]
    for name, one in [*ordered.items(), ("all", total)]:
        lines.append(f"| {name} | " + " | ".join(f"{one[key]:,}" for key in COUNTS) + " |")
    if by_coverage:
        lines += [
            "",
            "| guided by coverage | inputs | seconds | edges of code seen | faults found |",
        ]
        lines.append("|---|" + "---:|" * 4)
        names = ("inputs", "seconds", "edges", "found")
        for surface, one in by_coverage.items():
            lines.append(f"| {surface} | " + " | ".join(f"{one[key]:,}" for key in names) + " |")
    put("docs/reliability.md", "hostile", ["", *lines, ""])


if __name__ == "__main__":
    main()
