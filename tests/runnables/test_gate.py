"""The gate in a chain: decisions, branches, who escalates, budgets, errors."""

import asyncio
import pickle
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField, RunnableGenerator, RunnableLambda

from et_agent import ScriptedModel, ask
from et_agent.errors import EscalationError, InputError, PolicyError, SettingsError
from et_agent.gate import (
    Action,
    Clarifier,
    Decision,
    DecisionLog,
    Gate,
    GatePolicy,
    ModelTarget,
    question_after,
)
from et_agent.results import AskResult
from et_agent.runnables import EntropyTreeRunnable, GateRunnable
from tests.gate.conftest import CHAINS, resting_on
from tests.gate.test_clarification import MILES, UNCLEAR, unclear
from tests.gate.test_clarification import POLICY as ASKS_BACK
from tests.runnables.conftest import LENGTH, QUESTION, Recorder, aended, ended, endless


@pytest.fixture
def result(model: ScriptedModel) -> AskResult:
    """The answer 4 with a confidence of 0.7."""
    found = ask(model, QUESTION)
    known = {"calibrated": True, "calibration": resting_on("own", 0.6)}
    return found.model_copy(update={"confidence": 0.7, **known})


def policy(**fields: Any) -> GatePolicy:
    return GatePolicy(**{"answer_at": 0.5, "retries": 0, **fields})


def told(name: str) -> RunnableLambda[Decision, str]:
    return RunnableLambda(lambda decision: f"{name}: {decision.question}", name=name)


def test_a_prompt_a_tree_and_a_gate_are_a_whole_program(model: ScriptedModel) -> None:
    prompt = ChatPromptTemplate.from_messages([("human", "How many legs has a {animal}?")])
    gate = GateRunnable(gate=policy(answer_at=0.2, cautious=False))
    chain = prompt | EntropyTreeRunnable(model=model) | gate
    decision = chain.invoke({"animal": "cat"})
    assert isinstance(decision, Decision)
    assert (decision.action, decision.answer, decision.question) == (
        Action.ANSWER,
        "4",
        "How many legs has a cat?",
    )
    assert [one.answer for one in chain.batch([{"animal": "cat"}, {"animal": "dog"}])] == ["4", "4"]
    *before, last = chain.stream({"animal": "cat"})
    assert before == []
    assert last.action is Action.ANSWER


async def test_without_branches_the_decision_is_the_output(result: AskResult) -> None:
    gate = GateRunnable(gate=policy())
    assert gate.invoke(result).action is Action.ANSWER
    assert (await gate.ainvoke(result)).answer == "4"
    assert [one.answer for one in gate.stream(result)] == ["4"]
    assert [one.answer async for one in gate.astream(result)] == ["4"]
    assert gate.get_output_schema() is Decision
    assert gate.get_input_schema() is AskResult
    unsure = GateRunnable(gate=policy(answer_at=0.9)).invoke(result)
    assert (unsure.action, unsure.answer) == (Action.ABSTAIN, None)


@pytest.mark.parametrize(
    ("answer_at", "expected"), [(0.5, "answer"), (0.8, "escalate"), (0.95, "abstain")]
)
async def test_each_decision_goes_to_its_branch(
    result: AskResult, answer_at: float, expected: str
) -> None:
    gate = GateRunnable(
        gate=policy(answer_at=answer_at, escalate_from=0.0 if answer_at < 0.9 else 0.9),
        answer=told("answer"),
        escalate=told("escalate"),
        abstain=told("abstain"),
        clarify=told("clarify"),
    )
    output = f"{expected}: {QUESTION}"
    assert gate.invoke(result) == output
    assert await gate.ainvoke(result) == output
    assert list(gate.stream(result)) == [output]
    assert [chunk async for chunk in gate.astream(result)] == [output]
    assert gate.batch([result, result]) == [output, output]


def test_a_question_that_is_unclear_goes_to_the_clarify_branch() -> None:
    with ScriptedModel.from_texts(unclear) as model:
        gate = GateRunnable(
            gate=Gate(ASKS_BACK, clarifier=Clarifier(model, temperature=1)),
            clarify=lambda decision: decision,
            abstain=told("abstain"),
        )
        tree = EntropyTreeRunnable(model=model, decoder=CHAINS, kind="number")
        decision = (tree | gate).invoke(UNCLEAR)
        assert decision.action is Action.CLARIFY
        assert MILES in decision.clarifying_question
        # What the user said, put after the question, has one reading left.
        replied = tree.invoke(question_after(decision, MILES))
        assert gate.invoke(replied, asked=decision.asked).answer == "26"
        # Nobody is asked back for ever.
        assert gate.invoke(tree.invoke(UNCLEAR), asked=1) == f"abstain: {UNCLEAR}"
        with pytest.raises(SettingsError, match="cannot be pickled"):
            pickle.dumps(gate)


def test_a_policy_that_asks_back_needs_a_clarifier() -> None:
    with pytest.raises(SettingsError, match=r"pass clarifier=Clarifier\(model\)"):
        GateRunnable(gate=ASKS_BACK)


async def test_a_branch_gets_the_decision_and_is_a_child_run(
    result: AskResult, recorder: Recorder
) -> None:
    seen: list[Decision] = []

    def stronger(decision: Decision) -> str:
        seen.append(decision)
        return "done"

    branch = RunnableLambda(stronger)
    gate = GateRunnable(gate=policy(answer_at=0.9), escalate=branch, name="gate")
    config: Any = {"callbacks": [recorder], "tags": ["zoo"]}
    assert gate.invoke(result, config) == "done"
    assert recorder.told == [
        ("start", "gate"),
        ("start", "stronger"),
        ("end", "stronger"),
        ("end", "gate"),
    ]
    assert recorder.parents["stronger"] == "gate"
    assert {"zoo", "branch:escalate"} <= set(recorder.tags["stronger"])
    await gate.ainvoke(result, config)
    assert recorder.told[4:] == recorder.told[:4]
    assert [one.action for one in seen] == [Action.ESCALATE] * 2
    assert seen[0].alternatives == result.distribution
    assert not seen[0].escalated


async def test_what_a_branch_streams_is_streamed(result: AskResult) -> None:
    def words(decisions: Iterator[Decision]) -> Iterator[str]:
        for decision in decisions:
            yield from (decision.question or "").split()

    async def awords(decisions: AsyncIterator[Decision]) -> AsyncIterator[str]:
        async for decision in decisions:
            for word in decision.question.split():
                yield word

    gate = GateRunnable(gate=policy(), answer=RunnableGenerator(words, awords))
    assert list(gate.stream(result)) == QUESTION.split()
    assert [chunk async for chunk in gate.astream(result)] == QUESTION.split()


async def test_a_stream_that_is_closed_ends_a_branch_that_decodes(result: AskResult) -> None:
    def decoding(model: ScriptedModel) -> GateRunnable:
        tree = EntropyTreeRunnable(model=model, leaves=1, max_tokens=LENGTH)
        question = RunnableLambda(lambda decision: decision.question)
        return GateRunnable(gate=policy(), answer=question | tree)

    with endless() as model:
        stream: Any = decoding(model).stream(result)
        next(stream)
        stream.close()
        assert ended(model)
    with endless() as model:
        astream: Any = decoding(model).astream(result)
        await anext(astream)
        await astream.aclose()
        assert await aended(model)


# Who escalates.


def test_the_branch_escalates_instead_of_the_target(result: AskResult) -> None:
    called: list[str] = []

    def target(question: str) -> str:
        called.append(question)
        return "x"

    gate = Gate(policy(answer_at=0.9), escalate=target)
    output = GateRunnable(gate=gate, escalate=told("branch")).invoke(result)
    assert (output, called) == (f"branch: {QUESTION}", [])
    assert gate.escalations == 1
    # The gate itself is as it was.
    assert gate.resolve(result).answer == "x"
    assert called == [QUESTION]


def test_without_that_branch_the_target_escalates(result: AskResult, model: ScriptedModel) -> None:
    gate = Gate(policy(answer_at=0.9), escalate=lambda question: "five")
    runnable = GateRunnable(
        gate=gate, answer=lambda decision: (decision.answer, decision.escalated)
    )
    assert runnable.invoke(result) == ("five", True)
    cascade = Gate(policy(answer_at=0.9), escalate=ModelTarget(model))
    decision = GateRunnable(gate=cascade).invoke(result)
    assert decision.escalated
    assert decision.cost.escalations == 1


async def test_an_asynchronous_target_does_not_hold_up_the_event_loop(result: AskResult) -> None:
    async def target(question: str) -> str:
        await asyncio.sleep(0.2)
        return "five"

    gate = GateRunnable(gate=Gate(policy(answer_at=0.9), escalate=target))
    task = asyncio.ensure_future(gate.ainvoke(result))
    ticks = 0
    while not task.done():
        await asyncio.sleep(0.01)
        ticks += 1
    assert (await task).answer == "five"
    assert ticks > 5
    assert gate.invoke(result).answer == "five"
    assert [one.answer async for one in gate.astream(result)] == ["five"]


def test_with_neither_the_gate_abstains(result: AskResult) -> None:
    gate = GateRunnable(gate=policy(answer_at=0.9), abstain=told("abstain"))
    assert gate.invoke(result) == f"abstain: {QUESTION}"


def test_a_target_that_fails_falls_back_as_the_policy_says(result: AskResult) -> None:
    def fails(question: str) -> str:
        raise OSError("no network")

    gate = Gate(policy(answer_at=0.9, fallback="answer"), escalate=fails)
    decision = GateRunnable(gate=gate).invoke(result)
    assert (decision.action, decision.answer) == (Action.ANSWER, "4")
    assert "OSError" in decision.reason


async def test_an_escalate_branch_that_raises(result: AskResult, recorder: Recorder) -> None:
    def fails(decision: Decision) -> str:
        raise OSError("no network")

    gate = GateRunnable(gate=policy(answer_at=0.9), escalate=fails, name="gate")
    config: Any = {"callbacks": [recorder]}
    expected = "the escalate branch failed with OSError: no network"
    with pytest.raises(EscalationError, match=expected) as caught:
        gate.invoke(result, config)
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(EscalationError, match=expected):
        await gate.ainvoke(result, config)
    with pytest.raises(EscalationError, match=expected):
        list(gate.stream(result, config))
    with pytest.raises(EscalationError, match=expected):
        [chunk async for chunk in gate.astream(result, config)]
    found = gate.batch([result], return_exceptions=True)
    assert isinstance(found[0], EscalationError)
    assert recorder.told.count(("error", "gate")) == 4
    assert {type(error) for error in recorder.errors} == {OSError, EscalationError}
    rescued = GateRunnable(
        gate=policy(answer_at=0.9), escalate=RunnableLambda(fails).with_fallbacks([told("spare")])
    )
    assert rescued.invoke(result) == f"spare: {QUESTION}"


def test_other_branches_raise_what_they_raise(result: AskResult) -> None:
    def fails(decision: Decision) -> str:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        GateRunnable(gate=policy(), answer=fails).invoke(result)


def test_an_interrupt_of_langgraph_is_no_failure(
    result: AskResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = pytest.importorskip("langgraph.errors")

    def person(decision: Decision) -> str:
        raise errors.GraphInterrupt(("who knows?",))

    gate = GateRunnable(gate=policy(answer_at=0.9), escalate=person)
    with pytest.raises(errors.GraphInterrupt):
        gate.invoke(result)
    monkeypatch.setitem(sys.modules, "langgraph.errors", SimpleNamespace(GraphBubbleUp=OSError))
    with pytest.raises(EscalationError):
        gate.invoke(result)


# Budgets, logs, settings.


def test_configured_calls_share_one_budget(result: AskResult) -> None:
    gate = GateRunnable(
        gate=policy(escalations=2), escalate=told("escalate"), abstain=told("abstain")
    )
    configurable = gate.configurable_fields(target_error=ConfigurableField(id="target_error"))
    strict: Any = {"configurable": {"target_error": 0.1}}
    assert configurable.invoke(result).answer == "4"  # 0.7 is over 0.5
    outputs = [configurable.invoke(result, strict) for _ in range(3)]
    assert [output.split(":")[0] for output in outputs] == ["escalate", "escalate", "abstain"]
    assert gate.gate.escalations == 2
    assert configurable.invoke(result, {"configurable": {"target_error": 0.4}}).answer == "4"


def test_the_target_error_is_the_threshold(result: AskResult) -> None:
    gate = GateRunnable(gate=policy(), target_error=0.2)
    assert gate.invoke(result).threshold == pytest.approx(0.8)
    assert gate.invoke(result, target_error=0.35).threshold == pytest.approx(0.65)
    with pytest.raises(SettingsError, match="escalate_from"):
        GateRunnable(gate=policy(escalate_from=0.4), target_error=0.7)


def test_topics(result: AskResult, recorder: Recorder) -> None:
    gate = GateRunnable(gate=policy(topics={"payment": {"answer_at": 0.95}}))
    assert gate.invoke(result, topic="payment").action is Action.ABSTAIN
    assert GateRunnable(gate=gate.gate, topic="payment").invoke(result).threshold == 0.95
    with pytest.raises(PolicyError, match="no topic 'gossip'"):
        gate.invoke(result, {"callbacks": [recorder]}, topic="gossip")
    assert [type(error) for error in recorder.errors] == [PolicyError]


def test_what_a_branch_escalates_is_logged(result: AskResult, tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "log.db")
    gate = Gate(policy(answer_at=0.9), log=log)
    GateRunnable(gate=gate, escalate=told("escalate")).invoke(result)
    GateRunnable(gate=gate, target_error=0.5).invoke(result)
    actions = log.report().actions
    assert {action: count for action, count in actions.items() if count} == {
        Action.ESCALATE: 1,
        Action.ANSWER: 1,
    }


def test_a_dry_run_always_answers(result: AskResult) -> None:
    gate = GateRunnable(
        gate=policy(answer_at=0.9, observe=True),
        answer=lambda decision: decision.would,
        escalate=told("escalate"),
    )
    assert gate.invoke(result) is Action.ESCALATE


@pytest.mark.parametrize("value", ["4", None, {"answer": "4"}])
async def test_something_else_than_a_result(recorder: Recorder, value: Any) -> None:
    gate = GateRunnable(gate=policy())
    config: Any = {"callbacks": [recorder]}
    with pytest.raises(InputError, match="takes the AskResult of a tree"):
        gate.invoke(value, config)
    with pytest.raises(InputError):
        await gate.ainvoke(value, config)
    with pytest.raises(InputError):
        list(gate.stream(value, config))
    assert len(recorder.errors) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "gate: Field required"),
        ({"gate": 5}, "gate"),
        ({"gate": {"answer_at": 2}}, "answer_at"),
        ({"gate": GatePolicy(answer_at=0.5), "answer": 5}, "an int cannot be a branch"),
        ({"gate": GatePolicy(answer_at=0.5), "target_error": 1.0}, "target_error"),
        ({"gate": GatePolicy(answer_at=0.5), "fallback": str}, "fallback: Extra inputs"),
    ],
)
def test_settings_that_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        GateRunnable(**settings)


def test_what_branches_let_configure_can_be_configured(model: ScriptedModel) -> None:
    tree = EntropyTreeRunnable(model=model).configurable_fields(leaves=ConfigurableField(id="big"))
    gate = GateRunnable(
        gate=policy(answer_at=0.9),
        escalate=RunnableLambda(lambda decision: decision.question) | tree,
    )
    assert [spec.id for spec in gate.config_specs] == ["big"]
    decided = gate.invoke(ask(model, QUESTION), {"configurable": {"big": 3}})
    assert decided.decoder["leaves"] == 3
