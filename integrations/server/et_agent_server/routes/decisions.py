"""`/v1/decisions`: what gates decided, and whether the confidence still fits."""

from typing import Literal

from fastapi import APIRouter, Query

from et_agent.calibration import DriftMonitor
from et_agent.errors import StoreError
from et_agent.gate import Action, DecisionLog
from et_agent_server.errors import ApiError
from et_agent_server.state import ServerState, Shared
from et_agent_server.wire import Wire

__all__ = ["DecisionPage", "DecisionReport", "DriftReport", "LoggedDecisionReply", "router"]

router = APIRouter(tags=["et-agent"])


class LoggedDecisionReply(Wire):
    """A decision as the log has it; no texts."""

    number: int
    trace_id: str
    made: str
    """When, ISO 8601, UTC."""
    action: Action
    would: Action | None
    """In a dry run, what would have been done."""
    topic: str | None
    confidence: float | None
    """P(correct); None where a share stood in for it."""
    threshold: float
    source: str | None
    """What the confidence rests on."""
    escalated: bool
    reason: str
    tokens: int
    seconds: float
    right: bool | None
    """The label; None without one."""


class DecisionPage(Wire):
    """Decisions, the latest first."""

    decisions: list[LoggedDecisionReply]
    before: int | None
    """What gives the next ones; None if there are none."""


class DriftReport(Wire):
    """Whether the confidence still fits the labels."""

    evidence: list[float]
    """Wealth of the bets against it after each label; 20 is as surprising as p = 0.05."""
    alarm: float
    """Evidence from which on it has drifted."""
    drifted: bool
    direction: Literal["overconfident", "underconfident", "too extreme", "too timid"]
    """How it is most likely wrong, if it has drifted."""


class DecisionReport(Wire):
    """What the log says as a whole."""

    decisions: int
    actions: dict[Action, int]
    """How many of each; in a dry run, of what would have been done."""
    labelled: int
    answered_labelled: int
    """Labelled ones that the gated model answered."""
    errors: int
    """Wrong ones among them."""
    tokens: int
    seconds: float
    sources: dict[str, int]
    """How many confidences came from each map."""
    drift: DriftReport | None
    """None without labelled decisions that have a confidence."""


@router.get("/v1/decisions", summary="List decisions of gates")
def decisions(
    shared: Shared,
    limit: int = Query(default=50, ge=1, le=500, description="How many."),
    before: int | None = Query(
        default=None, ge=0, lt=2**63, description="`before` of an earlier reply."
    ),
) -> DecisionPage:
    """Decisions of the log, the latest first."""
    try:
        found = _log(shared).entries(limit, before=before)
    except StoreError as error:
        raise ApiError(500, str(error), kind="server_error") from error
    more = found[-1].number if len(found) == limit else None
    shown = [
        LoggedDecisionReply(**{name: getattr(one, name) for name in one.__slots__}) for one in found
    ]
    return DecisionPage(decisions=shown, before=more)


@router.get("/v1/decisions/report", summary="Report on decisions and drift")
def report(shared: Shared) -> DecisionReport:
    """Rates, realised error, cost, and whether the confidence has drifted."""
    log = _log(shared)
    try:
        found, pairs = log.report(), log.confidences()
    except StoreError as error:
        raise ApiError(500, str(error), kind="server_error") from error
    return DecisionReport(
        decisions=found.decisions,
        actions=dict(found.actions),
        labelled=found.labelled,
        answered_labelled=found.answered_labelled,
        errors=found.errors,
        tokens=found.tokens,
        seconds=found.seconds,
        sources=dict(found.sources),
        drift=_drift(pairs) if pairs else None,
    )


def _drift(pairs: list[tuple[float, bool]]) -> DriftReport:
    monitor = DriftMonitor()
    evidence = [monitor.update([score], [right]).evidence for score, right in pairs]
    return DriftReport(
        evidence=evidence,
        alarm=1 / monitor.alpha,
        drifted=monitor.drifted,
        direction=monitor.direction,
    )


def _log(shared: ServerState) -> DecisionLog:
    if shared.models.log is None:
        raise ApiError(
            404, "this server keeps no decisions: start it with --log FILE", code="no_log"
        )
    return shared.models.log
