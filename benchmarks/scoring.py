"""How long it takes to score stored questions with every estimator that decoding leaves behind.

    python -m benchmarks.scoring [--questions 10000]

The questions are those of the committed runs, as often as it takes, in a store on disk.
"""

import argparse
import dataclasses
import json
import tempfile
import time
from pathlib import Path

from benchmarks.machine import describe
from benchmarks.runs import RESULTS
from et_agent.evaluation.archive import RunArchive
from et_agent.evaluation.scores import scores_of
from et_agent.evaluation.store import RunStore
from et_agent.uncertainty.estimators import ESTIMATORS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=10_000)
    options = parser.parse_args()
    archives = [RunArchive(path) for path in sorted(RESULTS.glob("*.jsonl.xz"))]
    known = [one for archive in archives for run in archive.values() for one in run.records]
    with tempfile.TemporaryDirectory() as folder, RunStore(Path(folder) / "runs.sqlite") as store:
        run = store.begin("many", {})
        for number in range(options.questions):
            one = dataclasses.replace(known[number % len(known)], item=f"q/{number}")
            store.add(run, one, [], {})
        began = time.perf_counter()
        records = store.records(run)
        read = time.perf_counter() - began
        cheap = [one for one in ESTIMATORS.values() if one.cost == "free"]
        for estimator in cheap:
            scores_of(records, estimator)
        whole = time.perf_counter() - began
    leaves = sum(len(one.leaves) for one in records) / len(records)
    figures = {
        "questions": len(records),
        "leaves a question": leaves,
        "estimators": len(cheap),
        "seconds to read": read,
        "seconds to read and score": whole,
    }
    text = json.dumps({"machine": describe(), **figures}, indent=1)
    (RESULTS.parent / "scoring.json").write_text(text + "\n", encoding="utf-8")
    print(
        f"{len(records)} questions, {len(cheap)} estimators: {whole:.1f} s, {read:.1f} of it reading"
    )


if __name__ == "__main__":
    main()
