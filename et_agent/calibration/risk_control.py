"""Thresholds on a confidence: with a bound on the error, for a coverage, or by the cost of errors."""

import math
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from et_agent.arguments import checks_arguments
from et_agent.arrays import Bools, Doubles, doubles
from et_agent.calibration.labels import checked_labels
from et_agent.calibration.libraries import scipy_module
from et_agent.errors import CalibrationError, RiskControlError
from et_agent.validation import explained
from et_agent.wording import counted, noun

__all__ = ["Costs", "RiskControl", "Threshold", "threshold_for_coverage"]


_STEPS: Final = 100
"""Thresholds are tried in steps of 1 / 100, fixed beforehand."""
_MOST_QUESTIONS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Threshold:
    """A lowest confidence for answering, and its figures on the labelled questions.

    Attributes:
        value: Answer if the confidence is at least this.
        questions: Number of labelled questions.
        coverage: Share of the labelled questions that are answered.
        answered: Number of labelled questions that are answered.
        errors: Number of wrong answers among them.
        target_error: Largest error of later answered questions, which holds with the probability
            `confidence`.
        confidence: Probability with which it holds.
        p_value: Chance of this few errors if the error rate were the target or more.
        error_bound: Upper bound of the error rate among answered questions at the given confidence,
            for this threshold alone (Clopper & Pearson 1934).
    """

    value: float
    questions: int
    coverage: float
    answered: int
    errors: int
    target_error: float
    confidence: float
    p_value: float
    error_bound: float

    @property
    def basis(self) -> str:
        """What the threshold rests on, and the bound that holds, for a person."""
        some = "" if self.answered == self.questions else f"{self.answered} of "
        return (
            f"rests on {some}{self.questions} labelled questions, {self.errors} wrong: the error is "
            f"at most {self.target_error:g} with probability {self.confidence:g}"
        )


class RiskControl:
    """Finds the threshold of largest coverage with a bound on the error among answered questions.

    The method is Learn then Test (Angelopoulos et al. 2021) with exact binomial p-values over a fixed
    sequence of thresholds. It starts at 1 - `target_error`, where a calibrated confidence keeps to
    the target by itself, and goes down in steps of 0.01 as long as each threshold is significant. With
    probability `confidence` over the labelled questions, the error among later answered questions of
    the same sort is at most the target. The labelled questions must not be those that the calibrator
    was fitted on.

    Args:
        target_error: Largest share of wrong answers among answered questions, in (0, 1).
        confidence: Probability with which the bound holds, in (0, 1).
        start: First threshold of the sequence; None for 1 - `target_error`. Do not choose it by
            looking at the labels.

    Attributes:
        threshold_: The threshold that was found.
    """

    @checks_arguments(error=CalibrationError)
    def __init__(
        self, target_error: float = 0.05, confidence: float = 0.95, *, start: float | None = None
    ) -> None:
        self.target_error = target_error
        self.confidence = confidence
        self.start = start

    def fit(self, confidences: ArrayLike, right: ArrayLike) -> Self:
        """Find the threshold.

        Args:
            confidences: P(correct) of each labelled question, float64 [n]; 0 for no answer.
            right: Whether each question was answered correctly, [n].

        Raises:
            RiskControlError: No threshold qualifies. The message says how many more labelled
                questions are needed, or that more labels would not help.
            CalibrationError: Settings out of range, NaN, or lengths that differ.
        """
        self._check()
        scores, labels = checked_pairs(confidences, right)
        found: Threshold | None = None
        for value in self._thresholds():
            evaluated = self._evaluated(value, scores, labels)
            if evaluated.p_value > 1.0 - self.confidence:
                break
            found = evaluated
        if found is None:
            raise RiskControlError(self._failure_message(scores, labels))
        self.threshold_ = found
        return self

    def _check(self) -> None:
        for name, value in (("target_error", self.target_error), ("confidence", self.confidence)):
            if not 0.0 < value < 1.0:
                raise CalibrationError(f"{name} is {value}: use a number between 0 and 1")
        if self.start is not None and not 0.0 <= self.start <= 1.0:
            raise CalibrationError(f"start is {self.start}: use a confidence from 0 to 1")

    def _thresholds(self) -> list[float]:
        start = 1.0 - self.target_error if self.start is None else self.start
        first = math.floor(start * _STEPS + 1e-9)
        return [start, *(step / _STEPS for step in range(first, -1, -1) if step / _STEPS < start)]

    def _evaluated(self, value: float, scores: Doubles, labels: Bools) -> Threshold:
        chosen = scores >= value
        answered, errors = int(chosen.sum()), int((~labels[chosen]).sum())
        return Threshold(
            value=value,
            questions=scores.size,
            coverage=answered / scores.size if scores.size else 0.0,
            answered=answered,
            errors=errors,
            target_error=self.target_error,
            confidence=self.confidence,
            p_value=_p_value(errors, answered, self.target_error),
            error_bound=_upper_bound(errors, answered, self.confidence),
        )

    def _failure_message(self, scores: Doubles, labels: Bools) -> str:
        first = self._evaluated(self._thresholds()[0], scores, labels)
        what = (
            f"no threshold keeps the error at {self.target_error:g} or less with confidence "
            f"{self.confidence:g}"
        )
        if not scores.size:
            return f"{what}: there are no labelled questions"
        if not first.answered:
            return (
                f"{what}: none of {scores.size} labelled questions has a confidence of "
                f"{first.value:.2f} or more. Allow a larger error, or use a stronger model"
            )
        rate = first.errors / first.answered
        if rate >= self.target_error:
            return (
                f"{what}: of {counted(first.answered, 'answer')} with a confidence of "
                f"{first.value:.2f} or more {first.errors} {noun(first.errors, 'is', 'are')} wrong "
                f"({rate:.0%}), so more labels would not help. Allow a larger error, fit the "
                "calibrator again, or use a stronger model"
            )
        needed = _answers_needed(rate, self.target_error, 1.0 - self.confidence)
        more = math.ceil(needed / first.coverage) - scores.size
        return (
            f"{what} on {scores.size} labelled questions ({first.answered} answered, {first.errors} "
            f"wrong): at this rate about {max(1, more)} more labelled questions are needed"
        )


def _p_value(errors: int, answered: int, target: float) -> float:
    """P(at most so many errors) among so many answers at an error rate of `target`."""
    if not answered:
        return 1.0
    return float(scipy_module("stats").binom.cdf(errors, answered, target))


def _upper_bound(errors: int, answered: int, confidence: float) -> float:
    if errors >= answered:
        return 1.0
    return float(scipy_module("stats").beta.ppf(confidence, errors + 1, answered - errors))


def _answers_needed(rate: float, target: float, level: float) -> int:
    """Answers at which errors of this rate become significant."""

    def enough(answers: int) -> bool:
        return _p_value(math.ceil(rate * answers), answers, target) <= level

    high = max(1, math.ceil(math.log(level) / math.log1p(-target)))
    while not enough(high) and high < _MOST_QUESTIONS:
        high *= 2
    low = high // 2
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def checked_pairs(confidences: ArrayLike, right: ArrayLike) -> tuple[Doubles, Bools]:
    """Confidences and labels of one length.

    Raises:
        CalibrationError: Lengths differ, a confidence is NaN or outside [0, 1], or a label is none
            (`checked_label`).
    """
    scores, labels = (
        doubles(confidences, "the confidences", CalibrationError),
        checked_labels(right),
    )
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise CalibrationError(
            f"there are {scores.size} confidences but {labels.size} labels: pass as many labels"
        )
    if np.isnan(scores).any() or ((scores < 0) | (scores > 1)).any():
        raise CalibrationError("a confidence is NaN or outside [0, 1]: leave the question out")
    return scores, labels


@checks_arguments(error=CalibrationError)
def threshold_for_coverage(confidences: ArrayLike, coverage: float) -> float:
    """Return the highest threshold at which at least a given share of the questions is answered.

    For example, an escalation budget of 20 % means a coverage of 0.8.

    Args:
        confidences: P(correct) of questions like those you expect, float64 [n]. No labels are needed.
        coverage: Share to answer, in [0, 1]. Equal confidences are answered together.

    Raises:
        CalibrationError: No questions, NaN, or a share outside [0, 1].
    """
    scores = doubles(confidences, "the confidences", CalibrationError)
    scores, _ = checked_pairs(scores, np.zeros(scores.size, dtype=np.bool_))
    if not scores.size:
        raise CalibrationError(
            "there are no confidences: pass those of questions like the ones you expect"
        )
    if not 0.0 <= coverage <= 1.0:
        raise CalibrationError(f"coverage is {coverage}: use a share from 0 to 1")
    wanted = math.ceil(coverage * scores.size - 1e-9)
    return float(np.sort(scores)[::-1][max(0, wanted - 1)])


class Costs(BaseModel):
    """The cost of each outcome, all in the same unit."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    wrong: float = Field(gt=0, allow_inf_nan=False)
    """Cost of a wrong answer."""
    abstain: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """Cost of giving no answer."""
    escalate: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Cost of escalating the question; None if that is not possible."""
    ask: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Cost of asking the user back; None if that is not possible."""

    @checks_arguments(error=CalibrationError)
    def __init__(self, **values: Any) -> None:
        """Check the costs.

        Raises:
            CalibrationError: A cost is negative, or unknown.
        """
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise CalibrationError(explained("costs", error)) from error

    def threshold(self) -> float:
        """Return the lowest confidence at which answering costs least: 1 - min(other costs) / wrong."""
        others = [cost for cost in (self.abstain, self.escalate, self.ask) if cost is not None]
        return min(1.0, max(0.0, 1.0 - min(others) / self.wrong))
