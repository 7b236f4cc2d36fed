"""What a calibrator's evidence allows at most, and whether a tree is like those it was fitted on."""

import math
from collections.abc import Sequence
from typing import Final, Self

import numpy as np
from pydantic import Field, model_validator

from et_agent.arrays import Bools, Doubles, Ints
from et_agent.calibration.features import GUESS, Column, feature_columns, taken
from et_agent.validation import Frozen

__all__ = [
    "LEVELS",
    "VOTES",
    "Domain",
    "Limit",
    "design_effect",
    "domain_of",
    "limits_of",
    "wilson",
    "within_limits",
    "within_votes",
]

LEVELS: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Confidences from which on labelled questions are counted."""
VOTES: Final = ("share", "votes", GUESS)
"""Columns that `within_votes` reads."""
_DOMAIN: Final = (
    "share",
    "votes",
    "mass",
    "token_probability",
    "length",
    "cut_off",
    "unanswered",
)
_QUANTILE: Final = 0.99
_SLACK: Final = 1.5
"""Unanimity and short questions are rare among fitted trees, and no reason for doubt: a tree has to be
half again as far away as 99 % of the fitted ones. Replies without reasoning are six times as far."""
_LEAST: Final = 50
"""Fewer trees say little of where others lie."""
_RIDGE: Final = 1e-3
_MINORITY: Final = 0.6
"""Largest P(correct) of an answer that has less than half of the weight."""
_ONE_SIDED: Final = 1.6449


def wilson(share: float, questions: float) -> tuple[float, float]:
    """Central 90 % interval for a probability whose share among so many questions this is."""
    n, z = max(questions, 1.0), _ONE_SIDED
    middle = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = ((middle + sign * spread) / (1 + z * z / n) for sign in (-1, 1))
    return max(0.0, low), min(1.0, high)


class Limit(Frozen):
    """What the labelled questions allow at most, from a confidence on."""

    above: float = Field(ge=0, le=1)
    """The confidence."""
    questions: float = Field(ge=0)
    """Number of labelled questions with that confidence or more."""
    right: float = Field(ge=0)
    """Number of those that were right."""
    wary: bool = False
    """Whether what they allow is the lower end of the interval in place of the upper one: where
    questions of other sources turned out to be harder than those that were labelled."""

    @property
    def most(self) -> float:
        """Largest P(correct), an end of a one-sided 95 % interval; 0 without questions."""
        if not self.questions:
            return 0.0
        low, high = wilson(min(1.0, self.right / self.questions), self.questions)
        return low if self.wary else high

    def plus(self, other: Self) -> Self:
        """The questions of both."""
        return self.model_copy(
            update={
                "questions": self.questions + other.questions,
                "right": self.right + other.right,
            }
        )

    def with_one(self, confidence: float, *, right: bool) -> Self:
        """The same after one more labelled question."""
        if confidence < self.above:
            return self
        return self.model_copy(
            update={"questions": self.questions + 1, "right": self.right + right}
        )


def limits_of(
    found: Doubles, right: Doubles, weights: Doubles, *, wary: bool = False
) -> tuple[Limit, ...]:
    """Labelled questions, counted by confidence.

    Args:
        found: P(correct) of each row, [n].
        right: 1 for right, [n].
        weights: How much each row counts, [n].
        wary: Whether they allow the lower end of the interval only.
    """
    return tuple(
        Limit(
            above=level,
            questions=float(weights[found >= level].sum()),
            right=float((weights * right)[found >= level].sum()),
            wary=wary,
        )
        for level in LEVELS
    )


def design_effect(right: Doubles, weights: Doubles, clusters: Ints) -> float:
    """How many questions tell as much as one would if none were alike, 1 or more.

    Questions of one source are right or wrong together. The variance of a share of right answers
    between clusters, over what so many independent questions have (Kish 1965). Infinite for a single
    source, which tells nothing of others.

    Args:
        right: 1 for right, [n].
        weights: How much each question counts, [n].
        clusters: Number of each question's source, [n].
    """
    total, count = float(weights.sum()), np.unique(clusters).size
    if count < 2:
        return math.inf
    if total <= 0.0:
        return 1.0
    share = float(weights @ right) / total
    away = np.bincount(clusters, weights * (right - share))
    alone = total * share * (1.0 - share)
    found = float(away @ away) * count / (count - 1)
    return max(1.0, found / alone) if alone > 0.0 else 1.0


def within_limits(limits: Sequence[Limit], found: Doubles) -> Doubles:
    """P(correct), but never above what the labelled questions with that confidence or more allow, [n].

    Args:
        limits: By rising confidence; empty for no bound. Without any question there is none either,
            except where limits are wary: these allow what is below them.
        found: P(correct) as a map gives it, [n].
    """
    if not any(limit.questions or limit.wary for limit in limits):
        return found
    # Never less than what is below allows, or a surer answer would get less.
    most = np.maximum.accumulate([limits[0].above, *(limit.most for limit in limits)])[1:]
    level = np.searchsorted([limit.above for limit in limits], found, "right") - 1
    capped = np.where(level < 0, found, np.minimum(found, most[np.maximum(level, 0)]))
    return np.asarray(capped, dtype=np.float64)


def within_votes(rows: Doubles, found: Doubles) -> Doubles:
    """P(correct) within what the paths of the tree itself allow, [n].

    Nobody is surer of an answer than that one path more would give it, 1 - 1/2 / (paths + 1), where the
    paths are those that agree (Krichevsky & Trofimov 1981). An answer with less than half of the weight
    gets 0.6 at most. The likeliest of some options is right at least as often as a guess among them:
    what was fitted to questions with more options, or with none, does not know of it.

    Args:
        rows: Rows of `feature_row`, float64 [n, columns].
        found: P(correct) as a map gives it, [n].
    """
    share, votes, guess = taken(rows, VOTES).T
    # Results of an earlier et-agent have no votes.
    paths = np.expm1(np.where(np.isnan(votes), math.log(64.0), votes))
    capped = np.minimum(found, 1.0 - 0.5 / (paths + 1.0))
    capped = np.where(share < 0, np.minimum(capped, _MINORITY), capped)
    return np.asarray(np.fmax(capped, guess))


class Domain(Frozen):
    """Where the features of the fitted trees lay."""

    features: tuple[Column, ...] = Field(min_length=1)
    """Columns that are looked at, not only those that the map reads."""
    mean: tuple[float, ...]
    """Their means."""
    precision: tuple[tuple[float, ...], ...]
    """The inverse of their covariance."""
    largest: float = Field(gt=0)
    """Mahalanobis distance from which on a tree is outside: 1.5 times what 99 % of the fitted trees
    have or less."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        size = len(self.features)
        if not set(self.features) <= set(feature_columns()):
            raise ValueError("there is no such feature")
        if {len(self.mean), len(self.precision), *map(len, self.precision)} != {size}:
            raise ValueError("features, mean and precision do not go together")
        return self

    def distance(self, rows: Doubles) -> Doubles:
        """Mahalanobis distance over `largest`, [n]; above 1 is outside. NaN counts as average."""
        away = taken(rows, self.features) - np.array(self.mean)
        away = np.where(np.isnan(away), 0.0, away)
        squares = np.einsum("ni,ij,nj->n", away, np.array(self.precision), away)
        return np.asarray(np.sqrt(np.maximum(squares, 0.0)) / self.largest)


def domain_of(rows: Doubles) -> Domain | None:
    """Where trees lie; None for too few of them to say.

    Args:
        rows: Rows of `feature_row`, float64 [n, columns].
    """
    if rows.shape[0] < _LEAST:
        return None
    columns = taken(rows, _DOMAIN)
    measured: Bools = np.asarray(np.isfinite(columns).all(axis=0))
    if not measured.any():
        return None
    columns = columns[:, measured]
    names = tuple(name for name, known in zip(_DOMAIN, measured.tolist(), strict=True) if known)
    centre = columns.mean(axis=0)
    spread = np.atleast_2d(np.cov(columns, rowvar=False))
    # A feature that hardly varied must not make every other value infinitely far.
    spread += np.diag(_RIDGE + _RIDGE * np.diag(spread))
    made = Domain(
        features=names,
        mean=tuple(centre.tolist()),
        precision=tuple(map(tuple, np.linalg.inv(spread).tolist())),
        largest=1.0,
    )
    largest = _SLACK * float(np.quantile(made.distance(rows), _QUANTILE))
    return made.model_copy(update={"largest": max(largest, 1e-6)})
