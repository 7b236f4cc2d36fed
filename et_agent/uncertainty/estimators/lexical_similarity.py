"""Lexical similarity: how much the paths' texts have in common."""

from collections.abc import Mapping
from typing import Any, Final

from et_agent.uncertainty.estimators.base import Estimator
from et_agent.uncertainty.leaf_table import LeafTable

__all__ = ["LEXICAL_SIMILARITY"]

NAME: Final = "lexical-similarity"


def _similarity(leaves: LeafTable, extras: Mapping[str, Any]) -> float | None:
    del leaves
    value = extras.get(NAME)
    return None if value is None else float(value)


LEXICAL_SIMILARITY = Estimator(
    NAME,
    "confidence",
    "mean ROUGE-L of pairs of paths (Fomicheva et al. 2020), over tokens",
    "free",
    _similarity,
)
