"""Labelled rows as fits take them: checked, grouped by question, weighted."""

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from et_agent.arrays import Doubles, Ints
from et_agent.calibration.features import feature_columns
from et_agent.calibration.labels import checked_labels
from et_agent.errors import CalibrationError

__all__ = [
    "MIN_PER_CLASS",
    "MIN_QUESTIONS",
    "checked_rows",
    "comparable",
    "require_comparable",
    "row_weights",
    "training_rows",
]

MIN_QUESTIONS: Final = 50
"""With fewer labelled questions only the general map is moved; nothing is fitted anew or compared."""
MIN_PER_CLASS: Final = 10
"""Right and wrong answers that a comparison needs on each side."""


def checked_rows(values: ArrayLike) -> Doubles:
    """Rows of `feature_row`, float64 [n, columns].

    Raises:
        CalibrationError: They have another shape.
    """
    rows = np.asarray(values, dtype=np.float64)
    width = len(feature_columns())
    if rows.ndim != 2 or rows.shape[1] != width:
        raise CalibrationError(
            f"features have the shape {rows.shape}: pass rows of {width} columns, as feature_row "
            "makes them"
        )
    return rows


def training_rows(
    features: ArrayLike, y: ArrayLike, groups: ArrayLike | None
) -> tuple[Doubles, Ints, Ints]:
    """Rows, labels and groups as whole numbers.

    Raises:
        CalibrationError: Shapes do not go together, labels are not 0 or 1, or there are none.
    """
    rows = checked_rows(features)
    labels = checked_labels(y)
    if labels.shape != (rows.shape[0],):
        raise CalibrationError(
            f"there are {rows.shape[0]} rows but {labels.size} labels: pass one label per row"
        )
    together = np.arange(labels.size) if groups is None else np.asarray(groups)
    if together.shape != labels.shape:
        raise CalibrationError(
            f"there are {labels.size} labels but {together.size} groups: pass one group per label"
        )
    _, numbers = np.unique(together, return_inverse=True)
    whole = labels.astype(np.int64)
    if not whole.size:
        raise CalibrationError("there is no labelled question: label one at least")
    return rows, whole, numbers.astype(np.int64)


def comparable(labels: Ints, groups: Ints) -> bool:
    """Whether there is enough to compare maps and to judge them on held-out questions."""
    total, right, wrong = _counts(labels, groups)
    return total >= MIN_QUESTIONS and min(right, wrong) >= MIN_PER_CLASS


def _counts(labels: Ints, groups: Ints) -> tuple[int, int, int]:
    """Questions, and those with a tree that is right and with one that is wrong."""
    right, wrong = (np.unique(groups[labels == label]).size for label in (1, 0))
    return np.unique(groups).size, right, wrong


def require_comparable(labels: Ints, groups: Ints) -> None:
    """Refuse labels that are too few to fit a map anew and to judge it.

    Raises:
        CalibrationError: They are.
    """
    if not comparable(labels, groups):
        total, right, wrong = _counts(labels, groups)
        raise CalibrationError(
            f"{total} labelled questions, {right} right and {wrong} wrong, are too few to fit a map "
            f"anew: at least {MIN_QUESTIONS} are needed, {MIN_PER_CLASS} of each. "
            + _what_is_lacking(right, wrong, total)
        )


def _what_is_lacking(right: int, wrong: int, total: int) -> str:
    """What to label so that there is enough of it."""
    missing = max(MIN_QUESTIONS - total, 0)
    rare, how, remedy = right, "rightly", "easier questions too, or use a stronger model"
    if wrong < right:
        rare, how, remedy = wrong, "wrongly", "harder questions too"
    if total and not rare:
        return f"This model answered none of them {how}: label {remedy}"
    more = math.ceil((MIN_PER_CLASS - rare) * total / rare) if rare else 0
    if more <= missing:
        return f"Label {missing} more at least"
    return (
        f"This model answers only {rare / total:.0%} of such questions {how}, so about {more} more of "
        f"the same sort would be needed: label {remedy}"
    )


def row_weights(groups: Ints) -> Doubles:
    """Each row's part of its question, [n]."""
    _, at, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / sizes[at])
