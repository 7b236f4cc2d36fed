"""Features of an answer out of passages: what it owes to them. None is of the tree alone."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["PASSAGE_FEATURES", "Grounds", "least_likely", "log_odds"]

_LEAST_ODDS: Final = 1e-4
_LEAST_NATS: Final = -25.0

PASSAGE_FEATURES: Final[Mapping[str, str]] = {
    "beside": "share of the question's words in the passages that stand in the answer's sentence",
    "chosen": "log-odds of the answer against that the passages do not say it, as the model chooses",
    "stated": "log-odds that the answer's sentence says it is the one to this question, by the model",
    "asked": "log-probability of the question's least likely token, given the answer and its sentence",
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
        asked: Log-probability of each token of the question, given those sentences and the answer,
            nats; () if it was not read.
    """

    beside: float
    chosen: tuple[float, float] = (math.nan, math.nan)
    stated: float = math.nan
    asked: tuple[float, ...] = ()

    def features(self) -> dict[str, float]:
        """Features by name, all finite or NaN."""
        first, second = map(log_odds, self.chosen)
        chosen = (first + second) / 2
        return {
            "beside": self.beside,
            "chosen": chosen,
            "stated": log_odds(self.stated),
            "asked": least_likely(self.asked),
        }


def least_likely(log_probs: Sequence[float]) -> float:
    """Log-probability of the least likely token of a text, nats, finite; NaN for a text of none.

    Where a question was changed in a word, this is that word's, while a mean over all hides it.
    """
    return max(min(log_probs), _LEAST_NATS) if log_probs else math.nan


def log_odds(probability: float | None) -> float:
    """Log-odds of a probability. Finite for probabilities of 0 and 1; NaN if it was not measured."""
    if probability is None or math.isnan(probability):
        return math.nan
    inside = min(max(probability, _LEAST_ODDS), 1.0 - _LEAST_ODDS)
    return math.log(inside / (1.0 - inside))
