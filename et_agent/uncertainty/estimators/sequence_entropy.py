"""Predictive entropy over sequences, by Monte Carlo, whole and length-normalised."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from et_agent.uncertainty.estimators.base import Estimator
from et_agent.uncertainty.leaf_table import LeafTable

__all__ = ["LN_PE", "PE"]


def _entropy(leaves: LeafTable, extras: Mapping[str, Any]) -> float:
    """-sum_s W_s log p(s), with path weights in the place of 1/N."""
    del extras
    return float(-(leaves.weight @ leaves.log_prob))


def _normalised(leaves: LeafTable, extras: Mapping[str, Any]) -> float:
    del extras
    return float(-(leaves.weight @ (leaves.log_prob / np.maximum(leaves.tokens, 1))))


PE = Estimator(
    "pe",
    "uncertainty",
    "Malinin & Gales 2021; log-probabilities at temperature 1",
    "free",
    _entropy,
)
LN_PE = Estimator(
    "ln-pe", "uncertainty", "Malinin & Gales 2021, mean per token", "free", _normalised
)
