"""Answer mass: the share of the heaviest answer, each leaf with the probability of its answer."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from et_agent.uncertainty.estimators.base import Estimator
from et_agent.uncertainty.leaf_table import LeafTable

__all__ = ["ANSWER_MASS"]


def _answer_mass(leaves: LeafTable, extras: Mapping[str, Any]) -> float | None:
    del extras
    if leaves.top is None:
        return 0.0
    chosen = leaves.answer == leaves.top
    log_probs = leaves.answer_log_prob[chosen]
    known = ~np.isnan(log_probs)
    if not known.any():
        return None
    weights = leaves.weight[chosen]
    mean = weights[known] @ np.exp(log_probs[known]) / weights[known].sum()
    return float(weights.sum() * mean)


ANSWER_MASS = Estimator(
    "answer-mass",
    "confidence",
    "ours: sum over the leaves of the heaviest answer of path weight x probability of the answer's "
    "tokens given the path",
    "free",
    _answer_mass,
    probability=True,
)
