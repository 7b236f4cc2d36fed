"""What an estimator is."""

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
    """

    name: str
    direction: Literal["confidence", "uncertainty"]
    source: str
    cost: Literal["free", "model"]
    score: Score

    def confidence(self, leaves: LeafTable, extras: Mapping[str, Any]) -> float | None:
        """The score with its sign turned so that more is surer; None when it was not measured."""
        value = self.score(leaves, extras)
        if value is None or value != value:  # NaN: never "certain"
            return None
        return value if self.direction == "confidence" else -value
