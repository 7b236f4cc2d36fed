"""Every table and picture of the evaluation, out of benchmarks/results/runs alone.

    python -m benchmarks.tables

Writes benchmarks/results/evaluation.md and .json, and the README's table and figure.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.runs import DECODERS, PLANS, RESULTS, file_of
from et_agent.errors import DataError
from et_agent.evaluation.bootstrap import Interval, Resamples, interval, pooled
from et_agent.evaluation.exchange import read_run
from et_agent.evaluation.metrics import auroc
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.report import shown
from et_agent.evaluation.summaries import RunSummary, at_equal_cost, scores_of, summarise
from et_agent.uncertainty.estimators import ESTIMATORS

OUT: Final = RESULTS.parent
COMPARED: Final = ("top-share", "et-pe", "et-pe-count", "answer-mass")
Doubles = NDArray[np.float64]
Gap = Callable[[Doubles], Doubles]


@dataclass(frozen=True)
class Set:
    """One set's runs by decoder."""

    name: str
    runs: Mapping[str, Sequence[QuestionRecord]]


def load() -> list[Set]:
    """The sets of which there is anything."""
    found = []
    for plan in PLANS:
        runs = {}
        for decoder in DECODERS:
            path = file_of(plan, decoder)
            if decoder in plan.questions and path.is_file():
                _, _, records = read_run(path)
                if records:
                    runs[decoder] = records
        if runs:
            found.append(Set(plan.name, runs))
    return found


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def runs_table(summaries: Mapping[tuple[str, str], RunSummary]) -> list[str]:
    rows = []
    for (name, decoder), one in summaries.items():
        aurocs = {found.name: found.metrics["AUROC"] for found in one.estimators}
        most = max(one.pass_at)
        rows.append(
            [
                name,
                decoder,
                str(one.questions),
                shown(one.accuracy),
                shown(one.pass_at[most]) + f" (k = {most})",
                *(
                    shown(aurocs[estimator]) if estimator in aurocs else "-"
                    for estimator in ("top-share", "et-pe", "et-pe-count")
                ),
                f"{one.tokens.value:.0f}",
                f"{one.seconds.value:.1f}",
                f"{one.ess:.1f}",
            ]
        )
    header = ["set", "decoder", "questions", "accuracy", "pass@k", "AUROC top share"]
    return table([*header, "AUROC ET-PE", "AUROC ET-PE by count", "tokens", "seconds", "ESS"], rows)


def equal_cost(sets: Sequence[Set], decoder: str = "entropy-tree") -> dict[str, Any]:
    """The tree minus as many chains as cost the same tokens, set by set and pooled."""
    found: dict[str, Any] = {}
    gaps: list[tuple[dict[str, Gap], int]] = []
    for one in sets:
        if decoder not in one.runs or "multi-chain" not in one.runs:
            continue
        ours, theirs = one.runs[decoder], one.runs["multi-chain"]
        try:
            k, functions = at_equal_cost(ours, theirs, estimators=COMPARED)
        except DataError as error:
            found[one.name] = {"left out": str(error)}
            continue
        size = len({r.item for r in ours} & {r.item for r in theirs})
        drawn = Resamples(size)
        gaps.append((functions, size))
        found[one.name] = {
            "questions": size,
            "chains": k,
            **{n: asdict(interval(gap(drawn.counts), size)) for n, gap in functions.items()},
        }
    if gaps:
        sizes = [size for _, size in gaps]
        found["pooled"] = {"questions": sum(sizes)} | {
            name: asdict(pooled([functions[name] for functions, _ in gaps], sizes))
            for name in gaps[0][0]
        }
    return found


def estimator_means(sets: Sequence[Set], decoder: str) -> list[tuple[str, Interval, int]]:
    """AUROC of every estimator, mean over the sets in which it is defined."""
    found = []
    for name, estimator in ESTIMATORS.items():
        functions, sizes = [], []
        for one in sets:
            records = one.runs.get(decoder, ())
            scores = scores_of(records, estimator)
            known = ~np.isnan(scores)
            right = np.array([r.correct for r in records], dtype=np.bool_)[known]
            if not 0 < right.sum() < right.size:
                continue
            functions.append(_auroc_of(right, scores[known]))
            sizes.append(int(known.sum()))
        if functions:
            found.append((name, pooled(functions, sizes), len(functions)))
    return sorted(found, key=lambda row: -(row[1].value or 0))


def _auroc_of(right: NDArray[np.bool_], scores: Doubles) -> Gap:
    return lambda counts: auroc(right, scores, counts)


def markdown(sets: Sequence[Set], summaries: Any, equal: dict[str, Any]) -> list[str]:
    lines = ["# Evaluation", ""]
    lines += ["95 % bootstrap intervals over questions in brackets. Seconds are shares of batches,"]
    lines += ["measured on shared machines: compare them within a row's set only.", ""]
    lines += runs_table(summaries)
    lines += ["", "## The tree minus multi-chain at equal tokens", ""]
    columns = ["accuracy", "any leaf right", *(f"AUROC {name}" for name in COMPARED)]
    rows = []
    for name, one in equal.items():
        if "left out" in one:
            rows.append([name, "-", "-", one["left out"], *[""] * (len(columns) - 1)])
            continue
        chains = f"{one['chains']:.1f}" if "chains" in one else "-"
        cells = [shown(Interval(**one[column])) for column in columns]
        rows.append([name, str(one["questions"]), chains, *cells])
    lines += table(["set", "questions", "chains", *columns], rows)
    for decoder in ("entropy-tree", "multi-chain"):
        lines += ["", f"## AUROC of every estimator, mean over sets: {decoder}", ""]
        means = estimator_means(sets, decoder)
        lines += table(
            ["estimator", "mean AUROC", "sets"],
            [[name, shown(mean), str(count)] for name, mean, count in means],
        )
    return lines


def main() -> None:
    began = time.perf_counter()
    sets = load()
    summaries = {
        (one.name, decoder): summarise(records)
        for one in sets
        for decoder, records in one.runs.items()
    }
    equal = equal_cost(sets)
    content = {
        "runs": {f"{name}/{decoder}": asdict(one) for (name, decoder), one in summaries.items()},
        "at equal tokens": equal,
    }
    (OUT / "evaluation.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    text = "\n".join(markdown(sets, summaries, equal)) + "\n"
    (OUT / "evaluation.md").write_text(text, encoding="utf-8")
    print(f"{len(summaries)} runs in {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
