"""The general map: fitted to all training runs, and judged on whole models and sets left out.

    python -m benchmarks.general study   # benchmarks/results/general-study.json
    python -m benchmarks.general fit     # et_agent/calibration/shipped/general/prior.json
    python -m benchmarks.general test    # benchmarks/results/general.json, docs/confidence.md

`study` compares forms of the prior on the training runs, leaving their models and sets out in the same
way. `fit` uses the training runs of `benchmarks.runs` and the runs of `benchmarks.settings`, apart from
their questions without an answer. `test` fits anew without the model and without the set that it
judges, on the test runs of `benchmarks.runs` and, for a third model, on its runs of
`benchmarks.settings`. No test question is in any fit.
"""

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks import settings
from benchmarks.confidence import CAPS, TREE, exact_ece
from benchmarks.documents import put
from benchmarks.machine import describe
from benchmarks.runs import LARGER, PARAMETERS, PLANS, SMALL, TRAINING, finished
from benchmarks.settings.turns import LATER
from et_agent.arrays import Doubles, Ints
from et_agent.calibration import Calibrator
from et_agent.calibration import finding as found_in
from et_agent.calibration.evidence import within_limits, within_votes
from et_agent.calibration.features import NOT_TEXT, feature_row
from et_agent.calibration.pooled import Pooled
from et_agent.calibration.prior import EXPECTED, Group, Prior, fit_prior
from et_agent.calibration.rows import MIN_QUESTIONS
from et_agent.errors import CalibrationError
from et_agent.evaluation.bootstrap import Interval, Resamples, interval
from et_agent.evaluation.metrics import brier, ece, equal_mass_bins
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.report import shown, table
from et_agent.storage import write_atomically

SHIPPED: Final = Path(found_in.__file__).parent / "shipped" / "general" / "prior.json"
SIZES: Final = (2, *CAPS)
OUT: Final = Path(__file__).parent / "results" / "general.json"
DEFAULTS: Final = {TREE: "", "direct": "read directly"}
"""What questions are answered with by default: those with lettered options are read directly."""
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
    """Questions to judge a map on: whole trees with an answer.

    Attributes:
        model, data, variant: Names of the model, of the set and of what differed from a tree.
        rows: Features, float64 [n, columns].
        right: 1 where the answer is right, [n].
        share: Share of the answer, [n].
    """

    model: str
    data: str
    variant: str
    rows: Doubles
    right: Doubles
    share: Doubles

    @property
    def name(self) -> str:
        """The set without its split, and the variant."""
        name, _, _ = self.data.partition(":")
        return f"{name}, {self.variant}" if self.variant else name


def family(data: str) -> frozenset[str]:
    """Names of the sets that a run's questions are of."""
    name, _, _ = data.partition(":")
    return frozenset(FAMILIES.get(name, (name,)))


def group_of(
    model: str,
    data: str,
    variant: str,
    records: Sequence[QuestionRecord],
    caps: Sequence[int] = SIZES,
) -> Group | None:
    """Trees of several sizes as one group; a question counts once."""
    rows, right, weights = [], [], []
    for record in records:
        sizes = {int(record.leaves.count.sum()): record}
        for cap in caps:
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
    for plan, decoder in product(TRAINING, DEFAULTS):
        _, records = finished(plan, decoder)
        caps = SIZES if decoder == TREE else ()
        group = group_of(plan.model, plan.data, DEFAULTS[decoder], records, caps)
        if group is not None:
            yield group
    for model in settings.PLAN:
        for data, variant, records in settings.runs_of(model):
            # Questions that are asked again later are in the training runs already.
            if data not in UNANSWERABLE and data not in LATER:
                group = group_of(model, data, variant, records)
                if group is not None:
                    yield group


def target_of(
    model: str, data: str, records: Sequence[QuestionRecord], variant: str = ""
) -> Target:
    trees = [record for record in records if record.leaves.top is not None]
    return Target(
        model=model,
        data=data,
        variant=variant,
        rows=np.array([feature_row(tree.features, tree.kind) for tree in trees]),
        right=np.array([float(tree.correct) for tree in trees]),
        share=np.array([float(tree.leaves.shares.max()) for tree in trees]),
    )


def targets() -> Iterator[Target]:
    for plan, decoder in product(PLANS, DEFAULTS):
        _, records = finished(plan, decoder)
        if records:
            yield target_of(plan.model, plan.data, records, DEFAULTS[decoder])
    for model in (settings.TINY, settings.BASE):
        for data, _, records in settings.runs_of(model):
            if data not in UNANSWERABLE:
                yield target_of(model, data, records)


def _ece(predicted: Doubles, right: Doubles) -> float:
    return float(ece(right > 0.5, predicted, np.ones((1, right.size)))[0])


def debiased_ece(predicted: Doubles, right: Doubles) -> float:
    """ECE, of the same bins, without what so few questions show by chance; may be below 0.

    A bin's accuracy scatters, so that its distance from the confidence is too large on average. By how
    much is estimated from a normal distribution around what was seen (Kumar, Liang & Ma 2019,
    arXiv 1909.10155).
    """
    total = 0.0
    for chosen in equal_mass_bins(predicted, 10):
        count, share = chosen.size, float(right[chosen].mean())
        away = abs(float(predicted[chosen].mean()) - share)
        spread = math.sqrt(share * (1.0 - share) / count)
        # The mean of a folded normal distribution.
        expected = away
        if spread > 0.0:
            scaled = away / spread
            expected = spread * math.sqrt(2 / math.pi) * math.exp(-(scaled**2) / 2)
            expected += away * math.erf(scaled / math.sqrt(2))
        total += count * (2 * away - expected)
    return total / predicted.size


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
    for plan, decoder in product(TRAINING, DEFAULTS):
        _, records = finished(plan, decoder)
        if records:
            one = target_of(plan.model, plan.data, records, DEFAULTS[decoder])
            found[one.model, one.name] = one
    return found


def training_target(target: Target) -> Target | None:
    """The training questions of the same model and set."""
    return _training_targets().get((target.model, target.name))


def after_labels(
    first: Pooled, target: Target, labels: int, draws: int
) -> tuple[float, float, float]:
    """Mean ECE after some labels, that without bias, and Brier score minus the share's."""
    found = []
    for taught, judged_on in draws_of(target, labels, draws):
        now, right = first.after(taught.rows, taught.right), judged_on.right
        predicted = within_votes(judged_on.rows, now.predict(judged_on.rows))
        gained = _brier(predicted, right) - _brier(judged_on.share, right)
        found.append((_ece(predicted, right), debiased_ece(predicted, right), gained))
    plain, debiased, gained = np.mean(found, axis=0).tolist()
    return plain, debiased, gained


def left_out(groups: Sequence[Group], target: Target, kind: type[Prior] = Prior) -> Prior:
    """The prior of all groups of other models and other sets."""
    return fit_prior(
        [
            group
            for group in groups
            if group.model != target.model and not family(group.data) & family(target.data)
        ],
        kind,
    )


def studied() -> Iterator[Target]:
    """What forms of the prior are compared on: training splits, and settings of the Qwen models."""
    yield from _training_targets().values()
    for model in (SMALL, LARGER):
        for data, variant, records in settings.runs_of(model):
            if data not in UNANSWERABLE and variant == "default":
                yield target_of(model, data, records)


def forms() -> dict[str, type[Prior]]:
    """Forms of the prior, by what differs from the shipped one."""
    fewer = {name: one for name, one in EXPECTED.items() if name != NOT_TEXT}
    changes: dict[str, dict[str, Any]] = {
        "shipped": {},
        "doubt of 0.5": {"doubt": 0.5},
        "without the kind": {"expected": fewer},
        "without the kind, doubt of 0.5": {"expected": fewer, "doubt": 0.5},
    }
    return {name: type("Studied", (Prior,), change) for name, change in changes.items()}


def study() -> None:
    """Judge each form before any label."""
    groups, targets_of = list(training()), list(studied())
    document: dict[str, Any] = {"machine": describe()}
    for name, kind in forms().items():
        rows = []
        for target in targets_of:
            prior = left_out(groups, target, kind)
            found = prior.map_for(PARAMETERS[target.model]).predict(target.rows)
            found = within_votes(target.rows, within_limits(prior.limits, found))
            rows.append(
                {
                    "model": target.model,
                    "data": target.name,
                    "confidence": float(found.mean()),
                    "accuracy": float(target.right.mean()),
                    "ece": _ece(found, target.right),
                    "brier": _brier(found, target.right),
                    "share's brier": _brier(target.share, target.right),
                }
            )
        means = {what: float(np.mean([row[what] for row in rows])) for what in ("ece", "brier")}
        document[name] = {"mean": means, "rows": rows}
        print(name, means, flush=True)
    write_atomically(OUT.with_name("general-study.json"), json.dumps(document, indent=1) + "\n")


def judged(target: Target, prior: Prior, draws: int) -> dict[str, Any]:
    """Figures of the general map on questions whose model and set it has not seen."""
    first = prior.map_for(PARAMETERS[target.model])
    found = within_limits(prior.limits, first.predict(target.rows))
    found = within_votes(target.rows, found)
    row: dict[str, Any] = {
        "model": target.model,
        "data": target.name,
        "questions": target.right.size,
        "accuracy": float(target.right.mean()),
        "ece": _ece(found, target.right),
        "ece if exact": exact_ece(found).value,
        "debiased ece": debiased_ece(found, target.right),
        "share's ece": _ece(target.share, target.right),
        "brier": _brier(found, target.right),
        "share's brier": _brier(target.share, target.right),
        "brier minus share's": asdict(brier_gained(found, target)),
        "covered": covered(first, target),
    }
    for labels in LABELS:
        if training_target(target) is not None or target.right.size - labels >= LEAST:
            plain, debiased, gained = after_labels(first, target, labels, draws)
            row[f"ece after {labels}"] = plain
            row[f"debiased ece after {labels}"] = debiased
            row[f"brier minus share's after {labels}"] = gained
            if labels >= MIN_QUESTIONS:
                row[f"ece fitted anew to {labels}"] = fitted_anew(target, labels, draws)
    return row


def brier_gained(found: Doubles, target: Target) -> Interval:
    """Brier score minus the share's, with a 95 % bootstrap interval over questions."""
    right = target.right
    away = (found - right) ** 2 - (target.share - right) ** 2
    counts = Resamples(right.size, resamples=1000).counts
    return interval(counts @ away / right.size, right.size)


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
        values = [row[name] for row in large if isinstance(row.get(name), float | int)]
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
        "debiased ece": "debiased",
        "share's ece": "ECE of the share",
        "brier": "Brier",
        "brier minus share's": "Brier minus the share's",
        "covered": "covered",
        **{f"ece after {one}": f"ECE, {one} labels" for one in LABELS},
        **{f"debiased ece after {one}": f"debiased, {one}" for one in LABELS[1:]},
    }

    def cell(value: object) -> str:
        if isinstance(value, dict):
            return shown(Interval(**value))
        if isinstance(value, float):
            return f"{value:.3f}"
        return "" if value is None else str(value)

    found = [
        [row["model"], row["data"], *(cell(row.get(name)) for name in columns)] for row in rows
    ]
    average = {
        **mean,
        "questions": None,
        "brier minus share's": mean["brier"] - mean["share's brier"],
    }
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
    parser.add_argument("command", choices=["study", "fit", "test"])
    match parser.parse_args().command:
        case "study":
            study()
        case "fit":
            fit()
        case "test":
            test(draws=20)


if __name__ == "__main__":
    main()
