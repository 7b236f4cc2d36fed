"""Features of an answer out of passages: what it owes to them. None is of the tree alone."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["FROM_PASSAGES", "Grounds", "log_odds"]

_LEAST_ODDS: Final = 1e-4
_NO_FURTHER: Final = 20.0
"""Nats at which differences of log-probabilities end."""

FROM_PASSAGES: Final[Mapping[str, str]] = {
    "contained": "whether the answer stands in the passages: 1 or 0",
    "beside": "share of the question's words in the passages that stand in the answer's sentence",
    "undeclined": "log-odds of the share of paths that do not say that the passages lack the answer",
    "gain": "how much likelier the answer's tokens are with the passages than without, nats per token",
    "over_absence": "log-odds of the answer against that the passages do not say it, by their tokens",
    "supported": "log-odds that the passages say that this is the answer, as the model says",
    "chosen": "log-odds of the answer against that the passages do not say it, as the model chooses",
}
"""Features by name, with their meaning. More of each speaks for the answer."""


@dataclass(frozen=True, slots=True)
class Grounds:
    """What is known of an answer and the passages.

    Attributes:
        contained: Whether it stands in them.
        beside: Share of the question's words that stand in a sentence with it.
        declined: Share by path weight of the leaves that say that they do not hold the answer.
        leaves: Number of leaves.
        with_passages: Log-probability of each token of the answer behind the passages, nats; empty if
            it was not read.
        without: The same without them.
        absent: Log-probability of each token of a reply that they do not say it.
        supported: P(yes), asked whether they say that this is the answer; NaN if it was not read.
        chosen: P(the answer), asked to choose between it and that they do not say it, in both orders.
    """

    contained: bool
    beside: float
    declined: float
    leaves: int
    with_passages: Sequence[float] = ()
    without: Sequence[float] = ()
    absent: Sequence[float] = ()
    supported: float = math.nan
    chosen: tuple[float, float] = (math.nan, math.nan)

    def features(self) -> dict[str, float]:
        """Features by name, all finite or NaN."""
        stays = (1.0 - self.declined) * self.leaves
        odds = math.log((stays + 0.5) / (self.leaves - stays + 0.5))
        first, second = map(log_odds, self.chosen)
        return {
            "contained": float(self.contained),
            "beside": self.beside,
            "undeclined": odds,
            "gain": _bounded(_mean(self.with_passages) - _mean(self.without)),
            "over_absence": _bounded(_sum(self.with_passages) - _sum(self.absent)),
            "supported": log_odds(self.supported),
            "chosen": (first + second) / 2,
        }


def _mean(values: Sequence[float]) -> float:
    return _sum(values) / max(1, len(values))


def _sum(values: Sequence[float]) -> float:
    return math.fsum(values) if values else math.nan


def _bounded(difference: float) -> float:
    return min(max(difference, -_NO_FURTHER), _NO_FURTHER)


def log_odds(probability: float | None) -> float:
    """Log-odds of a probability. Finite for probabilities of 0 and 1; NaN if it was not measured."""
    if probability is None or math.isnan(probability):
        return math.nan
    inside = min(max(probability, _LEAST_ODDS), 1.0 - _LEAST_ODDS)
    return math.log(inside / (1.0 - inside))
