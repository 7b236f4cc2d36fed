"""What of a result counts for a policy, what is compared with its thresholds, and how that is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Final, NamedTuple

from et_agent.gate.claims import kept_text, marked_text
from et_agent.gate.fields import HeldField, held_fields, missing_fields
from et_agent.gate.policy import GatePolicy
from et_agent.results import (
    AskResult,
    CalibrationReport,
    CalibrationSource,
    ClaimReport,
    FieldReport,
)
from et_agent.wording import counted, noun

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
        doubtful_fields: Fields below their own threshold, and those that are missing.
        doubtful_claims: Numbers of the claims of a long answer below the threshold.
        text: What is given of the answer, whether or not it reaches the threshold: with marks or
            without its doubtful claims, where the policy says so. None if nothing may be, not even
            where an escalation fails.
    """

    answers: bool
    why: str
    confidence: float | None = None
    compared: float | None = None
    calibration: CalibrationReport | None = None
    doubtful_fields: tuple[str, ...] = ()
    doubtful_claims: tuple[int, ...] = ()
    text: str | None = None

    @property
    def calibrated(self) -> bool:
        """Whether the confidence comes from labelled questions of the model and its settings."""
        return self.calibration is not None and self.calibration.source != "general"


def judged(result: AskResult, policy: GatePolicy) -> Verdict:
    """Compare the answer of a result, and its fields, with the thresholds of a policy.

    That the passages do not hold the answer is never given as one.
    """
    if result.declined:
        return Verdict(False, "the passages do not say")
    if result.answer is None:
        return Verdict(False, "no path gave an answer", 0.0, 0.0)
    whole = replace(_whole(result, policy), text=result.answer)
    claimed = _with_claims(whole, result, policy) if result.kind == "long" else whole
    if result.complete:
        found = _with_fields(claimed, result, policy)
    else:
        why = "decoding was stopped before the tree was complete"
        found = Verdict(False, why, text=claimed.text)
    return _with_steering(found, result, policy)


def _with_steering(verdict: Verdict, result: AskResult, policy: GatePolicy) -> Verdict:
    """The same after a look at texts from outside that speak to the model."""
    if not result.steering or policy.steering == "ignore":
        return verdict
    sign = result.steering[0]
    link = ", but " if verdict.answers else "; also, "
    why = f"{verdict.why}{link}{sign.where} speaks to the model: “{sign.text}”"
    return replace(verdict, answers=False, why=why, text=None)


def _whole(result: AskResult, policy: GatePolicy) -> Verdict:
    found = _measured(result, policy)
    if found is None:
        return Verdict(False, _missing(result, policy))
    answers, verb = _against(found.compared, policy.answer_at)
    shown = _percent(found.compared, policy.answer_at)
    if found.calibration is None:
        named = f"the share of {shown}"
    elif policy.compares_low_end(found.calibration):
        named = (
            f"the confidence of {found.confidence:.0%} comes from {_basis(found.calibration)}; its "
            f"lower end of {shown}"
        )
    else:
        named = f"the confidence of {shown} from {_basis(found.calibration)}"
    reach = _out_of_reach(found, policy.answer_at, result)
    why = f"{named} {verb} the threshold of {_threshold(policy.answer_at)}{reach}"
    return Verdict(answers, why, found.confidence, found.compared, found.calibration)


def _with_fields(verdict: Verdict, result: AskResult, policy: GatePolicy) -> Verdict:
    """The same after a look at the fields that have a threshold of their own."""
    missing = missing_fields(result, policy)
    told = {path: f"the answer has no field {path}, which the policy names" for path in missing}
    for field in held_fields(result, policy):
        doubt = _doubt(field, result, policy)
        if doubt is not None:
            told[field.path] = doubt
    if not told:
        return verdict
    link = ", but " if verdict.answers else "; also, "
    why = f"{verdict.why}{link}{_joined(list(told.values()))}"
    return replace(verdict, answers=False, why=why, doubtful_fields=tuple(told))


def _with_claims(verdict: Verdict, result: AskResult, policy: GatePolicy) -> Verdict:
    """The same after a look at each claim of a long answer."""
    measured = [_measured(claim, policy) for claim in result.claims]
    doubtful = tuple(
        number
        for number, one in enumerate(measured)
        if one is None or one.compared < policy.answer_at
    )
    verdict = replace(verdict, doubtful_claims=doubtful)
    if policy.claims is None:
        return verdict
    assert result.answer is not None
    if policy.claims == "mark":
        return replace(verdict, text=marked_text(result.answer, result.claims, doubtful))
    text = kept_text(result.answer, result.claims, doubtful)
    held = {result.claims[number].span for number in doubtful}
    given = zip(result.claims, measured, strict=True)
    kept = [one for claim, one in given if one is not None and claim.span not in held]
    most = _threshold(policy.answer_at)
    if text is None:
        why = f"no sentence has only claims that reach the threshold of {most}"
        if not result.claims:
            why = "none of its claims was checked, and the policy gives only what was"
        return replace(verdict, answers=False, why=why, text=None)
    return replace(
        verdict,
        answers=True,
        why=f"{len(kept)} of {counted(measured, 'claim')} {noun(len(kept), 'reaches', 'reach')} the "
        f"threshold of {most} in sentences without others, and only these are given",
        confidence=fmean(one.confidence for one in kept),
        compared=fmean(one.compared for one in kept),
        calibration=_mean([one.calibration for one in kept if one.calibration is not None]),
        text=text,
    )


def _mean(reports: Sequence[CalibrationReport]) -> CalibrationReport | None:
    """What the mean of several confidences rests on; None without any."""
    if not reports:
        return None
    interval = (fmean(one.low for one in reports), fmean(one.interval[1] for one in reports))
    return reports[0].model_copy(update={"interval": interval})


def _doubt(field: HeldField, result: AskResult, policy: GatePolicy) -> str | None:
    """Why a field is below its threshold; None if it is not."""
    found = _measured(field.report, policy)
    if found is None:
        return (
            f"the field {field.path}, with a threshold of {_threshold(field.threshold)}, has no "
            "confidence that the policy counts"
        )
    answers, verb = _against(found.compared, field.threshold)
    if answers:
        return None
    shown = _percent(found.compared, field.threshold)
    if found.calibration is None:
        named = f"a share of {shown}, which"
    elif policy.compares_low_end(found.calibration):
        named = f"a confidence of {found.confidence:.0%}, whose lower end of {shown}"
    else:
        named = f"a confidence of {shown}, which"
    reach = _out_of_reach(found, field.threshold, result)
    return (
        f"the field {field.path} has {named} {verb} its threshold of "
        f"{_threshold(field.threshold)}{reach}"
    )


class _Measured(NamedTuple):
    """What of an answer or of a field is compared with a threshold.

    Attributes:
        confidence: P(correct), or the share that is used instead.
        compared: The same, or the lower end of its interval.
        largest: What `compared` may be at most in a tree of this size; None if that is not known.
        calibration: What the confidence rests on; None for a share.
    """

    confidence: float
    compared: float
    largest: float | None = None
    calibration: CalibrationReport | None = None


def _measured(one: AskResult | FieldReport | ClaimReport, policy: GatePolicy) -> _Measured | None:
    """What is compared with a threshold; None if nothing counts."""
    confidence, calibration = _probability(one.confidence), one.calibration
    compared = policy.compared(None if confidence is None else calibration)
    if compared == "share":
        share = _probability(one.support if isinstance(one, ClaimReport) else one.share)
        return None if share is None else _Measured(share, share)
    if compared is None or confidence is None or calibration is None:
        return None
    if compared == "confidence":
        return _Measured(confidence, confidence, calibration.largest, calibration)
    low = min(confidence, _probability(calibration.low) or 0.0)
    return _Measured(confidence, low, calibration.largest_low, calibration)


def _probability(value: float | None) -> float | None:
    """A probability; None for what is none, such as NaN in a result that was copied with it."""
    return value if value is not None and 0.0 <= value <= 1.0 else None


def _against(compared: float, threshold: float) -> tuple[bool, str]:
    """Whether a threshold is reached, and the word for it."""
    answers = compared >= threshold
    return answers, "reaches" if answers else "is below"


def _threshold(threshold: float) -> str:
    return f"{100 * threshold:.4g}%"


def _percent(value: float, threshold: float) -> str:
    """A percentage, with decimals where the threshold would look the same without."""
    digits = (one for one in (0, 1, 2) if f"{value:.{one}%}" != f"{threshold:.{one}%}")
    return f"{value:.{next(digits, 0)}%}"


def _out_of_reach(found: _Measured, threshold: float, result: AskResult) -> str:
    """That no tree of this size can reach a threshold; empty if one can."""
    if found.largest is None or found.largest >= threshold:
        return ""
    leaves = result.decoder.get("leaves", 1)
    tree = "single path" if leaves == 1 else f"tree of {leaves} leaves"
    return f" (no {tree} can reach it: at most {_percent(found.largest, threshold)})"


def _joined(parts: Sequence[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def _basis(calibration: CalibrationReport) -> str:
    named, differences = _MAPS[calibration.source], "; ".join(calibration.notes)
    return f"{named} ({differences})" if differences else named


def _missing(result: AskResult, policy: GatePolicy) -> str:
    """Why no confidence counts, and what to do about it."""
    if _probability(result.confidence) is None:
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
