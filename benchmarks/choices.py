"""Choices: letters read directly, with the options in every order, beside trees that reason first.

    python -m benchmarks.choices    # benchmarks/results/choices.json, docs/confidence.md

Decodes nothing; the runs are those of `benchmarks.runs`, decoders `direct` and `entropy-tree`, on test
questions of MMLU. "Own order" reads the letters in the question's own order alone. "Half and half" is
the mean of the direct shares and the tree's. Tokens are read and generated ones.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.confidence import shipped_path
from benchmarks.documents import put
from benchmarks.machine import describe
from benchmarks.runs import PLANS, Plan, finished
from et_agent.arrays import Doubles
from et_agent.calibration import Calibrator
from et_agent.evaluation.bootstrap import Interval, Resamples, interval
from et_agent.evaluation.gating import run_confidences
from et_agent.evaluation.metrics import auroc, brier, ece
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.report import shown, table
from et_agent.storage import write_atomically

OUT: Final = Path(__file__).parent / "results" / "choices.json"
Shares = Mapping[str, float]


def shares_of(record: QuestionRecord) -> Shares:
    """Share of each letter."""
    return dict(zip(record.answers, record.leaves.shares.tolist(), strict=True))


def own_order(record: QuestionRecord) -> Shares:
    """Share of each letter when the options stand as in the question."""
    letters = len(record.answers)
    first = record.leaves.weight[:letters] * (len(record.leaves) // letters)
    chosen = record.leaves.answer[:letters].tolist()
    return {record.answers[one]: float(weight) for one, weight in zip(chosen, first, strict=True)}


def mixed(one: Shares, other: Shares) -> Shares:
    """The mean of both."""
    return {name: (one.get(name, 0.0) + other.get(name, 0.0)) / 2 for name in {*one, *other}}


def figures(shares: Sequence[Shares], golds: Sequence[str], values: Doubles) -> dict[str, Interval]:
    """Accuracy of the likeliest letter, and how well `values` tell whether it is right."""
    best = [max(one, key=lambda name: one[name], default=None) for one in shares]
    right = np.array([a == b for a, b in zip(best, golds, strict=True)])
    counts = Resamples(right.size, resamples=1000).counts
    return {
        "accuracy": interval(counts @ right / right.size, right.size, proportion=True),
        "AUROC": interval(auroc(right, values, counts), right.size),
        "ECE": interval(ece(right, values, counts), right.size, basic=True),
        "Brier": interval(brier(right, values, counts), right.size),
    }


def compared(plan: Plan) -> list[tuple[str, int, dict[str, Interval], float]]:
    """Ways to answer, questions, figures and mean tokens."""
    direct, trees = (finished(plan, name)[1] for name in ("direct", "entropy-tree"))
    by_item = {one.item: one for one in trees}
    both = [(one, by_item[one.item]) for one in direct if one.item in by_item]
    calibrator = Calibrator.load(shipped_path(plan.model, "choice"))
    found = []

    def add(
        name: str,
        shares: list[Shares],
        golds: list[str],
        tokens: float,
        values: Doubles | None = None,
    ) -> None:
        if values is None:
            values = np.array([max(one.values(), default=0.0) for one in shares])
        found.append((name, len(shares), figures(shares, golds, values), tokens))

    def tokens(records: Sequence[QuestionRecord], *, generated: bool) -> float:
        return float(np.mean([r.prompt_tokens + generated * r.tokens_decoded for r in records]))

    every = [shares_of(one) for one in direct]
    golds = [one.answers[one.right.index(True)] for one in direct]
    read = tokens(direct, generated=False)
    confidence = run_confidences(direct, calibrator)
    add("direct, every order: confidence", every, golds, read, values=confidence)
    add("direct, every order: share", every, golds, read)
    orders = float(np.mean([len(one.answers) for one in direct]))
    add("direct, own order: share", [own_order(one) for one in direct], golds, read / orders)
    same = [one.answers[one.right.index(True)] for one, _ in both]
    firsts, seconds = ([shares_of(one) for one in part] for part in zip(*both, strict=True))
    whole = tokens([tree for _, tree in both], generated=True)
    add("direct, every order: share, the tree's questions", firsts, same, read)
    add("tree: share", seconds, same, whole)
    halves = [mixed(one, other) for one, other in zip(firsts, seconds, strict=True)]
    add("half and half: share", halves, same, read + whole)
    return found


def main() -> None:
    document: dict[str, Any] = {"machine": describe()}
    rows = []
    for plan in PLANS:
        if "direct" not in plan.questions or not finished(plan, "direct")[1]:
            continue
        for name, questions, found, tokens in compared(plan):
            document[f"{plan.model}, {name}"] = {
                "questions": questions,
                "tokens": tokens,
                **{key: asdict(one) for key, one in found.items()},
            }
            cells = [shown(one) for one in found.values()]
            rows.append([plan.model, name, str(questions), *cells, f"{tokens:.0f}"])
    write_atomically(OUT, json.dumps(document, indent=1) + "\n")
    head = ["model", "way: what ranks", "questions", "accuracy", "AUROC", "ECE", "Brier", "tokens"]
    put("docs/confidence.md", "choices", table(head, rows))


if __name__ == "__main__":
    main()
