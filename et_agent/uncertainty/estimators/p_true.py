"""P(True): the model's own probability that its answer is right."""

from collections.abc import Mapping
from typing import Any, Final

from et_agent.uncertainty.estimators.base import Estimator
from et_agent.uncertainty.leaf_table import LeafTable

__all__ = ["P_TRUE"]

NAME: Final = "p-true"


def _p_true(leaves: LeafTable, extras: Mapping[str, Any]) -> float | None:
    del leaves
    value = extras.get(NAME)
    return None if value is None else float(value)


P_TRUE = Estimator(NAME, "confidence", "Kadavath et al. 2022", "model", _p_true, probability=True)
