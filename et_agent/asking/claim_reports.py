"""What is reported of the claims of a long answer, and the confidence of the whole."""

import math
from collections.abc import Sequence
from typing import Final

from et_agent.asking.claims import MOST_CLAIMS, CheckedClaim
from et_agent.asking.confidence import Assessment
from et_agent.calibration import Confidence
from et_agent.calibration.claims import ClaimMap
from et_agent.errors import CalibrationError
from et_agent.results import CalibrationReport, ClaimReport

__all__ = ["assessed_claims", "claim_reports"]

_NOT_CHECKED: Final = (
    "no confidence: the claims of a long answer could not be checked, which needs logits (a model in "
    "this process, no server), a chat template, and room in the context for a leaf, a claim and a "
    "question"
)
_NOTHING_STATED: Final = "no confidence: the answer states nothing that could be checked"


def claim_reports(
    claims: Sequence[CheckedClaim], *, calibrated: bool
) -> tuple[tuple[ClaimReport, ...], Assessment]:
    """Reports of claims, and what is thought of the whole: the mean of their confidences.

    Args:
        claims: The claims, checked.
        calibrated: Whether a confidence is wanted.

    Raises:
        CalibrationError: The shipped map is missing or damaged.
    """
    plain = tuple(map(_report, claims))
    if not claims:
        return plain, Assessment({}, notes=(_NOTHING_STATED,) if calibrated else ())
    if not calibrated:
        return plain, Assessment({})
    mapping = ClaimMap.shipped()
    rows = [claim.evidence.features() for claim in claims]
    reports = tuple(
        report.model_copy(update={"confidence": value, "calibration": _basis(ends)})
        if claim.checked
        else report
        for report, claim, (value, ends) in zip(
            plain, claims, mapping.confidences(rows), strict=True
        )
    )
    left = sum(not claim.checked for claim in claims)
    if left == len(claims):
        return reports, Assessment({}, notes=(_NOT_CHECKED,))
    if left:
        return reports, Assessment(
            {},
            notes=(
                f"the answer makes {len(claims)} claims, of which the first {MOST_CLAIMS} at most are "
                f"checked: {left} have no confidence, and so has the whole; ask for a shorter answer",
            ),
        )
    value, ends = mapping.mean(rows)
    whole = Confidence(value=value, parts=(), base=None, interval=ends)
    return reports, Assessment({}, whole, _basis(ends))


def assessed_claims(
    claims: Sequence[CheckedClaim] | None, *, calibrated: bool
) -> tuple[tuple[ClaimReport, ...], Assessment]:
    """The same where there may be no claims, and where a tree must not be lost to a damaged map.

    Args:
        claims: The claims; None if they could not be checked.
        calibrated: Whether a confidence is wanted.
    """
    if claims is None:
        return (), Assessment({}, notes=(_NOT_CHECKED,) if calibrated else ())
    try:
        return claim_reports(claims, calibrated=calibrated)
    except CalibrationError as error:
        reports, _ = claim_reports(claims, calibrated=False)
        return reports, Assessment({}, notes=(f"no confidence: {error}",))


def _basis(ends: tuple[float, float]) -> CalibrationReport:
    # The map is one for all models, whatever it was fitted on.
    return CalibrationReport(source="general", labels=0, interval=ends)


def _report(claim: CheckedClaim) -> ClaimReport:
    known = claim.evidence
    shares = [
        None if math.isnan(one) else min(max(one, 0.0), 1.0)
        for one in (known.support, known.contradicted, claim.silent)
    ]
    return ClaimReport(
        text=claim.text,
        span=claim.span,
        support=shares[0],
        contradicted=shares[1],
        silent=shares[2],
        told_true=_known(known.told_true),
        log_prob=_known(known.log_prob),
    )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
