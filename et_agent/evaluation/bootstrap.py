"""Confidence intervals by resampling questions, paired and stratified by data set."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from et_agent.errors import SettingsError

__all__ = ["Interval", "Resamples", "interval", "pooled"]

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its percentile interval (Efron 1979).

    Attributes:
        value: On the questions themselves; None where undefined.
        low, high: Limits; None where too few resamples define the value.
        questions: Questions that it rests on.
    """

    value: float | None
    low: float | None
    high: float | None
    questions: int

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference is real at this level: 0 lies outside."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


class Resamples:
    """How often each question is in each resample, drawn once and used for every statistic.

    The same counts for two methods make their difference a paired one.

    Args:
        size: Questions n.
        resamples: Resamples R.
        seed: At least 0.

    Attributes:
        counts: float64 [R + 1, n]; row 0 is the sample itself, every question once.
    """

    def __init__(self, size: int, *, resamples: int = 2000, seed: int = 0) -> None:
        if size < 1 or resamples < 1:
            raise SettingsError(f"{size} questions, {resamples} resamples: both must be at least 1")
        generator = np.random.default_rng([seed, size])
        drawn = generator.multinomial(size, np.full(size, 1.0 / size), size=resamples)
        self.counts: Doubles = np.concatenate([np.ones((1, size)), drawn])


def interval(values: Doubles, questions: int, *, level: float = 0.95) -> Interval:
    """The interval out of a statistic's values.

    Args:
        values: float64 [R + 1], the sample's own value first; NaN where undefined.
        questions: Questions that they rest on.
        level: Coverage of the interval.

    Returns:
        Limits are None when more than a tenth of the resamples are undefined.
    """
    own, rest = float(values[0]), values[1:]
    defined = rest[~np.isnan(rest)]
    if math.isnan(own):
        return Interval(None, None, None, questions)
    if defined.size < 0.9 * rest.size:
        return Interval(own, None, None, questions)
    low, high = np.percentile(defined, [50 * (1 - level), 50 * (1 + level)])
    return Interval(own, float(low), float(high), questions)


def pooled(
    statistics: Sequence[Callable[[Doubles], Doubles]], sizes: Sequence[int], *, seed: int = 0
) -> Interval:
    """Mean of a statistic over data sets, each resampled by itself (stratified).

    Args:
        statistics: For each set, values [R + 1] by counts [R + 1, n].
        sizes: Questions of each set.
        seed: At least 0.
    """
    drawn = [Resamples(size, seed=seed + at) for at, size in enumerate(sizes)]
    values = [one(counts.counts) for one, counts in zip(statistics, drawn, strict=True)]
    return interval(np.mean(values, axis=0), sum(sizes))
