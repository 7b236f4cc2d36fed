"""When to stop, simulated on stored trees and chains, and compared with trees that did stop.

    python -m benchmarks.stopping

No decoding: codes of a whole tree come in the order in which a tree in batches would have taken them
(`et_agent.evaluation.stopping`). Writes docs/experiments.md and benchmarks/results/stopping.json.
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from scipy.stats import binomtest

from benchmarks.confidence import KINDS, plans, records_of, shipped_path
from benchmarks.documents import put
from benchmarks.machine import describe
from benchmarks.rules import DECIDED, FEW, SETTLED, SINGLY, label
from benchmarks.runs import DECODERS, LARGER, PLANS, RESULTS, SMALL, finished
from benchmarks.tables import signed
from et_agent.arrays import Bools, Doubles
from et_agent.calibration import Calibrator
from et_agent.decoding import EntropyTree
from et_agent.decoding.schedules import Rounds
from et_agent.evaluation.bootstrap import Interval, Resamples, interval, pooled
from et_agent.evaluation.decoders import parse_decoder
from et_agent.evaluation.gating import run_confidences
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.report import shown, table
from et_agent.evaluation.stopping import stopped_early
from et_agent.evaluation.summaries import at_equal_cost

SETS: Final = ("svamp", "gsm8k")
RULES: Final[Mapping[str, EntropyTree]] = {
    label(rule): rule
    for rule in (
        SETTLED,
        SINGLY,
        FEW,
        EntropyTree(batch=2, stop_below=0.5),
        EntropyTree(batch=4, stop_below=0.34),
        DECIDED,
    )
}
BOTH: Final = (label(SETTLED), label(DECIDED))
"""Rules that chains are tried with too."""
DECODED: Final = label(SETTLED)
"""The rule of the runs that did stop."""
THRESHOLDS: Final[Mapping[str, tuple[float, ...]]] = {
    "number": (0.6, 0.7, 0.8, 0.9),
    "choice": (0.3, 0.4),
    "text": (0.05, 0.2),
}
"""Confidences from which on a gate answers, by kind; of choices and texts few reach more."""
RESAMPLES: Final = 1000
METRICS: Final = ("accuracy", "any leaf right", "AUROC top-share")
Records = Sequence[QuestionRecord]


@dataclass(frozen=True)
class Sample:
    """The trees and the chains of one set, by item in one order."""

    name: str
    model: str
    trees: Records
    chains: Records


def samples() -> list[Sample]:
    found = []
    for plan in PLANS:
        if plan.data not in SETS:
            continue
        trees, chains = (finished(plan, name)[1] for name in ("entropy-tree", "multi-chain"))
        known = {record.item: record for record in chains}
        both = [record for record in trees if record.item in known]
        if both:
            found.append(Sample(plan.name, plan.model, both, [known[one.item] for one in both]))
    return found


def trees_of(model: str, *, training: bool) -> list[QuestionRecord]:
    """Trees of word problems of one split, with as many leaves as the model's test runs have."""
    most = next(plan.leaves for plan in plans(SETS, model, training=False))
    return [one.capped(most) for one in records_of(SETS, model, training=training)]


def stop_all(records: Records, rule: str) -> list[QuestionRecord]:
    return [stopped_early(record, RULES[rule]) for record in records]


def tokens(records: Records) -> int:
    return sum(record.tokens_decoded for record in records)


def right(records: Records) -> Doubles:
    return np.array([record.correct for record in records], dtype=np.float64)


def saving(whole: Records, rule: str) -> dict[str, Any]:
    """What a rule saves and costs, over all codes that a tree may begin with: as many more draws."""
    codes = max(record.leaves.codes for record in whole)
    starts = [
        [stopped_early(record, RULES[rule], (at + 0.5) / codes) for record in whole]
        for at in range(codes)
    ]
    ours: Doubles = np.mean([right(one) for one in starts], axis=0)
    return {
        "questions": len(whole),
        "tokens": float(np.mean([tokens(one) for one in starts])) / tokens(whole),
        "leaves": float(np.mean([one.leaves.count.sum() for start in starts for one in start])),
        "accuracy": difference(ours, right(whole)),
    }


def difference(ours: Doubles, theirs: Doubles) -> Interval:
    """Accuracy of the same questions, paired: how often each was answered rightly, [n]."""
    counts = Resamples(ours.size, resamples=RESAMPLES).counts
    return interval(counts @ (ours - theirs) / ours.size, ours.size)


def against_chains(parts: Sequence[Sample], rule: str | None, *, chains: bool) -> dict[str, Any]:
    """Trees or chains that stop, minus as many chains for all questions at equal tokens, pooled."""
    values: dict[str, list[Any]] = {name: [] for name in METRICS}
    number = 0.0
    size = sum(len(part.trees) for part in parts)
    for seed, part in enumerate(parts):
        ours = part.chains if chains else part.trees
        if rule is not None:
            ours = stop_all(ours, rule)
        found = at_equal_cost(
            ours, part.chains, estimators=["top-share"], resamples=RESAMPLES, seed=seed
        )
        number += (found.chains.value or 0.0) * len(part.trees) / size
        for name in METRICS:
            values[name].append(found.differences[name])
    return {"chains": number} | {name: pooled(one, size) for name, one in values.items()}


def decisions(
    whole: Records, rule: str | None, threshold: float, calibrator: Calibrator
) -> dict[str, Any]:
    """What a gate would have answered from a calibrated confidence on."""
    ours = list(whole) if rule is None else stop_all(whole, rule)
    answers, before = (
        run_confidences(records, calibrator) >= threshold for records in (ours, list(whole))
    )
    said = [_answer(one) == _answer(other) for one, other in zip(ours, whole, strict=True)]
    same = (answers == before) & (~answers | np.array(said))
    answered = answers | before
    return {
        "tokens": tokens(ours) / tokens(whole),
        "answered": float(answers.mean()),
        "error": float(1.0 - right(ours)[answers].mean()) if answers.any() else None,
        "as the whole tree": proportion(same),
        "of what either answers": proportion(same[answered]),
    }


def _answer(record: QuestionRecord) -> str | None:
    top = record.leaves.top
    return None if top is None else record.answers[top]


def proportion(which: Bools) -> Interval | None:
    """A share with its 95 % interval (Clopper & Pearson 1934); None of nothing."""
    if not which.size:
        return None
    found = binomtest(int(which.sum()), which.size).proportion_ci(0.95, method="exact")
    return Interval(float(which.mean()), float(found.low), float(found.high), which.size)


def decoded(model: str) -> list[dict[str, Any]]:
    """Trees that did stop beside the whole ones, played through."""
    rows = []
    rule = parse_decoder(DECODERS["waves"], leaves=1, max_tokens=1)
    assert isinstance(rule, Rounds)
    assert all(getattr(rule, name) == getattr(RULES[DECODED], name) for name in rule.stopping)
    for plan in PLANS:
        if plan.model != model or plan.data not in SETS:
            continue
        batched = {one.item: one for one in finished(plan, "waves")[1]}
        trees = [one for one in finished(plan, "entropy-tree")[1] if one.item in batched]
        if not trees:
            continue
        ours = [batched[one.item] for one in trees]
        rows.append(
            {
                "set": plan.name,
                "questions": len(trees),
                "tokens played through": tokens(stop_all(trees, DECODED)) / tokens(trees),
                "tokens": tokens(ours) / tokens(trees),
                "accuracy played through": float(right(stop_all(trees, DECODED)).mean()),
                "accuracy": float(right(ours).mean()),
                "minus the whole tree": difference(right(ours), right(trees)),
            }
        )
    return rows


def measured(model: str, parts: Sequence[Sample]) -> dict[str, Any]:
    splits = {"training": trees_of(model, training=True), "test": trees_of(model, training=False)}
    return {
        **{
            split: {rule: saving(whole, rule) for rule in RULES} if whole else {}
            for split, whole in splits.items()
        },
        "trees": {str(rule): against_chains(parts, rule, chains=False) for rule in (None, *RULES)},
        "chains": {rule: against_chains(parts, rule, chains=True) for rule in BOTH},
        "gate": gates(model),
        "decoded": decoded(model),
    }


def gates(model: str) -> dict[str, Any]:
    """By kind, threshold and rule: what a gate with a shipped calibrator makes of the test samples."""
    found = {}
    for kind, thresholds in THRESHOLDS.items():
        whole = records_of(KINDS[kind], model, training=False)
        if not whole or not shipped_path(model, kind).is_file():
            continue
        calibrator = Calibrator.load(shipped_path(model, kind))
        found[kind] = {
            f"{threshold:g}": {
                str(rule): decisions(whole, rule, threshold, calibrator)
                for rule in (None, label(DECIDED))
            }
            for threshold in thresholds
        }
    return found


def main() -> None:
    known = samples()
    by_model = {
        model: [one for one in known if one.model == model]
        for model in (SMALL, LARGER)
        if any(one.model == model for one in known)
    }
    with ProcessPoolExecutor() as pool:
        waiting = {model: pool.submit(measured, model, parts) for model, parts in by_model.items()}
        found = {model: one.result() for model, one in waiting.items()}
    content = {"machine": describe(), "models": found}
    (RESULTS.parent / "stopping.json").write_text(
        json.dumps(content, indent=1, default=asdict) + "\n", encoding="utf-8"
    )
    put("docs/experiments.md", "stopping", lines_of(found))


def lines_of(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = ["Tokens relative to the whole tree, and accuracy minus the whole tree's:", ""]
    rows = []
    for model, one in found.items():
        for rule in RULES:
            row = [model, rule]
            for part in ("training", "test"):
                got = one[part].get(rule)
                row += (
                    ["-", "-"] if got is None else [f"{got['tokens']:.0%}", signed(got["accuracy"])]
                )
            rows.append([*row, f"{one['test'][rule]['leaves']:.1f}"])
    header = ["model", "stopping rule", "training: tokens", "accuracy", "test: tokens", "accuracy"]
    lines += table([*header, "leaves"], rows)
    lines += [
        "",
        "Difference to chains that cost the same tokens, equally many for every question (test):",
        "",
    ]
    rows = []
    for model, one in found.items():
        for what in ("trees", "chains"):
            for rule, got in one[what].items():
                label = "whole" if rule == "None" else rule
                row = [model, f"{what}, {label}", f"{got['chains']:.1f}"]
                rows.append(row + [signed(got[name]) for name in METRICS])
    lines += table(["model", "decoded", "chains", *METRICS], rows)
    lines += ["", "A gate that answers from a given calibrated confidence (test):", ""]
    rows = []
    for model, one in found.items():
        for kind, thresholds in one["gate"].items():
            for threshold, rules in thresholds.items():
                for rule, got in rules.items():
                    error = "-" if got["error"] is None else f"{got['error']:.1%}"
                    row = [model, kind, threshold, "whole" if rule == "None" else rule]
                    row += [f"{got['tokens']:.0%}", f"{got['answered']:.1%}", error]
                    row.append(shown(got["as the whole tree"]))
                    either = got["of what either answers"]
                    rows.append(
                        [*row, "-" if either is None else f"{shown(either)} of {either.questions}"]
                    )
    header = ["model", "kind", "confidence", "trees", "tokens", "answered", "error among them"]
    header += [
        "same decision and answer as with the whole tree",
        "the same, among what either answers",
    ]
    lines += table(header, rows)
    rows = [
        [
            row["set"],
            str(row["questions"]),
            f"{row['tokens played through']:.0%}",
            f"{row['tokens']:.0%}",
            f"{row['accuracy played through']:.3f}",
            f"{row['accuracy']:.3f}",
            signed(row["minus the whole tree"]),
        ]
        for one in found.values()
        for row in one["decoded"]
    ]
    if rows:
        lines += ["", f"Trees decoded with {DECODERS['waves'].partition(':')[2]}:", ""]
        header = ["set", "questions", "tokens, replayed", "tokens"]
        header += ["accuracy, replayed", "accuracy", "minus the whole tree's"]
        lines += table(header, rows)
    return lines


if __name__ == "__main__":
    main()
