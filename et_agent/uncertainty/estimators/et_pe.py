"""ET-PE: entropy of the answers by path weight."""

from collections.abc import Mapping
from typing import Any

from et_agent.uncertainty.estimators.base import Estimator
from et_agent.uncertainty.leaf_table import LeafTable
from et_agent.uncertainty.predictive_entropy import predictive_entropy, predictive_entropy_by_count

__all__ = ["ET_PE", "ET_PE_COUNT"]


def _by_weight(leaves: LeafTable, extras: Mapping[str, Any]) -> float:
    del extras
    return predictive_entropy(leaves.checked)


def _by_count(leaves: LeafTable, extras: Mapping[str, Any]) -> float:
    del extras
    return predictive_entropy_by_count(leaves.checked)


ET_PE = Estimator(
    "et-pe",
    "uncertainty",
    "Entropy-Tree, arXiv 2601.15296; leaves by path weight",
    "free",
    _by_weight,
)

ET_PE_COUNT = Estimator(
    "et-pe-count",
    "uncertainty",
    "Entropy-Tree, arXiv 2601.15296, as published: leaves counted alike; over chains it is discrete "
    "semantic entropy (Farquhar et al. 2024)",
    "free",
    _by_count,
)
