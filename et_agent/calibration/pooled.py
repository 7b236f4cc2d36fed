"""A map whose weights are uncertain: a logistic model with a prior, and labels that move it.

log-odds = b + sum_j log(1 + exp(z_j)) x_j, with features x that are clipped to the range that was
fitted. The weights cannot be negative, so every map that the posterior holds possible rises with every
feature, and so does their mean. The posterior over (b, z) is a Gaussian (Laplace's approximation,
MacKay 1992); P(correct) is its mean over fixed draws, the interval their quantiles.
"""

import functools
from collections.abc import Sequence
from statistics import NormalDist
from typing import Final, Literal

import numpy as np
from pydantic import Field, model_validator

from et_agent.arrays import Doubles
from et_agent.calibration.features import Column, feature_columns, taken
from et_agent.validation import Frozen

__all__ = [
    "Gaussian",
    "Pooled",
    "central",
    "logistic",
    "mean_of",
    "predicted",
    "read_columns",
    "rising",
    "updated",
]

_DRAWS: Final = 256
_INTERVAL: Final = (0.05, 0.95)
_LIMIT: Final = 35.0
_MOST_ODDS: Final = 7.0
"""Log-odds beyond which a probability says no more: 1 in 1,100."""
_STEPS: Final = 100
_ENOUGH: Final = 1e-9


class Gaussian(Frozen):
    """What is known of the intercept b and the z of each feature."""

    mean: tuple[float, ...] = Field(min_length=1)
    """Its mean."""
    covariance: tuple[tuple[float, ...], ...]
    """Its covariance."""

    @model_validator(mode="after")
    def _check(self) -> "Gaussian":
        size = len(self.mean)
        if any(len(row) != size for row in self.covariance) or len(self.covariance) != size:
            raise ValueError("mean and covariance do not go together")
        try:
            np.linalg.cholesky(np.array(self.covariance))
        except np.linalg.LinAlgError as error:
            raise ValueError("the covariance is not positive definite") from error
        return self

    @classmethod
    def of(cls, mean: Doubles, covariance: Doubles) -> "Gaussian":
        """The same from arrays."""
        symmetric = (covariance + covariance.T) / 2
        return cls(mean=tuple(mean.tolist()), covariance=tuple(map(tuple, symmetric.tolist())))

    def widened(self, factor: float) -> "Gaussian":
        """The same with `factor` times the covariance."""
        return Gaussian.of(np.array(self.mean), np.array(self.covariance) * factor)


class Pooled(Frozen):
    """Mean P(correct) over a posterior of rising logistic maps."""

    form: Literal["pooled"] = "pooled"
    features: tuple[Column, ...] = Field(min_length=1)
    """Columns that it reads."""
    centres: tuple[float, ...]
    """Their values at an average question; one that was not measured counts as this."""
    low: tuple[float, ...]
    """Smallest values that count; smaller ones are taken for these."""
    high: tuple[float, ...]
    """Largest values that count."""
    posterior: Gaussian
    """Of the intercept b and the z of each feature."""
    odds: tuple[Column, ...] = ()
    """Those that are the logarithm of a probability, and count as its log-odds."""

    @model_validator(mode="after")
    def _check(self) -> "Pooled":
        sizes = {len(self.features), len(self.centres), len(self.low), len(self.high)}
        if sizes != {len(self.posterior.mean) - 1}:
            raise ValueError("features, centres, ranges and posterior do not go together")
        if not set(self.features) <= set(feature_columns()):
            raise ValueError("there is no such feature")
        if any(low > high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError("a range is upside down")
        return self

    @property
    def read(self) -> tuple[str, ...]:
        """Columns that it reads."""
        return self.features

    def inputs(self, rows: Doubles) -> Doubles:
        """What the features count, clipped and centred, float64 [n, features]."""
        values = np.clip(read_columns(rows, self.features, self.odds), self.low, self.high)
        centred = values - np.array(self.centres)
        return np.where(np.isnan(centred), 0.0, centred)

    def parts(self, rows: Doubles) -> Doubles:
        """What each feature adds to the log-odds at the posterior's mean, [n, features]."""
        found: Doubles = self.inputs(rows) * rising(np.array(self.posterior.mean)[1:])
        return found

    @property
    def intercept(self) -> float:
        """Log-odds of an average question at the posterior's mean."""
        return self.posterior.mean[0]

    @property
    def base(self) -> float:
        """P(correct) of an average question at the posterior's mean."""
        return float(logistic(np.array(self.intercept)))

    def predict(self, rows: Doubles) -> Doubles:
        """P(correct), [n]."""
        return predicted(self.posterior, self.inputs(rows))

    def interval(self, rows: Doubles) -> Doubles:
        """Central 90 % of P(correct) under the posterior, [n, 2]."""
        return central(self.posterior, self.inputs(rows))

    def after(self, rows: Doubles, right: Doubles, weights: Doubles | None = None) -> "Pooled":
        """The map after more labelled questions; see `updated`."""
        posterior = updated(self.posterior, self.inputs(rows), right, weights)
        return self.model_copy(update={"posterior": posterior})

    def only(self, names: Sequence[str]) -> "Pooled":
        """The map without the features that are not named: what it says if they are not known."""
        kept = [at for at, name in enumerate(self.features) if name in names]
        places = [0, *(at + 1 for at in kept)]
        covariance = np.array(self.posterior.covariance)[np.ix_(places, places)]
        return Pooled(
            features=tuple(self.features[at] for at in kept),
            centres=tuple(self.centres[at] for at in kept),
            low=tuple(self.low[at] for at in kept),
            high=tuple(self.high[at] for at in kept),
            odds=tuple(name for name in self.odds if name in names),
            posterior=Gaussian.of(np.array(self.posterior.mean)[places], covariance),
        )

    def widened(self, factor: float) -> "Pooled":
        """The map with `factor` times the covariance, for a tree unlike those that were fitted."""
        return self.model_copy(update={"posterior": self.posterior.widened(factor)})


def read_columns(rows: Doubles, features: Sequence[str], odds: Sequence[str]) -> Doubles:
    """Columns of feature rows, float64 [n, features]; those in `odds` as log-odds."""
    values = taken(rows, features).copy()
    for at, name in enumerate(features):
        if name in odds:
            log_prob = np.minimum(values[:, at], -np.exp(-_MOST_ODDS))
            found = log_prob - np.log(-np.expm1(log_prob))
            values[:, at] = np.clip(found, -_MOST_ODDS, _MOST_ODDS)
    return values


def predicted(posterior: Gaussian, inputs: Doubles) -> Doubles:
    """Mean P(correct) over a posterior of maps, [n].

    Args:
        posterior: Of the intercept b and the z of each feature.
        inputs: Clipped and centred features, float64 [n, features].
    """
    return np.asarray(_possible(posterior, inputs).mean(axis=1))


def central(posterior: Gaussian, inputs: Doubles) -> Doubles:
    """Central 90 % of P(correct), [n, 2]; arguments as for `predicted`."""
    return np.quantile(_possible(posterior, inputs), _INTERVAL, axis=1).T


def mean_of(posterior: Gaussian, inputs: Doubles) -> tuple[float, tuple[float, float]]:
    """Mean P(correct) of several things, and the central 90 % of it; arguments as for `predicted`."""
    means = _possible(posterior, inputs).mean(axis=0)
    low, high = np.quantile(means, _INTERVAL).tolist()
    return float(means.mean()), (low, high)


def _possible(posterior: Gaussian, inputs: Doubles) -> Doubles:
    """P(correct) under each draw of the posterior, [n, draws]."""
    root = np.linalg.cholesky(np.array(posterior.covariance))
    draws = np.array(posterior.mean) + _normal_draws(len(posterior.mean)) @ root.T
    return logistic(draws[:, 0] + inputs @ rising(draws[:, 1:]).T)


def updated(
    prior: Gaussian, inputs: Doubles, labels: Doubles, weights: Doubles | None = None
) -> Gaussian:
    """What is known after labelled questions: the posterior's mode, and the curvature there.

    Args:
        prior: What was known before.
        inputs: Clipped and centred features, float64 [n, features].
        labels: 1 for right, 0 for wrong, float64 [n].
        weights: How much each counts, float64 [n]; 1 if None.
    """
    much = np.ones(labels.size) if weights is None else weights
    precision = np.linalg.inv(np.array(prior.covariance))
    mean = np.array(prior.mean)

    def loss(at: Doubles) -> float:
        odds, away = _log_odds(inputs, at), at - mean
        misfit = float((much * (np.logaddexp(0.0, odds) - labels * odds)).sum())
        return misfit + 0.5 * float(away @ precision @ away)

    def slopes(at: Doubles) -> tuple[Doubles, Doubles]:
        """Gradient, and Fisher's information with the prior's."""
        found = logistic(_log_odds(inputs, at))
        steep = np.column_stack([np.ones(labels.size), inputs * logistic(at[1:])])
        bent = (steep * (much * found * (1.0 - found))[:, None]).T @ steep
        return steep.T @ (much * (found - labels)) + precision @ (at - mean), bent + precision

    at, damping = mean.copy(), 1e-3
    best = loss(at)
    for _ in range(_STEPS):
        gradient, information = slopes(at)
        step = np.linalg.solve(information + damping * np.diag(np.diag(information)), -gradient)
        reached = loss(at + step)
        if reached > best:
            damping *= 4.0
            continue
        at, gained, best = at + step, best - reached, reached
        damping = max(damping / 3.0, 1e-6)
        if gained < _ENOUGH:
            break
    curvature: Doubles = np.linalg.inv(slopes(at)[1]).astype(np.float64)
    return Gaussian.of(at, curvature)


def rising(values: Doubles) -> Doubles:
    """log(1 + exp(z)): the weight of a feature, above 0."""
    return np.logaddexp(0.0, values)


def _log_odds(inputs: Doubles, at: Doubles) -> Doubles:
    found: Doubles = at[0] + inputs @ rising(at[1:])
    return found


def logistic(log_odds: Doubles) -> Doubles:
    """Probability of log-odds, whatever their size."""
    return 1.0 / (1.0 + np.exp(-np.clip(log_odds, -_LIMIT, _LIMIT)))


@functools.cache
def _normal_draws(dimensions: int) -> Doubles:
    """Evenly spread draws of independent standard normals, float64 [draws, dimensions].

    The R-sequence (Roberts 2018): multiples of the powers of 1 / the positive root of x^(d+1) = x + 1.
    """
    root = 2.0
    for _ in range(60):
        root = (1.0 + root) ** (1.0 / (dimensions + 1))
    inverse = NormalDist().inv_cdf
    places = np.arange(1, _DRAWS + 1)[:, None] / root ** np.arange(1, dimensions + 1)
    found = np.array([[inverse(one) for one in row] for row in ((0.5 + places) % 1.0).tolist()])
    found -= found.mean(axis=0)
    found.flags.writeable = False
    return found
