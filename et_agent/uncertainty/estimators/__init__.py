"""Published estimators of how sure an answer is, all over one table of leaf statistics."""

from et_agent.uncertainty.estimators.base import Estimator
from et_agent.uncertainty.estimators.registry import ESTIMATORS, find_estimator

__all__ = ["ESTIMATORS", "Estimator", "find_estimator"]
