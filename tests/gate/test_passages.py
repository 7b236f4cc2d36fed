"""A gate never answers that the passages do not say; it hands them on with the question."""

from collections.abc import Mapping
from typing import Any

import pytest

from et_agent import AskResult, ScriptedModel, ask
from et_agent.gate import Action, Clarifier, Gate, GatePolicy, ModelTarget
from et_agent.gate.escalation import Target
from tests.gate.conftest import CHAINS

PASSAGE = "Rollo led the men."
QUESTION = "Who sailed?"
ABSENT: Mapping[str, float] = {"\\boxed{not in the passages}": 0.8, "\\boxed{Rollo}": 0.2}
FOUND: Mapping[str, float] = {"\\boxed{Rollo}": 1.0}
ANY = GatePolicy(answer_at=0.0, uncalibrated="share")


def result(texts: Mapping[str, float] = ABSENT, **options: Any) -> AskResult:
    with ScriptedModel.from_texts(texts) as model:
        return ask(model, QUESTION, context=PASSAGE, decoder=CHAINS, **options)


def test_it_abstains_whatever_the_threshold() -> None:
    decision = Gate(ANY).resolve(result())
    assert (decision.action, decision.answer, decision.declined) == (Action.ABSTAIN, None, True)
    assert decision.reason == "The passages do not say."
    assert decision.passages == (PASSAGE,)
    assert decision.model_validate_json(decision.model_dump_json()) == decision


@pytest.mark.parametrize("fallback", ["abstain", "answer"])
def test_it_is_no_doubtful_answer_either(fallback: str) -> None:
    def broken(question: str) -> str:
        raise OSError("down")

    gate = Gate(ANY.changed(fallback=fallback, retries=0), escalate=broken)
    decision = gate.resolve(result())
    assert (decision.action, decision.answer) == (Action.ABSTAIN, None)


def test_a_dry_run_has_no_answer_to_give() -> None:
    decision = Gate(ANY.changed(observe=True)).resolve(result())
    assert (decision.would, decision.answer) == (Action.ABSTAIN, None)


def test_an_answer_is_judged_by_its_confidence() -> None:
    decision = Gate(ANY).resolve(result(FOUND))
    assert (decision.action, decision.answer, decision.declined) == (Action.ANSWER, "Rollo", False)


def test_a_function_is_asked_with_the_passages() -> None:
    asked = []

    def target(question: str) -> str:
        asked.append(question)
        return "Rollo"

    decision = Gate(ANY, escalate=target).resolve(result())
    assert asked[0].startswith(f"Passage:\n{PASSAGE}\n\nQuestion: {QUESTION}")
    assert asked[0].endswith("If they do not say it, reply: not in the passages.")
    assert (decision.action, decision.answer, decision.escalated) == (Action.ANSWER, "Rollo", True)
    assert not decision.declined


@pytest.mark.parametrize("fallback", ["abstain", "answer"])
def test_what_declines_is_a_finding_in_words_too(fallback: str) -> None:
    calls = []

    def target(question: str) -> str:
        calls.append(question)
        return "The passages do not say."

    doubtful = result({"\\boxed{Rollo}": 0.6, "\\boxed{Olaf}": 0.4})
    policy = GatePolicy(answer_at=0.9, uncalibrated="share", fallback=fallback, retries=2)
    decision = Gate(policy, escalate=target).resolve(doubtful)
    assert (decision.action, decision.answer, decision.declined) == (Action.ABSTAIN, None, True)
    assert "The target found that the passages do not say." in decision.reason
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("texts", "action", "says"),
    [
        (FOUND, Action.ANSWER, "the target answered"),
        (ABSENT, Action.ABSTAIN, "the target found that the passages do not say"),
    ],
    ids=["found", "absent"],
)
def test_a_larger_model_gets_them_as_its_context(
    texts: Mapping[str, float], action: Action, says: str
) -> None:
    prompts = []

    def script(prompt: str) -> Mapping[str, float]:
        prompts.append(prompt)
        return texts

    with ScriptedModel.from_texts(script) as larger:
        target: Target = ModelTarget(larger, decoder=CHAINS)
        decision = Gate(ANY, escalate=target).resolve(result())
    assert decision.action is action
    assert says in decision.reason.lower()
    assert any(PASSAGE in one for one in prompts)


def test_nobody_is_asked_back_about_a_question_with_passages() -> None:
    with ScriptedModel.from_texts({"1. a reading": 1.0}) as model:
        policy = GatePolicy(answer_at=1.0, clarify=True, clarify_from=0.0)
        decision = Gate(policy, clarifier=Clarifier(model)).resolve(result())
    assert (decision.action, decision.cost.tokens) == (
        Action.ABSTAIN,
        result().usage.tokens_decoded,
    )
