"""P(true) of a claim of a long answer: a map of its own, small, with uncertain weights.

Features are of the claim, not of a tree. The map has the form of `pooled`: it rises with every feature,
and its posterior is a Gaussian.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from et_agent.arrays import Doubles
from et_agent.calibration.grounds import log_odds
from et_agent.calibration.pooled import Gaussian, central, mean_of, predicted, rising, updated
from et_agent.calibration.shipped_file import ShippedFile

__all__ = ["CLAIM_FEATURES", "ClaimEvidence", "ClaimMap", "design_effect"]

_REFERENCE: Final = 5e8
"""Parameters of the model at which the feature `size` is 0."""
_LEAST_SPREAD: Final = 1e-3
_RESAMPLES: Final = 2000

CLAIM_FEATURES: Final[Mapping[str, tuple[str, float]]] = {
    "support": ("log-odds of the share of other leaves that say so", 0.5),
    "unopposed": ("log-odds of the share of other leaves that do not say otherwise", 0.25),
    "told_true": ("log-odds that it is true, as the model says when it is asked", 0.5),
    "words": ("share of its words that the other leaves have", 1.0),
    "log_prob": ("mean log-probability of its sentence's tokens, nats per token", 0.5),
    "size": ("logarithm of the model's parameters, per 500 million", 0.5),
}
"""Features by name: what each means, and the weight in log-odds per unit that is expected of it before
any label is seen. More of each speaks for the claim."""
_SPREAD_OF_WEIGHT: Final = 1.0
"""Standard deviation of the z of each weight that is expected (`pooled`)."""
_SPREAD_OF_INTERCEPT: Final = 1.5


@dataclass(frozen=True, slots=True)
class ClaimEvidence:
    """What is known of a claim.

    Attributes:
        support: Share of the other leaves that say so, by path weight; NaN if there is none.
        contradicted: Share of them that say otherwise.
        told_true: P(True), asked whether it is true; NaN if it was not asked.
        words: Share of its words that the other leaves have; NaN if there is none.
        log_prob: Mean log-probability of its sentence's tokens, nats; NaN where unknown.
        parameters: Parameters of the model; 0 if unknown.
    """

    support: float
    contradicted: float
    told_true: float
    words: float
    log_prob: float
    parameters: int

    def features(self) -> dict[str, float]:
        """Features by name; NaN for one that was not measured."""
        return {
            "support": log_odds(self.support),
            "unopposed": -log_odds(self.contradicted),
            "told_true": log_odds(self.told_true),
            "words": self.words,
            "log_prob": self.log_prob,
            "size": math.log(self.parameters / _REFERENCE) if self.parameters else math.nan,
        }


def design_effect(right: Doubles, predicted: Doubles, replies: Sequence[Hashable]) -> float:
    """How many times the variance of independent claims that of claims in replies is, at least 1.

    1 + (m - 1) r (Kish 1965), with m the size of the reply of an average claim and r the correlation of
    what the map leaves unexplained of two claims of one reply: the upper end of its bootstrap over
    replies (95 %, one-sided), since few replies hardly tell it, and at least 0.

    Args:
        right: 1 for a claim that is true, else 0, float64 [claims].
        predicted: P(true) of each, as the map says, float64 [claims].
        replies: The reply of each claim.
    """
    left = (right - predicted) / np.sqrt(np.maximum(predicted * (1 - predicted), _LEAST_SPREAD))
    numbers = {one: at for at, one in enumerate(dict.fromkeys(replies))}
    of_reply = np.array([numbers[one] for one in replies])
    sizes = np.bincount(of_reply).astype(np.float64)
    sums, squares = np.bincount(of_reply, left), np.bincount(of_reply, left**2)
    pairs = sizes * (sizes - 1)
    if not pairs.any():
        return 1.0
    drawn = np.random.default_rng(0).integers(0, len(sizes), (_RESAMPLES, len(sizes)))
    products = (sums**2 - squares)[drawn].sum(axis=1) / np.maximum(pairs[drawn].sum(axis=1), 1.0)
    alike = products / (squares[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    upper = min(max(float(np.quantile(alike, 0.95)), 0.0), 1.0)
    return 1.0 + (float((sizes**2).sum() / sizes.sum()) - 1.0) * upper


class ClaimMap(ShippedFile):
    """Mean P(true) over a posterior of rising logistic maps, from features of a claim."""

    file_name: ClassVar[str] = "claims.json"

    schema_version: Literal[1] = 1
    features: tuple[str, ...] = Field(min_length=1)
    """Features that it reads, of `CLAIM_FEATURES`."""
    centres: tuple[float, ...]
    """Their means; a feature that was not measured counts as this."""
    low: tuple[float, ...]
    """Smallest values that count; smaller ones are taken for these."""
    high: tuple[float, ...]
    """Largest values that count."""
    posterior: Gaussian
    """Of the intercept and the z of each feature."""
    labels: int
    """Labelled claims that it has learnt from."""
    models: tuple[str, ...]
    """Models whose claims these are."""

    @model_validator(mode="after")
    def _check(self) -> "ClaimMap":
        sizes = {len(self.features), len(self.centres), len(self.low), len(self.high)}
        if sizes != {len(self.posterior.mean) - 1}:
            raise ValueError("features, centres, ranges and posterior do not go together")
        if not set(self.features) <= set(CLAIM_FEATURES):
            raise ValueError("there is no such feature")
        return self

    @classmethod
    def fit(
        cls,
        rows: Sequence[Mapping[str, float]],
        right: Doubles,
        features: Sequence[str] = tuple(CLAIM_FEATURES),
        models: Sequence[str] = (),
        replies: Sequence[Hashable] | None = None,
    ) -> Self:
        """Fit the map on labelled claims.

        Claims of one reply stand or fall together, so that they tell less than as many of different
        replies. The posterior's covariance is therefore that of independent claims times their design
        effect (`design_effect`); its mean stays.

        Args:
            rows: Features of each claim.
            right: 1 for a claim that is true, else 0, float64 [claims].
            features: Names of those that are to be read.
            models: Whose claims they are.
            replies: The reply of each claim; None if each is of another one.
        """
        values = np.array([[row[name] for name in features] for row in rows], dtype=np.float64)
        centres = np.nanmean(values, axis=0)
        low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
        expected = np.array([CLAIM_FEATURES[name][1] for name in features])
        mean = np.concatenate([[0.0], np.log(np.expm1(expected))])
        spread = np.array([_SPREAD_OF_INTERCEPT, *[_SPREAD_OF_WEIGHT] * len(features)])
        prior = Gaussian.of(mean, np.diag(spread**2))
        made = cls(
            features=tuple(features),
            centres=tuple(centres.tolist()),
            low=tuple(low.tolist()),
            high=tuple(np.maximum(high, low + _LEAST_SPREAD).tolist()),
            posterior=prior,
            labels=len(rows),
            models=tuple(models),
        )
        inputs = made._inputs(rows)
        learnt = updated(prior, inputs, right)
        if replies is not None:
            learnt = learnt.widened(design_effect(right, predicted(learnt, inputs), replies))
        return made.model_copy(update={"posterior": learnt})

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each feature at the posterior's mean, log-odds per unit, and the intercept."""
        intercept, *others = self.posterior.mean
        raised = rising(np.array(others)).tolist()
        return {"intercept": intercept, **dict(zip(self.features, raised, strict=True))}

    def confidences(
        self, rows: Sequence[Mapping[str, float]]
    ) -> list[tuple[float, tuple[float, float]]]:
        """P(true) of each claim, and the central 90 % of what it may be.

        Args:
            rows: Features of each claim; NaN for one that was not measured.
        """
        if not rows:
            return []
        inputs = self._inputs(rows)
        values = predicted(self.posterior, inputs).tolist()
        ends = central(self.posterior, inputs).tolist()
        return [(value, (low, high)) for value, (low, high) in zip(values, ends, strict=True)]

    def mean(self, rows: Sequence[Mapping[str, float]]) -> tuple[float, tuple[float, float]]:
        """Mean P(true) of claims, at least one, and the central 90 % of that."""
        return mean_of(self.posterior, self._inputs(rows))

    def _inputs(self, rows: Sequence[Mapping[str, float]]) -> Doubles:
        """What the features count, clipped and centred, float64 [claims, features]."""
        values = np.array([[row[name] for name in self.features] for row in rows])
        centred = np.clip(values, self.low, self.high) - np.array(self.centres)
        return np.where(np.isnan(centred), 0.0, centred)
