"""What the kept leaves say: whether the confidence of a call, and of the action, is right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np

from benchmarks import kept
from benchmarks.confidence import exact_ece
from et_agent.arrays import Bools, Doubles
from et_agent.calibration import features_of
from et_agent.calibration.features import feature_row
from et_agent.evaluation.bootstrap import Interval, Resamples, interval
from et_agent.evaluation.metrics import auroc, brier, ece
from et_agent.uncertainty.leaf_table import LeafTable

__all__ = ["GATED_AT", "Judged", "Said", "figures", "listed", "said_of"]

GATED_AT: Final = 0.8
"""The threshold of a gate whose calls are counted."""


@dataclass(frozen=True)
class Said:
    """What is done about a task.

    Attributes:
        group: The sort of task.
        calls: Whether a tool is called.
        right: Whether that is the right action.
        share: Share of the leaves that do the same.
        row: Features, as for calibrators, [columns].
    """

    group: str
    calls: bool
    right: bool
    share: float
    row: Doubles


def said_of(row: kept.Row, *, actions: bool) -> Said | None:
    """What is done about a task; None if no leaf does anything.

    Args:
        row: What is kept of it.
        actions: Whether all replies in words are one class, which says that no tool is to be called,
            however different their texts are. Else the classes are those of the answer.
    """
    table = LeafTable.from_lists(row["leaves"])
    if actions:
        table = _of_actions(table, row)
    if table.top is None:
        return None
    leaf = int(np.argmax(np.where(table.answer == table.top, table.weight, -1.0)))
    return Said(
        group=row["group"],
        calls=bool(row["calls"][leaf]),
        right=bool(row["right"][leaf]),
        share=float(table.shares[table.top]),
        # Which action is right is not recalled, whatever the words are that it consists of.
        row=feature_row(features_of(table), "tool_call" if actions else row["kind"]),
    )


def _of_actions(leaves: LeafTable, row: kept.Row) -> LeafTable:
    """The leaves in classes by what they do; of words the first token is what decides for them."""
    classes: dict[str, int] = {}
    calls = row["calls"]
    index = [-1 if one is None else classes.setdefault(one, len(classes)) for one in calls]
    words = np.array([one == "" for one in calls])
    return replace(
        leaves,
        answer=np.array(index, dtype=np.int64),
        answer_log_prob=np.where(words, row["first"], leaves.answer_log_prob),
    )


@dataclass(frozen=True)
class Judged:
    """Confidences beside what is right, [n]."""

    right: Bools
    confidence: Doubles

    @cached_property
    def counts(self) -> Doubles:
        return Resamples(self.right.size, resamples=1000).counts

    def _interval(self, values: Doubles, *, basic: bool = False) -> Interval:
        return interval(values, self.right.size, basic=basic)

    def figures(self) -> dict[str, Any]:
        """All figures."""
        if not self.right.size:
            return {"tasks": 0}
        runs = self.confidence >= GATED_AT
        return {
            "tasks": self.right.size,
            "right": float(self.right.mean()),
            "confidence": float(self.confidence.mean()),
            "auroc": listed(self._interval(auroc(self.right, self.confidence, self.counts))),
            "ece": listed(
                self._interval(ece(self.right, self.confidence, self.counts), basic=True)
            ),
            "ece if exact": exact_ece(self.confidence).value,
            "brier": listed(self._interval(brier(self.right, self.confidence, self.counts))),
            "let through": int(runs.sum()),
            "right ones let through": int((runs & self.right).sum()),
            "wrong ones let through": int((runs & ~self.right).sum()),
            "wrong ones": int((~self.right).sum()),
        }


def figures(said: Sequence[Said], confidences: Mapping[str, Doubles]) -> dict[str, Any]:
    """Figures of calls and of all actions, for each way to have a confidence.

    Args:
        said: What is done about each task.
        confidences: P(correct) of each, by way.
    """
    right = np.array([one.right for one in said])
    calls = np.array([one.calls for one in said])
    groups = np.array([one.group for one in said])
    parts = {"calls": calls, "replies in words": ~calls, "all": np.ones_like(calls)}
    found: dict[str, Any] = {}
    for name, chosen in parts.items():
        found[name] = {
            way: Judged(right[chosen], values[chosen]).figures()
            for way, values in confidences.items()
        }
    found["by group"] = {
        group: {
            "tasks": int((groups == group).sum()),
            "right": float(right[groups == group].mean()),
            "called": float(calls[groups == group].mean()),
            **{way: float(values[groups == group].mean()) for way, values in confidences.items()},
        }
        for group in dict.fromkeys(groups.tolist())
    }
    return found


def listed(one: Interval) -> list[float | None]:
    return [one.value, one.low, one.high]
