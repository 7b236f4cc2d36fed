"""Does asking for readings find unclear questions? Against asking the model directly.

    ET_AGENT_DATA=…/raw python -m benchmarks.ambiguity [--model qwen2.5-coder-1.5b] [--questions 60]
        [--problems 40]

As many unclear as clear questions of AmbigInst and of CLAMBER, from a seeded shuffle, and word problems
of SVAMP's train split, which are clear and may be hard. Resumable: every finished question is a line of
benchmarks/results/ambiguity.jsonl, which holds scores and no texts. The tables in
docs/measured.md are made from it, with --questions 0 --problems 0 without decoding.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.documents import put
from et_agent.arrays import Doubles
from et_agent.engines.base import LanguageModel
from et_agent.engines.loading import load_model
from et_agent.evaluation.bootstrap import Resamples, interval
from et_agent.evaluation.datasets import load_items
from et_agent.evaluation.items import sample
from et_agent.evaluation.metrics import auroc
from et_agent.evaluation.report import shown, table
from et_agent.gate import Clarifier, GatePolicy
from et_agent.uncertainty.self_evaluation import p_unclear

OUT: Final = Path(__file__).parent / "results" / "ambiguity.jsonl"
SHORT: Final = "Answer with a few words and nothing else."
FALSE_ALARMS: Final = 0.2
"""Share of AmbigInst's clear questions above the thresholds that are compared."""
COMPARED: Final = ("aleatoric", "total", "direct", "either")
SCORES: Final = {
    "aleatoric": "mutual information of reading and answer, the gate's",
    "total": "entropy of the answers over all readings",
    "readings": "number of readings",
    "spread": "entropy of the readings",
    "direct": "asked directly: P(yes) against P(no)",
    "either": "1 - (1 - asked directly) exp(-mutual information); chosen on the first 53 of these",
}


def score(row: Mapping[str, Any], name: str) -> float:
    """One question's value of one score; what could not be told is 0."""
    if name == "either":
        return float(1.0 - (1.0 - score(row, "direct")) * np.exp(-score(row, "aleatoric")))
    value = row[name]
    return 0.0 if value is None or np.isnan(value) else float(value)


@dataclass(frozen=True)
class Case:
    """A question and whether it is unclear."""

    name: str
    text: str
    unclear: bool
    kind: str = "text"


def ambiginst(folder: Path) -> list[Case]:
    rows = json.loads((folder / "ambiginst" / "ambiginst.json").read_text("utf-8"))
    return [
        Case(f"ambiginst/{at}", f"{row['orig_instruction']}\n{row['input']}", row["isambig"])
        for at, row in enumerate(rows)
    ]


def clamber(folder: Path) -> list[Case]:
    lines = (folder / "clamber" / "clamber_benchmark.jsonl").read_text("utf-8").splitlines()
    found = []
    for at, line in enumerate(lines):
        row = json.loads(json.loads(line))
        text = f"{row['context']}\n{row['question']}" if row["context"] else row["question"]
        found.append(Case(f"clamber/{at}", text, row["require_clarification"] == 1))
    return found


def word_problems(count: int) -> list[Case]:
    found = sample(load_items("svamp:train"), count, seed=0) if count else []
    return [Case(item.id, item.question, unclear=False, kind="number") for item in found]


def balanced(cases: Sequence[Case], count: int, seed: int = 0) -> list[Case]:
    """Unclear and clear ones in turn, so that every beginning is balanced."""
    order = np.random.default_rng(seed).permutation(len(cases))
    sides = [[cases[at] for at in order if cases[at].unclear is side] for side in (True, False)]
    pairs = zip(*sides, strict=False)
    return [case for pair in pairs for case in pair][:count]


def measure(model: LanguageModel, case: Case) -> dict[str, Any]:
    began = time.perf_counter()
    direct = p_unclear(model, case.text)
    if case.kind == "number":
        found = Clarifier(model).examine(case.text, kind=case.kind)
    else:  # as the gate does it, but for short answers, since most of these questions have no kind
        found = Clarifier(model, max_tokens=32).examine(
            case.text, kind=case.kind, system_prompt=SHORT
        )
    weights = found.weights[found.weights > 0]
    return {
        "case": case.name,
        "unclear": case.unclear,
        "model": model.info.name,
        "direct": direct,
        "aleatoric": found.aleatoric,
        "total": found.total,
        "epistemic": found.epistemic,
        "readings": len(found.readings),
        "spread": max(0.0, float(-(weights * np.log(weights)).sum())),
        "tokens": found.tokens,
        "seconds": time.perf_counter() - began,
    }


def known(model: str) -> Iterator[dict[str, Any]]:
    if OUT.is_file():
        for line in OUT.read_text("utf-8").splitlines():
            row = json.loads(line)
            if row["model"] == model:
                yield row


def lines_of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    found = []
    for data in ("ambiginst", "clamber"):
        some = [row for row in rows if row["case"].startswith(data)]
        right = np.array([row["unclear"] for row in some], dtype=np.bool_)
        if not 0 < right.sum() < right.size:
            continue
        counts = Resamples(right.size).counts
        values = {
            name: auroc(right, np.array([score(row, name) for row in some]), counts)
            for name in SCORES
        }
        for name, meaning in SCORES.items():
            gap = interval(values[name] - values["direct"], right.size)
            found.append(
                [
                    data,
                    str(right.size),
                    meaning,
                    shown(interval(values[name], right.size)),
                    "" if name == "direct" else shown(gap),
                ]
            )
    header = ["data", "questions", "score", "AUROC", "minus asking directly"]
    return table(header, found) if found else ["Not measured yet."]


def alarms_of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a threshold finds, and how often it asks back where nothing is unclear."""

    def scores(name: str, start: str, unclear: bool) -> Doubles:
        some = [one for one in rows if one["case"].startswith(start) and one["unclear"] is unclear]
        return np.array([score(one, name) for one in some])

    problems = scores("direct", "svamp", unclear=False).size
    if not problems or not scores("direct", "ambiginst", unclear=False).size:
        return []
    default = _default("clarify_at")
    thresholds: list[tuple[str, str, float]] = [("aleatoric", "the gate's default", default)]
    for name in COMPARED:
        clear = scores(name, "ambiginst", unclear=False)
        least = float(np.quantile(clear, 1 - FALSE_ALARMS))
        thresholds.append((name, f"asks back on {FALSE_ALARMS:.0%} of the clear ones", least))
    found = []
    for name, chosen, least in thresholds:
        shares = [
            float((scores(name, start, unclear=unclear) >= least).mean())
            for start, unclear in (("ambiginst", False), ("ambiginst", True), ("svamp", False))
        ]
        found.append([SCORES[name], f"{least:.2f}: {chosen}", *map("{:.2f}".format, shares)])
    header = ["score", "threshold", "asks back: clear, AmbigInst", "unclear, AmbigInst"]
    least = _default("clarify_from")
    doubtful = scores("total", "svamp", unclear=False) >= least
    asked = scores("aleatoric", "svamp", unclear=False)[doubtful] >= default
    told = (
        f"On {doubtful.sum()} of the {problems} word problems the entropy of the answers is at least "
        f"{least:g} nats, which the gate requires of the tree's answers before it asks for readings. "
        f"{asked.sum()} of these reach its threshold."
    )
    return ["", *table([*header, f"{problems} word problems"], found), "", told]


def _default(name: str) -> float:
    return float(GatePolicy.model_fields[name].default)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--questions", type=int, default=60, help="of each set")
    parser.add_argument("--problems", type=int, default=40, help="word problems")
    options = parser.parse_args()
    done = {row["case"] for row in known(options.model)}
    if options.questions or options.problems:
        folder = Path(os.environ["ET_AGENT_DATA"])
        cases = []
        if options.questions:
            sets = [balanced(read(folder), options.questions) for read in (ambiginst, clamber)]
            # In turn, so that a stopped call leaves both sets.
            cases = [case for pair in zip(*sets, strict=True) for case in pair]
        cases += word_problems(options.problems)
        with load_model(options.model) as model, OUT.open("a", encoding="utf-8") as out:
            for number, case in enumerate(cases, 1):
                if case.name in done:
                    continue
                row = measure(model, case)
                out.write(json.dumps(row) + "\n")
                out.flush()
                print(
                    f"{time.strftime('%H:%M:%S')} {number}/{len(cases)} {row['seconds']:.0f} s",
                    file=sys.stderr,
                    flush=True,
                )
    rows = list(known(options.model))
    lines = [*lines_of(rows), *alarms_of(rows)]
    if rows:
        short = [row["tokens"] for row in rows if not row["case"].startswith("svamp")]
        long = [row["tokens"] for row in rows if row["case"].startswith("svamp")]
        told = f"{options.model}, {np.mean(short):.0f} generated tokens per question"
        told += f", {np.mean(long):.0f} per word problem." if long else "."
        lines = [told, "", *lines]
    put("docs/measured.md", "ambiguity", lines)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
