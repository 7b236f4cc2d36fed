"""Labelled questions of evaluation runs, as a calibrator takes them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from et_agent.calibration import Calibrator, DataUsed, Fingerprint, feature_row
from et_agent.errors import CalibrationError
from et_agent.evaluation.metrics import METRICS, value_of
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.store import RunInfo

__all__ = ["Labelled", "calibrate", "labelled"]


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Trees as rows of features, with labels.

    Attributes:
        rows: Features, float64 [n, columns].
        right: Whether the top answer is right, int64 [n].
        groups: Number of the question, int64 [n].
        items: Its id, [n].
    """

    rows: NDArray[np.float64]
    right: NDArray[np.int64]
    groups: NDArray[np.int64]
    items: tuple[str, ...]


def labelled(records: Sequence[QuestionRecord], caps: Sequence[int] = ()) -> Labelled:
    """The features and labels of stored questions; those without any answer are left out.

    Args:
        records: Questions of a run.
        caps: Numbers of leaves at which each tree is taken once more, as it was then.

    Raises:
        CalibrationError: No question has an answer.
    """
    rows: list[NDArray[np.float64]] = []
    right: list[int] = []
    groups: list[int] = []
    items: list[str] = []
    for group, record in enumerate(records):
        trees = [record.leaves]
        sizes = {int(record.leaves.count.sum())}
        for cap in caps:
            tree = record.leaves.capped(cap)
            # A tree that was smaller anyway is not counted twice.
            if int(tree.count.sum()) not in sizes:
                sizes.add(int(tree.count.sum()))
                trees.append(tree)
        for tree in trees:
            if tree.top is None:
                continue
            rows.append(feature_row(tree, record.kind))
            right.append(int(record.right[tree.top]))
            groups.append(group)
            items.append(record.item)
    if not rows:
        raise CalibrationError("no question has an answer: there is nothing to fit")
    return Labelled(np.array(rows), np.array(right), np.array(groups), tuple(items))


def calibrate(
    runs: Sequence[tuple[RunInfo, Sequence[QuestionRecord]]],
    *,
    method: str = "auto",
    features: Sequence[str] | None = None,
    caps: Sequence[int] = (),
    seed: int = 0,
) -> Calibrator:
    """Fit a calibrator to evaluation runs.

    Args:
        runs: Runs of one model, decoder and prompt style, with their questions.
        method: As for `Calibrator`.
        features: As for `Calibrator`.
        caps: Fewer leaves at which it is to hold too: each tree is also taken as it was then.
        seed: Of the folds.

    Raises:
        CalibrationError: The runs do not go together, or see `Calibrator.fit`.
    """
    fingerprint: Fingerprint | None = None
    parts, data = [], []
    for info, records in runs:
        kinds = sorted({record.kind for record in records})
        found = Fingerprint.of_run(info.config, kinds)
        low, high = found.leaves
        found = found.model_copy(update={"leaves": (min((low, *caps)), high)})
        fingerprint = found if fingerprint is None else fingerprint.joined(found)
        part = labelled(records, caps)
        parts.append(part)
        data.append(
            DataUsed(
                name=info.config["data"],
                questions=len(records),
                right=sum(record.correct for record in records),
            )
        )
    offsets = np.cumsum([0, *(int(part.groups.max()) + 1 for part in parts)])
    calibrator = Calibrator(
        method, features=features, fingerprint=fingerprint, data=tuple(data), seed=seed
    )
    right = np.concatenate([part.right for part in parts])
    groups = [part.groups + offset for part, offset in zip(parts, offsets, strict=False)]
    calibrator.fit(np.concatenate([part.rows for part in parts]), right, np.concatenate(groups))
    judged = ~np.isnan(calibrator.held_out_)
    for name in ("AUROC", "ECE", "Brier"):
        value = value_of(METRICS[name], right[judged] == 1, calibrator.held_out_[judged])
        if value is not None:
            calibrator.metrics_[name] = value
    return calibrator
