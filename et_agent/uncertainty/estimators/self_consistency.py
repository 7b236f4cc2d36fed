"""Self-consistency: the share of the heaviest answer, and its margin over the second."""

from collections.abc import Mapping
from typing import Any

from et_agent.uncertainty.estimators.base import Estimator
from et_agent.uncertainty.leaf_table import LeafTable
from et_agent.uncertainty.margin import margin

__all__ = ["MARGIN", "TOP_SHARE", "TOP_SHARE_COUNT"]


def _share(leaves: LeafTable, extras: Mapping[str, Any]) -> float:
    del extras
    return float(leaves.shares.max(initial=0.0))


def _share_by_count(leaves: LeafTable, extras: Mapping[str, Any]) -> float:
    del extras
    return float(leaves.count_shares.max(initial=0.0))


def _margin(leaves: LeafTable, extras: Mapping[str, Any]) -> float:
    del extras
    return margin(leaves.checked)


TOP_SHARE = Estimator(
    "top-share",
    "confidence",
    "self-consistency, Wang et al. 2023; by path weight",
    "free",
    _share,
    probability=True,
)
TOP_SHARE_COUNT = Estimator(
    "top-share-count",
    "confidence",
    "self-consistency, Wang et al. 2023; leaves counted alike",
    "free",
    _share_by_count,
    probability=True,
)
MARGIN = Estimator(
    "margin", "confidence", "share of the first answer minus the second's", "free", _margin
)
