"""`/v1/runs`: stored evaluation runs, and the thresholds that they certify."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from fastapi import APIRouter

from et_agent.calibration import RiskControl
from et_agent.errors import CalibrationError, EtAgentError, RiskControlError, StoreError
from et_agent.evaluation.gating import JudgedRun, best_map, judged_run
from et_agent.evaluation.metrics import risk_coverage
from et_agent.evaluation.store import RunInfo, RunStore, default_store_path
from et_agent_server.errors import ApiError
from et_agent_server.wire import Wire

__all__ = ["RiskReport", "RunCard", "RunList", "TargetReport", "router"]

router = APIRouter(tags=["et-agent"])

_TARGETS: Final = tuple(step / 100 for step in range(51))
_MOST_POINTS: Final = 200


class RunCard(Wire):
    """A stored run."""

    name: str
    questions: int
    """Finished ones; each has a label."""
    data: str
    model: str
    decoder: str
    created: str


class RunList(Wire):
    """All stored runs, the latest first."""

    runs: list[RunCard]
    store: str
    """The file that they are in."""


class TargetReport(Wire):
    """The threshold for a target error."""

    target_error: float
    """Largest share of wrong answers among answered questions."""
    threshold: float | None
    """Lowest confidence at which to answer; None if no threshold qualifies."""
    coverage: float
    """Share of the run's questions that are answered; 0 without a threshold."""
    errors: int
    answered: int
    basis: str
    """What the threshold rests on, or why there is none."""


class RiskReport(Wire):
    """Risk and coverage of a run."""

    run: RunCard
    accuracy: float
    judged_by: str
    """What gives the confidences."""
    fitted_on_it: bool
    """Whether that was fitted on questions of the same data: then all of this is too good."""
    coverage: list[float]
    """Share of the questions that are answered, the surest first, at most 200 points."""
    risk: list[float]
    """Share of wrong answers among them."""
    probability: float
    """Probability with which each threshold keeps its target."""
    targets: list[TargetReport]
    """Thresholds for targets from 0 to 0.5, or to where every question is answered."""


@router.get("/v1/runs", summary="List stored evaluation runs")
def runs() -> RunList:
    """Runs of `et-agent eval run`, the latest first."""
    path = default_store_path()
    if not path.exists():
        return RunList(runs=[], store=str(path))
    try:
        with RunStore(path) as store:
            found = store.runs()
    except StoreError as error:
        raise ApiError(500, str(error), kind="server_error") from error
    return RunList(runs=[_card(run) for run in reversed(found)], store=str(path))


@router.get("/v1/runs/{name}/risk", summary="Risk, coverage and thresholds of a run")
def risk(name: str) -> RiskReport:
    """How many answers are wrong if only the surest are given, and which threshold keeps a target."""
    path = default_store_path()
    try:
        if not path.exists():
            raise StoreError(f"there are no runs yet in {path}: make one with `et-agent eval run`")
        with RunStore(path) as store:
            info = store.run(name)
            records = store.records(info)
    except StoreError as error:
        raise ApiError(404, str(error), param="name", code="not_found") from error
    try:
        judged = judged_run(info, records, best_map(info, records))
    except EtAgentError as error:
        raise ApiError(400, str(error), param="name", code="invalid_value") from error
    coverage, wrong = risk_coverage(judged.right, judged.confidence)
    shown = np.unique(np.linspace(0, coverage.size - 1, _MOST_POINTS).round().astype(int))
    control = RiskControl()
    return RiskReport(
        run=_card(info),
        accuracy=float(judged.right.mean()),
        judged_by=judged.by,
        fitted_on_it=judged.fitted_on_it,
        coverage=coverage[shown].tolist(),
        risk=wrong[shown].tolist(),
        probability=control.confidence,
        targets=list(_targets(judged)),
    )


def _targets(judged: JudgedRun) -> Iterator[TargetReport]:
    for target in _TARGETS:
        found = _target(target, judged)
        yield found
        if found.coverage == 1:  # a larger error brings nothing more
            return


def _target(target: float, judged: JudgedRun) -> TargetReport:
    try:
        found = RiskControl(target).fit(judged.confidence, judged.right).threshold_
    except (RiskControlError, CalibrationError) as error:
        why = str(error)
        if target == 0:
            why = "no number of labels shows that there are no errors at all: allow some"
        return TargetReport(
            target_error=target, threshold=None, coverage=0, errors=0, answered=0, basis=why
        )
    return TargetReport(
        target_error=target,
        threshold=found.value,
        coverage=found.coverage,
        errors=found.errors,
        answered=found.answered,
        basis=found.basis,
    )


def _card(run: RunInfo) -> RunCard:
    decoder = run.config.get("decoder", {})
    return RunCard(
        name=run.name,
        questions=run.questions,
        data=str(run.config["data"]),
        model=str(run.config["model"]["name"]),
        decoder=", ".join(f"{name} {value}" for name, value in decoder.items()),
        created=run.created,
    )
