"""Tables of what settings move, and of questions that nobody can answer."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.confidence import shipped_path
from benchmarks.documents import put
from benchmarks.machine import describe
from benchmarks.runs import PARAMETERS
from benchmarks.settings import PLAN, RESULTS, archive_of
from et_agent.arrays import Doubles
from et_agent.asking.confidence import WIDENED
from et_agent.calibration import Calibrator, features_of
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.report import table
from et_agent.storage import write_atomically


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
            features, path = features_of(record.leaves), shipped_path(model, record.kind)
            used = Calibrator.load(path) if path.is_file() else general
            if used.outside(features, record.kind):
                used = general.widened(WIDENED)
            value = used.confidence(features, record.kind).value
        found.append(value)
    return np.array(found)


def write_tables() -> None:
    """Write what was found to the docs and to benchmarks/results/settings.json."""
    document: dict[str, Any] = {"machine": describe(), "settings": {}, "unanswerable": {}}
    rows, battery = [], []
    for model in PLAN:
        archive = archive_of(model)
        for key, run in archive.items():
            group, _, name = key.partition("/")
            values = confidences(model, run.records)
            if group in ("guesses", "missing"):
                found = _unanswerable(group, run.records, values)
                document["unanswerable"][f"{model}/{key}"] = found
                battery.append(
                    [
                        *(model, group, str(found["questions"])),
                        *(f"{found[one]:.3f}" for one in ("above 0.7", "above 0.8", "above 0.9")),
                        f"{found['largest']:.3f}",
                    ]
                )
                continue
            first = {one.item: at for at, one in enumerate(archive[f"{group}/default"].records)}
            found = _moved(archive[f"{group}/default"].records, run.records, model, first)
            document["settings"][f"{model}/{key}"] = found
            rows.append(
                [
                    *(model, group, name, str(found["questions"]), f"{found['accuracy']:.3f}"),
                    *(f"{found[one]:+.3f}" for one in ("gap", "gap minus default")),
                    *(f"{found['standard error']:.3f}", f"{found['outside']:.2f}"),
                ]
            )
    write_atomically(RESULTS.with_suffix(".json"), json.dumps(document, indent=1) + "\n")
    header = ["model", "questions", "setting", "number", "accuracy", "gap", "minus the default's"]
    put("docs/confidence.md", "settings", table([*header, "standard error", "outside"], rows))
    header = ["model", "questions", "number", "above 0.7", "above 0.8", "above 0.9", "largest"]
    put("docs/confidence.md", "unanswerable", table(header, battery))


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
    place: Mapping[str, int],
) -> dict[str, float]:
    """By how much a setting moves mean confidence minus accuracy, on the same questions."""
    same = [default[place[one.item]] for one in records]
    gaps = [
        confidences(model, runs) - np.array([float(one.correct) for one in runs])
        for runs in (records, same)
    ]
    moved = gaps[0] - gaps[1]
    shipped = {one.kind: shipped_path(model, one.kind) for one in records}
    maps = {kind: Calibrator.load(path) for kind, path in shipped.items() if path.is_file()}
    outside = [
        maps[one.kind].outside(features_of(one.leaves), one.kind)
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
