"""Confidence intervals by resampling questions, paired and stratified by data set."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Self

import numpy as np

from et_agent.arrays import Doubles
from et_agent.errors import SettingsError

__all__ = ["Interval", "Resamples", "interval", "pooled", "resampled_means"]

_ROUNDING: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its interval: by percentiles (Efron 1979), or as `interval` says.

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
    def width(self) -> float | None:
        """Its width; None without limits."""
        return None if self.low is None or self.high is None else self.high - self.low

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
        counts: float64 [R + 1, n]; row 0 is the sample itself, every question once; read-only,
            in Fortran order, since metrics sort the questions.
    """

    def __init__(self, size: int, *, resamples: int = 2000, seed: int = 0) -> None:
        if size < 1 or resamples < 1:
            raise SettingsError(f"{size} questions, {resamples} resamples: both must be at least 1")
        self.counts: Doubles = _counts(size, resamples, seed)

    @classmethod
    def of_groups(cls, groups: Sequence[Hashable], *, resamples: int = 2000, seed: int = 0) -> Self:
        """Draw whole groups, since questions about one passage are right or wrong together.

        Resamples then differ in size (Davison & Hinkley 1997, section 3.8).

        Args:
            groups: What each question belongs to, [n].
            resamples: Resamples R.
            seed: At least 0.
        """
        numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
        found = cls(len(numbers), resamples=resamples, seed=seed)
        found.counts = np.asfortranarray(found.counts[:, [numbers[one] for one in groups]])
        found.counts.flags.writeable = False
        return found


@lru_cache(maxsize=8)
def _counts(size: int, resamples: int, seed: int) -> Doubles:
    generator = np.random.default_rng([seed, size])
    drawn = generator.multinomial(size, np.full(size, 1.0 / size), size=resamples)
    counts = np.asfortranarray(np.concatenate([np.ones((1, size)), drawn]))
    counts.flags.writeable = False
    return counts


def resampled_means(values: Doubles, counts: Doubles) -> Doubles:
    """Mean of each resample, float64 [R].

    Args:
        values: One per question, float64 [n].
        counts: How often each question is in each resample, float64 [R, n].
    """
    means: Doubles = counts @ values / counts.sum(axis=1)
    return means


def interval(
    values: Doubles,
    questions: int,
    *,
    level: float = 0.95,
    basic: bool = False,
    proportion: bool = False,
    groups: int | None = None,
) -> Interval:
    """The percentile interval out of a statistic's values.

    Args:
        values: float64 [R + 1], the sample's own value first; NaN where undefined.
        questions: Questions that they rest on.
        level: Coverage of the interval.
        basic: Take the basic interval, from 0 on, for a statistic that resampling pushes up (ECE).
        proportion: Whether it is a proportion of the questions. At 0 and 1, where every resample is
            the same, the exact interval is taken instead (Clopper and Pearson 1934).
        groups: Of questions that were resampled together; the exact interval counts each as one
            question, since its questions may all be right together. None where each is alone.

    Returns:
        Limits are None when more than a tenth of the resamples are undefined.
    """
    own, rest = float(values[0]), values[1:]
    defined = rest[~np.isnan(rest)]
    if math.isnan(own):
        return Interval(None, None, None, questions)
    if defined.size < 0.9 * rest.size:
        return Interval(own, None, None, questions)
    if proportion and min(own, 1.0 - own) < _ROUNDING:
        far = ((1.0 - level) / 2) ** (1.0 / (questions if groups is None else groups))
        return (
            Interval(own, 0.0, 1.0 - far, questions)
            if own < 0.5
            else Interval(own, far, 1.0, questions)
        )
    low, high = np.percentile(defined, [50 * (1 - level), 50 * (1 + level)])
    if basic:
        low, high = max(0.0, 2 * own - high), max(0.0, 2 * own - low)
    return Interval(own, float(low), float(high), questions)


def pooled(values: Sequence[Doubles], questions: int) -> Interval:
    """Mean of a statistic over data sets that were resampled each by itself (stratified).

    Args:
        values: For each set, values [R + 1] as for `interval`; draw the sets with different seeds.
        questions: Questions of all sets.
    """
    return interval(np.mean(values, axis=0), questions)
