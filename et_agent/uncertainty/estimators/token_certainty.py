"""Means of token certainty over the leaves of the heaviest answer."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from et_agent.uncertainty.estimators.base import Estimator, Score
from et_agent.uncertainty.leaf_table import LeafTable

__all__ = ["TOKEN_ESTIMATORS"]

_DEEPCONF: Final = "DeepConf, arXiv 2508.15260"


def _mean_of(column: Callable[[LeafTable], Any]) -> Score:
    def score(leaves: LeafTable, extras: Mapping[str, Any]) -> float | None:
        del extras
        values, weights = column(leaves), leaves.top_weights()
        known = ~np.isnan(values) & (weights > 0)
        if not known.any():
            return None
        return float(weights[known] @ values[known] / weights[known].sum())

    return score


TOKEN_ESTIMATORS: Final = (
    Estimator(
        "self-certainty",
        "confidence",
        "arXiv 2502.18581",
        "free",
        _mean_of(lambda leaves: leaves.certainty),
    ),
    Estimator(
        "deepconf", "confidence", f"{_DEEPCONF}: mean", "free", _mean_of(lambda t: t.confidence)
    ),
    Estimator(
        "deepconf-tail",
        "confidence",
        f"{_DEEPCONF}: last 64 tokens",
        "free",
        _mean_of(lambda leaves: leaves.tail_confidence),
    ),
    Estimator(
        "deepconf-lowest",
        "confidence",
        f"{_DEEPCONF}: least mean over a window, here of 64 tokens",
        "free",
        _mean_of(lambda leaves: leaves.lowest_confidence),
    ),
    Estimator(
        "deepconf-bottom",
        "confidence",
        f"{_DEEPCONF}: mean over the lowest tenth of the windows",
        "free",
        _mean_of(lambda leaves: leaves.bottom_confidence),
    ),
    Estimator(
        "mean-entropy",
        "uncertainty",
        "mean token entropy (Fomicheva et al. 2020)",
        "free",
        _mean_of(lambda leaves: leaves.entropy),
    ),
    Estimator(
        "cot-margin",
        "confidence",
        "CoT-decoding, arXiv 2402.10200: p1 - p2 over the answer's tokens",
        "free",
        _mean_of(lambda leaves: leaves.answer_margin),
    ),
    Estimator(
        "rauq",
        "uncertainty",
        "arXiv 2505.20045, over the layers whose attention is read",
        "free",
        _mean_of(lambda leaves: leaves.rauq),
    ),
    Estimator(
        "attention-score",
        "confidence",
        "after LLM-Check (Sriramanan et al. 2024), a mean instead of a sum",
        "free",
        _mean_of(lambda leaves: leaves.attention_score),
    ),
    Estimator(
        "prompt-attention",
        "confidence",
        "share of attention on the prompt, after Lookback Lens (arXiv 2407.07071)",
        "free",
        _mean_of(lambda leaves: leaves.prompt_attention),
    ),
)
