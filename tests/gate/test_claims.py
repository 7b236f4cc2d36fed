"""Doubtful claims of long answers in a gate."""

# ruff: noqa: RUF001

from typing import Any

import pytest

from et_agent.errors import PolicyError
from et_agent.gate import Action, Gate, GatePolicy
from et_agent.gate.claims import kept_text, marked_text
from et_agent.results import AskResult, ClaimReport
from tests.gate.conftest import Judged, resting_on

ANSWER = "Facts:\n- Paris is in France.\n- It has ten moons. It is old."


def claim(sentence: str, confidence: float | None, text: str = "") -> ClaimReport:
    start = ANSWER.index(sentence)
    return ClaimReport(
        text=text or sentence,
        span=(start, start + len(sentence)),
        support=0.9,
        contradicted=0.05,
        silent=0.05,
        confidence=confidence,
        calibration=None if confidence is None else resting_on("general", confidence - 0.1),
    )


CLAIMS = (
    claim("Paris is in France.", 0.97),
    claim("It has ten moons.", 0.2),
    claim("It is old.", 0.99, "Paris is old."),
    claim("It is old.", 0.95, "Paris is a town."),
)


@pytest.fixture
def long(judged: Judged) -> AskResult:
    """A long answer, whose mean confidence is 0.78."""
    general = resting_on("general", 0.7)
    return judged(0.78, answer=ANSWER, kind="long", claims=CLAIMS, calibration=general)


def decided(result: AskResult, answer_at: float, **changes: Any) -> Any:
    changes = {"cautious": False, **changes}
    return Gate(GatePolicy(answer_at=answer_at, **changes)).decide(result)


def test_without_a_word_about_claims_the_mean_decides(long: AskResult) -> None:
    given = decided(long, 0.7)
    assert (given.action, given.answer) == (Action.ANSWER, ANSWER)
    assert given.doubtful_claims == (1,)
    assert given.claims == CLAIMS
    assert decided(long, 0.8).action is Action.ABSTAIN


def test_mark_points_out_doubtful_sentences(long: AskResult) -> None:
    given = decided(long, 0.7, claims="mark")
    assert given.answer == (
        "Facts:\n- Paris is in France.\n- It has ten moons [doubtful]. It is old."
    )
    assert given.doubtful_claims == (1,)
    below = decided(long, 0.8, claims="mark")
    assert (below.action, below.answer) == (Action.ABSTAIN, None)


def test_drop_gives_what_reaches_the_threshold_and_nothing_unchecked(long: AskResult) -> None:
    given = decided(long, 0.9, claims="drop")
    assert given.action is Action.ANSWER
    assert given.answer == "Paris is in France.\nIt is old."
    assert given.confidence == pytest.approx((0.97 + 0.99 + 0.95) / 3)
    assert "3 of 4 claims reach the threshold of 90%" in given.reason
    assert given.calibration.interval == pytest.approx(((0.87 + 0.89 + 0.85) / 3, 1.0))


def test_a_sentence_goes_with_its_most_doubtful_claim(long: AskResult) -> None:
    one = decided(long, 0.96, claims="drop")
    assert (one.answer, one.confidence) == ("Paris is in France.", pytest.approx(0.97))
    nothing = decided(long, 0.98, claims="drop")
    assert (nothing.action, nothing.answer) == (Action.ABSTAIN, None)
    assert "No sentence has only claims" in nothing.reason


def test_the_lower_end_is_compared_where_the_general_map_judges(long: AskResult) -> None:
    assert decided(long, 0.86, claims="drop", cautious=None).answer == "Paris is in France."
    assert decided(long, 0.96, claims="drop", cautious=None).action is Action.ABSTAIN


def test_claims_without_a_confidence_are_doubtful(long: AskResult) -> None:
    unknown = (CLAIMS[0].model_copy(update={"confidence": None, "calibration": None}), CLAIMS[2])
    result = long.model_copy(update={"claims": unknown, "confidence": None, "calibration": None})
    assert decided(result, 0.0).action is Action.ABSTAIN
    given = decided(result, 0.5, claims="drop")
    assert (given.answer, given.doubtful_claims) == ("It is old.", (0,))
    strict = decided(long, 0.0, claims="drop", least_calibration="own")
    assert strict.action is Action.ABSTAIN


def test_a_share_that_stands_in_is_the_support(long: AskResult) -> None:
    settings = {"least_calibration": "own", "uncalibrated": "share", "claims": "drop"}
    assert decided(long, 0.8, **settings).answer is not None
    assert decided(long, 0.95, **settings).action is Action.ABSTAIN


def test_drop_gives_nothing_where_no_claim_was_checked(long: AskResult) -> None:
    unchecked = long.model_copy(update={"claims": (), "share": 1.0})
    given = decided(unchecked, 0.5, claims="drop")
    assert (given.action, given.answer) == (Action.ABSTAIN, None)
    assert "None of its claims was checked" in given.reason
    by_share = {"least_calibration": "own", "uncalibrated": "share", "claims": "drop"}
    assert decided(unchecked, 0.5, **by_share).action is Action.ABSTAIN


def test_drop_falls_back_on_nothing_unchecked_of_a_stopped_tree(long: AskResult) -> None:
    def failing(_: str) -> str:
        raise OSError("no network")

    def fallen_back(result: AskResult) -> Any:
        settings: Any = {"fallback": "answer", "retries": 0, "cautious": False, "claims": "drop"}
        return Gate(GatePolicy(answer_at=0.9, **settings), escalate=failing).resolve(result)

    stopped = long.model_copy(update={"complete": False})
    assert fallen_back(stopped).answer == "Paris is in France.\nIt is old."
    assert fallen_back(stopped.model_copy(update={"claims": ()})).answer is None


def test_a_dry_run_gives_the_whole(long: AskResult) -> None:
    given = decided(long, 0.9, claims="drop", observe=True)
    assert (given.answer, given.would) == (ANSWER, None)
    assert decided(long, 0.98, claims="drop", observe=True).would is Action.ABSTAIN


def test_what_is_fallen_back_on_has_no_doubtful_claim_either(long: AskResult) -> None:
    def failing(_: str) -> str:
        raise OSError("no network")

    def fallen_back(answer_at: float, **changes: Any) -> Any:
        policy = GatePolicy(
            answer_at=answer_at, cautious=False, fallback="answer", retries=0, **changes
        )
        return Gate(policy, escalate=failing).resolve(long)

    assert fallen_back(0.98).answer == ANSWER
    assert "[doubtful]" in fallen_back(0.98, claims="mark").answer
    dropped = fallen_back(0.98, claims="drop")
    assert (dropped.action, dropped.answer) == (Action.ABSTAIN, None)


def test_an_answer_that_is_no_long_one_has_no_claims(judged: Judged) -> None:
    given = decided(judged(0.9), 0.8, claims="drop")
    assert (given.answer, given.claims) == ("4", ())


def test_a_field_that_the_policy_names_is_missing(long: AskResult) -> None:
    given = decided(long, 0.7, claims="drop", fields={"amount": 0.9})
    assert given.action is Action.ABSTAIN
    assert given.doubtful_fields == ("amount",)


def test_where_marks_stand() -> None:
    assert marked_text(ANSWER, CLAIMS, ()) == ANSWER
    text, one = "东京是首都。它很大！", ClaimReport(text="x", span=(6, 10))
    assert marked_text(text, [one], [0]) == "东京是首都。它很大 [doubtful]！"
    assert marked_text("It is", [ClaimReport(text="It is", span=(0, 5))], [0]) == "It is [doubtful]"
    assert kept_text(ANSWER, CLAIMS, (0, 1, 2)) is None


@pytest.mark.parametrize("wrong", ["hide", True, 3])
def test_other_words_are_refused(wrong: Any) -> None:
    with pytest.raises(PolicyError, match="claims"):
        GatePolicy(answer_at=0.8, claims=wrong)
