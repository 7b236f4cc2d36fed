"""Readings, on models whose readings and answers are known."""

import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent import ScriptedModel, ask
from et_agent.errors import PolicyError
from et_agent.gate import Action, Clarifier, Gate, GatePolicy, question_after
from et_agent.gate.clarification import clarified, decomposed
from tests.gate.conftest import CHAINS, resting_on

UNCLEAR = "How long is the race?"
MILES, HOURS = "How many miles is the race?", "How many hours does the race take?"
POLICY = GatePolicy(
    answer_at=0.9,
    least_calibration="shipped",
    uncalibrated="share",
    clarify=True,
    clarify_at=0.2,
)


def unclear(prompt: str) -> Mapping[str, float]:
    """Two readings, each with an answer of its own; without a reading both answers."""
    if "repeat it word for word" in prompt:
        return {MILES: 0.5, f'"{HOURS}"': 0.5}
    if "miles" in prompt:
        return {"\\boxed{26}": 1.0}
    if "hours" in prompt:
        return {"\\boxed{4}": 1.0}
    return {"\\boxed{26}": 0.5, "\\boxed{4}": 0.5}


def hard(prompt: str) -> Mapping[str, float]:
    """Two readings that make no difference: the model does not know."""
    if "repeat it word for word" in prompt:
        return {MILES: 0.5, HOURS: 0.5}
    return {"\\boxed{26}": 0.5, "\\boxed{4}": 0.5}


def test_an_unclear_question_parts_by_its_readings() -> None:
    with ScriptedModel.from_texts(unclear) as model:
        found = Clarifier(model, temperature=1).examine(UNCLEAR, kind="number")
    assert {one.text: one.answer for one in found.readings} == {MILES: "26", HOURS: "4"}
    assert found.complete
    assert found.weights.sum() == pytest.approx(1.0)
    entropy = -float((found.weights * np.log(found.weights)).sum())
    assert found.aleatoric == pytest.approx(entropy)
    assert found.total == pytest.approx(entropy)
    assert found.epistemic == pytest.approx(0.0)
    assert found.question is not None
    assert MILES in found.question
    assert HOURS in found.question
    assert found.tokens > 0


def test_a_hard_question_does_not() -> None:
    with ScriptedModel.from_texts(hard) as model:
        found = Clarifier(model, temperature=1, leaves=8).examine(UNCLEAR, kind="number")
    assert found.epistemic is not None
    assert found.epistemic > 0.4
    assert found.aleatoric < 0.2


def test_one_reading_is_not_answered() -> None:
    def clear(prompt: str) -> Mapping[str, float]:
        assert "What is meant" not in prompt
        return {MILES: 0.5, MILES.upper(): 0.5}

    with ScriptedModel.from_texts(clear) as model:
        found = Clarifier(model).examine(UNCLEAR)
    assert len(found.readings) == 1
    assert (found.aleatoric, found.total, found.question) == (0.0, None, None)


def test_readings_that_say_nothing_leave_the_question() -> None:
    with ScriptedModel.from_texts({"\n- \n": 0.5, "Here it is:": 0.5}) as model:
        found = Clarifier(model).examine(UNCLEAR)
    assert [one.text for one in found.readings] == [UNCLEAR]


def test_common_beginnings_are_decoded_once() -> None:
    with ScriptedModel.from_texts(unclear) as model:
        found = Clarifier(model, temperature=1).examine(UNCLEAR, kind="number")
        seen = model.decoded
    prompt = len(clarified(UNCLEAR, MILES)) + 100
    assert seen < found.tokens + 3 * prompt + 600


@pytest.mark.parametrize("limit", [{"max_tokens": 5}, {"max_seconds": 1e-9}])
def test_limits(limit: dict[str, float]) -> None:
    with ScriptedModel.from_texts(unclear) as model:
        found = Clarifier(model, temperature=1).examine(UNCLEAR, kind="number", **limit)  # type: ignore[arg-type]
    assert not found.complete
    assert found.question is None
    assert found.tokens < 200


def test_the_gate_asks_back_and_goes_on_with_the_reply() -> None:
    with ScriptedModel.from_texts(unclear) as model:
        gate = Gate(POLICY, clarifier=Clarifier(model, temperature=1))
        decision = gate.ask(model, UNCLEAR, decoder=CHAINS, kind="number")
        assert decision.action is Action.CLARIFY
        assert (decision.answer, decision.asked) == (None, 1)
        assert {one.answer for one in decision.readings} == {"26", "4"}
        assert "2 readings of the question lead to different answers" in decision.reason
        plain = ask(model, UNCLEAR, decoder=CHAINS, kind="number")
        assert decision.cost.tokens > plain.usage.tokens_decoded
        number = [one.text for one in decision.readings].index(HOURS) + 1
        by_number = gate.reply(model, decision, f" {number}. ", decoder=CHAINS, kind="number")
        by_words = gate.reply(model, decision, "in hours", decoder=CHAINS, kind="number")
    assert (by_number.action, by_number.answer) == (Action.ANSWER, "4")
    assert by_words.answer == "4"
    assert by_number.question == clarified(UNCLEAR, HOURS)
    with pytest.raises(PolicyError, match="the decision did not ask back"):
        question_after(by_number, "1")


def test_the_user_is_asked_back_no_more_often_than_allowed() -> None:
    with ScriptedModel.from_texts(unclear) as model:
        gate = Gate(POLICY, clarifier=Clarifier(model, temperature=1))
        first = gate.ask(model, UNCLEAR, decoder=CHAINS, kind="number")
        again = gate.reply(model, first, "What?", decoder=CHAINS, kind="number")
    assert again.action is Action.ABSTAIN


def test_readings_are_not_looked_for_where_paths_agree_or_the_answer_suffices() -> None:
    with ScriptedModel.from_texts(lambda prompt: {"\\boxed{4}": 1.0}) as model:
        result = ask(model, UNCLEAR, decoder=CHAINS, kind="number")
        gate = Gate(POLICY, clarifier=Clarifier(model))
        before = model.decoded
        known = {"calibration": resting_on("own", 0.0)}
        agreed = gate.resolve(result.model_copy(update={"confidence": 0.1, **known}))
        sure = gate.resolve(
            result.model_copy(update={"confidence": 0.95, "predictive_entropy": 1.0, **known})
        )
        assert model.decoded == before
    assert (agreed.action, sure.action) == (Action.ABSTAIN, Action.ANSWER)


def test_a_hard_question_goes_on_to_the_target() -> None:
    with ScriptedModel.from_texts(hard) as model:
        gate = Gate(
            POLICY,
            clarifier=Clarifier(model, temperature=1, leaves=8),
            escalate=lambda question: "26",
        )
        decision = gate.ask(model, UNCLEAR, decoder=CHAINS, kind="number")
    assert (decision.action, decision.escalated) == (Action.ANSWER, True)


def test_observing_tells_that_it_would_ask() -> None:
    policy = GatePolicy(**{**POLICY.model_dump(), "observe": True})
    with ScriptedModel.from_texts(unclear) as model:
        gate = Gate(policy, clarifier=Clarifier(model, temperature=1))
        decision = gate.ask(model, UNCLEAR, decoder=CHAINS, kind="number")
    assert (decision.action, decision.would) == (Action.ANSWER, Action.CLARIFY)
    assert decision.clarifying_question is not None
    assert decision.asked == 0


@given(
    st.integers(1, 5).flatmap(
        lambda rows: st.lists(
            st.lists(st.floats(0.01, 1), min_size=4, max_size=4), min_size=rows, max_size=rows
        )
    ),
    st.lists(st.floats(0.01, 1), min_size=5, max_size=5),
)
def test_the_parts_sum_to_the_whole(rows: list[list[float]], raw: list[float]) -> None:
    answers = np.array(rows)
    answers /= answers.sum(axis=1, keepdims=True)
    weights = np.array(raw[: len(rows)])
    weights /= weights.sum()
    total, aleatoric, epistemic = decomposed(weights, answers)
    assert total == pytest.approx(aleatoric + epistemic, abs=1e-9)
    assert -1e-12 <= aleatoric <= min(math.log(len(rows)), math.log(4)) + 1e-9


def test_paths_without_an_answer_say_nothing_of_the_readings() -> None:
    def silent(prompt: str) -> Mapping[str, float]:
        if "repeat it word for word" in prompt:
            return {MILES: 0.5, HOURS: 0.5}
        return {"\\boxed{26}": 1.0} if "miles" in prompt else {"who knows": 1.0}

    with ScriptedModel.from_texts(silent) as model:
        found = Clarifier(model, temperature=1).examine(UNCLEAR, kind="number")
    assert (found.aleatoric, found.question) == (0.0, None)


@pytest.mark.parametrize("kind", ["json", "tool_call"])
def test_readings_of_structured_answers_are_answered_in_words(kind: str) -> None:
    with ScriptedModel.from_texts(unclear) as model:
        result = ask(model, UNCLEAR, decoder=CHAINS, kind="number")
        gate = Gate(POLICY, clarifier=Clarifier(model, temperature=1))
        decision = gate.resolve(result.model_copy(update={"kind": kind, "instruction": "JSON"}))
    assert decision.action is Action.CLARIFY
