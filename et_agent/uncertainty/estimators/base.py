"""What an estimator is."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from et_agent.uncertainty.leaf_table import LeafTable

__all__ = ["Estimator", "Score"]

Score = Callable[[LeafTable, Mapping[str, Any]], float | None]
"""(leaves, values that needed the model) to a score; None when what it needs was not measured."""


@dataclass(frozen=True, slots=True)
class Estimator:
    """A published way to tell how sure an answer is.

    Attributes:
        name: Short name.
        direction: Whether a larger score means more confidence or more uncertainty.
        source: Paper, and what is ours about it.
        cost: "free" over statistics that decoding leaves behind; "model" when the model is asked.
        score: Computes it.
        probability: Whether the score is meant as a probability of being right, in [0, 1].
    """

    name: str
    direction: Literal["confidence", "uncertainty"]
    source: str
    cost: Literal["free", "model"]
    score: Score
    probability: bool = False

    def confidence(self, leaves: LeafTable, extras: Mapping[str, Any]) -> float | None:
        """The score with its sign turned so that more is surer; None when it was not measured.

        A tree in which no leaf gave an answer is as unsure as can be: -inf, or 0 for a probability.
        """
        if leaves.top is None:
            return 0.0 if self.probability else -math.inf
        value = self.score(leaves, extras)
        if value is None or math.isnan(value):  # never "certain"
            return None
        return value if self.direction == "confidence" else -value
