"""What counts for a policy, what is compared with its threshold, and how a reason tells it."""

from typing import Any, Literal, get_args

import pytest

from et_agent.gate import Action, Gate, GatePolicy
from et_agent.gate.judging import judged as judge
from et_agent.results import CalibrationSource
from tests.gate.conftest import SURE, Judged, resting_on

SOURCES: tuple[CalibrationSource, ...] = get_args(CalibrationSource)
OTHER = "chat plain instead of model"
GENERAL = resting_on("general", 0.39, OTHER)


def test_the_lower_end_of_the_general_map_is_compared_and_the_reason_says_so(
    judged: Judged,
) -> None:
    decision = Gate(GatePolicy(answer_at=0.8)).decide(judged(0.74, calibration=GENERAL))
    assert decision.reason == (
        f"The confidence of 74% comes from the general map ({OTHER}); its lower end of 39% is below "
        "the threshold of 80%."
    )
    assert (decision.action, decision.confidence) == (Action.ABSTAIN, 0.74)
    assert (decision.compared, decision.calibration) == (0.39, GENERAL)
    assert not decision.calibrated
    assert decision.model_validate_json(decision.model_dump_json()) == decision


@pytest.mark.parametrize("cautious", [None, False, True])
@pytest.mark.parametrize("source", SOURCES)
def test_what_is_compared(judged: Judged, source: CalibrationSource, cautious: bool | None) -> None:
    policy = GatePolicy(answer_at=0.8, cautious=cautious)
    verdict = judge(judged(0.9, calibration=resting_on(source, 0.7)), policy)
    low = source == "general" if cautious is None else cautious
    assert (verdict.confidence, verdict.compared) == (0.9, 0.7 if low else 0.9)
    assert verdict.answers is not low
    assert verdict.calibrated == (source != "general")


@pytest.mark.parametrize("least", SOURCES)
@pytest.mark.parametrize("source", SOURCES)
def test_what_counts(judged: Judged, source: CalibrationSource, least: CalibrationSource) -> None:
    result = judged(0.9, SURE, calibration=resting_on(source, 0.85))
    policy = GatePolicy(answer_at=0.8, least_calibration=least)
    counts = SOURCES.index(source) <= SOURCES.index(least)
    assert judge(result, policy).answers is counts
    verdict = judge(result, policy.changed(uncalibrated="share"))
    assert (verdict.confidence, verdict.calibration) == (
        (0.9, result.calibration) if counts else (1.0, None)
    )


@pytest.mark.parametrize(
    ("changes", "least", "says"),
    [
        ({"confidence": None}, "general", "the answer has no confidence (ask for one"),
        ({"calibration": None}, "general", "of 90% does not say what it rests on (ask again"),
        (
            {"calibration": GENERAL},
            "shipped",
            f"the general map ({OTHER}), and the policy wants a shipped calibrator or a calibrator "
            "of your own (fit one",
        ),
        (
            {"calibration": resting_on("shipped", 0.8)},
            "own",
            "the shipped calibrator, and the policy wants a calibrator of your own (fit one",
        ),
    ],
)
def test_why_nothing_counts(
    judged: Judged, changes: dict[str, Any], least: CalibrationSource, says: str
) -> None:
    policy = GatePolicy(answer_at=0.0, least_calibration=least)
    verdict = judge(judged(0.9).model_copy(update=changes), policy)
    assert (verdict.answers, verdict.confidence, verdict.compared) == (False, None, None)
    assert says in verdict.why
    assert verdict.why.endswith("or let the policy use the share)")


@pytest.mark.parametrize(
    ("answer_at", "cautious", "says"),
    [
        (0.95, None, "the threshold of 95% (no tree of 12 leaves can reach it: at most 60%)"),
        (0.95, False, "the threshold of 95% (no tree of 12 leaves can reach it: at most 90%)"),
        (0.9, False, "the threshold of 90%"),
        (0.904, False, "the threshold of 90.4% (no tree of 12 leaves can reach it: at most 90.0%)"),
    ],
)
def test_a_threshold_that_no_tree_can_reach(
    judged: Judged, answer_at: float, cautious: bool | None, says: str
) -> None:
    calibration = resting_on("general", 0.5, largest=0.9, largest_low=0.6)
    policy = GatePolicy(answer_at=answer_at, cautious=cautious)
    assert judge(judged(0.7, calibration=calibration), policy).why.endswith(says)


def test_a_single_path(judged: Judged) -> None:
    calibration = resting_on("general", 0.5, largest=0.75, largest_low=0.6)
    result = judged(0.7, calibration=calibration, decoder={"name": "Greedy"})
    assert (
        "(no single path can reach it: at most 60%)" in judge(result, GatePolicy(answer_at=1)).why
    )


@pytest.mark.parametrize(
    ("confidence", "answer_at", "says"),
    [
        (0.796, 0.8, "of 79.6% from your own calibrator is below the threshold of 80%"),
        (0.79996, 0.8, "of 80% from your own calibrator is below the threshold of 80%"),
        (0.8, 0.8, "of 80% from your own calibrator reaches the threshold of 80%"),
        (0.979, 0.975, "of 97.9% from your own calibrator reaches the threshold of 97.5%"),
        (0.5, 0.123456, "of 50% from your own calibrator reaches the threshold of 12.35%"),
    ],
)
def test_figures_tell_which_is_larger(
    judged: Judged, confidence: float, answer_at: float, says: str
) -> None:
    assert says in judge(judged(confidence), GatePolicy(answer_at=answer_at)).why


def test_what_is_escalated_depends_on_the_confidence_itself(judged: Judged) -> None:
    gate = Gate(GatePolicy(answer_at=0.8, escalate_from=0.6), escalate=lambda question: "4")
    decision = gate.decide(judged(0.74, calibration=GENERAL))
    assert decision.action is Action.ESCALATE


@pytest.mark.parametrize("confidence", [float("nan"), float("inf"), -0.5, 1.5])
@pytest.mark.parametrize("uncalibrated", ["refuse", "share"])
def test_what_is_no_probability_does_not_count(
    judged: Judged, confidence: float, uncalibrated: Literal["refuse", "share"]
) -> None:
    result = judged(0.9).model_copy(update={"confidence": confidence})
    decision = Gate(GatePolicy(answer_at=0.99, uncalibrated=uncalibrated)).decide(result)
    assert decision.action is Action.ABSTAIN
    assert "nan" not in decision.reason
    assert decision.model_validate_json(decision.model_dump_json()) == decision
