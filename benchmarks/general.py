"""The general map: fitted to all training runs, and judged on whole models and sets left out.

    python -m benchmarks.general fit     # et_agent/calibration/shipped/general/prior.json
    python -m benchmarks.general test    # benchmarks/results/general.json, docs/confidence.md

`fit` uses the training runs of `benchmarks.runs` and the runs of `benchmarks.settings`, apart from
their questions without an answer. `test` fits anew without the model and without the set that it
judges, on the test runs of `benchmarks.runs` and, for a third model, on its runs of
`benchmarks.settings`. No test question is in any fit.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks import settings
from benchmarks.confidence import CAPS, TREE, exact_ece
from benchmarks.documents import put
from benchmarks.machine import describe
from benchmarks.runs import PARAMETERS, PLANS, TRAINING, finished
from et_agent.arrays import Doubles, Ints
from et_agent.calibration import Calibrator
from et_agent.calibration import finding as found_in
from et_agent.calibration.evidence import within_limits, within_votes
from et_agent.calibration.features import feature_row
from et_agent.calibration.pooled import Pooled
from et_agent.calibration.prior import Group, Prior, fit_prior
from et_agent.calibration.rows import MIN_QUESTIONS
from et_agent.errors import CalibrationError
from et_agent.evaluation.metrics import brier, ece
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.report import table
from et_agent.storage import write_atomically

SHIPPED: Final = Path(found_in.__file__).parent / "shipped" / "general" / "prior.json"
SIZES: Final = (2, *CAPS)
OUT: Final = Path(__file__).parent / "results" / "general.json"
LABELS: Final = (10, 25, 50)
LEAST: Final = 20
"""Questions that must be left to judge a map on."""
LARGE: Final = 70
"""Questions of a set that counts in the mean."""
UNANSWERABLE: Final = ("guesses", "missing")
FAMILIES: Final = {
    "word-problems": ("svamp", "gsm8k"),
    "lacking": ("svamp", "gsm8k"),
    "choices": ("mmlu",),
    "trivia": ("nq-open",),
    "passages": ("squad2",),
    "closed-book": ("squad2",),
}
"""Sets whose questions are of other sets."""


@dataclass(frozen=True)
class Target:
    """Questions to judge a map on: whole trees with an answer."""

    model: str
    data: str
    rows: Doubles
    right: Doubles
    share: Doubles


def family(data: str) -> frozenset[str]:
    """Names of the sets that a run's questions are of."""
    name, _, _ = data.partition(":")
    return frozenset(FAMILIES.get(name, (name,)))


def group_of(
    model: str, data: str, variant: str, records: Sequence[QuestionRecord]
) -> Group | None:
    """Trees of several sizes as one group; a question counts once."""
    rows, right, weights = [], [], []
    for record in records:
        sizes = {int(record.leaves.count.sum()): record}
        for cap in SIZES:
            tree = record.capped(cap)
            sizes.setdefault(int(tree.leaves.count.sum()), tree)
        trees = [tree for tree in sizes.values() if tree.leaves.top is not None]
        for tree in trees:
            rows.append(feature_row(tree.features, tree.kind))
            right.append(float(tree.correct))
            weights.append(1.0 / len(trees))
    if not rows:
        return None
    return Group(
        model=model,
        data=data,
        variant=variant,
        parameters=PARAMETERS[model],
        rows=np.array(rows),
        right=np.array(right),
        weights=np.array(weights),
    )


def training() -> Iterator[Group]:
    """All groups of the fit."""
    for plan in TRAINING:
        _, records = finished(plan, TREE)
        group = group_of(plan.model, plan.data, "", records)
        if group is not None:
            yield group
    for model in settings.PLAN:
        for data, variant, records in settings.runs_of(model):
            if data not in UNANSWERABLE:
                group = group_of(model, data, variant, records)
                if group is not None:
                    yield group


def target_of(model: str, data: str, records: Sequence[QuestionRecord]) -> Target:
    trees = [record for record in records if record.leaves.top is not None]
    return Target(
        model=model,
        data=data,
        rows=np.array([feature_row(tree.features, tree.kind) for tree in trees]),
        right=np.array([float(tree.correct) for tree in trees]),
        share=np.array([float(tree.leaves.shares.max()) for tree in trees]),
    )


def targets() -> Iterator[Target]:
    for plan in PLANS:
        _, records = finished(plan, TREE)
        if records:
            yield target_of(plan.model, plan.data, records)
    for model in (settings.TINY, settings.BASE):
        for data, _, records in settings.runs_of(model):
            if data not in UNANSWERABLE:
                yield target_of(model, data, records)


def _ece(predicted: Doubles, right: Doubles) -> float:
    return float(ece(right > 0.5, predicted, np.ones((1, right.size)))[0])


def _brier(predicted: Doubles, right: Doubles) -> float:
    return float(brier(right > 0.5, predicted, np.ones((1, right.size)))[0])


def fit() -> None:
    groups = list(training())
    prior = fit_prior(groups)
    SHIPPED.parent.mkdir(parents=True, exist_ok=True)
    prior.save(SHIPPED)
    print(f"{len(groups)} groups, {prior.labels} questions: {np.round(prior.weights.mean, 2)}")


def draws_of(target: Target, labels: int, draws: int) -> Iterator[tuple[Target, Target]]:
    """Questions to label and questions to judge, several times.

    Labels are of the training split of the same set where it was decoded, so that all test questions
    are judged; otherwise some of the questions themselves are labelled, and the others judged.
    """
    pool = training_target(target)
    for draw in range(draws):
        rng = np.random.default_rng((0, draw))
        if pool is not None:
            yield _some(pool, rng.permutation(pool.right.size)[:labels]), target
        else:
            order = rng.permutation(target.right.size)
            yield _some(target, order[:labels]), _some(target, order[labels:])


def _some(target: Target, places: Ints) -> Target:
    return replace(
        target,
        rows=target.rows[places],
        right=target.right[places],
        share=target.share[places],
    )


@cache
def _training_targets() -> dict[tuple[str, str], Target]:
    found = {}
    for plan in TRAINING:
        _, records = finished(plan, TREE)
        name, _, _ = plan.data.partition(":")
        found[plan.model, name] = target_of(plan.model, plan.data, records)
    return found


def training_target(target: Target) -> Target | None:
    """The training questions of the same model and set."""
    return _training_targets().get((target.model, target.data))


def after_labels(first: Pooled, target: Target, labels: int, draws: int) -> float:
    """Mean ECE after some labels, over random draws of them."""
    found = []
    for taught, judged_on in draws_of(target, labels, draws):
        now = first.after(taught.rows, taught.right)
        predicted = within_votes(judged_on.rows, now.predict(judged_on.rows))
        found.append(_ece(predicted, judged_on.right))
    return float(np.mean(found))


def left_out(groups: Sequence[Group], target: Target) -> Prior:
    """The prior of all groups of other models and other sets."""
    return fit_prior(
        [
            group
            for group in groups
            if group.model != target.model and not family(group.data) & family(target.data)
        ]
    )


def judged(target: Target, prior: Prior, draws: int) -> dict[str, Any]:
    """Figures of the general map on questions whose model and set it has not seen."""
    first = prior.map_for(PARAMETERS[target.model])
    found = within_limits(prior.limits, first.predict(target.rows))
    found = within_votes(target.rows, found)
    row: dict[str, Any] = {
        "model": target.model,
        "data": target.data,
        "questions": target.right.size,
        "accuracy": float(target.right.mean()),
        "ece": _ece(found, target.right),
        "ece if exact": exact_ece(found).value,
        "share's ece": _ece(target.share, target.right),
        "brier": _brier(found, target.right),
        "share's brier": _brier(target.share, target.right),
        "covered": covered(first, target),
    }
    for labels in LABELS:
        if training_target(target) is not None or target.right.size - labels >= LEAST:
            row[f"ece after {labels}"] = after_labels(first, target, labels, draws)
            if labels >= MIN_QUESTIONS:
                row[f"ece fitted anew to {labels}"] = fitted_anew(target, labels, draws)
    return row


def fitted_anew(target: Target, labels: int, draws: int) -> float | None:
    """Mean ECE of the map of three features that is fitted to as many labels and nothing else."""
    found = []
    for taught, judged_on in draws_of(target, labels, draws):
        try:
            calibrator = Calibrator("logistic-3").fit(taught.rows, taught.right)
            predicted = calibrator.predict_proba(judged_on.rows)[:, 1]
        except CalibrationError:
            continue
        found.append(_ece(predicted, judged_on.right))
    return float(np.mean(found)) if len(found) >= draws / 2 else None


def test(*, draws: int) -> None:
    groups = list(training())
    rows = [judged(target, left_out(groups, target), draws) for target in targets()]
    # Tiny samples say nothing of a level; they are shown and stay out of the mean.
    large = [row for row in rows if row["questions"] >= LARGE]
    names = [name for name in rows[0] if name not in ("model", "data")]
    mean = {}
    for name in names:
        values = [row[name] for row in large if row.get(name) is not None]
        mean[name] = float(np.mean(values)) if values else None
    document = {"machine": describe(), "rows": rows, f"mean of {LARGE} questions or more": mean}
    write_atomically(OUT, json.dumps(document, indent=1) + "\n")
    put("docs/confidence.md", "general", lines(rows, mean))
    print(json.dumps(mean, indent=1))


def lines(rows: Sequence[dict[str, Any]], mean: dict[str, Any]) -> list[str]:
    """The table of the docs."""
    columns = {
        "questions": "questions",
        "accuracy": "accuracy",
        "ece": "ECE, no label",
        "ece if exact": "ECE if exact",
        "share's ece": "ECE of the share",
        "brier": "Brier",
        "share's brier": "Brier of the share",
        "covered": "covered",
        **{f"ece after {one}": f"ECE, {one} labels" for one in LABELS},
    }

    def cell(value: object) -> str:
        if isinstance(value, float):
            return f"{value:.3f}"
        return "" if value is None else str(value)

    found = [
        [row["model"], row["data"], *(cell(row.get(name)) for name in columns)] for row in rows
    ]
    average = {**mean, "questions": None}
    found.append(["mean", f"{LARGE} questions or more", *(cell(average[name]) for name in columns)])
    return table(["left-out model", "left-out set", *columns.values()], found)


def covered(first: Pooled, target: Target) -> float:
    """Part of the bins, of ten by confidence, whose accuracy lies within the mean interval.

    A bin's own accuracy is known from few questions only, so the interval counts as covering it if the
    95 % interval of that accuracy meets it.
    """
    found, interval = first.predict(target.rows), first.interval(target.rows)
    bins = np.minimum((found * 10).astype(int), 9)
    hits = []
    for one in np.unique(bins):
        chosen = bins == one
        n, p = int(chosen.sum()), float(target.right[chosen].mean())
        if n < 5:
            continue
        low, high = interval[chosen].mean(axis=0)
        half = 1.96 * np.sqrt(max(p * (1 - p), 0.25 / n) / n)
        hits.append(low - half <= p <= high + half)
    return float(np.mean(hits)) if hits else 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["fit", "test"])
    options = parser.parse_args()
    if options.command == "fit":
        fit()
    else:
        test(draws=20)


if __name__ == "__main__":
    main()
