"""p(a|x) and the estimators over it, one small file each."""

from et_agent.uncertainty.answer_distribution import AnswerShare, answer_distribution
from et_agent.uncertainty.cut_off import cut_off_share
from et_agent.uncertainty.effective_sample_size import effective_sample_size
from et_agent.uncertainty.leaves import Leaves, check_leaves
from et_agent.uncertainty.margin import margin
from et_agent.uncertainty.predictive_entropy import (
    maximum_entropy,
    normalised_predictive_entropy,
    normalised_predictive_entropy_by_count,
    predictive_entropy,
    predictive_entropy_by_count,
)

__all__ = [
    "AnswerShare",
    "Leaves",
    "answer_distribution",
    "check_leaves",
    "cut_off_share",
    "effective_sample_size",
    "margin",
    "maximum_entropy",
    "normalised_predictive_entropy",
    "normalised_predictive_entropy_by_count",
    "predictive_entropy",
    "predictive_entropy_by_count",
]
