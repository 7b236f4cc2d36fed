"""Answer mass: the share of the heaviest answer, each leaf with the probability of its answer."""

import math
from collections.abc import Mapping
from typing import Any

from et_agent.uncertainty.estimators.base import Estimator
from et_agent.uncertainty.leaf_table import LeafTable

__all__ = ["ANSWER_MASS"]


def _answer_mass(leaves: LeafTable, extras: Mapping[str, Any]) -> float | None:
    del extras
    if leaves.top is None:
        return 0.0
    logprob = float(leaves.answer_logprobs[leaves.top])
    return None if math.isnan(logprob) else float(leaves.shares[leaves.top]) * math.exp(logprob)


ANSWER_MASS = Estimator(
    "answer-mass",
    "confidence",
    "ours: sum over the leaves of the heaviest answer of path weight x probability of the answer's "
    "tokens given the path",
    "free",
    _answer_mass,
    probability=True,
)
