"""Effective sample size and share of cut-off leaves: how much the vote itself is worth."""

from collections.abc import Mapping
from typing import Any

from et_agent.uncertainty.effective_sample_size import effective_sample_size
from et_agent.uncertainty.estimators.base import Estimator
from et_agent.uncertainty.leaf_table import LeafTable

__all__ = ["CUT_OFF", "ESS"]


def _ess(leaves: LeafTable, extras: Mapping[str, Any]) -> float:
    del extras
    return effective_sample_size(leaves.checked)


def _cut_off(leaves: LeafTable, extras: Mapping[str, Any]) -> float:
    del extras
    return float(leaves.weight[leaves.finish != 0].sum())


ESS = Estimator(
    "ess", "uncertainty", "Kish 1965; an unsure model makes more distinct leaves", "free", _ess
)
CUT_OFF = Estimator("cut-off", "uncertainty", "weight of leaves that did not end", "free", _cut_off)
