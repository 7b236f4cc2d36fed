"""Every table and picture of the evaluation, out of benchmarks/results/runs alone.

    python -m benchmarks.tables

Writes benchmarks/results/evaluation.md and .json, and docs/measured.md's table and figure.
"""

import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.documents import put
from benchmarks.machine import describe
from benchmarks.pictures import save
from benchmarks.runs import DECODERS, PLANS, REPEATS, RESULTS, Plan, finished
from benchmarks.seconds import at_equal_seconds, modelled
from benchmarks.step_costs import described
from et_agent.arrays import Doubles
from et_agent.errors import DataError
from et_agent.evaluation.bootstrap import Interval, Resamples, pooled
from et_agent.evaluation.equal_cost import CostUnit
from et_agent.evaluation.metrics import auroc
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.report import shown, table
from et_agent.evaluation.scores import scores_of
from et_agent.evaluation.summaries import (
    CurvePoint,
    EqualCost,
    RunSummary,
    at_equal_cost,
    curve,
    summarise,
)
from et_agent.uncertainty.estimators import ESTIMATORS, Estimator

OUT: Final = RESULTS.parent
COMPARED: Final = ("top-share", "et-pe", "et-pe-count", "answer-mass")
PAGE_TEXT: Final = """
## Trees beside chains

The table compares the entropy tree with schedule `rounds` with independent chains that cost as
many tokens, for Qwen2.5-Coder and on test questions that no tuning saw. Each cell gives the
tree's figure and, in parentheses, its difference to the chains, with a 95 % bootstrap interval
over questions. AUROC is the chance that a right answer has a larger share than a wrong one.
Seconds are modelled for one question alone on one core of one CPU, with the kernels; the chains
beside them are as many as take as long (`benchmarks/results/evaluation.md` says how, and has the
differences at equal seconds).
[evaluation.md](evaluation.md) explains how to measure your own model and data,
and [experiments.md](experiments.md) what was tried."""
PAGE_PICTURE: Final = (
    "![Any leaf right, and AUROC, by tokens](../benchmarks/results/evaluation.png)"
)
SIDE_BY_SIDE: Final = ("multi-chain", "entropy-tree")
RESAMPLES: Final = 1000
LEAST: Final = 5
"""Right and wrong answers that a set must have on both sides to be pooled."""
LEAST_QUESTIONS: Final = 20
"""Questions that a set must have to be pooled, where all sets count alike."""


@dataclass(frozen=True)
class Set:
    """One set's runs by decoder."""

    name: str
    model: str
    runs: Mapping[str, Sequence[QuestionRecord]]


def load(plans: Sequence[Plan]) -> list[Set]:
    """The sets of which there is anything; trees and chains of the questions that both have.

    What trees have beyond that is for the confidence (`benchmarks.confidence`). A run that has fewer
    than half of its questions yet is left out.
    """
    found = []
    for plan in plans:
        runs: dict[str, Sequence[QuestionRecord]] = {}
        for decoder in DECODERS:
            _, records = finished(plan, decoder)
            if records and 2 * len(records) >= plan.questions.get(decoder, 0):
                runs[decoder] = records
        both = [{one.item for one in runs[name]} for name in SIDE_BY_SIDE if name in runs]
        if len(both) == len(SIDE_BY_SIDE):
            shared = set.intersection(*both)
            for name in SIDE_BY_SIDE:
                runs[name] = [one for one in runs[name] if one.item in shared]
            runs = {name: records for name, records in runs.items() if records}
        if runs:
            found.append(Set(plan.name, plan.model, runs))
    return found


def runs_table(sets: Sequence[Set], summaries: Mapping[tuple[str, str], RunSummary]) -> list[str]:
    by_name = {one.name: one for one in sets}
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
                seconds_of(by_name[name], decoder),
                f"{one.ess:.1f}",
            ]
        )
    header = ["set", "decoder", "questions", "accuracy", "pass@k", "AUROC top share"]
    return table([*header, "AUROC ET-PE", "AUROC ET-PE by count", "tokens", "seconds", "ESS"], rows)


def seconds_of(one: Set, decoder: str) -> str:
    """Mean modelled seconds per question."""
    found = modelled(one.runs[decoder], one.model, decoder)
    return "-" if found is None else f"{found.mean():.1f}"


def difference(one: Set, seed: int, cost: CostUnit = "tokens") -> EqualCost | str:
    """The tree minus as many chains as cost the same, or why that cannot be had."""
    tree, chains = one.runs["entropy-tree"], one.runs["multi-chain"]
    try:
        if cost == "seconds":
            return at_equal_seconds(tree, chains, one.model, estimators=COMPARED, seed=seed)
        return at_equal_cost(tree, chains, estimators=COMPARED, seed=seed)
    except DataError as error:
        return str(error)


def equal_cost(sets: Sequence[Set], differences: Mapping[str, EqualCost | str]) -> dict[str, Any]:
    """The tree minus as many chains as cost the same, set by set and pooled by model."""
    found: dict[str, Any] = {}
    kept: dict[str, list[tuple[EqualCost, bool]]] = {}
    for one in sets:
        equal = differences.get(one.name)
        if equal is None:
            continue
        if isinstance(equal, str):
            found[one.name] = {"left out": equal}
            continue
        found[one.name] = {"questions": equal.questions, "chains": equal.chains} | equal.intervals
        tells = all(_tells(one.runs[name]) for name in SIDE_BY_SIDE)
        if equal.questions >= LEAST_QUESTIONS:
            kept.setdefault(one.model, []).append((equal, tells))
    for model, parts in kept.items():
        if len(parts) < 2:
            continue
        row: dict[str, Any] = {
            "questions": sum(part.questions for part, _ in parts),
            "sets": len(parts),
            "sets with an AUROC": sum(tells for _, tells in parts),
        }
        for name in parts[0][0].differences:
            # Only an AUROC needs right and wrong answers.
            used = [part for part, tells in parts if tells or not name.startswith("AUROC")]
            if used:
                values = [part.differences[name] for part in used]
                row[name] = pooled(values, sum(part.questions for part in used))
            else:
                row[name] = Interval(None, None, None, 0)
        found[f"pooled, {model}"] = row
    return found


def _tells(records: Sequence[QuestionRecord]) -> bool:
    """Whether a set has enough of both kinds for an AUROC; others are not pooled."""
    right = sum(record.correct for record in records)
    return LEAST <= right <= len(records) - LEAST


def estimator_means(sets: Sequence[Set], decoder: str) -> list[tuple[str, Interval, int]]:
    """AUROC of every estimator, mean over the sets that have enough right and wrong answers."""
    parts: dict[str, list[Doubles]] = {}
    questions: dict[str, int] = {}
    usable = [one.runs[decoder] for one in sets if _tells(one.runs.get(decoder, ()))]
    for at, records in enumerate(usable):
        for name, estimator in ESTIMATORS.items():
            values = _aurocs(records, estimator, at)
            if values is not None:
                parts.setdefault(name, []).append(values)
                questions[name] = questions.get(name, 0) + len(records)
    found = [(name, pooled(one, questions[name]), len(one)) for name, one in parts.items()]
    return sorted(found, key=lambda row: -(row[1].value or 0))


def _aurocs(records: Sequence[QuestionRecord], estimator: Estimator, seed: int) -> Doubles | None:
    scores = scores_of(records, estimator)
    known = ~np.isnan(scores)
    right = np.array([record.correct for record in records])[known]
    if not 0 < right.sum() < right.size:
        return None
    counts = Resamples(len(records), resamples=RESAMPLES, seed=seed).counts
    return auroc(right, scores[known], counts[:, known])


def weights_against_counts(sets: Sequence[Set], decoder: str) -> tuple[Interval, int] | None:
    """AUROC of ET-PE by weight minus by count, paired, mean over sets."""
    parts, questions = [], 0
    for at, one in enumerate(sets):
        records = one.runs.get(decoder, ())
        if not _tells(records):
            continue
        weighed, counted = (
            _aurocs(records, ESTIMATORS[name], at) for name in ("et-pe", "et-pe-count")
        )
        if weighed is not None and counted is not None:
            parts.append(weighed - counted)
            questions += len(records)
    return (pooled(parts, questions), len(parts)) if parts else None


def markdown(
    sets: Sequence[Set],
    summaries: Any,
    equal: dict[str, Any],
    as_fast: dict[str, Any],
    again: dict[str, Any],
    means: Mapping[str, Any],
) -> list[str]:
    lines = ["# Evaluation", ""]
    lines += [
        "95 % bootstrap intervals over questions in brackets. The runs were decoded piece by piece on",
        "several machines, the later part with kernels of the project's own (kernels.json: they move",
        "logits as far as llama.cpp's two ways differ). Their own seconds say little. Those in the",
        f"table are modelled for one question alone on one CPU ({described()}, with the kernels):",
        "steps times the measured time of a step of so many rows (step_costs.json). Steps are the",
        "longest path's tokens, times what critical_path.json has of that for the decoder. The prompt",
        "is left out.",
        "",
    ]
    lines += runs_table(sets, summaries)
    lines += ["", "## The tree minus multi-chain at equal tokens", ""]
    lines += differences_table(equal)
    lines += ["", "## The tree minus multi-chain at equal seconds", ""]
    lines += ["Seconds are those of the table above.", "", *differences_table(as_fast)]
    found = weights_against_counts(sets, "entropy-tree")
    if found is not None:
        gap, count = found
        lines += [
            "",
            f"AUROC of ET-PE by weight minus by count, mean over {count} sets: {shown(gap)}.",
        ]
    lines += [
        "",
        f"Sets of fewer than {LEAST_QUESTIONS} questions are not pooled, nor are AUROCs of",
    ]
    lines += [f"sets with fewer than {LEAST} right or wrong answers."]
    if again:
        lines += ["", "### The same questions with another seed", ""]
        lines += [
            "Both decoders drew anew, so this shows how far the draw alone moves a difference."
        ]
        lines += ["", *differences_table(again)]
    for decoder, rows_of in means.items():
        lines += ["", f"## AUROC of every estimator, mean over sets: {decoder}", ""]
        lines += table(
            ["estimator", "mean AUROC", "sets"],
            [[name, shown(mean), str(count)] for name, mean, count in rows_of],
        )
    return lines


def differences_table(equal: Mapping[str, Any]) -> list[str]:
    columns = ["accuracy", "any leaf right", *(f"AUROC {name}" for name in COMPARED)]
    rows = []
    for name, one in equal.items():
        if "left out" in one:
            rows.append([name, "-", "-", one["left out"], *[""] * (len(columns) - 1)])
            continue
        chains = f"{one['chains'].value:.1f}" if "chains" in one else _sets(one)
        cells = [shown(one[column]) for column in columns]
        rows.append([name, str(one["questions"]), chains, *cells])
    return table(["set", "questions", "chains", *columns], rows)


def _sets(pooled_row: Mapping[str, Any]) -> str:
    return f"{pooled_row['sets']} sets, AUROC {pooled_row['sets with an AUROC']}"


def page_table(
    sets: Sequence[Set], summaries: Any, equal: dict[str, Any], as_fast: dict[str, Any]
) -> list[str]:
    """The tree beside chains that cost as much, one row per set."""
    rows = []
    for one in sets:
        found = equal.get(one.name, {"left out": ""})
        if "left out" in found:
            continue
        tree = summaries[one.name, "entropy-tree"]
        aurocs = {e.name: e.metrics["AUROC"] for e in tree.estimators}
        rows.append(
            [
                one.name,
                str(found["questions"]),
                f"{tree.tokens.value:.0f} = {found['chains'].value:.1f} chains",
                _as_fast(one, as_fast.get(one.name, {})),
                f"{tree.accuracy.value:.3f} ({signed(found['accuracy'])})",
                f"{any_right(one.runs['entropy-tree']):.3f} ({signed(found['any leaf right'])})",
                f"{_value(aurocs['top-share'])} ({signed(found['AUROC top-share'])})"
                if _tells(one.runs["entropy-tree"])
                else "-",
            ]
        )
    for name, found in equal.items():
        if name.startswith("pooled"):
            gaps = [signed(found[key]) for key in ("accuracy", "any leaf right", "AUROC top-share")]
            rows.append([f"**{name}**", str(found["questions"]), _sets(found), "", *gaps])
    header = [
        "set",
        "questions",
        "tokens",
        "seconds",
        "accuracy",
        "any leaf right",
        "AUROC of the share",
    ]
    lines = [*PAGE_TEXT.splitlines(), "", *table(header, rows), ""]
    if is_partial(sets):
        lines += ["Some sets have few questions so far, and wide intervals.", ""]
    return [*lines, PAGE_PICTURE]


def _as_fast(one: Set, found: Mapping[str, Any]) -> str:
    chains = f" = {found['chains'].value:.1f} chains" if "chains" in found else ""
    return seconds_of(one, "entropy-tree") + chains


def is_partial(sets: Sequence[Set]) -> bool:
    """Whether any question is still missing where the tree is to be held against chains."""
    found = {one.name: one.runs for one in sets}
    return any(
        len(found.get(plan.name, {}).get(decoder, ()))
        < min(plan.questions[name] for name in SIDE_BY_SIDE)
        for plan in PLANS
        if "multi-chain" in plan.questions
        for decoder in SIDE_BY_SIDE
    )


def any_right(records: Sequence[QuestionRecord]) -> float:
    return float(np.mean([one.leaf_right.any() for one in records]))


def signed(one: Interval) -> str:
    """A difference with its sign and interval."""
    if one.value is None:
        return "undefined"
    limits = "" if one.low is None else f" [{one.low:+.3f}, {one.high:+.3f}]"
    return f"{one.value:+.3f}{limits}"


def _value(one: Interval) -> str:
    return "undefined" if one.value is None else f"{one.value:.3f}"


def points_of(one: Set) -> tuple[list[CurvePoint], CurvePoint]:
    """The chains' curve and the whole tree's point."""
    chains, tree = one.runs["multi-chain"], one.runs["entropy-tree"]
    most = len(chains[0].leaves)
    leaves = max(int(record.leaves.count.sum()) for record in tree)
    (whole,) = curve(tree, [leaves])
    return curve(chains, [k for k in (1, 2, 4, 8, 12, 16) if k <= most]), whole


def draw(
    shown_sets: Sequence[Set], drawn: Sequence[tuple[list[CurvePoint], CurvePoint]], path: Path
) -> None:
    """Chains from one to all as a line, the tree as a point: any leaf right and AUROC by tokens."""
    from matplotlib.figure import Figure

    if not shown_sets:
        return
    figure = Figure(figsize=(3.1 * len(shown_sets), 5.6), layout="constrained")
    axes = figure.subplots(2, len(shown_sets), squeeze=False)
    for column, (one, (points, whole)) in enumerate(zip(shown_sets, drawn, strict=True)):
        for row, what in enumerate(("pass_any", "auroc")):
            plot = axes[row][column]
            known = [(p.tokens, getattr(p, what)) for p in points]
            known = [(x, y) for x, y in known if y.value is not None and y.low is not None]
            xs = [x for x, _ in known]
            plot.plot(xs, [y.value for _, y in known], color="#0072B2", label="multi-chain")
            lows, highs = [y.low for _, y in known], [y.high for _, y in known]
            plot.fill_between(xs, lows, highs, color="#0072B2", alpha=0.12)
            mine = getattr(whole, what)
            if mine.value is not None and mine.low is not None:
                error = [[mine.value - mine.low], [mine.high - mine.value]]
                plot.errorbar(
                    [whole.tokens],
                    [mine.value],
                    error,
                    fmt="o",
                    color="#D55E00",
                    label="entropy tree",
                )
            plot.grid(alpha=0.25)
            plot.spines[["top", "right"]].set_visible(False)
            plot.set_xlim(left=0)
        axes[0][column].set_title(
            f"{one.name} ({len(one.runs['entropy-tree'])} questions)", fontsize=10
        )
        axes[1][column].set_xlabel("generated tokens per question")
    axes[0][0].set_ylabel("any leaf right")
    axes[1][0].set_ylabel("AUROC of the top share")
    axes[0][0].legend(frameon=False, loc="lower right", fontsize=9)
    save(figure, path)


def _plain(one: object) -> Any:
    if isinstance(one, Interval):
        return asdict(one)
    raise TypeError(type(one))


def main() -> None:
    began = time.perf_counter()
    sets = load(PLANS)
    both, repeats = (
        [one for one in found if {"entropy-tree", "multi-chain"} <= set(one.runs)]
        for found in (sets, load(REPEATS))
    )
    # The picture takes a while by itself: its points come first.
    drawn = both[:4]
    with ProcessPoolExecutor() as pool:
        drawing = [pool.submit(points_of, one) for one in drawn]
        differing = {one.name: pool.submit(difference, one, at) for at, one in enumerate(both)}
        timing = {
            one.name: pool.submit(difference, one, at, "seconds") for at, one in enumerate(both)
        }
        repeated = {one.name: pool.submit(difference, one, at) for at, one in enumerate(repeats)}
        summarising = {
            (one.name, decoder): pool.submit(summarise, records, resamples=RESAMPLES)
            for one in sets
            for decoder, records in one.runs.items()
        }
        averaging = {
            name: pool.submit(estimator_means, sets, name)
            for name in ("entropy-tree", "multi-chain")
        }
        draw(drawn, [one.result() for one in drawing], OUT / "evaluation.png")
        equal = equal_cost(sets, {name: one.result() for name, one in differing.items()})
        as_fast = equal_cost(both, {name: one.result() for name, one in timing.items()})
        again = equal_cost(repeats, {name: one.result() for name, one in repeated.items()})
        summaries = {key: one.result() for key, one in summarising.items()}
        means = {name: one.result() for name, one in averaging.items()}
    content = {
        "machine": describe(),
        "runs": {f"{name}/{decoder}": asdict(one) for (name, decoder), one in summaries.items()},
        "at equal tokens": equal,
        "at equal seconds": as_fast,
        "again": again,
    }
    # Without indentation, which would be a third of the file.
    compact = json.dumps(content, separators=(",", ":"), default=_plain)
    (OUT / "evaluation.json").write_text(compact + "\n", encoding="utf-8")
    text = "\n".join(markdown(sets, summaries, equal, as_fast, again, means)) + "\n"
    (OUT / "evaluation.md").write_text(text, encoding="utf-8")
    put("docs/measured.md", "evaluation", page_table(sets, summaries, equal, as_fast))
    print(f"{len(summaries)} runs in {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
