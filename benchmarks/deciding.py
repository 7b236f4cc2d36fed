"""Stopping once all is decided: the model of what more leaves change, fitted and judged.

    python -m benchmarks.deciding fit     # et_agent/calibration/shipped/general/foresight.json
    python -m benchmarks.deciding test    # benchmarks/results/deciding.json, docs/experiments.md

Nothing is decoded. `fit` sees training splits only; `benchmarks.confidence fit`, which fits the maps,
calls it. Its states are those of stored trees after each of their codes, in the order in which a tree
in batches takes them. `test` replays the test samples (`et_agent.evaluation.stopping`).
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from benchmarks.documents import put
from benchmarks.machine import describe
from benchmarks.rules import DECIDED, label
from benchmarks.runs import LARGER, RESULTS, SMALL
from et_agent.arrays import Bools, Doubles
from et_agent.calibration import Calibrator
from et_agent.calibration import finding as found_in
from et_agent.calibration.foresight import Correction, Foresight, Standing, log_odds_of
from et_agent.decoding import EntropyTree
from et_agent.decoding.schedules import Rounds
from et_agent.decoding.stopping import FEWEST, ToCome
from et_agent.evaluation.bootstrap import Interval, Resamples, interval
from et_agent.evaluation.gating import run_confidences
from et_agent.evaluation.metrics import auroc
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.report import shown, table
from et_agent.evaluation.stopping import (
    RecordRule,
    answer_rule,
    gate_rule,
    outlook_of,
    stopped_early,
)
from et_agent.uncertainty.effective_sample_size import effective_sample_size

OUT: Final = RESULTS.parent / "deciding.json"
FORESIGHT: Final = Path(found_in.__file__).parent / "shipped" / "general" / "foresight.json"
MODELS: Final = (SMALL, LARGER)
FITTED: Final[Mapping[str, tuple[float, ...]]] = {
    "number": (0.6, 0.7, 0.8, 0.9),
    "text": (0.1, 0.2, 0.3),
}
"""Thresholds by answer kind; hardly any text reaches more."""
TESTED: Final[Mapping[str, tuple[float, ...]]] = {
    "number": (0.6, 0.7, 0.8, 0.9),
    "text": (0.05, 0.2, 0.8),
}
MOST: Final = 600
"""Training questions of one model and kind: as many texts as that are enough."""
GRID: Final = {
    "discount": (0.05, 0.3),
    "concentration": (0.3, 1.0),
    "noise": (0.05, 0.15),
}
CUTOFFS: Final = tuple(np.geomspace(0.003, 0.2, 10).tolist())
LEVEL: Final = 0.01
IN_HINDSIGHT: Final = "in hindsight, one at a time"
FIRST_LEAVES: Final = "first leaves alone"
RESAMPLES: Final = 1000
Records = Sequence[QuestionRecord]


@dataclass(frozen=True, slots=True)
class Case:
    """A decision that may change, with what is to come of one tree.

    Attributes:
        question: Number of the question.
        cell: Number of model, kind and threshold.
        standing: The votes so far.
        log_odds: Log-odds of the compared confidence by votes at the end, 0 to all leaves; None where
            the answer itself is what is decided.
        threshold: The gate's threshold, or 0.
        now: The confidence.
        changes: Whether the whole tree leads to another decision.
    """

    question: int
    cell: int
    standing: Standing
    log_odds: Doubles | None
    threshold: float
    now: float
    changes: bool

    @property
    def sort(self) -> str:
        """Which correction it is for."""
        if self.log_odds is None:
            return "answer"
        return "given" if self.now >= self.threshold else "withheld"

    @property
    def margin(self) -> float:
        if self.log_odds is None:
            return self.standing.lead
        return abs(log_odds_of(self.now) - log_odds_of(self.threshold))

    def raw(self, foresight: Foresight) -> float:
        """What the votes foresee."""
        values = self.log_odds
        if values is None:
            return foresight.answer_raw(self.standing)

        def by_votes(shares: Doubles, leaves: float) -> Doubles:
            found: Doubles = values[np.rint(shares * leaves).astype(np.int64)]
            return found

        return foresight.action_raw(
            self.standing, by_votes, self.threshold, reached=self.now >= self.threshold
        )


def worth_of_forks(records: Records) -> float:
    """By how much the forks of whole trees raise the effective number of leaves, per possible fork."""
    most = max(int(one.leaves.count.sum()) for one in records)
    gained = [effective_sample_size(one.leaves.checked) - one.leaves.codes for one in records]
    return float(np.mean(gained)) / max(1, most - records[0].leaves.codes)


def cases(
    records: Records, calibrator: Calibrator, kind: str, foresight: Foresight, first: int, cell: int
) -> Iterator[Case]:
    """All decisions of a set of questions, after each of their codes from the third on."""
    most = max(int(one.leaves.count.sum()) for one in records)
    confidences = run_confidences(records, calibrator)
    for at, (record, confidence) in enumerate(zip(records, confidences.tolist(), strict=True)):
        codes = record.leaves.codes
        end = answer_of(record)
        for size in range(FEWEST, codes + 1):
            part = record.capped(size)
            standing = Standing.of(part.leaves, codes - size, most - codes)
            if not standing.votes or standing.ended:
                continue
            outlook = outlook_of(part, standing, foresight, calibrator)
            whole = size + foresight.more(standing)
            shares = np.arange(whole + 1) / whole
            log_odds, now = outlook.log_odds(shares, float(whole)), outlook.now
            changed = answer_of(part) != end
            yield Case(first + at, cell, standing, None, 0.0, 0.0, changed)
            for number, threshold in enumerate(FITTED[kind], 1):
                differs = (now >= threshold) != (confidence >= threshold)
                differs |= now >= threshold and changed
                yield Case(first + at, cell + number, standing, log_odds, threshold, now, differs)


def answer_of(record: QuestionRecord) -> str | None:
    top = record.leaves.top
    return None if top is None else record.answers[top]


class Line:
    """A logistic line over what is foreseen, the margin and what is done.

    Attributes:
        weights: Intercept, slope, per margin and per part done.
    """

    def __init__(self, inputs: Doubles, changes: Bools) -> None:
        kept = [True, True, True]
        self.weights = _logistic_fit(inputs, changes, kept)
        # A larger margin cannot make a change more likely. It may say the same as the votes do, though.
        if self.weights[2] > 0.0 or self.weights[1] <= 0.0:
            kept[1] = False
            self.weights = _logistic_fit(inputs, changes, kept)

    def log_odds(self, inputs: Doubles) -> Doubles:
        found: Doubles = self.weights[0] + inputs @ self.weights[1:]
        return found


def _logistic_fit(inputs: Doubles, changes: Bools, kept: Sequence[bool]) -> Doubles:
    columns = np.flatnonzero(kept)
    scale = inputs[:, columns].std(axis=0) + 1e-9
    model = LogisticRegression(C=1.0, max_iter=1000).fit(inputs[:, columns] / scale, changes)
    weights = np.zeros(inputs.shape[1] + 1)
    weights[0] = model.intercept_[0]
    weights[1 + columns] = model.coef_[0] / scale
    return weights


def inputs_of(found: Sequence[Case], foresight: Foresight) -> Doubles:
    """Log-odds of what votes foresee, margin and part done of each case, float64 [n, 3]."""
    raw = np.clip([one.raw(foresight) for one in found], 1e-4, 1 - 1e-4)
    rest = [(one.margin, foresight.done(one.standing)) for one in found]
    return np.column_stack([np.log(raw) - np.log1p(-raw), rest])


@dataclass(frozen=True)
class Fitted:
    """Lines for every sort of decision, and how well they do on questions that they did not see.

    Attributes:
        lines: By sort, fitted to all questions.
        held_out: Log-odds of a change by lines that did not see the question, [n].
        loss: Mean log loss of these, nats.
    """

    lines: Mapping[str, Line]
    held_out: Doubles
    loss: float


def fitted(found: Sequence[Case], foresight: Foresight) -> Fitted:
    inputs = inputs_of(found, foresight)
    changes = np.array([one.changes for one in found])
    groups = np.array([one.question for one in found])
    sorts = np.array([one.sort for one in found])
    held_out, lines = np.zeros(changes.size), {}
    for sort in sorted(set(sorts.tolist())):
        which = np.flatnonzero(sorts == sort)
        lines[sort] = Line(inputs[which], changes[which])
        for train, other in GroupKFold(5).split(which, groups=groups[which]):
            line = Line(inputs[which[train]], changes[which[train]])
            held_out[which[other]] = line.log_odds(inputs[which[other]])
    loss = np.logaddexp(0.0, np.where(changes, -held_out, held_out))
    return Fitted(lines, held_out, float(loss.mean()))


def rates(found: Sequence[Case], risks: Doubles, sorts: Sequence[str]) -> tuple[float, float]:
    """Line from the log-odds of a cutoff to those of the decisions that change by stopping there.

    Each cell, that is, model, kind and threshold, counts the same.
    """
    walks: dict[tuple[int, int], list[int]] = {}
    for at, one in enumerate(found):
        if one.sort in sorts:
            walks.setdefault((one.cell, one.question), []).append(at)
    questions = Counter(cell for cell, _ in walks)
    points = []
    for cutoff in CUTOFFS:
        changed = Counter[int]()
        for (cell, _), states in walks.items():
            stop = next((at for at in states if risks[at] <= cutoff), None)
            changed[cell] += stop is not None and found[stop].changes
        rate = float(np.mean([changed[cell] / count for cell, count in questions.items()]))
        if rate > 0.0:
            points.append((log_odds_of(cutoff), log_odds_of(rate)))
    at, reached = np.array(points).T
    slope, intercept = np.polyfit(at, reached, 1).tolist()
    return float(intercept), float(slope)


def correction(line: Line, rate: tuple[float, float]) -> Correction:
    """The line of one case and that of the rate, in one."""
    intercept, slope = rate
    first, *weights = (slope * line.weights).tolist()
    return Correction(
        intercept=intercept + first, slope=weights[0], margin=min(weights[1], 0.0), done=weights[2]
    )


def fit() -> None:
    from benchmarks.confidence import KINDS, records_of, shipped_path

    sets = []
    for model, kind in product(MODELS, FITTED):
        records = records_of(KINDS[kind], model, training=True)[:MOST]
        sets.append((model, kind, records, Calibrator.load(shipped_path(model, kind))))
    fork = float(np.mean([worth_of_forks(records) for _, _, records, _ in sets]))
    start = Foresight(discount=0.3, concentration=1.0, noise=0.1, fork=min(max(fork, 0.0), 1.0))
    found: list[Case] = []
    first = cell = 0
    for _, kind, records, calibrator in sets:
        found += cases(records, calibrator, kind, start, first, cell)
        first, cell = first + len(records), cell + 1 + len(FITTED[kind])
    best: tuple[float, Foresight, Fitted] | None = None
    for values in product(*GRID.values()):
        tried = start.model_copy(update=dict(zip(GRID, values, strict=True)))
        one = fitted(found, tried)
        if best is None or one.loss < best[0]:
            best = one.loss, tried, one
    assert best is not None
    loss, chosen, lines = best
    risks = 1.0 / (1.0 + np.exp(-lines.held_out))
    answer = rates(found, risks, ["answer"])
    action = rates(found, risks, ["given", "withheld"])
    made = chosen.model_copy(
        update={
            "answer": correction(lines.lines["answer"], answer),
            "given": correction(lines.lines["given"], action),
            "withheld": correction(lines.lines["withheld"], action),
            "questions": {f"{model}, {kind}": len(records) for model, kind, records, _ in sets},
        }
    )
    made.save(FORESIGHT)
    print(f"{len(found)} cases, log loss {loss:.4f}, {made.model_dump_json()}")
    print(f"log-odds of rates: answer {answer}, action {action}")


@dataclass(frozen=True)
class Judged:
    """What a rule saves and costs on questions whose whole trees are known.

    Attributes:
        tokens: Relative to those of the whole trees.
        steps: Tokens of the longest paths of all batches, relative to those of the whole trees.
        batches: Batches of roots, mean.
        differ: Part of the decisions that differ.
        auroc: AUROC of the confidence for being right, minus that of the whole trees.
        accuracy: Accuracy minus that of the whole trees.
    """

    tokens: Interval
    steps: float
    batches: float
    differ: Interval
    auroc: Interval
    accuracy: Interval


def judged(
    whole: Records,
    settings: EntropyTree,
    calibrator: Calibrator,
    threshold: float | None,
    rule: RecordRule | None,
) -> Judged:
    """Judge a rule.

    Args:
        whole: Whole trees.
        settings: What stops them.
        calibrator: Gives the confidences.
        threshold: The gate's; None if the answer is what is decided.
        rule: What is decided, for `stop_risk`.
    """
    ours = [stopped_early(one, settings, rule=rule) for one in whole]
    size = len(whole)
    counts = Resamples(size, resamples=RESAMPLES).counts
    spent, all_of = (
        np.array([float(one.tokens_decoded) for one in records]) for records in (ours, whole)
    )
    right, before = (np.array([one.correct for one in records]) for records in (ours, whole))
    now, then = (run_confidences(records, calibrator) for records in (ours, whole))
    sizes = [settings_sizes(settings, one) for one in whole]
    used = [
        [at for at in one if at <= int(mine.leaves.count.sum())] or one[:1]
        for one, mine in zip(sizes, ours, strict=True)
    ]
    steps = [sum(longest(one, at)) for one, at in zip(whole, used, strict=True)]
    return Judged(
        tokens=interval(counts @ spent / (counts @ all_of), size),
        steps=float(sum(steps) / sum(max(one.leaves.tokens) for one in whole)),
        batches=float(np.mean([len(one) for one in used])),
        differ=proportion(differs(ours, whole, now, then, threshold)),
        auroc=interval(auroc(right, now, counts) - auroc(before, then, counts), size),
        accuracy=interval(counts @ (right.astype(np.float64) - before) / size, size),
    )


def settings_sizes(settings: EntropyTree, record: QuestionRecord) -> list[int]:
    assert isinstance(settings, Rounds)
    return settings.sizes(record.leaves.codes)


def longest(record: QuestionRecord, sizes: Sequence[int]) -> Iterator[int]:
    """Tokens of the longest new path of each batch, from its first token on."""
    lengths = [Counter(record.capped(size).leaves.tokens.tolist()) for size in sizes]
    for before, after in pairwise([Counter[int](), *lengths]):
        yield max(after - before, default=0)


def differs(
    ours: Records, whole: Records, now: Doubles, then: Doubles, threshold: float | None
) -> Bools:
    """Which decisions are not those of the whole trees, bool [n]."""
    other = np.array([answer_of(a) != answer_of(b) for a, b in zip(ours, whole, strict=True)])
    if threshold is None:
        return other
    given, before = now >= threshold, then >= threshold
    found: Bools = (given != before) | (given & other)
    return found


def proportion(which: Bools) -> Interval:
    """A share with its 95 % interval (Clopper & Pearson 1934)."""
    found = binomtest(int(which.sum()), which.size).proportion_ci(0.95, method="exact")
    return Interval(float(which.mean()), float(found.low), float(found.high), which.size)


def measured(model: str, kind: str, *, training: bool) -> dict[str, Any]:
    """By threshold and rule; the threshold "answer" is that of `ask`."""
    from benchmarks.confidence import KINDS, records_of, shipped_path

    whole = records_of(KINDS[kind], model, training=training)
    most = max(int(one.leaves.count.sum()) for one in whole)
    calibrator = Calibrator.load(shipped_path(model, kind))
    foresight = Foresight.load(FORESIGHT)
    found: dict[str, Any] = {}
    for threshold in (*TESTED[kind], None):
        rule = remembered(
            answer_rule(foresight)
            if threshold is None
            else gate_rule(foresight, calibrator, threshold)
        )
        rows: dict[str, Judged] = {}
        for settings in rules(most):
            rows[named(settings)] = judged(whole, settings, calibrator, threshold, rule)
        singly = EntropyTree(leaves=most, stop_risk=LEVEL, batch=1)
        bounds: dict[str, RecordRule] = {
            IN_HINDSIGHT: hindsight(whole, calibrator, threshold),
            FIRST_LEAVES: lambda *_: 0.0,
        }
        for name, known in bounds.items():
            rows[name] = judged(whole, singly, calibrator, threshold, known)
        found["answer" if threshold is None else f"{threshold:g}"] = rows
    return found


def hindsight(whole: Records, calibrator: Calibrator, threshold: float | None) -> RecordRule:
    """The rule that knows the whole trees: it stops once nothing to come changes what is decided.

    None can do better without changing a decision.
    """
    settled = {}
    for record in whole:
        codes = record.leaves.codes
        parts = [record.capped(size) for size in range(FEWEST, codes + 1)]
        now = run_confidences(parts, calibrator)
        (end,) = run_confidences([record], calibrator)
        ends = np.full(len(parts), end)
        changed = np.flatnonzero(differs(parts, [record] * len(parts), now, ends, threshold))
        settled[record.item] = FEWEST if not changed.size else FEWEST + int(changed[-1]) + 1

    def rule(record: QuestionRecord, _to_come: ToCome) -> float:
        return float(record.leaves.codes < settled[record.item])

    return rule


def remembered(rule: RecordRule) -> RecordRule:
    """The rule, asked once for each part of a question, whatever stops there."""
    known: dict[tuple[str, ToCome], float] = {}

    def asked(record: QuestionRecord, to_come: ToCome) -> float:
        key = record.item, to_come
        if key not in known:
            known[key] = rule(record, to_come)
        return known[key]

    return asked


def rules(leaves: int) -> list[EntropyTree]:
    """What is compared: fixed shares, the rule with batches of several sizes, the bound alone."""
    return [
        DECIDED.model_copy(update={"leaves": leaves}),
        *(EntropyTree(leaves=leaves, stop_risk=LEVEL, batch=batch) for batch in (1, 2, 4)),
        EntropyTree(leaves=leaves, stop_risk=0.05, batch=2),
        EntropyTree(leaves=leaves, stop_risk=0.0, batch=2),
    ]


def named(settings: EntropyTree) -> str:
    risk = getattr(settings, "stop_risk", None)
    if risk is None:
        return label(DECIDED)
    return f"stop_risk={risk:g} batch={getattr(settings, 'batch', None)}"


def chains_measured(model: str, kind: str) -> dict[str, Any]:
    """Tokens of independent chains that stop once their answer is settled, and how often it differs."""
    from benchmarks.confidence import KINDS, records_of

    whole = records_of(KINDS[kind], model, training=False, decoder="multi-chain")
    if not whole:
        return {}
    foresight = Foresight.load(FORESIGHT)
    found = {}
    for settings in rules(max(len(one.leaves) for one in whole)):
        if getattr(settings, "stop_risk", None) is None:
            continue
        ours = [stopped_early(one, settings, rule=answer_rule(foresight)) for one in whole]
        counts = Resamples(len(whole), resamples=RESAMPLES).counts
        spent, all_of = (
            np.array([float(one.tokens_decoded) for one in records]) for records in (ours, whole)
        )
        other = [answer_of(a) != answer_of(b) for a, b in zip(ours, whole, strict=True)]
        found[named(settings)] = {
            "tokens": interval(counts @ spent / (counts @ all_of), len(whole)),
            "differ": proportion(np.array(other)),
        }
    return found


def test() -> None:
    cells = list(product(MODELS, TESTED))
    trees = {f"{model}, {kind}": measured(model, kind, training=False) for model, kind in cells}
    chains = {f"{model}, {kind}": chains_measured(model, kind) for model, kind in cells}
    content = {
        "machine": describe(),
        "foresight": json.loads(FORESIGHT.read_text(encoding="utf-8")),
        "trees": trees,
        "chains": chains,
    }
    OUT.write_text(json.dumps(content, indent=1, default=asdict) + "\n", encoding="utf-8")
    put("docs/experiments.md", "deciding", lines_of(trees, chains))


def is_shown(rule: str, one: Judged) -> bool:
    """Whether a row is worth its line; the results file has all."""
    return "=0.05" not in rule and one.tokens.value != 1.0


def lines_of(
    trees: Mapping[str, Mapping[str, Mapping[str, Judged]]],
    chains: Mapping[str, Mapping[str, Mapping[str, Interval]]],
) -> list[str]:
    rows = [
        [
            *(name, threshold, rule, shown(one.tokens), f"{one.steps:.2f}", f"{one.batches:.1f}"),
            *map(shown, (one.differ, one.auroc, one.accuracy)),
        ]
        for name, thresholds in trees.items()
        for threshold, found in thresholds.items()
        for rule, one in found.items()
        if is_shown(rule, one)
    ]
    header = [
        "trees",
        "decided",
        "rule",
        "tokens",
        "steps",
        "batches",
        "differ",
        "AUROC",
        "accuracy",
    ]
    lines = [*table(header, rows), "", "Chains, by the answer:", ""]
    rows = [
        [name, rule, shown(one["tokens"]), shown(one["differ"])]
        for name, found in chains.items()
        for rule, one in found.items()
    ]
    return [*lines, *table(["chains", "rule", "tokens", "answers that differ"], rows)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("fit", "test"))
    {"fit": fit, "test": test}[parser.parse_args().what]()


if __name__ == "__main__":
    main()
