"""Perplexity of the answer that was given, and the most likely path's mean log-probability."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from et_agent.uncertainty.estimators.base import Estimator
from et_agent.uncertainty.leaf_table import LeafTable

__all__ = ["BEST_PATH", "PERPLEXITY"]


def _perplexity(leaves: LeafTable, extras: Mapping[str, Any]) -> float:
    """Exp of the negative mean log-probability, over the leaves of the heaviest answer."""
    del extras
    mean = leaves.log_prob / np.maximum(leaves.tokens, 1)
    return float(np.exp(-(leaves.top_weights() @ mean)))


def _best(leaves: LeafTable, extras: Mapping[str, Any]) -> float:
    del extras
    return float((leaves.log_prob / np.maximum(leaves.tokens, 1)).max())


PERPLEXITY = Estimator(
    "perplexity",
    "uncertainty",
    "perplexity of the paths that give the heaviest answer (Fomicheva et al. 2020)",
    "free",
    _perplexity,
)
BEST_PATH = Estimator(
    "best-path",
    "confidence",
    "mean log-probability of the most likely path; with the greedy decoder, of the greedy one",
    "free",
    _best,
)
