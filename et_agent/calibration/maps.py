"""Fitted maps from features to P(correct): plain numbers, which JSON holds and numpy applies."""

import itertools
import math
from typing import Annotated, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from et_agent.arrays import Doubles
from et_agent.calibration.features import Column, feature_columns, taken
from et_agent.calibration.pooled import Gaussian, Pooled, central, predicted, updated
from et_agent.errors import CalibrationError

__all__ = [
    "CalibrationMap",
    "Isotonic",
    "Logistic",
    "Moved",
    "VennAbers",
    "rounded",
    "weighed",
]

_LIMIT: Final = 35.0  # beyond it the logistic function is 0 or 1 in floating point
_EDGE: Final = 1e-4
_ONE: Final = math.log(math.e - 1.0)
"""The z whose weight is 1."""


class _Fitted(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )


def _columns(rows: Doubles, names: tuple[str, ...]) -> Doubles:
    values = taken(rows, names)
    missing = [name for at, name in enumerate(names) if not np.isfinite(values[:, at]).all()]
    if missing:
        raise CalibrationError(
            f"not measured: {', '.join(missing)}. A calibrator that was fitted with them cannot be "
            "used here: switch on what they need (rauq: attention), or fit one without them"
        )
    return values


class Logistic(_Fitted):
    """P = 1 / (1 + exp(-(intercept + coefficients . standardised features))).

    Features are clipped to the range that was fitted, beyond which a straight line knows nothing.
    """

    form: Literal["logistic"] = "logistic"
    features: tuple[Column, ...]
    """Columns that it reads."""
    means: tuple[float, ...]
    """Their means over the questions it was fitted on."""
    scales: tuple[float, ...]
    """Their standard deviations there."""
    coefficients: tuple[float, ...]
    """Log-odds by standard deviation."""
    intercept: float
    """Log-odds of a question with average features."""
    low: tuple[float, ...] = ()
    """Smallest values that were fitted; empty in files of an earlier et-agent."""
    high: tuple[float, ...] = ()
    """Largest values that were fitted."""

    @model_validator(mode="after")
    def _check(self) -> "Logistic":
        sizes = {len(self.features), len(self.means), len(self.scales), len(self.coefficients)}
        if len(sizes) != 1 or not set(self.features) <= set(feature_columns()):
            raise ValueError("features, means, scales and coefficients do not go together")
        if any(scale <= 0 for scale in self.scales):
            raise ValueError("a scale is not above 0")
        if {len(self.low), len(self.high)} - {0, len(self.features)}:
            raise ValueError("features and their ranges do not go together")
        return self

    @property
    def read(self) -> tuple[str, ...]:
        """Columns that it reads."""
        return self.features

    @property
    def base(self) -> float:
        """P(correct) of a question with average features."""
        return float(1.0 / (1.0 + np.exp(-np.clip(self.intercept, -_LIMIT, _LIMIT))))

    def parts(self, rows: Doubles) -> Doubles:
        """What each feature adds to the log-odds, compared with its average; [n, features].

        Raises:
            CalibrationError: A feature was not measured, or the figures are beyond all bounds.
        """
        values = _columns(rows, self.features)
        if self.low:
            values = np.clip(values, self.low, self.high)
        with np.errstate(over="ignore", invalid="ignore"):
            standardised = (values - np.array(self.means)) / np.array(self.scales)
            parts: Doubles = standardised * np.array(self.coefficients)
        if not np.isfinite(parts).all():
            raise CalibrationError(
                "the means, scales and coefficients of the calibrator give no finite log-odds: fit "
                "it again"
            )
        return parts

    def log_odds(self, rows: Doubles) -> Doubles:
        """Log-odds of being right, [n]."""
        total = self.intercept + self.parts(rows).sum(axis=1)
        return np.asarray(np.clip(total, -_LIMIT, _LIMIT), dtype=np.float64)

    def predict(self, rows: Doubles) -> Doubles:
        """P(correct), [n]."""
        return 1.0 / (1.0 + np.exp(-self.log_odds(rows)))


class _Steps(_Fitted):
    @staticmethod
    def _rising(values: tuple[float, ...]) -> bool:
        return all(a < b for a, b in itertools.pairwise(values))


class Isotonic(_Steps):
    """A rising function of one feature, linear between knots (Zadrozny & Elkan 2002)."""

    form: Literal["isotonic"] = "isotonic"
    feature: Column
    """Column that it reads."""
    knots: tuple[float, ...] = Field(min_length=1)
    """Values of the feature, rising."""
    values: tuple[Annotated[float, Field(ge=0, le=1)], ...]
    """P(correct) there."""

    @property
    def read(self) -> tuple[str, ...]:
        """Columns that it reads."""
        return (self.feature,)

    @model_validator(mode="after")
    def _check(self) -> "Isotonic":
        if len(self.knots) != len(self.values) or not self._rising(self.knots):
            raise ValueError("knots must rise, with a value each")
        if self.feature not in feature_columns():
            raise ValueError(f"there is no feature {self.feature!r}")
        return self

    def predict(self, rows: Doubles) -> Doubles:
        """P(correct), [n]."""
        found = _columns(rows, (self.feature,))[:, 0]
        return np.interp(found, self.knots, self.values)


def rounded(scores: Doubles, step: float) -> Doubles:
    """Scores to the nearest multiple of a step; 0 leaves them alone."""
    return np.asarray(np.round(scores / step) * step if step else scores, dtype=np.float64)


class VennAbers(_Steps):
    """Inductive Venn-Abers prediction over a logistic score (Vovk, Petej & Fedorova 2015).

    The calibration scores are joined by the new one, once with label 0 and once with label 1; isotonic
    regression gives p0 and p1, and the probability is p1 / (1 - p0 + p1), which minimises the worst
    log loss. Both are step functions of the score, tabulated at each calibration score and between.
    """

    form: Literal["venn-abers"] = "venn-abers"
    score: Logistic
    """The score that is calibrated."""
    step: float = Field(default=0.0, ge=0)
    """What scores are rounded to, log-odds, those of the calibration and new ones; 0 for nothing."""
    knots: tuple[float, ...] = Field(min_length=1)
    """Distinct calibration scores, log-odds, rising."""
    lower: tuple[Annotated[float, Field(ge=0, le=1)], ...]
    """p0: below the first knot, at it, between it and the second, and so on, above the last."""
    upper: tuple[Annotated[float, Field(ge=0, le=1)], ...]
    """p1 at the same places."""

    @property
    def read(self) -> tuple[str, ...]:
        """Columns that it reads."""
        return self.score.features

    @model_validator(mode="after")
    def _check(self) -> "VennAbers":
        places = 2 * len(self.knots) + 1
        if {len(self.lower), len(self.upper)} != {places} or not self._rising(self.knots):
            raise ValueError("knots must rise, with bounds at and between them")
        if any(low > high for low, high in zip(self.lower, self.upper, strict=True)):
            raise ValueError("a lower bound is above the upper one")
        return self

    def bounds(self, rows: Doubles) -> tuple[Doubles, Doubles]:
        """p0 and p1, [n] each: one of them is the calibrated probability."""
        scores, knots = rounded(self.score.log_odds(rows), self.step), np.array(self.knots)
        # Twice the knots below, and one more when the score is a knot itself.
        place = np.searchsorted(knots, scores, "left") + np.searchsorted(knots, scores, "right")
        return np.array(self.lower)[place], np.array(self.upper)[place]

    def predict(self, rows: Doubles) -> Doubles:
        """P(correct), [n]."""
        lower, upper = self.bounds(rows)
        return upper / (1.0 - lower + upper)


class Moved(_Fitted):
    """A map that was fitted as a whole, moved by labels that came later.

    log-odds = b + log(1 + exp(z)) x those of the map. What is known of (b, z) begins at the map itself,
    as surely as its own labels tell, and goes on as that of `Pooled`.
    """

    form: Literal["moved"] = "moved"
    start: Annotated[Logistic | Isotonic | VennAbers, Field(discriminator="form")]
    """The map."""
    posterior: Gaussian
    """Of b and z."""

    @classmethod
    def of(cls, start: "Logistic | Isotonic | VennAbers", labels: int) -> "Moved":
        """A map that no label has moved yet.

        Args:
            start: The map.
            labels: Labelled questions that it was fitted on. Each tells of b and z what one with an
                even chance of being right would.
        """
        spread = 4.0 / max(labels, 1)
        posterior = Gaussian(mean=(0.0, _ONE), covariance=((spread, 0.0), (0.0, spread)))
        return cls(start=start, posterior=posterior)

    @property
    def read(self) -> tuple[str, ...]:
        """Columns that it reads."""
        return self.start.read

    def predict(self, rows: Doubles) -> Doubles:
        """P(correct), [n]."""
        return predicted(self.posterior, self._inputs(rows))

    def interval(self, rows: Doubles) -> Doubles:
        """Central 90 % of P(correct) under the posterior, [n, 2]."""
        return central(self.posterior, self._inputs(rows))

    def after(self, rows: Doubles, right: Doubles) -> "Moved":
        """The map after more labelled questions."""
        posterior = updated(self.posterior, self._inputs(rows), right)
        return self.model_copy(update={"posterior": posterior})

    def _inputs(self, rows: Doubles) -> Doubles:
        found = np.clip(self.start.predict(rows), _EDGE, 1.0 - _EDGE)
        return np.log(found / (1.0 - found))[:, None]


CalibrationMap = Annotated[
    Pooled | Logistic | Isotonic | VennAbers | Moved, Field(discriminator="form")
]
"""Any of them."""


def weighed(mapping: CalibrationMap) -> Pooled | Logistic | None:
    """The sum of weighed features behind a map; None if it reads one feature by steps."""
    if isinstance(mapping, Moved):
        mapping = mapping.start
    if isinstance(mapping, VennAbers):
        return mapping.score
    return None if isinstance(mapping, Isotonic) else mapping
