"""What forks near the end of paths are worth, out of the stored trees of schedule `rounds`.

    python -m benchmarks.reach

Nothing is decoded. Of each tree the forks are dropped that schedule `overlapped` would not make: those
more than so many tokens before the end of their path, those of paths that the token limit cut off, and
what grew from dropped ones. Their weight goes to the paths that they left. The truth is the independent
chains of the same questions. Steps are those of a tree alone, all branches in every batch, and seconds
follow from steps and tokens (`COSTS`). Writes benchmarks/results/reach.json
and docs/experiments.md.

The distance was chosen on trees of the train splits: how often forks at each distance changed the
answer, and what they were worth over the chains that cost as many tokens. The shipped calibrators,
which were fitted on trees of `rounds`, are asked for the confidence of all trees.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.confidence import KINDS, records_of, shipped_path
from benchmarks.critical_path import ChainCosts, Costs
from benchmarks.documents import put
from benchmarks.runs import PLANS, SMALL, TRAINING, Plan, finished
from benchmarks.search.study import worth_in_chains
from et_agent.arrays import Doubles
from et_agent.calibration import Calibrator
from et_agent.evaluation.bootstrap import Interval, Resamples, interval
from et_agent.evaluation.gating import run_confidences
from et_agent.evaluation.metrics import auroc, ece
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.report import shown, table
from et_agent.uncertainty.leaf_table import FORKS

COSTS: Final = Costs(0.018, 0.0019)
"""Seconds per step and token on two cores, 0.5B, with the first kernels."""
OUT: Final = Path(__file__).parent / "results" / "reach.json"
SETS: Final = ("svamp", "gsm8k", "mmlu", "math500", "nq-open")
REACHES: Final = (0, 32, 64, 128)
"""Tokens before the end of a path."""
TRAINED: Final = ("train-svamp", "train-gsm8k", "train-mmlu")
EDGES: Final = (0, 8, 16, 32, 64, 128, 320)
"""Bounds of distances, tokens."""
INTERVALS: Final = (
    "worth in chains",
    "worth over chains of equal tokens",
    "minus all forks",
    "worth over chains of equal seconds",
)
HEADER: Final = (
    "set",
    "forks kept",
    "leaves",
    "tokens",
    "steps = longest paths",
    "seconds",
    *INTERVALS,
)
DISTANCES: Final = (
    "set",
    "path ended",
    "tokens before the end",
    "forks per question",
    "changed the answer",
    "worth over chains of equal tokens",
)
CONFIDENCES: Final = (
    "kind",
    "questions",
    "forks kept",
    "accuracy",
    "mean confidence",
    "AUROC",
    "ECE",
    "AUROC minus all forks",
    "ECE minus all forks",
)
_DISTINCT: Final = FORKS.index("distinct")


@dataclass(frozen=True)
class Replayed:
    """A stored tree as another schedule would have made it.

    Attributes:
        record: The tree.
        steps: Batches that it takes alone, if all its branches are in every batch.
    """

    record: QuestionRecord
    steps: int


def whole(record: QuestionRecord) -> Replayed:
    """The stored tree. A round of forks begins when a path would be forked twice, or that it made."""
    leaves = record.leaves
    steps = int(leaves.tokens[leaves.fork != _DISTINCT].max())
    together: list[int] = []
    touched: set[int] = set()
    for leaf in np.flatnonzero(leaves.fork == _DISTINCT).tolist():
        parent = int(leaves.parent[leaf])
        if parent in touched:
            steps += _longest(record, together)
            together, touched = [], set()
        together.append(leaf)
        touched |= {leaf, parent}
    return Replayed(record, steps + _longest(record, together))


def _longest(record: QuestionRecord, forks: Sequence[int]) -> int:
    own = record.leaves.tokens - record.leaves.start
    return max((int(own[leaf]) for leaf in forks), default=0)


def without_early_forks(record: QuestionRecord, reach: int) -> Replayed:
    """The tree without forks that are more than `reach` tokens before the end of a path that ended."""
    leaves, weight = record.leaves, record.leaves.weight.copy()
    clock: dict[int, int] = {}
    for leaf in range(len(leaves)):
        parent = int(leaves.parent[leaf])
        if leaves.fork[leaf] != _DISTINCT:
            clock[leaf] = int(leaves.tokens[leaf])
        elif (
            parent in clock
            and leaves.finish[parent] == 0
            and leaves.tokens[parent] - leaves.start[leaf] <= reach
        ):
            # The fork has its first token already, which was drawn with that of the parent.
            clock[leaf] = clock[parent] + int(leaves.tokens[leaf] - leaves.start[leaf]) - 1
    # What was made last was divided last.
    for leaf in reversed(range(len(leaves))):
        if leaf not in clock:
            parent = int(leaves.parent[leaf])
            heirs = [at for at in range(leaf) if at in clock or at == parent]
            heirs = [at for at in heirs if leaves._passes(at, leaf)]
            total = weight[heirs].sum()
            weight[heirs] += weight[leaf] * (weight[heirs] / total if total else 1 / len(heirs))
    kept = np.array(list(clock))
    part = record.part(kept, weight[kept] / weight[kept].sum())
    return Replayed(part, max(clock.values()))


def rows_of(plan: Plan) -> list[dict[str, Any]]:
    """The figures of one set: all forks first, then those of each reach."""
    chains = {one.item: one for one in finished(plan, "multi-chain")[1]}
    trees = [one for one in finished(plan, "entropy-tree")[1] if one.item in chains]
    truth = [chains[one.item] for one in trees]
    counts = Resamples(len(trees), resamples=1000).counts
    means = counts / counts.sum(axis=1, keepdims=True)
    costs = ChainCosts(truth, counts)
    rows: list[dict[str, Any]] = []
    first: Doubles | None = None
    for reach in (None, *REACHES[::-1]):
        found = [whole(one) if reach is None else without_early_forks(one, reach) for one in trees]
        records = [one.record for one in found]
        worth = worth_in_chains(records, truth, counts)
        tokens = means @ np.array([float(one.tokens_decoded) for one in records])
        steps = means @ np.array([float(one.steps) for one in found])
        longest = means @ np.array([float(one.leaves.tokens.max()) for one in records])
        over = worth * costs.tokens(1) / tokens
        first = over if first is None else first
        seconds = COSTS.of(steps, tokens)
        rows.append(
            {
                "set": plan.name,
                "questions": len(trees),
                "reach": reach,
                "leaves": float(np.mean([one.leaves.count.sum() for one in records])),
                "tokens": float(tokens[0]),
                "steps": float(steps[0]),
                "steps over longest path": float(steps[0] / longest[0]),
                "seconds": float(seconds[0]),
                "worth in chains": _numbers(worth),
                "worth over chains of equal tokens": _numbers(over),
                "minus all forks": _numbers(over - first),
                "worth over chains of equal seconds": _numbers(
                    worth / costs.equal(seconds, COSTS.of)
                ),
            }
        )
    return rows


def distances_of(plan: Plan) -> list[dict[str, Any]]:
    """What forks at each distance from the end of their path were worth.

    A fork into shares a and b of two answers reduces the squared error by 2 a b. A chain beside n
    roots reduces it by P(a != a') / (n (n + 1)); the roots say how often two chains disagree.
    """
    trees = finished(plan, "entropy-tree")[1]
    left, own, ended, changed, gain = [], [], [], [], []
    disagree, lengths = [], []
    for record in trees:
        leaves = record.leaves
        roots = leaves.fork != _DISTINCT
        codes = int(leaves.count[roots].sum())
        shares = np.bincount(leaves.answer[roots] + 1, leaves.count[roots]) / codes
        disagree.append((1.0 - float(shares @ shares)) * codes / (codes - 1))
        lengths.append(float(leaves.tokens[roots] @ leaves.count[roots]) / codes)
        for leaf in np.flatnonzero(~roots).tolist():
            parent = int(leaves.parent[leaf])
            left.append(int(leaves.tokens[parent] - leaves.start[leaf]))
            own.append(int(leaves.tokens[leaf] - leaves.start[leaf]))
            ended.append(bool(leaves.finish[parent] == 0))
            changed.append(bool(leaves.answer[leaf] != leaves.answer[parent]))
            weights = float(leaves.weight[leaf] * leaves.weight[parent])
            gain.append(2.0 * weights * codes * (codes + 1) * changed[-1])
    per_token = float(np.mean(disagree)) / float(np.mean(lengths))
    rows = []
    for by_itself in (True, False):
        for low, high in pairwise(EDGES):
            chosen = (np.array(left) > low) & (np.array(left) <= high)
            chosen &= np.array(ended) == by_itself
            tokens = float(np.array(own)[chosen].sum())
            if tokens:
                rows.append(
                    {
                        "set": plan.name,
                        "path ended": by_itself,
                        "tokens before the end": [low + 1, high],
                        "forks per question": float(chosen.sum()) / len(trees),
                        "changed the answer": float(np.array(changed)[chosen].mean()),
                        "worth over equal chains": float(np.array(gain)[chosen].sum())
                        / (tokens * per_token),
                    }
                )
    return rows


def confidences_of(kind: str) -> list[dict[str, Any]]:
    """What the small model's shipped calibrator says of trees whose forks are near the end."""
    calibrator = Calibrator.load(shipped_path(SMALL, kind))
    trees = records_of(KINDS[kind], SMALL, training=False)
    counts = Resamples(len(trees), resamples=1000).counts
    rows: list[dict[str, Any]] = []
    first: tuple[Doubles, Doubles] | None = None
    for reach in (None, 64, 0):
        found = [one if reach is None else without_early_forks(one, reach).record for one in trees]
        confidence = run_confidences(found, calibrator)
        right = np.array([one.correct for one in found])
        ranked, error = auroc(right, confidence, counts), ece(right, confidence, counts)
        first = first or (ranked, error)
        rows.append(
            {
                "kind": kind,
                "questions": len(trees),
                "reach": reach,
                "accuracy": float(right.mean()),
                "mean confidence": float(confidence.mean()),
                "AUROC": round(float(ranked[0]), 3),
                "ECE": round(float(error[0]), 3),
                "AUROC minus all forks": _numbers(ranked - first[0]),
                "ECE minus all forks": _numbers(error - first[1]),
            }
        )
    return rows


def _numbers(values: Doubles) -> list[float | None]:
    one = interval(values, values.size)
    return [None if v is None else round(v, 3) for v in (one.value, one.low, one.high)]


def _kept(row: dict[str, Any]) -> str:
    if row["reach"] is None:
        return "all"
    return f"{row['reach']} tokens" if row["reach"] else "none"


def line(row: dict[str, Any]) -> list[str]:
    intervals = []
    for name in INTERVALS:
        value, low, high = row[name]
        intervals.append(Interval(value, low, high, row["questions"]))
    return [
        row["set"],
        _kept(row),
        f"{row['leaves']:.1f}",
        f"{row['tokens']:.0f}",
        f"{row['steps']:.0f} = {row['steps over longest path']:.2f}",
        f"{row['seconds']:.1f}",
        *(shown(one, digits=2) for one in intervals),
    ]


def distance_line(row: dict[str, Any]) -> list[str]:
    low, high = row["tokens before the end"]
    return [
        row["set"],
        "by itself" if row["path ended"] else "at the limit",
        f"{low} to {high}",
        f"{row['forks per question']:.2f}",
        f"{row['changed the answer']:.2f}",
        f"{row['worth over equal chains']:.2f}",
    ]


def confidence_line(row: dict[str, Any]) -> list[str]:
    found = [row["kind"], str(row["questions"]), _kept(row)]
    found += [f"{row[name]:.3f}" for name in ("accuracy", "mean confidence", "AUROC", "ECE")]
    for name in ("AUROC minus all forks", "ECE minus all forks"):
        value, low, high = row[name]
        found.append(shown(Interval(value, low, high, row["questions"])))
    return found


def main() -> None:
    distances = [row for plan in TRAINING if plan.name in TRAINED for row in distances_of(plan)]
    rows = [row for plan in PLANS if plan.name in SETS for row in rows_of(plan)]
    confidences = [row for kind in ("number", "choice") for row in confidences_of(kind)]
    found = {
        "by distance, train splits": distances,
        "by reach, test splits": rows,
        "shipped calibrators, test splits": confidences,
    }
    OUT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for name, text in (
        ("distances", table(DISTANCES, [distance_line(row) for row in distances])),
        ("reach", table(HEADER, [line(row) for row in rows])),
        ("confidences", table(CONFIDENCES, [confidence_line(row) for row in confidences])),
    ):
        put("docs/experiments.md", name, text)
        print("\n".join(text))


if __name__ == "__main__":
    main()
