"""Tables of what settings move, and of questions that nobody can answer."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from benchmarks.confidence import shipped_path
from benchmarks.documents import put
from benchmarks.machine import describe
from benchmarks.runs import PARAMETERS, PLANS, finished
from benchmarks.settings import PLAN, RESULTS, key_of, runs_of
from benchmarks.settings.turns import LATER
from et_agent.arrays import Doubles
from et_agent.asking.confidence import WIDENED
from et_agent.calibration import Calibrator
from et_agent.evaluation.bootstrap import Interval, Resamples, interval, resampled_means
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.report import shown, table
from et_agent.storage import write_atomically

_SIZES: Final = (2, 4, 8)
_RESAMPLES: Final = 1000
_FARTHEST: Final = 8.0
"""Log-odds by which no level is off."""
_HALVINGS: Final = 24
_DECODERS: Final = {"multi-chain": "chains", "waves": "stopped early"}


def confidences(model: str, records: Sequence[QuestionRecord]) -> Doubles:
    """What a user gets, float64 [n]: the shipped map of the kind, the general one outside of it.

    0 where no path gave an answer. The shipped map is taken whatever the settings, so that a level that
    a setting moves can be seen.
    """
    general = Calibrator.general(PARAMETERS[model])
    found = []
    for record in records:
        value = 0.0
        if record.leaves.top is not None:
            features, path = record.features, shipped_path(model, record.kind)
            used = Calibrator.load(path) if path.is_file() else general
            if used.outside(features, record.kind):
                used = general.widened(WIDENED)
            value = used.confidence(features, record.kind).value
        found.append(value)
    return np.array(found)


def write_tables() -> None:
    """Write what was found to the docs and to benchmarks/results/settings.json."""
    document: dict[str, Any] = {
        "machine": describe(),
        "settings": {},
        "later": {},
        "unanswerable": {},
    }
    rows, later, battery = [], [], []

    def moved(model: str, group: str, name: str, found: dict[str, float]) -> None:
        document["settings"][f"{model}/{key_of(group, name)}"] = found
        rows.append(
            [
                *(model, group, name, str(found["questions"]), f"{found['accuracy']:.3f}"),
                *(f"{found[one]:+.3f}" for one in ("gap", "gap minus default")),
                *(f"{found['standard error']:.3f}", f"{found['outside']:.2f}"),
            ]
        )

    for model in PLAN:
        runs = {key_of(group, name): records for group, name, records in runs_of(model)}
        for key, records in runs.items():
            group, _, name = key.partition("/")
            if group in LATER:
                continue
            if group in ("guesses", "missing"):
                found = _unanswerable(group, records, confidences(model, records))
                document["unanswerable"][f"{model}/{key}"] = found
                battery.append(
                    [
                        *(model, group, str(found["questions"])),
                        *(f"{found[one]:.3f}" for one in ("above 0.7", "above 0.8", "above 0.9")),
                        f"{found['largest']:.3f}",
                    ]
                )
                continue
            found = _moved(runs[key_of(group, "default")], records, model)
            moved(model, group, name, found)
        for group, name, row in _later(model, runs):
            document["later"][f"{model}/{key_of(group, name)}"] = row
            later.append(
                [
                    *(model, group, name, str(row["questions"]), f"{row['accuracy']:.3f}"),
                    *(f"{row[one]:+.3f}" for one in ("gap", "gap minus default")),
                    f"{row['standard error']:.3f}",
                    *(shown(Interval(**row["log-odds"])), f"{row['outside']:.2f}"),
                ]
            )
        default, others = _stored(model)
        for name, records in others.items():
            moved(model, "word problems, test", name, _moved(default, records, model))
    write_atomically(RESULTS.with_suffix(".json"), json.dumps(document, indent=1) + "\n")
    header = ["model", "questions", "setting", "number", "accuracy", "gap", "minus the default's"]
    put("docs/confidence.md", "settings", table([*header, "standard error", "outside"], rows))
    header = [
        "model",
        "questions",
        "before",
        "number",
        "accuracy",
        "gap",
        "minus that of them alone",
    ]
    header += ["standard error", "the same in log-odds", "outside"]
    put("docs/confidence.md", "later", table(header, later))
    header = ["model", "questions", "number", "above 0.7", "above 0.8", "above 0.9", "largest"]
    put("docs/confidence.md", "unanswerable", table(header, battery))


def _later(
    model: str, runs: Mapping[str, Sequence[QuestionRecord]]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Sets that were asked later in a conversation: by what was said before, and all together."""
    for group, later in LATER.items():
        first = [
            record
            for plan, decoder in later.first_turns(model)
            for record in finished(plan, decoder)[1]
        ]
        found = {
            key.partition("/")[2].removesuffix("-direct"): records
            for key, records in runs.items()
            if key.startswith(f"{group}/")
        }
        if not found:
            continue
        found["any"] = [record for records in found.values() for record in records]
        for name, records in found.items():
            place = {one.item: one for one in first}
            alone = [place[one.item] for one in records]
            moved = level(model, records) - level(model, alone)
            log_odds = asdict(interval(moved, len(records)))
            yield group, name, {**_moved(alone, records, model), "log-odds": log_odds}


def level(model: str, records: Sequence[QuestionRecord]) -> Doubles:
    """By how much the log-odds of confidences are too high, of each resample, float64 [R + 1].

    That is what has to be taken from them for their mean to be the accuracy; NaN where none are right,
    or all.
    """
    counts = Resamples(len(records), resamples=_RESAMPLES).counts
    accuracy = resampled_means(np.array([float(one.correct) for one in records]), counts)
    values = np.clip(confidences(model, records), 1e-9, 1 - 1e-9)
    log_odds = np.log(values) - np.log1p(-values)
    low, high = np.full(accuracy.size, -_FARTHEST), np.full(accuracy.size, _FARTHEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        lowered = 1.0 / (1.0 + np.exp(middle[:, None] - log_odds))
        above = (counts * lowered).sum(axis=1) / counts.sum(axis=1) > accuracy
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    found: Doubles = np.where((accuracy > 0) & (accuracy < 1), (low + high) / 2, np.nan)
    return found


def _stored(model: str) -> tuple[list[QuestionRecord], dict[str, list[QuestionRecord]]]:
    """The word problems of `benchmarks.runs`: trees in rounds, and what else was decoded of the same.

    Smaller trees are parts of the whole ones.
    """
    plans = [one for one in PLANS if one.model == model and one.data in ("svamp", "gsm8k")]

    def records(decoder: str) -> list[QuestionRecord]:
        return [record for plan in plans for record in finished(plan, decoder)[1]]

    trees = records("entropy-tree")
    if not trees:
        return [], {}
    known = {one.item for one in trees}
    found = {"default, in rounds": trees}
    found |= {f"{size} leaves": [one.capped(size) for one in trees] for size in _SIZES}
    for name, title in _DECODERS.items():
        if same := [one for one in records(name) if one.item in known]:
            found[title] = same
    return trees, found


def _unanswerable(
    group: str, records: Sequence[QuestionRecord], values: Doubles
) -> dict[str, float]:
    chosen = np.array([group == "guesses" or one.subject == "missing" for one in records])
    found = values[chosen]
    figures = {f"above {one}": float((found > one).mean()) for one in (0.7, 0.8, 0.9)}
    return {"questions": int(chosen.sum()), **figures, "largest": float(found.max())}


def _moved(
    default: Sequence[QuestionRecord],
    records: Sequence[QuestionRecord],
    model: str,
) -> dict[str, float]:
    """By how much a setting moves mean confidence minus accuracy, on the same questions."""
    place = {one.item: at for at, one in enumerate(default)}
    same = [default[place[one.item]] for one in records]
    gaps = [
        confidences(model, runs) - np.array([float(one.correct) for one in runs])
        for runs in (records, same)
    ]
    moved = gaps[0] - gaps[1]
    shipped = {one.kind: shipped_path(model, one.kind) for one in records}
    maps = {kind: Calibrator.load(path) for kind, path in shipped.items() if path.is_file()}
    outside = [
        maps[one.kind].outside(one.features, one.kind)
        for one in records
        if one.kind in maps and one.leaves.top is not None
    ]
    return {
        "questions": len(records),
        "accuracy": float(np.mean([one.correct for one in records])),
        "gap": float(gaps[0].mean()),
        "gap minus default": float(moved.mean()),
        "standard error": float(moved.std(ddof=1) / np.sqrt(moved.size)),
        "outside": float(np.mean(outside)) if outside else 0.0,
    }
