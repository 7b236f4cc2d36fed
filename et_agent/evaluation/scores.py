"""Confidence of many questions."""

import math
from collections.abc import Sequence

import numpy as np

from et_agent.arrays import Doubles
from et_agent.evaluation.records import QuestionRecord
from et_agent.uncertainty.estimators import Estimator

__all__ = ["scores_of"]


def scores_of(records: Sequence[QuestionRecord], estimator: Estimator) -> Doubles:
    """Confidence of each question, float64 [n]; NaN where the estimator was not measured.

    Questions without any answer are the least confident, unless the estimator was measured for no
    other question: then it was not measured at all.
    """
    found = [estimator.confidence(record.leaves, record.extras) for record in records]
    answered = [record.leaves.top is not None for record in records]
    if any(answered) and all(
        value is None for value, one in zip(found, answered, strict=True) if one
    ):
        found = [None] * len(records)
    # Rounded, since ties must not hang on the order in which weights were summed.
    return np.round(np.array([math.nan if one is None else one for one in found]), 12)
