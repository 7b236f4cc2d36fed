"""Semantic entropy: entropy over classes of answers that mean the same."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from et_agent.arrays import Doubles
from et_agent.uncertainty.estimators.base import Estimator
from et_agent.uncertainty.leaf_table import LeafTable

__all__ = ["SEMANTIC_ENTROPY", "SEMANTIC_ENTROPY_ENTAILED"]

ENTAILED = "semantic-classes"
"""Name of the value that keeps entailment classes: for each answer class the class it belongs to."""


def _semantic_entropy(leaves: LeafTable, merged: Sequence[int] | None) -> float:
    """-sum_C p(C) log p(C) with p(C) from length-normalised sequence probabilities.

    Leaves that share a path by several codes count as often. No answer is a class of its own.
    """
    classes = leaves.answer + 1
    if merged is not None:
        classes = np.array([0, *(1 + one for one in merged)])[classes]
    normalised = leaves.log_prob / np.maximum(leaves.tokens, 1)
    if np.isnan(normalised).any():
        return math.nan  # not measured; no entropy would mean "certain"
    masses = leaves.count * np.exp(normalised - normalised.max())
    shares: Doubles = np.bincount(classes, masses / masses.sum()).astype(np.float64)
    shares = shares[shares > 0]
    return max(0.0, float(-(shares @ np.log(shares))))


def _exact(leaves: LeafTable, extras: Mapping[str, Any]) -> float:
    del extras
    return _semantic_entropy(leaves, None)


def _entailed(leaves: LeafTable, extras: Mapping[str, Any]) -> float | None:
    merged = extras.get(ENTAILED)
    return None if merged is None else _semantic_entropy(leaves, merged)


SEMANTIC_ENTROPY = Estimator(
    "semantic-entropy",
    "uncertainty",
    "Farquhar et al. 2024; classes are equal answers, sequence probabilities length-normalised",
    "free",
    _exact,
)
SEMANTIC_ENTROPY_ENTAILED = Estimator(
    "semantic-entropy-entailed",
    "uncertainty",
    "Farquhar et al. 2024; answers join a class when the model itself says that each entails the "
    "other",
    "model",
    _entailed,
)
