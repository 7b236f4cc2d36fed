"""What of a result counts for a policy, what is compared with its threshold, and how that is told."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from et_agent.gate.policy import GatePolicy
from et_agent.results import AskResult, CalibrationReport, CalibrationSource

__all__ = ["Verdict", "judged"]

_MAPS: Final[Mapping[CalibrationSource, str]] = {
    "own": "your own calibrator",
    "shipped": "the shipped calibrator",
    "general": "the general map",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an answer compares with a policy's threshold.

    Attributes:
        answers: Whether the answer may be given.
        why: Why, as a sentence without capital and period.
        confidence: P(correct), or the share that is used instead; None if neither counts.
        compared: What was compared with the threshold; None if nothing was.
        calibration: What the confidence rests on; None for a share, and without a confidence.
    """

    answers: bool
    why: str
    confidence: float | None = None
    compared: float | None = None
    calibration: CalibrationReport | None = None

    @property
    def calibrated(self) -> bool:
        """Whether the confidence comes from labelled questions of the model and its settings."""
        return self.calibration is not None and self.calibration.source != "general"


def judged(result: AskResult, policy: GatePolicy) -> Verdict:
    """Compare the answer of a result with the threshold of a policy."""
    if result.answer is None:
        return Verdict(False, "no path gave an answer", 0.0, 0.0)
    if not result.complete:
        return Verdict(False, "decoding was stopped before the tree was complete")
    confidence, calibration, share = result.confidence, result.calibration, result.share
    compared = policy.compared(None if confidence is None else calibration)
    if compared == "share":
        answers, verb = _against(share, policy)
        return Verdict(answers, f"the share of {_percent(share, policy)} {verb}", share, share)
    if compared is None or confidence is None or calibration is None:
        return Verdict(False, _missing(result, policy))
    return _by_confidence(confidence, calibration, result, policy, low=compared == "low")


def _by_confidence(
    confidence: float,
    calibration: CalibrationReport,
    result: AskResult,
    policy: GatePolicy,
    *,
    low: bool,
) -> Verdict:
    basis = _basis(calibration)
    if low:
        compared, largest = min(confidence, calibration.low), calibration.largest_low
        named = (
            f"the confidence of {confidence:.0%} comes from {basis}; its lower end of "
            f"{_percent(compared, policy)}"
        )
    else:
        compared, largest = confidence, calibration.largest
        named = f"the confidence of {_percent(confidence, policy)} from {basis}"
    answers, verb = _against(compared, policy)
    why = f"{named} {verb}"
    if largest is not None and largest < policy.answer_at:
        leaves = result.decoder.get("leaves", 1)
        tree = "single path" if leaves == 1 else f"tree of {leaves} leaves"
        why = f"{why} (no {tree} can reach it: at most {_percent(largest, policy)})"
    return Verdict(answers, why, confidence, compared, calibration)


def _against(compared: float, policy: GatePolicy) -> tuple[bool, str]:
    """Whether the threshold is reached, and the words for it."""
    answers = compared >= policy.answer_at
    verb = "reaches" if answers else "is below"
    return answers, f"{verb} the threshold of {100 * policy.answer_at:.4g}%"


def _percent(value: float, policy: GatePolicy) -> str:
    """A percentage, with decimals where the threshold would look the same without."""
    digits = (one for one in (0, 1, 2) if f"{value:.{one}%}" != f"{policy.answer_at:.{one}%}")
    return f"{value:.{next(digits, 0)}%}"


def _basis(calibration: CalibrationReport) -> str:
    named, differences = _MAPS[calibration.source], "; ".join(calibration.notes)
    return f"{named} ({differences})" if differences else named


def _missing(result: AskResult, policy: GatePolicy) -> str:
    """Why no confidence counts, and what to do about it."""
    if result.confidence is None:
        return "the answer has no confidence (ask for one, or let the policy use the share)"
    named = f"the confidence of {result.confidence:.0%}"
    if result.calibration is None:
        return f"{named} does not say what it rests on (ask again, or let the policy use the share)"
    wanted = "a calibrator of your own"
    if policy.least_calibration == "shipped":
        wanted = f"a shipped calibrator or {wanted}"
    return (
        f"{named} comes from {_basis(result.calibration)}, and the policy wants {wanted} (fit one, "
        "or let the policy use the share)"
    )
