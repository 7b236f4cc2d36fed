"""Judges the shipped map on the articles of the judge split, and writes the tables."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.documents import put
from benchmarks.machine import describe
from benchmarks.retrieval.fitting import MODELS, groups, prior, questions_of
from benchmarks.retrieval.keeping import Kept
from benchmarks.retrieval.trees import Rows, is_right
from benchmarks.runs import PARAMETERS
from et_agent.answers.declining import NOT_THERE
from et_agent.arrays import Bools, Doubles
from et_agent.calibration.evidence import within_limits, within_votes
from et_agent.calibration.features import taken
from et_agent.calibration.grounds import PASSAGE_FEATURES
from et_agent.calibration.prior import PassagePrior, Prior
from et_agent.evaluation.bootstrap import Interval, Resamples, interval
from et_agent.evaluation.metrics import auroc, brier, ece
from et_agent.evaluation.report import shown, table
from et_agent.storage import write_atomically

OUT: Final = Path(__file__).parents[1] / "results" / "retrieval.json"
THRESHOLDS: Final = (0.7, 0.8, 0.9)
SHOWN: Final = (0.7, 0.8)
SAID: Final = ("false among those given", "given")
Figures = dict[str, Interval]


def _share_where(what: Bools, among: Bools, counts: Doubles, passages: Sequence[str]) -> Interval:
    with np.errstate(invalid="ignore"):
        shares = (counts @ (what & among)) / (counts @ among)
    groups = len(set(itertools.compress(passages, among)))
    return interval(shares, int(among.sum()), proportion=True, groups=groups)


def judged(right: Bools, confidence: Doubles, passages: Sequence[str]) -> Figures:
    """Figures of a confidence over the answers that were given, about the passages [n]."""
    size = right.size
    counts = Resamples.of_groups(passages, resamples=1000).counts
    found = {
        "AUROC": interval(auroc(right, confidence, counts), size),
        "ECE": interval(ece(right, confidence, counts), size, basic=True),
        "Brier": interval(brier(right, confidence, counts), size),
    }
    for threshold in THRESHOLDS:
        given, every = confidence >= threshold, np.ones_like(right)
        found[f"false at {threshold}"] = _share_where(~right, given, counts, passages)
        found[f"given at {threshold}"] = _share_where(given, every, counts, passages)
    return found


def ways(model: str, rows: Rows) -> dict[str, Doubles]:
    """Confidences by what gives them, [n] each."""
    shipped = PassagePrior.shipped()
    found = {"general map for passages": _by(shipped, model, rows.rows)}
    found["the lower end of its interval, as gates compare"] = _lower(shipped, model, rows.rows)
    sure = [one.model_copy(update={"wary": False}) for one in shipped.limits]
    unwary = shipped.model_copy(update={"limits": sure})
    found["the same, bounded by the upper end"] = _by(unwary, model, rows.rows)
    others = tuple(one for one in MODELS if one != model)
    if len(list(groups(others))) >= 2:
        found["the same, without this model"] = _by(prior(others), model, rows.rows)
    found["general map for questions alone"] = _by(Prior.shipped(), model, rows.rows)
    return {**found, "share": rows.share}


def _by(general: Prior, model: str, rows: Doubles) -> Doubles:
    predicted = general.map_for(PARAMETERS[model]).predict(rows)
    return within_votes(rows, within_limits(general.limits, predicted))


def _lower(general: Prior, model: str, rows: Doubles) -> Doubles:
    low = general.map_for(PARAMETERS[model]).interval(rows)[:, 0]
    return np.minimum(low, _by(general, model, rows))


def answers(questions: Sequence[Kept]) -> Figures:
    """What trees say of answerable and of unanswerable questions."""
    passages = [one.place for one in questions]
    counts = Resamples.of_groups(passages, resamples=1000).counts
    there = np.array([one.answerable for one in questions])
    best = [
        None if one.record.leaves.top is None else one.record.answers[one.record.leaves.top]
        for one in questions
    ]
    pairs = list(zip(best, questions, strict=True))
    right = np.array([said is not None and is_right(said, one) for said, one in pairs])
    exact = np.array([one.answerable and one.record.correct for one in questions])
    declined = np.array([said == NOT_THERE for said in best])
    false = np.array([said is not None for said in best]) & ~right & ~declined
    return {
        "right": _share_where(right, there, counts, passages),
        "exact match": _share_where(exact, there, counts, passages),
        "declined, answerable": _share_where(declined, there, counts, passages),
        "declined, unanswerable": _share_where(declined, ~there, counts, passages),
        "unanswerable of the false": _share_where(~there, false, counts, passages),
    }


def write_tables() -> None:
    """Write both tables and the figures behind them."""
    document: dict[str, Any] = {"machine": describe()}
    said, told, alone = [], [], []
    for model in MODELS:
        questions = questions_of(model, "judge")
        if not questions:
            continue
        rows = Rows.of(questions)
        tokens = float(np.mean([one.record.tokens_decoded for one in questions]))
        found = answers(questions)
        passages = [questions[at].place for at in rows.groups]
        counts = Resamples.of_groups(passages).counts
        figures = {
            name: judged(rows.right, one, passages) for name, one in ways(model, rows).items()
        }
        single = {
            name: interval(auroc(rows.right, _known(rows.rows, name), counts), rows.right.size)
            for name in ("share", "answerable", *PASSAGE_FEATURES)
        }
        document[model] = {
            "questions": len(questions),
            "answers": {name: asdict(one) for name, one in found.items()},
            "tokens decoded": tokens,
            "confidence": {
                name: {key: asdict(one) for key, one in each.items()}
                for name, each in figures.items()
            },
            "AUROC of single features": {name: asdict(one) for name, one in single.items()},
        }
        cells = [shown(one) for one in found.values()]
        said.append([model, str(len(questions)), *cells, f"{tokens:.0f}"])
        for name, each in figures.items():
            levels = (f"{what} at {at}" for at in SHOWN for what in ("false", "given"))
            picked = ("AUROC", "ECE", "Brier", *levels)
            told.append([model, name, str(rows.right.size), *(shown(each[one]) for one in picked)])
        alone.append([model, *(shown(one) for one in single.values())])
    write_atomically(OUT, json.dumps(document, indent=1) + "\n")
    head = ["model", "questions", "right of answerable", "exact match", "declined of answerable"]
    head += ["declined of unanswerable", "unanswerable of the false", "tokens decoded"]
    measures = ["AUROC", "ECE", "Brier", *(f"{what} at {at}" for at in SHOWN for what in SAID)]
    put(
        "docs/confidence.md",
        "retrieval",
        [
            *table(head, said),
            "",
            *table(["model", "confidence", "answers", *measures], told),
            "",
            *table(["model: AUROC of", "share", "answerable", *PASSAGE_FEATURES], alone),
        ],
    )


def _known(rows: Doubles, name: str) -> Doubles:
    values = taken(rows, [name])[:, 0]
    return np.where(np.isnan(values), np.nanmean(values), values)
