"""Tables of the search, out of its store.

    python -m benchmarks.search.study FOLDER [--publish]

Trees are compared with independent chains at equal tokens, see `et_agent.evaluation.equal_cost`.

`worth` is how many independent chains a tree's distribution is worth: the expected squared error of k
chains is G / k with G = 1 - sum p^2, so a tree of squared error E is worth G / E of them. The truth is
the part of the pool from which trees do not grow, and its own error is taken off.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.documents import put
from benchmarks.pictures import save
from et_agent.arrays import Doubles
from et_agent.evaluation.bootstrap import Interval, Resamples, interval
from et_agent.evaluation.equal_cost import Chains, some_chains
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.report import shown
from et_agent.evaluation.store import RunStore
from et_agent.evaluation.summaries import at_equal_cost, curve, summarise

RESULTS: Final = Path(__file__).parents[1] / "results" / "search.json"
ROOTS: Final = 8
"""Chains of the pool from which trees may grow; the others are the truth."""
COMPARED: Final = ("top-share", "et-pe", "et-pe-count", "answer-mass")


def shares(record: QuestionRecord, leaves: slice = slice(None)) -> dict[str, float]:
    """Share of each answer among some leaves; "" stands for no answer."""
    found: dict[str, float] = {}
    weights = record.leaves.weight[leaves]
    for index, weight in zip(record.leaves.answer[leaves].tolist(), weights.tolist(), strict=True):
        label = "" if index < 0 else record.answers[index]
        found[label] = found.get(label, 0.0) + weight / float(weights.sum())
    return found


def squared(one: dict[str, float], other: dict[str, float]) -> float:
    return sum((one.get(a, 0.0) - other.get(a, 0.0)) ** 2 for a in set(one) | set(other))


def worth_in_chains(
    records: Sequence[QuestionRecord],
    truth: Sequence[QuestionRecord],
    counts: Doubles,
    chains: slice = slice(None),
) -> Doubles:
    """How many independent chains trees are worth, float64 [R].

    Args:
        records: Trees.
        truth: Chains of the same questions.
        counts: Resamples, float64 [R, questions].
        chains: Which of the chains are the truth; none that the trees have grown from.
    """
    answers = [shares(one, chains) for one in truth]
    n = len(truth[0].leaves.weight[chains])
    # Unbiased 1 - sum p^2: two different chains of the truth disagree.
    spread = np.array([(1 - sum(p * p for p in one.values())) * n / (n - 1) for one in answers])
    errors = np.array([squared(shares(o), t) for o, t in zip(records, answers, strict=True)])
    found: Doubles = (counts @ spread) / (counts @ (errors - spread / n))
    return found


def worth(
    records: Sequence[QuestionRecord], pool: Sequence[QuestionRecord], counts: Doubles
) -> tuple[Doubles, Doubles]:
    """Chains that a tree is worth, and the same over the chains that cost as much; float64 [R]."""
    found = worth_in_chains(records, pool, counts, slice(ROOTS, None))
    return found, found / Chains(pool).count_at_equal_cost(records, "tokens", counts)


def row(records: Sequence[QuestionRecord], pool: Sequence[QuestionRecord]) -> dict[str, Any]:
    """The figures of one setting."""
    size = len(records)
    counts = Resamples(size, resamples=1000).counts
    summary = summarise(records, estimators=COMPARED, resamples=1000)
    equal = at_equal_cost(records, pool, estimators=COMPARED)
    chains, density = worth(records, pool, counts)
    return {
        "questions": size,
        "tokens": summary.tokens,
        "chains at equal tokens": equal.chains,
        "leaves": summary.leaves,
        "ess": summary.ess,
        "worth in chains": interval(chains, size),
        "worth over equal chains": interval(density, size),
        "accuracy": summary.accuracy,
        "any leaf right": float(np.mean([one.leaf_right.any() for one in records])),
        "AUROC": {one.name: one.metrics["AUROC"] for one in summary.estimators},
        "minus chains": equal.intervals,
    }


def line(name: str, found: dict[str, Any]) -> list[str]:
    gaps = found["minus chains"]
    return [
        name,
        str(found["questions"]),
        f"{found['tokens'].value:.0f} = {found['chains at equal tokens'].value:.1f}",
        f"{found['leaves']:.1f}",
        shown(found["worth over equal chains"], digits=2),
        f"{found['any leaf right']:.3f}; {_gap(gaps['any leaf right'])}",
        f"{found['accuracy'].value:.3f}; {_gap(gaps['accuracy'])}",
        *(
            f"{found['AUROC'][e].value or 0:.3f}; {_gap(gaps['AUROC ' + e])}"
            for e in ("top-share", "et-pe", "et-pe-count")
        ),
    ]


HEADER: Final = (
    "setting",
    "questions",
    "tokens = chains",
    "leaves",
    "worth over equal chains",
    "any right",
    "accuracy",
    "AUROC top share",
    "AUROC ET-PE",
    "AUROC ET-PE by count",
)


def _gap(one: Interval) -> str:
    if one.value is None or one.low is None or one.high is None:
        return "undefined"
    return f"{one.value:+.3f} [{one.low:+.3f}, {one.high:+.3f}]"


def draw(rows: dict[str, Any], pool: Sequence[QuestionRecord], path: Path) -> None:
    """The frontier: what settings reach for their tokens, chains as a line with its interval."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.5, 5.2), layout="constrained")
    points = curve(pool, [1, 2, 3, 4, 6, 8, 10, 12, 14, 16])
    panels: list[tuple[str, Any, Any]] = [
        (
            "worth, in independent chains",
            [(p.tokens, p.leaves, p.leaves, p.leaves) for p in points],
            lambda row: row["worth in chains"].value,
        ),
        (
            "any leaf right",
            [(p.tokens, p.pass_any.value, p.pass_any.low, p.pass_any.high) for p in points],
            lambda row: row["any leaf right"],
        ),
        (
            "AUROC of the top share",
            [(p.tokens, p.auroc.value, p.auroc.low, p.auroc.high) for p in points],
            lambda row: row["AUROC"]["top-share"].value,
        ),
    ]
    whole = {name: row for name, row in rows.items() if row["questions"] == len(pool)}
    for plot, (label, line_of, value_of) in zip(figure.subplots(1, 3), panels, strict=True):
        xs, values, lows, highs = zip(*line_of, strict=True)
        plot.plot(xs, values, color="#0072B2", label="multi-chain")
        plot.fill_between(xs, lows, highs, color="#0072B2", alpha=0.12)
        for at, (name, row) in enumerate(sorted(whole.items(), key=lambda one: value_of(one[1]))):
            x, y = row["tokens"].value, value_of(row)
            strong = "worth" in name or name == "tree"
            plot.plot([x], [y], "o", color="#D55E00" if strong else "#009E73", markersize=5)
            side = 6 if at % 2 else -6
            plot.annotate(
                name,
                (x, y),
                textcoords="offset points",
                xytext=(side, 3),
                ha="left" if at % 2 else "right",
                fontsize=8,
            )
        plot.set(xlabel="generated tokens per question", ylabel=label, xlim=(0, None))
        plot.grid(alpha=0.25)
        plot.spines[["top", "right"]].set_visible(False)
        plot.legend(frameon=False, loc="lower right")
    save(figure, path)


def _plain(one: object) -> Any:
    if isinstance(one, Interval):
        return [one.value, one.low, one.high]
    raise TypeError(type(one))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--publish", action="store_true", help="write results and document")
    options = parser.parse_args()
    with RunStore(options.folder / "runs.sqlite") as store:
        runs = {run.name.removeprefix("search-"): store.records(run) for run in store.runs()}
    pool = {one.item: one for one in runs.pop("pool")}
    for roots in (4, 8):
        # What trees start from, for comparison: these chains may be better or worse than others.
        runs[f"r{roots}-alone"] = [some_chains(one, np.arange(roots)) for one in pool.values()]
    rows: dict[str, Any] = {}
    lines = ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
    for name, records in runs.items():
        common = [one for one in records if one.item in pool]
        if len(common) < 2:
            continue
        rows[name] = row(common, [pool[one.item] for one in common])
    for name, found in sorted(
        rows.items(), key=lambda one: -one[1]["worth over equal chains"].value
    ):
        lines.append("| " + " | ".join(line(name, found)) + " |")
    print("\n".join(lines))
    known = summarise(list(pool.values()), resamples=1000).estimators
    scores = {one.name: one.metrics["AUROC"] for one in known}
    told = ["| estimator | AUROC |", "|---|---|"]
    told += [f"| {name} | {shown(one)} |" for name, one in scores.items()]
    if options.publish:
        found = {"settings": rows, "estimators of the pool": scores}
        text = json.dumps(found, indent=1, default=_plain)
        put("docs/experiments.md", "estimators", told)
        draw(rows, list(pool.values()), RESULTS.with_suffix(".png"))
        RESULTS.write_text(text + "\n", encoding="utf-8")
        put("docs/experiments.md", "search", lines)


if __name__ == "__main__":
    main()
