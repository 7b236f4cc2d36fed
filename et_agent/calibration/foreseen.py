"""The features of trees that a growing tree may become."""

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from et_agent.arrays import Doubles
from et_agent.calibration.features import feature_columns, feature_row

__all__ = ["foreseen_rows"]

_LEAST: Final = 1e-9


def foreseen_rows(
    features: Mapping[str, float | None], kind: str, shares: Doubles, leaves: float
) -> Doubles:
    """Rows of the tree if its answer had these shares of so many leaves, float64 [n, columns].

    All other answers keep their parts of the rest, and what does not follow from the shares stays as it
    is: the probabilities of the tokens above all.

    Args:
        features: Features of the tree, from `features_of`.
        kind: Answer kind.
        shares: Shares of the answer, 0 to 1, float64 [n].
        leaves: Leaves that the tree would be worth, 1 or more.

    Raises:
        CalibrationError: The kind is unknown.
    """
    row = feature_row(features, kind)
    now = dict(zip(feature_columns(), row.tolist(), strict=True))
    before = min(1.0, math.expm1(now["votes"]) / math.exp(now["ess"]))
    share = np.clip(shares, _LEAST, 1.0)
    # Of an answer that nothing contradicts yet, the rest would be one other answer.
    rest = (1.0 - share) / (1.0 - before) if before < 1.0 - _LEAST else 1.0 - share
    second = (before - now["margin"]) if before < 1.0 - _LEAST else 1.0
    inner = max(now["entropy"] - _entropy(np.array([before]))[0], 0.0)
    changed = {
        "share": np.log((share * leaves + 0.5) / ((1.0 - share) * leaves + 0.5)),
        "support": np.log(np.maximum(share * leaves, 1.0)),
        "entropy": _entropy(share) + inner * rest,
        "margin": share - second * rest,
        "ess": np.full_like(share, math.log(leaves)),
        "unanswered": now["unanswered"] * rest,
        "votes": np.log1p(share * leaves),
        "mass": now["mass"] + np.log(share / max(before, _LEAST)),
    }
    rows = np.tile(row, (share.size, 1))
    for name, values in changed.items():
        rows[:, feature_columns().index(name)] = values
    return rows


def _entropy(share: Doubles) -> Doubles:
    """Entropy of an answer and its complement, nats."""
    parts = np.clip([share, 1.0 - share], _LEAST, 1.0)
    return np.asarray(-(parts * np.log(parts)).sum(axis=0))
