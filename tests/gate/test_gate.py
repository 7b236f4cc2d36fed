import threading
import time
from typing import Any

import pytest

from et_agent import AskResult, MultiChain, ScriptedModel, ask
from et_agent.asking.options import AskOptions
from et_agent.asking.pending import Progress
from et_agent.errors import PolicyError, SettingsError
from et_agent.gate import Action, Clarifier, Cost, Gate, GatePolicy, ModelTarget
from et_agent.gate.escalation import Target
from tests.gate.conftest import CHAINS, QUESTION, SURE, TEXTS, Judged

POLICY = GatePolicy(answer_at=0.8, escalate_from=0.2, retries=0)
SHARES = GatePolicy(answer_at=0.8, least_calibration="shipped", uncalibrated="share", retries=0)
"""The share stands in wherever there is no calibrator for the model and its settings."""


def test_a_confident_answer_is_given(judged: Judged) -> None:
    result = judged(0.9)
    decision = Gate(POLICY).resolve(result)
    assert decision.action is Action.ANSWER
    assert decision.answer == result.answer
    assert (decision.confidence, decision.calibrated, decision.threshold) == (0.9, True, 0.8)
    assert (decision.calibration, decision.compared) == (result.calibration, 0.9)
    assert (
        decision.reason
        == "The confidence of 90% from your own calibrator reaches the threshold of 80%."
    )
    assert decision.alternatives == result.distribution
    assert decision.cost.tokens == result.usage.tokens_decoded
    assert decision.model_validate_json(decision.model_dump_json()) == decision


def test_the_threshold_itself_suffices(judged: Judged) -> None:
    assert Gate(POLICY).decide(judged(0.8)).action is Action.ANSWER


def test_without_a_target_a_doubtful_answer_is_kept_back(judged: Judged) -> None:
    decision = Gate(POLICY).resolve(judged(0.5))
    assert decision.action is Action.ABSTAIN
    assert decision.answer is None
    assert decision.reason == (
        "The confidence of 50% from your own calibrator is below the threshold of 80%."
    )


def test_escalation_to_a_function(judged: Judged) -> None:
    asked = []

    def target(question: str) -> str:
        asked.append(question)
        return "four"

    result = judged(0.5).model_copy(update={"notes": ("paths were cut off",)})
    assert Gate(POLICY).resolve(result).notes == ("paths were cut off",)
    decision = Gate(POLICY, escalate=target).resolve(result)
    assert (decision.action, decision.answer, decision.escalated) == (Action.ANSWER, "four", True)
    assert decision.notes == (), "they are about a tree that did not answer"
    assert decision.confidence is None, "the target's answer has no confidence"
    assert decision.cost.escalations == 1
    assert asked == [QUESTION]


def test_notes_are_about_the_tree_that_was_judged_last(judged: Judged) -> None:
    with ScriptedModel.from_texts({"\\boxed{4} and so on and on": 1.0}) as cut:
        target = ModelTarget(cut, decoder=MultiChain(leaves=2, max_tokens=12))
        decision = Gate(SHARES, escalate=target).resolve(judged(0.5))
    assert decision.answer == "4"
    assert "did not end within 12 tokens" in " ".join(decision.notes)


def test_what_is_hopeless_is_not_escalated(judged: Judged) -> None:
    gate = Gate(POLICY, escalate=lambda question: pytest.fail("called"))
    decision = gate.resolve(judged(0.1))
    assert decision.action is Action.ABSTAIN
    assert "nothing below 20% is escalated" in decision.reason


def test_decide_calls_nothing(judged: Judged) -> None:
    gate = Gate(POLICY, escalate=lambda question: pytest.fail("called"))
    decision = gate.decide(judged(0.5))
    assert decision.action is Action.ESCALATE
    assert decision.answer is None
    assert gate.escalations == 0


def test_another_model_s_answer_is_gated_in_its_turn(judged: Judged) -> None:
    wants_own = POLICY.changed(least_calibration="own")
    with ScriptedModel.from_texts(SURE) as sure, ScriptedModel.from_texts(TEXTS) as unsure:
        good = Gate(SHARES, escalate=ModelTarget(sure, decoder=CHAINS)).resolve(judged(0.5))
        doubtful = Gate(SHARES, escalate=ModelTarget(unsure, decoder=CHAINS)).resolve(judged(0.5))
        general = Gate(POLICY, escalate=ModelTarget(sure, decoder=CHAINS)).resolve(judged(0.5))
        refused = Gate(wants_own, escalate=ModelTarget(sure, decoder=CHAINS)).resolve(judged(0.5))
    assert (good.action, good.answer, good.confidence) == (Action.ANSWER, "4", 1.0)
    assert good.reason.endswith(
        "The target answered, and the share of 100% reaches the threshold of 80%."
    )
    assert good.cost.tokens > judged(0.5).usage.tokens_decoded
    assert (doubtful.action, doubtful.answer) == (Action.ABSTAIN, None)
    assert "The target answered, but the share of " in doubtful.reason
    assert (general.action, general.calibrated) == (Action.ABSTAIN, False)
    assert general.calibration is not None
    assert general.compared == general.calibration.low
    assert general.confidence is not None
    assert general.confidence > 0.8 > general.compared
    assert (refused.action, refused.confidence, refused.answer) == (Action.ABSTAIN, None, None)
    assert "and the policy wants a calibrator of your own" in refused.reason


@pytest.mark.fault("target raises")
@pytest.mark.parametrize("fallback", ["abstain", "answer"])
def test_a_target_that_fails(judged: Judged, fallback: Any) -> None:
    def target(question: str) -> str:
        raise OSError("no network")

    policy = GatePolicy(answer_at=0.8, retries=2, backoff=0, fallback=fallback)
    result = judged(0.5)
    decision = Gate(policy, escalate=target).resolve(result)
    assert decision.action is (Action.ANSWER if fallback == "answer" else Action.ABSTAIN)
    assert decision.answer == (result.answer if fallback == "answer" else None)
    assert "failed 3 times, at last with OSError;" in decision.reason
    assert decision.cost.escalations == 3
    assert not decision.escalated


def test_budgets(judged: Judged) -> None:
    counted = Gate(GatePolicy(answer_at=0.8, escalations=2), escalate=lambda question: "4")
    actions = [counted.resolve(judged(0.5)) for _ in range(4)]
    assert [one.escalated for one in actions] == [True, True, False, False]
    assert "escalation budget is used up" in actions[2].reason
    shared = Gate(GatePolicy(answer_at=0.8, escalation_share=0.25), escalate=lambda question: "4")
    results = [judged(one) for one in (0.5, 0.5, 0.9, 0.9, 0.9, 0.9, 0.5, 0.5)]
    # One may always be passed on; the second once there are eight decisions.
    passed = [shared.resolve(one).escalated for one in results]
    assert passed == [True, False, False, False, False, False, False, True]
    none = Gate(GatePolicy(answer_at=0.8, escalation_share=0), escalate=lambda question: "4")
    assert not none.resolve(judged(0.5)).escalated


def test_a_topic_with_a_budget_counts_by_itself(judged: Judged) -> None:
    policy = GatePolicy(answer_at=0.8, escalations=1, topics={"a": {"escalations": 1}, "b": {}})
    gate = Gate(policy, escalate=lambda question: "4")
    topics = (None, "a", "a", "b")
    passed = [gate.resolve(judged(0.5), topic=topic).escalated for topic in topics]
    assert passed == [True, True, False, False]
    assert gate.escalations == 2


def test_a_dry_run_keeps_to_the_budget_too(judged: Judged) -> None:
    gate = Gate(GatePolicy(answer_at=0.8, escalations=1, observe=True), escalate=lambda q: "4")
    would = [gate.resolve(judged(0.5)).would for _ in range(2)]
    assert would == [Action.ESCALATE, Action.ABSTAIN]


def test_an_interrupt_of_langgraph_goes_through_and_is_not_counted(judged: Judged) -> None:
    from langgraph.errors import GraphInterrupt

    def person(question: str) -> str:
        raise GraphInterrupt(())

    gate = Gate(GatePolicy(answer_at=0.8, escalations=1), escalate=person)
    with pytest.raises(GraphInterrupt):
        gate.resolve(judged(0.5))
    assert gate.escalations == 0


def test_handing_over(judged: Judged) -> None:
    gate = Gate(GatePolicy(answer_at=0.8, escalations=1))
    first = gate.resolve(judged(0.5), hand_over=True)
    assert (first.action, first.answer) == (Action.ESCALATE, None)
    assert gate.resolve(judged(0.5), hand_over=True).action is Action.ABSTAIN, "counted"
    strict = GatePolicy(answer_at=0.99)
    assert gate.resolve(judged(0.9), policy=strict).threshold == 0.99


def test_what_was_spent_before_counts(judged: Judged) -> None:
    policy = GatePolicy(answer_at=0.8, max_tokens=500)
    gate = Gate(policy, escalate=lambda question: "4")
    result = judged(0.5)
    decision = gate.resolve(result, spent=Cost(tokens=490, seconds=1.0))
    assert decision.cost.tokens == 490 + result.usage.tokens_decoded
    assert decision.action is Action.ABSTAIN


def test_parallel_questions_keep_to_the_budget(judged: Judged) -> None:
    gate = Gate(GatePolicy(answer_at=0.8, escalations=3), escalate=_slow("4"))
    result = judged(0.5)
    threads = [threading.Thread(target=gate.resolve, args=(result,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert gate.escalations == 3


def _slow(answer: str) -> Target:
    def target(question: str) -> str:
        time.sleep(0.05)
        return answer

    return target


def test_without_a_confidence_nothing_is_certain(judged: Judged) -> None:
    result = judged(None, SURE)
    assert result.share == 1.0
    decision = Gate(POLICY).decide(result)
    assert (decision.action, decision.confidence, decision.compared) == (Action.ABSTAIN, None, None)
    assert decision.reason == (
        "The answer has no confidence (ask for one, or let the policy use the share)."
    )
    stood_in = Gate(SHARES).decide(result)
    assert (stood_in.action, stood_in.confidence, stood_in.calibrated) == (Action.ANSWER, 1, False)
    assert stood_in.reason == "The share of 100% reaches the threshold of 80%."


def test_no_answer_and_an_unfinished_tree_are_never_given(judged: Judged) -> None:
    always = Gate(GatePolicy(answer_at=0.0, uncalibrated="share"))
    nothing = judged(None, {"who knows": 1.0})
    assert nothing.answer is None
    assert always.decide(nothing).action is Action.ABSTAIN
    assert "no path gave an answer" in always.decide(nothing).reason.lower()
    cut = judged(None, complete=False)
    assert always.decide(cut).action is Action.ABSTAIN
    assert "stopped before" in always.decide(cut).reason.lower()


def test_observing_only_records_what_would_be_done(judged: Judged) -> None:
    policy = GatePolicy(answer_at=0.8, observe=True)
    gate = Gate(policy, escalate=lambda question: pytest.fail("called"))
    decision = gate.resolve(judged(0.5))
    assert (decision.action, decision.would) == (Action.ANSWER, Action.ESCALATE)
    assert decision.answer is not None
    assert gate.resolve(judged(0.9)).would is None
    assert gate.escalations == 1, "counted, though nothing was called"


def test_topics(judged: Judged) -> None:
    gate = Gate(GatePolicy(answer_at=0.5, topics={"payment": {"answer_at": 0.9}}))
    assert gate.decide(judged(0.7), topic=None).action is Action.ANSWER
    paying = gate.decide(judged(0.7), topic="payment")
    assert (paying.action, paying.threshold, paying.topic) == (Action.ABSTAIN, 0.9, "payment")
    with pytest.raises(PolicyError, match="no topic"):
        gate.resolve(judged(0.7), topic="search")


@pytest.mark.parametrize("limit", [{"max_tokens": 20}, {"max_seconds": 1e-6}])
def test_a_decision_stops_at_its_limits(limit: dict[str, Any]) -> None:
    policy = GatePolicy(answer_at=0.5, uncalibrated="share", **limit)
    asked: list[str] = []
    gate = Gate(policy, escalate=asked.append)
    long = {"Let me think about it at length. " * 20 + "\\boxed{4}": 1.0}
    with ScriptedModel.from_texts(long) as model:
        decision = gate.ask(model, QUESTION, decoder=MultiChain(leaves=4, max_tokens=4096))
    assert decision.action is Action.ABSTAIN
    # Looked at after every step: a limit is passed by one step's tokens at most.
    assert decision.cost.tokens <= 24
    assert not asked, "nothing is left for an escalation"
    assert "decision has used up its limits" in decision.reason
    assert gate.escalations == 0, "what was not called is not counted"


def test_options_are_an_object_or_named_and_checked_at_once() -> None:
    gate = Gate(SHARES)
    options, seen = AskOptions(decoder=CHAINS, kind="number"), list[Progress]()
    with ScriptedModel.from_texts(SURE) as model:
        whole = gate.ask(model, QUESTION, options, on_progress=seen.append)
        named = gate.ask(model, QUESTION, decoder=CHAINS, kind="number")
        assert ModelTarget(model, options.changed(seed=3), seed=4).options == options.changed(
            seed=4
        )
        with pytest.raises(SettingsError, match="no answer kind"):
            ModelTarget(model, kind="poem")
    assert seen
    assert (whole.answer, whole.confidence) == (named.answer, named.confidence) == ("4", 1.0)


def test_asking_back_needs_something_to_find_readings_with() -> None:
    for policy in (
        GatePolicy(answer_at=0.5, clarify=True),
        GatePolicy(answer_at=0.5, topics={"a": {"clarify": True}}),
    ):
        with pytest.raises(PolicyError, match="Clarifier"):
            Gate(policy)
        with ScriptedModel.from_texts(TEXTS) as model:
            Gate(policy, clarifier=Clarifier(model))


def test_a_decision_over_a_finished_tree_is_fast(judged: Judged) -> None:
    gate, result = Gate(POLICY), judged(0.5)
    gate.decide(result)
    began = time.perf_counter()
    for _ in range(100):
        gate.decide(result)
    assert (time.perf_counter() - began) / 100 < 0.02, "the benchmark measures it in earnest"


def test_asking_through_the_gate() -> None:
    with ScriptedModel.from_texts(SURE) as model:
        decision = Gate(SHARES).ask(model, QUESTION, decoder=CHAINS, kind="number", seed=3)
        known: AskResult = ask(model, QUESTION, decoder=CHAINS, kind="number", seed=3)
    assert (decision.action, decision.answer) == (Action.ANSWER, known.answer)


def test_a_tree_stops_by_the_policy_of_the_gate() -> None:
    decoder = MultiChain(leaves=12, temperature=1, stop_risk=0.0, batch=1)
    out_of_reach = Gate(GatePolicy(answer_at=0.999))
    never = Gate(GatePolicy(answer_at=0.5, least_calibration="own"))
    always = Gate(GatePolicy(answer_at=0.0))
    with ScriptedModel.from_texts(SURE) as model:
        plain = ask(model, QUESTION, decoder=decoder, kind="number")
        leaves = {}
        for gate in (out_of_reach, never, always):
            decision = gate.ask(model, QUESTION, decoder=decoder, kind="number")
            whole = gate.ask(
                model, QUESTION, decoder=MultiChain(leaves=12, temperature=1), kind="number"
            )
            assert (decision.action, decision.answer) == (whole.action, whole.answer)
            leaves[gate] = decision.alternatives[0].leaves
    assert plain.usage.leaves == 7
    assert list(leaves.values()) == [3, 3, 7]


@pytest.mark.parametrize("changes", [{}, {"uncalibrated": "share"}, {"cautious": False}])
def test_what_is_compared_is_what_the_policy_says(judged: Judged, changes: dict[str, Any]) -> None:
    for result in (judged(0.9), judged(None)):
        policy = POLICY.changed(**changes)
        compared = policy.compared(None if result.confidence is None else result.calibration)
        decision = Gate(policy).decide(result)
        assert (compared is None) == (decision.compared is None)
        if compared == "share":
            assert decision.compared == result.share
