"""Features of an answer out of passages: what it owes to them. None is of the tree alone."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["PASSAGE_FEATURES", "Grounds", "log_odds"]

_LEAST_ODDS: Final = 1e-4

PASSAGE_FEATURES: Final[Mapping[str, str]] = {
    "beside": "share of the question's words in the passages that stand in the answer's sentence",
    "chosen": "log-odds of the answer against that the passages do not say it, as the model chooses",
    "stated": "log-odds that the answer's sentence says it is the one to this question, by the model",
}
"""Features by name, with their meaning. More of each speaks for the answer."""


@dataclass(frozen=True, slots=True)
class Grounds:
    """What is known of an answer and the passages.

    Attributes:
        beside: Share of the question's words that stand in a sentence with it.
        chosen: P(the answer), asked to choose between it and that they do not say it, in both orders;
            NaN if it was not read.
        stated: P(yes), asked whether the sentences that hold it say that it is the answer; NaN if it
            was not read, or no sentence holds it.
    """

    beside: float
    chosen: tuple[float, float] = (math.nan, math.nan)
    stated: float = math.nan

    def features(self) -> dict[str, float]:
        """Features by name, all finite or NaN."""
        first, second = map(log_odds, self.chosen)
        chosen = (first + second) / 2
        return {"beside": self.beside, "chosen": chosen, "stated": log_odds(self.stated)}


def log_odds(probability: float | None) -> float:
    """Log-odds of a probability. Finite for probabilities of 0 and 1; NaN if it was not measured."""
    if probability is None or math.isnan(probability):
        return math.nan
    inside = min(max(probability, _LEAST_ODDS), 1.0 - _LEAST_ODDS)
    return math.log(inside / (1.0 - inside))
