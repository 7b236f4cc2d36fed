"""The shipped calibrators, fitted on training runs and judged on the test runs.

    python -m benchmarks.confidence fit     # et_agent/calibration/shipped/*.json, their cards and list,
                                            # and the model of what more leaves change, which reads them
    python -m benchmarks.confidence test    # benchmarks/results/confidence.json, docs/measured.md

Both need only the runs under benchmarks/results/runs. No question of `fit` is one of `test`.
"""

import argparse
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.documents import ROOT, put
from benchmarks.machine import describe
from benchmarks.rules import DECIDED, FEW, SETTLED, SINGLY, label
from benchmarks.runs import (
    LARGER,
    PARAMETERS,
    PLANS,
    REPEATS,
    RESULTS,
    SMALL,
    TRAINING,
    Plan,
    finished,
)
from et_agent.arrays import Doubles
from et_agent.calibration import Calibrator
from et_agent.calibration import finding as found_in
from et_agent.decoding.stopping import FEWEST
from et_agent.errors import CalibrationError, DataError
from et_agent.evaluation.bootstrap import Interval, Resamples, interval
from et_agent.evaluation.calibrating import Labelled, calibrate, labelled_run
from et_agent.evaluation.equal_cost import Chains
from et_agent.evaluation.gating import Cascade, Guarantee, cascade, guarantee, run_confidences
from et_agent.evaluation.metrics import auroc, brier, ece
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.report import shown, table
from et_agent.evaluation.scores import scores_of
from et_agent.evaluation.stopping import stopped_early
from et_agent.uncertainty.estimators import ESTIMATORS

TREE: Final = "entropy-tree"
LEAST: Final = 100
"""Answered training questions of a shipped calibrator; a user's own may have fewer."""
MOST: Final = Plan.leaves
"""Leaves of the small model's runs."""
CAPS: Final = (4, 8)
"""Fewer leaves to which trees are cut for the fit."""
COVERED: Final = FEWEST
"""The fewest leaves for which a calibrator is to hold, those of a tree that stops early. Maps that are
fitted to so few leaves too are surer of word problems that lack a number; those that are not hold for
three leaves, but are too sure of two (docs/experiments.md)."""
SMALL_TREE: Final = 4
"""Leaves of the small trees of cascades."""
_SIZES: Final = {
    TREE: f"Each tree is used with {MOST} leaves and cut to {' and '.join(map(str, CAPS))}; all sizes "
    "of a question are in the same fold.",
    "direct": "Letters are read with the options in every cyclic order.",
}
_DEFAULTS: Final = {
    TREE: f"the default tree with {COVERED} to {MOST} leaves",
    "direct": "the default of questions with lettered options, `Direct()`",
}
TARGETS: Final = (0.2, 0.1)
SPLITS: Final = 200
SIZE_RATIO: Final = 494.0 / 1544.0
"""Parameters of the small model over those of the larger one, millions (model cards)."""
SHIPPED: Final = Path(found_in.__file__).parent / "shipped"
KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "number": ("gsm8k", "svamp"),
    "choice": ("mmlu",),
    "text": ("nq-open",),
}
"""Sets by answer kind; a calibrator's training runs are `train-` and these."""
DECODERS: Final = {"number": TREE, "choice": "direct", "text": TREE}
"""What a question of each kind is answered with by default."""
SAMPLING: Final = ("top-share", "et-pe", "margin", "semantic-entropy", "lexical-similarity")
"""Estimators that need several leaves."""


@dataclass(frozen=True)
class Run:
    """A committed run."""

    config: Mapping[str, Any]
    records: Sequence[QuestionRecord]


def run_of(plan: Plan, decoder: str = TREE) -> Run | None:
    config, records = finished(plan, decoder)
    return Run(config, records) if records else None


def plans(sets: Sequence[str], model: str, *, training: bool) -> list[Plan]:
    tail = "" if model == SMALL else "-1.5b"
    head = "train-" if training else ""
    names = {f"{head}{one}{tail}" for one in sets}
    return [one for one in (*PLANS, *TRAINING) if one.name in names and one.model == model]


def records_of(
    sets: Sequence[str], model: str, *, training: bool, decoder: str = TREE
) -> list[QuestionRecord]:
    """The questions of all committed runs of these sets."""
    runs = [run_of(plan, decoder) for plan in plans(sets, model, training=training)]
    return [record for run in runs if run is not None for record in run.records]


def shipped_path(model: str, kind: str) -> Path:
    return SHIPPED / f"{model}-{kind}.json"


def fit() -> None:
    """Fit what the training runs allow; what they do not is said and left out."""
    SHIPPED.mkdir(exist_ok=True)
    for model in (SMALL, LARGER):
        for kind, sets in KINDS.items():
            decoder, caps = DECODERS[kind], CAPS if DECODERS[kind] == TREE else ()
            runs = [run_of(plan, decoder) for plan in plans(sets, model, training=True)]
            labelled = []
            for one in runs:
                if one is not None:
                    labelled.append(
                        labelled_run(
                            one.config, one.records, caps=caps, parameters=PARAMETERS[model]
                        )
                    )
            if not labelled:
                print(f"{model}, {kind}: no training run yet")
                continue
            try:
                calibrator = calibrate(labelled, method="pooled")
            except CalibrationError as error:
                print(f"{model}, {kind}: {error}")
                continue
            if decoder == TREE:
                assert calibrator.fingerprint is not None
                calibrator.fingerprint = calibrator.fingerprint.model_copy(
                    update={"leaves": (COVERED, MOST)}
                )
            questions = sum(one.questions for one in calibrator.data)
            if questions < LEAST:
                print(
                    f"{model}, {kind}: {questions} training questions, but at least {LEAST} are needed"
                )
                continue
            path = calibrator.save(shipped_path(model, kind))
            path.with_suffix(".md").write_text(
                card(model, kind, calibrator, labelled),
                encoding="utf-8",
            )
            print(f"{model}, {kind}: {calibrator.method_}, saved as {path.name}")
    put("docs/confidence.md", "shipped", shipped_lines())


def shipped_lines() -> list[str]:
    """The shipped calibrators, one per row."""
    rows = []
    for model in (SMALL, LARGER):
        for kind in KINDS:
            path = shipped_path(model, kind)
            if not path.is_file():
                rows.append([model, kind, "none yet", "", "", ""])
                continue
            one = Calibrator.load(path)
            card_of = f"[card](../{path.with_suffix('.md').relative_to(ROOT)})"
            rows.append(
                [
                    model,
                    f"{kind}: {card_of}",
                    ", ".join(f"{d.questions} of {d.name}" for d in one.data),
                ]
                + [f"{one.metrics_[name]:.3f}" for name in ("ECE", "Brier", "AUROC")]
            )
    return table(["model", "kind", "fitted on", "ECE", "Brier", "AUROC"], rows)


def base_rate_loss(labelled: Sequence[Labelled]) -> float:
    """Mean log loss of one confidence for all trees, the best there is, nats."""
    rate = float(np.concatenate([one.right for one in labelled]).mean())
    return -rate * math.log(rate) - (1 - rate) * math.log(1 - rate)


def gap_of_whole_trees(labelled: Sequence[Labelled], calibrator: Calibrator) -> float:
    """Mean confidence minus share of right answers on held-out trees with all their leaves."""
    held = calibrator.held_out_
    right = np.concatenate([one.right for one in labelled])
    offsets = np.cumsum([0, *(one.right.size for one in labelled)])
    first = [
        np.unique(one.groups, return_index=True)[1] + offset
        for one, offset in zip(labelled, offsets[:-1], strict=True)
    ]
    whole = np.concatenate(first)
    return float(np.nanmean(held[whole] - right[whole]))


def card(model: str, kind: str, calibrator: Calibrator, labelled: Sequence[Labelled]) -> str:
    """The model card: data, sizes, figures on held-out and on test questions, date."""
    held = calibrator.metrics_
    lines = [
        f"# Confidence of {model}, kind {kind}",
        "",
        f"Fitted on {calibrator.created_} by `python -m benchmarks.confidence fit`.",
        "The map is the general one, moved by these questions. Log loss on held-out questions: "
        f"{held['log_loss']:.4f} nats; a constant confidence equal to the share of right answers "
        f"{base_rate_loss(labelled):.4f}.",
        "Mean confidence minus the share of right answers, on held-out trees with all their leaves: "
        f"{gap_of_whole_trees(labelled, calibrator):+.3f}.",
        "",
        *table(
            ["data (training splits)", "questions with an answer", "answered correctly"],
            [[one.name, str(one.questions), str(one.right)] for one in calibrator.data],
        ),
        "",
        f"{_SIZES[DECODERS[kind]]} On held-out questions: "
        + ", ".join(
            f"{name} {held[name]:.3f}" for name in ("ECE", "Brier", "AUROC") if name in held
        )
        + ".",
        "",
        "Test questions, none of which was used for fitting:",
        "",
    ]
    rows = []
    for plan in plans(KINDS[kind], model, training=False):
        run = run_of(plan, DECODERS[kind])
        if run is None:
            continue
        figures = judged(run.records, calibrator)
        rows.append(
            [plan.name, str(len(run.records))]
            + [shown(figures[name]) for name in ("ECE", "Brier", "AUROC")]
        )
    header = ["data (test sample)", "questions", "ECE", "Brier", "AUROC"]
    lines += table(header, rows) if rows else ["None has been run yet."]
    lines += [
        "",
        f"This calibrator is valid for this model file, {_DEFAULTS[DECODERS[kind]]}, the default "
        "instruction of its answer kind, and questions like those above. For anything else, fit your "
        "own with `et-agent calibrate fit`.",
    ]
    return "\n".join(lines) + "\n"


def judged(
    records: Sequence[QuestionRecord],
    calibrator: Calibrator,
    chains: Sequence[QuestionRecord] = (),
) -> dict[str, Interval]:
    """Figures of the confidence, the raw share beside it, with 95 % bootstrap intervals.

    Args:
        records: Trees.
        calibrator: What gives their confidence.
        chains: The same questions, and maybe others, by multi-chain.
    """
    right = np.array([one.correct for one in records], dtype=np.bool_)
    confidence = run_confidences(records, calibrator)
    share = run_confidences(records, None)
    counts = Resamples(right.size, resamples=1000).counts
    size = right.size
    ours, raw = brier(right, confidence, counts), brier(right, share, counts)
    aurocs = auroc(right, confidence, counts)
    found = {
        "accuracy": interval(counts @ right.astype(np.float64) / size, size, proportion=True),
        "ECE": interval(ece(right, confidence, counts), size, basic=True),
        "ECE of an exact confidence": exact_ece(confidence),
        "ECE of the share": interval(ece(right, share, counts), size, basic=True),
        "Brier": interval(ours, size),
        "Brier of the share": interval(raw, size),
        "Brier minus that of the share": interval(ours - raw, size),
        "AUROC": interval(aurocs, size),
    }
    best_of = {
        "best single estimator": [name for name, one in ESTIMATORS.items() if one.cost == "free"],
        "best sampling-based one": list(SAMPLING),
    }
    for what, names in best_of.items():
        known = {}
        for name in names:
            scores = scores_of(records, ESTIMATORS[name])
            if not np.isnan(scores).any():
                known[name] = auroc(right, scores, counts)
        defined = {name: values for name, values in known.items() if not np.isnan(values[0])}
        if defined:
            best = max(defined, key=lambda name: float(defined[name][0]))
            found[f"AUROC minus {what}: {best}"] = interval(aurocs - defined[best], size)
    return found | against_chains(records, calibrator, chains)


def exact_ece(confidence: Doubles) -> Interval:
    """What ECE so many questions show by chance when every confidence is exact: mean, 95 % range."""
    right = np.random.default_rng(0).random((1000, confidence.size)) < confidence
    ones = np.ones((1, confidence.size))
    values = [float(ece(labels, confidence, ones)[0]) for labels in right]
    low, high = np.quantile(values, (0.025, 0.975))
    return Interval(float(np.mean(values)), float(low), float(high), confidence.size)


def against_chains(
    records: Sequence[QuestionRecord], calibrator: Calibrator, chains: Sequence[QuestionRecord]
) -> dict[str, Interval]:
    """AUROC minus the best sampling-based estimator's over as many chains as cost the same tokens."""
    by_item = {one.item: one for one in chains}
    ours = [one for one in records if one.item in by_item]
    if not ours:
        return {}
    theirs = Chains([by_item[one.item] for one in ours])
    right = np.array([one.correct for one in ours], dtype=np.bool_)
    counts = Resamples(right.size, resamples=1000).counts
    mine = auroc(right, run_confidences(ours, calibrator), counts)
    try:
        k = theirs.count_at_equal_cost(ours, "tokens", counts)
    except DataError:
        return {}
    known = {name: theirs.auroc(k, ESTIMATORS[name], counts) for name in SAMPLING}
    defined = {name: values for name, values in known.items() if not np.isnan(values[0])}
    if not defined:
        return {}
    best = max(defined, key=lambda name: float(defined[name][0]))
    what = "best sampling-based one over chains of equal tokens"
    return {f"AUROC minus {what}: {best}": interval(mine - defined[best], right.size)}


@dataclass(frozen=True)
class Passing:
    """A cascade of trees of two models.

    Attributes:
        small: The small model's trees; None where every question is passed on unseen.
        large: The larger model's.
        sets: What the questions are from.
        found: How it fared.
    """

    small: str | None
    large: str
    sets: Sequence[str]
    found: Cascade


def cascades() -> list[Passing]:
    """Small trees of several sorts, or none, with larger ones behind them."""
    path = shipped_path(SMALL, "number")
    if not path.is_file():
        return []
    calibrator = Calibrator.load(path)
    known = {model: records_of(KINDS["number"], model, training=False) for model in (SMALL, LARGER)}
    whole = {one.item: one for one in known[LARGER]}
    both = [one for one in known[SMALL] if one.item in whole]
    if not both:
        return []
    sets = sorted({one.item.partition("/")[0] for one in both})
    largest = max(int(one.leaves.count.sum()) for one in whole.values())
    before: list[tuple[str | None, dict[str, QuestionRecord], Doubles]] = [
        (None, {one.item: one for one in both}, np.zeros(len(both)))
    ]
    for name, trees in (
        (str(SMALL_TREE), [one.capped(SMALL_TREE) for one in both]),
        (label(DECIDED), [stopped_early(one, DECIDED) for one in both]),
    ):
        before.append((name, {one.item: one for one in trees}, run_confidences(trees, calibrator)))
    behind = {str(SMALL_TREE): {item: one.capped(SMALL_TREE) for item, one in whole.items()}}
    for stops in (FEW, SINGLY, SETTLED):
        behind[label(stops)] = {item: stopped_early(one, stops) for item, one in whole.items()}
    behind[str(largest)] = whole
    found = []
    for large, theirs in behind.items():
        for small, ours, values in before:
            confidence = dict(zip(ours, values.tolist(), strict=True))
            for threshold in (0.5, 0.8) if small else (1.0,):
                one = cascade(
                    ours,
                    theirs,
                    confidence,
                    threshold=threshold,
                    size_ratio=SIZE_RATIO if small else 0.0,
                    reference=whole,
                )
                found.append(Passing(small, large, sets, one))
    return found


def gate_latency() -> float:
    """Median seconds of a decision over a finished tree of 16 leaves."""
    from et_agent import EntropyTree, ScriptedModel, ask
    from et_agent.gate import Gate, GatePolicy

    texts = {f"So it is \\boxed{{{number}}}": 1 / 12 for number in range(12)}
    decoder = EntropyTree(schedule="rounds", leaves=16)
    with ScriptedModel.from_texts(texts) as model:
        result = ask(model, "How many?", decoder=decoder, kind="number")
    gate = Gate(GatePolicy(answer_at=0.8, uncalibrated="share"))
    times = []
    for _ in range(500):
        began = time.perf_counter()
        gate.decide(result)
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def judge_all() -> None:
    """Judge the shipped calibrators on the test runs."""
    figures: dict[str, dict[str, Any]] = {}
    guarantees: dict[str, Guarantee] = {}
    for model in (SMALL, LARGER):
        for kind, sets in KINDS.items():
            path = shipped_path(model, kind)
            if not path.is_file():
                continue
            calibrator = Calibrator.load(path)
            decoder = DECODERS[kind]
            chosen = plans(sets, model, training=False)
            runs = {one.name: run_of(one, decoder) for one in chosen}
            known = {name: run for name, run in runs.items() if run is not None}
            together = [record for run in known.values() for record in run.records]
            chains: dict[str, Sequence[QuestionRecord]] = dict.fromkeys(known, ())
            if decoder == TREE:
                sampled = {one.name: run_of(one, "multi-chain") for one in chosen}
                chains |= {name: run.records for name, run in sampled.items() if run is not None}
            for name, one in known.items():
                figures[name] = {
                    "questions": len(one.records),
                    **judged(one.records, calibrator, chains[name]),
                }
            for plan in REPEATS:
                again = run_of(plan, decoder)
                if plan.name.removesuffix("-again") in known and again is not None:
                    figures[f"{plan.name}: the same questions, another seed"] = {
                        "questions": len(again.records),
                        **judged(again.records, calibrator),
                    }
            if len(known) > 1:
                everything = [record for records in chains.values() for record in records]
                figures[f"all of kind {kind}, {model}"] = {
                    "questions": len(together),
                    **judged(together, calibrator, everything),
                }
            if together and decoder == TREE:
                figures[f"{kind}, {model}, stopped early ({label(DECIDED)})"] = {
                    "questions": len(together),
                    **judged([stopped_early(one, DECIDED) for one in together], calibrator),
                }
            if len(together) < 4:
                continue
            right = np.array([one.correct for one in together], dtype=np.bool_)
            confidence = run_confidences(together, calibrator)
            for target in TARGETS:
                key = f"{model}, {kind}, error at most {target:g}"
                guarantees[key] = guarantee(confidence, right, target, splits=SPLITS)
    latency = gate_latency()
    passing = cascades()
    content = {
        "machine": describe(),
        "test samples": figures,
        "risk control": {name: asdict(one) for name, one in guarantees.items()},
        "cascade": [asdict(one) for one in passing],
        "gate decision, median seconds": latency,
    }
    (RESULTS.parent / "confidence.json").write_text(
        json.dumps(content, indent=1, default=asdict) + "\n", encoding="utf-8"
    )
    put("docs/measured.md", "test samples", sample_lines(figures))
    put("docs/measured.md", "risk control", risk_lines(guarantees))
    put("docs/measured.md", "cascade", cascade_lines(passing))
    put(
        "docs/measured.md",
        "latency",
        [f"A decision over a finished tree: {1000 * latency:.2f} ms."],
    )
    print(f"{len(figures)} test samples, {len(guarantees)} guarantees")


def sample_lines(figures: Mapping[str, Mapping[str, Any]]) -> list[str]:
    if not figures:
        return ["Not measured yet."]
    rows = []
    for name, one in figures.items():
        gaps = {what: value for what, value in one.items() if what.startswith("AUROC minus")}
        rows.append(
            [name, str(one["questions"])]
            + [
                shown(one[key])
                for key in (
                    "accuracy",
                    "ECE",
                    "ECE of an exact confidence",
                    "ECE of the share",
                    "Brier",
                )
            ]
            + [shown(one["Brier minus that of the share"]), shown(one["AUROC"])]
            + ["; ".join(f"{what[12:]}: {shown(gap)}" for what, gap in gaps.items())]
        )
    header = [
        "test sample",
        "questions",
        "accuracy",
        "ECE",
        "ECE if exact",
        "ECE of the share",
        "Brier",
    ]
    return table([*header, "Brier minus the share's", "AUROC", "AUROC minus that of the …"], rows)


def risk_lines(guarantees: Mapping[str, Guarantee]) -> list[str]:
    if not guarantees:
        return ["Not measured yet."]
    rows = [
        [
            name,
            f"{one.certified:.1%}",
            f"{one.coverage:.1%}",
            "-" if one.error is None else f"{one.error:.1%}",
            f"{one.broken:.1%}",
            f"{one.missed:.1%}",
        ]
        for name, one in guarantees.items()
    ]
    header = ["guarantee", "halves in which a threshold qualified", "mean coverage"]
    header += ["mean error among answered", "halves above the target"]
    return table([*header, "samples above the target"], rows)


def cascade_lines(passing: Sequence[Passing]) -> list[str]:
    if not passing:
        return ["Not measured yet."]
    rows = [
        [
            "none" if one.small is None else one.small,
            "-" if one.small is None else f"{one.found.threshold:g}",
            f"{one.found.escalated:.0%}",
            one.large,
            f"{one.found.accuracy:.3f}",
            shown(one.found.lead),
            f"{one.found.cost:.0%}",
        ]
        for one in passing
    ]
    alone, sets = passing[-1].found, " and ".join(passing[0].sets)
    header = [
        "small model's leaves",
        "answers from",
        "escalated",
        "larger model's leaves",
        "accuracy",
    ]
    return [
        f"{alone.questions} questions of {sets}. Accuracy and cost (tokens times parameters) are "
        f"compared with the larger model alone with {passing[-1].large} leaves, whose accuracy is "
        f"{alone.large:.3f}. Smaller trees and trees that stop early are parts of the stored trees.",
        "",
        *table([*header, "minus the larger model alone", "cost relative to it"], rows),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("fit", "test"))
    if parser.parse_args().what == "test":
        judge_all()
        return
    from benchmarks import deciding  # which reads what this module fits

    fit()
    deciding.fit()


if __name__ == "__main__":
    main()
