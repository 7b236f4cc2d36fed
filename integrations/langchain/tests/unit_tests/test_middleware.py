import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_et_agent import ChatEntropyTree, ConfidenceGateMiddleware, result_of
from langchain_et_agent.metadata import METADATA_KEY, metadata_of
from langchain_et_agent.middleware import DECISION_EVENT
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from et_agent import ScriptedModel
from et_agent.errors import InputError, ModelClosedError, PolicyError, SettingsError
from et_agent.gate import Action, Decision, DecisionLog, GatePolicy

from .agent_fakes import (
    UNCLEAR,
    FakeChat,
    TreeChat,
    calls,
    resting_on_the_general_map,
    result_with,
    says,
    tools_into,
    unclear,
)
from .agents import ASK, HOW, POLICY, THREAD, agent_of, decisions_of, run, valid


def test_a_sure_answer_passes() -> None:
    model = FakeChat(replies=[says("4", 0.9)])
    state = agent_of(model, ConfidenceGateMiddleware(POLICY)).invoke(ASK)
    assert state["messages"][-1].text == "4"
    (decision,) = decisions_of(state)
    assert (decision.action, decision.confidence, decision.threshold) == (Action.ANSWER, 0.9, 0.6)
    json.dumps(state["et_agent_decisions"])


def test_a_doubtful_answer_becomes_an_abstention() -> None:
    model = FakeChat(replies=[says("4", 0.2)])
    state = agent_of(model, ConfidenceGateMiddleware(POLICY)).invoke(ASK)
    assert "not sure enough" in state["messages"][-1].text
    assert "20%" in state["messages"][-1].text
    assert [one.action for one in decisions_of(state)] == [Action.ABSTAIN]


def test_a_stronger_model_gets_the_whole_request() -> None:
    strong = FakeChat(replies=[AIMessage("42")])
    model = FakeChat(replies=[says("4", 0.2)])
    gate = ConfidenceGateMiddleware(POLICY, escalate=strong)
    agent = agent_of(model, gate, tools=tools_into([]), system_prompt="Be brief.")
    state = agent.invoke(ASK)
    assert [one.text for one in state["messages"]] == ["How many?", "42"]
    assert [one.text for one in strong.seen[0]] == ["Be brief.", "How many?"]
    assert strong.bound == ["search", "pay"]
    (decision,) = decisions_of(state)
    assert (decision.action, decision.escalated, decision.answer) == (Action.ANSWER, True, "42")


def test_calls_need_their_own_confidence() -> None:
    done: list[str] = []
    replies = [calls(0.9, ("search", {"query": "x"}), ("pay", {"amount": 5}))]
    state = agent_of(
        FakeChat(replies=replies), ConfidenceGateMiddleware(POLICY), tools=tools_into(done)
    ).invoke(ASK)
    assert done == []
    assert isinstance(state["messages"][-1], AIMessage)
    assert state["messages"][-1].tool_calls == []
    (decision,) = decisions_of(state)
    assert (decision.action, decision.topic, decision.threshold) == (Action.ABSTAIN, "pay", 0.95)


@HOW
async def test_sync_and_async_do_the_same(how: str) -> None:
    done: list[str] = []
    replies = [calls(0.7, ("search", {"query": "x"})), says("4", 0.3)]
    strong = FakeChat(replies=[AIMessage("42")])
    gate = ConfidenceGateMiddleware(POLICY, escalate=strong)
    agent = agent_of(FakeChat(replies=replies), gate, tools=tools_into(done))
    state = await run(agent, how, ASK)
    assert done == ["search x"]
    assert state["messages"][-1].text == "42"
    assert [one.escalated for one in decisions_of(state)] == [False, True]


def test_observing_only_records() -> None:
    done: list[str] = []
    model = FakeChat(replies=[calls(0.1, ("pay", {"amount": 5})), AIMessage("Paid.")])
    strong = FakeChat(replies=[])
    policy = POLICY.model_copy(update={"observe": True})
    gate = ConfidenceGateMiddleware(policy, escalate=strong, without_confidence="refuse")
    state = agent_of(model, gate, tools=tools_into(done)).invoke(ASK)
    assert (done, strong.asked, state["messages"][-1].text) == (["pay 5"], 0, "Paid.")
    made = [(one.action, one.would) for one in decisions_of(state)]
    assert made == [(Action.ANSWER, Action.ESCALATE), (Action.ANSWER, Action.ABSTAIN)]


def test_another_model_s_response_passes_or_is_refused() -> None:
    state = agent_of(FakeChat(replies=[AIMessage("7")]), ConfidenceGateMiddleware(POLICY)).invoke(
        ASK
    )
    assert state["messages"][-1].text == "7"
    assert state["et_agent_decisions"] == []
    gate = ConfidenceGateMiddleware(
        POLICY, without_confidence="refuse", abstention="Ask somebody else."
    )
    state = agent_of(FakeChat(replies=[AIMessage("7")]), gate).invoke(ASK)
    assert state["messages"][-1].text == "Ask somebody else."
    assert "no confidence" in decisions_of(state)[0].reason


def test_escalations_are_budgeted_within_a_run() -> None:
    replies = [says("4", 0.3), says("4", 0.3)]
    policy = GatePolicy(answer_at=0.6, escalations=1, topics={"search": {"answer_at": 0.6}})
    strong = FakeChat(replies=[calls(0.9, ("search", {"query": "x"})), AIMessage("42")])
    gate = ConfidenceGateMiddleware(policy, escalate=strong)
    model = FakeChat(replies=[*replies, *replies[:1]])
    agent = agent_of(model, gate, tools=tools_into([]), checkpointer=InMemorySaver())
    state = agent.invoke(ASK, THREAD)
    assert [(one.action, one.escalated) for one in decisions_of(state)] == [
        (Action.ANSWER, True),
        (Action.ABSTAIN, False),
    ]
    assert "escalation budget is used up" in decisions_of(state)[1].reason
    state = agent.invoke(ASK, THREAD)
    assert decisions_of(state)[0].escalated, "another run"
    for share, escalated in ((0.0, False), (0.5, True)):
        shared = ConfidenceGateMiddleware(
            GatePolicy(answer_at=0.6, escalation_share=share),
            escalate=FakeChat(replies=[AIMessage("42")]),
        )
        state = agent_of(FakeChat(replies=[says("4", 0.3)]), shared).invoke(ASK)
        assert decisions_of(state)[0].escalated is escalated


async def test_many_agents_escalate_at_once() -> None:
    """Each escalation's model needs a thread of the loop's executor, which has a few only."""

    class Unsure(FakeChat):
        def _generate(self, *_: Any, **__: Any) -> ChatResult:
            message = AIMessage("42") if self.replies else says("4", 0.2)
            return ChatResult(generations=[ChatGeneration(message=message)])

    gate = ConfidenceGateMiddleware(POLICY, escalate=Unsure(replies=["strong"]))
    agent = agent_of(Unsure(replies=[]), gate)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(max_workers=2))
    states = await asyncio.wait_for(asyncio.gather(*(agent.ainvoke(ASK) for _ in range(8))), 30)
    assert [one["messages"][-1].text for one in states] == ["42"] * 8


def test_a_stronger_model_without_confidence_calls_no_stricter_tool_where_such_are_refused() -> (
    None
):
    cases: list[tuple[Literal["pass", "refuse"], int]] = [("pass", 1), ("refuse", 0)]
    for otherwise, paid in cases:
        done: list[str] = []
        call = calls(None, ("pay", {"amount": 5}))
        call.response_metadata.clear()
        strong = FakeChat(replies=[call])
        model = FakeChat(replies=[calls(0.3, ("search", {"query": "x"})), says("done", 0.9)])
        gate = ConfidenceGateMiddleware(POLICY, escalate=strong, without_confidence=otherwise)
        agent_of(model, gate, tools=tools_into(done)).invoke(ASK)
        assert len(done) == paid


def test_a_stronger_model_is_held_to_the_threshold_of_the_tools_it_calls() -> None:
    done: list[str] = []
    strong = FakeChat(replies=[calls(0.8, ("pay", {"amount": 5}))])
    model = FakeChat(replies=[calls(0.3, ("search", {"query": "x"}))])
    gate = ConfidenceGateMiddleware(POLICY, escalate=strong)
    state = agent_of(model, gate, tools=tools_into(done)).invoke(ASK)
    assert done == []
    (decision,) = decisions_of(state)
    assert (decision.action, decision.topic, decision.threshold) == (Action.ABSTAIN, "pay", 0.95)
    assert (decision.confidence, decision.escalated, decision.cost.escalations) == (0.8, True, 1)


def test_a_message_satisfies_the_policy_of_each_tool_that_it_calls() -> None:
    """What a confidence has to rest on may be stricter for one tool, and the threshold for another."""
    done: list[str] = []
    topics = {"pay": {"least_calibration": "own"}, "search": {"answer_at": 0.9}}
    gate = ConfidenceGateMiddleware(GatePolicy(answer_at=0.6, cautious=False, topics=topics))
    both = (("search", {"query": "x"}), ("pay", {"amount": 5}))
    for message, topic in (
        (resting_on_the_general_map(calls(0.95, *both)), "pay"),
        (calls(0.8, *both), "search"),
    ):
        state = agent_of(FakeChat(replies=[message]), gate, tools=tools_into(done)).invoke(ASK)
        (decision,) = decisions_of(state)
        assert (decision.action, decision.topic) == (Action.ABSTAIN, topic)
    assert done == []
    sure = FakeChat(replies=[calls(0.95, *both), says("done", 0.95)])
    agent_of(sure, gate, tools=tools_into(done)).invoke(ASK)
    assert sorted(done) == ["pay 5", "search x"]  # LangGraph runs them beside each other


def test_a_stronger_model_whose_confidence_does_not_count_is_not_believed() -> None:
    done: list[str] = []
    call = resting_on_the_general_map(calls(0.99, ("pay", {"amount": 5})))
    topics = {"pay": {"least_calibration": "own"}}
    gate = ConfidenceGateMiddleware(
        GatePolicy(answer_at=0.6, topics=topics), escalate=FakeChat(replies=[call])
    )
    model = FakeChat(replies=[calls(0.3, ("search", {"query": "x"}))])
    state = agent_of(model, gate, tools=tools_into(done)).invoke(ASK)
    (decision,) = decisions_of(state)
    assert (decision.action, decision.escalated, done) == (Action.ABSTAIN, True, [])
    assert "and the policy wants a calibrator of your own" in decision.reason


def test_decisions_in_the_state_say_what_was_compared() -> None:
    message = resting_on_the_general_map(says("4", 0.7))
    agent = agent_of(FakeChat(replies=[message]), ConfidenceGateMiddleware(POLICY))
    (decision,) = decisions_of(agent.invoke(ASK))
    assert decision.calibration is not None
    assert (decision.calibration.source, decision.calibrated) == ("general", False)
    assert (decision.confidence, decision.compared) == (0.7, 0.35)
    assert decision.action is Action.ABSTAIN


def test_a_function_gets_the_question() -> None:
    asked: list[str] = []

    def person(question: str) -> str:
        asked.append(question)
        return "forty-two"

    gate = ConfidenceGateMiddleware(POLICY, escalate=person)
    model = FakeChat(replies=[calls(0.3, ("pay", {"amount": 5}))])
    state = agent_of(model, gate, tools=tools_into([])).invoke(ASK)
    assert (asked, state["messages"][-1].text) == (["How many?"], "forty-two")


@HOW
async def test_an_asynchronous_function_gets_the_question(how: str) -> None:
    async def person(question: str) -> str:
        await asyncio.sleep(0.01)
        return f"asked: {question}"

    gate = ConfidenceGateMiddleware(POLICY, escalate=person)
    state = await run(agent_of(FakeChat(replies=[says("4", 0.3)]), gate), how, ASK)
    assert state["messages"][-1].text == "asked: How many?"


@HOW
async def test_a_target_that_fails_is_tried_again_then_the_gate_abstains(how: str) -> None:
    policy = POLICY.model_copy(update={"retries": 1})
    strong = FakeChat(replies=[OSError("no network"), OSError("no network")])
    gate = ConfidenceGateMiddleware(policy, escalate=strong)
    state = await run(agent_of(FakeChat(replies=[says("4", 0.3)]), gate), how, ASK)
    (decision,) = decisions_of(state)
    assert (decision.action, decision.escalated, strong.asked) == (Action.ABSTAIN, False, 2)
    assert "failed 2 times, at last with OSError;" in decision.reason


async def test_the_decision_is_in_the_trace() -> None:
    agent = agent_of(FakeChat(replies=[says("4", 0.2)]), ConfidenceGateMiddleware(POLICY))
    events = [one async for one in agent.astream_events(ASK, version="v2")]
    (event,) = [one for one in events if one["event"] == "on_custom_event"]
    assert event["name"] == DECISION_EVENT
    assert Decision.model_validate(event["data"]).action is Action.ABSTAIN


def test_the_trace_is_seen_by_callbacks_and_by_those_of_the_stronger_model() -> None:
    class Seen(BaseCallbackHandler):
        def __init__(self) -> None:
            self.decisions: list[Any] = []
            self.models = 0

        def on_custom_event(self, name: str, data: Any, **_: Any) -> None:
            self.decisions.append(data)

        def on_chat_model_start(self, *_: Any, **__: Any) -> None:
            self.models += 1

    seen = Seen()
    gate = ConfidenceGateMiddleware(POLICY, escalate=FakeChat(replies=[AIMessage("42")]))
    agent_of(FakeChat(replies=[says("4", 0.2)]), gate).invoke(ASK, {"callbacks": [seen]})
    assert [one["action"] for one in seen.decisions] == ["answer"]
    assert seen.models == 2


async def test_a_cancelled_agent_stops_its_escalation() -> None:
    begun, ended = threading.Event(), threading.Event()

    class Slow(FakeChat):
        async def _agenerate(self, *_: Any, **__: Any) -> Any:
            begun.set()
            try:
                await asyncio.sleep(30)
            finally:
                ended.set()

    gate = ConfidenceGateMiddleware(POLICY, escalate=Slow(replies=[]))
    task = asyncio.create_task(agent_of(FakeChat(replies=[says("4", 0.2)]), gate).ainvoke(ASK))
    while not begun.is_set():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    deadline = time.monotonic() + 60
    while not ended.is_set() and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    assert ended.is_set()


def test_structured_output_that_is_in_doubt_ends_the_run() -> None:
    class Total(BaseModel):
        """The total."""

        value: int

    model = FakeChat(replies=[calls(0.2, ("Total", {"value": 4}))])
    agent = agent_of(model, ConfidenceGateMiddleware(POLICY), response_format=ToolStrategy(Total))
    state = agent.invoke(ASK)
    assert state.get("structured_response") is None
    assert model.asked == 1
    sure = FakeChat(replies=[calls(0.9, ("Total", {"value": 4}))])
    agent = agent_of(sure, ConfidenceGateMiddleware(POLICY), response_format=ToolStrategy(Total))
    assert agent.invoke(ASK)["structured_response"].value == 4


def test_damaged_metadata_is_a_typed_error_that_callbacks_see() -> None:
    class Seen(BaseCallbackHandler):
        errors: ClassVar[list[BaseException]] = []

        def on_chain_error(self, error: BaseException, **_: Any) -> None:
            self.errors.append(error)

    message = AIMessage("4", response_metadata={METADATA_KEY: {"answer": "4"}})
    agent = agent_of(FakeChat(replies=[message]), ConfidenceGateMiddleware(POLICY))
    with pytest.raises(InputError, match="another version of et-agent") as caught:
        agent.invoke(ASK, {"callbacks": [Seen()]})
    assert caught.value.__cause__ is not None
    assert caught.value in Seen.errors


async def test_runs_at_the_same_time_keep_to_themselves() -> None:
    with ScriptedModel.from_texts(unclear) as scripted:
        gate = ConfidenceGateMiddleware(GatePolicy(answer_at=0.95, uncalibrated="share"))
        agent = agent_of(TreeChat(scripted=scripted), gate)
        asked = ["How many miles?", UNCLEAR, "How many hours?"] * 2
        states = await asyncio.gather(
            *(agent.ainvoke({"messages": [HumanMessage(one)]}) for one in asked)
        )
    made = [[one.action for one in decisions_of(state)] for state in states]
    assert made == [[Action.ANSWER], [Action.ABSTAIN], [Action.ANSWER]] * 2


def test_a_closed_model_is_a_typed_error_that_callbacks_see() -> None:
    class Seen(BaseCallbackHandler):
        def __init__(self) -> None:
            self.errors: list[BaseException] = []

        def on_llm_error(self, error: BaseException, **_: Any) -> None:
            self.errors.append(error)

    scripted = ScriptedModel.from_texts(unclear)
    chat = ChatEntropyTree(engine=scripted)
    agent = create_agent(chat, middleware=[ConfidenceGateMiddleware(POLICY)])
    scripted.close()
    seen = Seen()
    config: Any = {"callbacks": [seen]}
    with pytest.raises(ModelClosedError) as caught:
        agent.invoke({"messages": [HumanMessage(UNCLEAR)]}, config)
    assert seen.errors == [caught.value]


def test_a_tree_that_calls_tools_is_gated_from_end_to_end() -> None:
    def replies(prompt: str) -> dict[str, float]:
        call = '<tool_call>{"name": "pay", "arguments": {"amount": AMOUNT}}</tool_call>'
        if "paid 7" in prompt:
            return {"The answer is 7.": 1.0}
        if "Pay 7" in prompt:
            return {call.replace("AMOUNT", "7"): 1.0}
        return {call.replace("AMOUNT", "5"): 0.7, call.replace("AMOUNT", "50"): 0.3}

    done: list[str] = []
    policy = POLICY.changed(uncalibrated="share", least_calibration="shipped")
    with ScriptedModel.from_texts(replies) as scripted:
        chat = ChatEntropyTree(engine=scripted, leaves=8, temperature=1.0)
        agent = create_agent(
            chat, tools=tools_into(done), middleware=[ConfidenceGateMiddleware(policy)]
        )
        doubtful = agent.invoke({"messages": [HumanMessage("Pay some.")]})
        assert done == []
        sure = agent.invoke({"messages": [HumanMessage("Pay 7.")]})
    assert [one.type for one in doubtful["messages"]] == ["human", "ai"]
    assert decisions_of(doubtful)[0].topic == "pay"
    assert done == ["pay 7"]
    assert [one.action for one in decisions_of(sure)] == [Action.ANSWER] * 2
    assert valid(sure["messages"])


def test_the_old_name_of_without_confidence() -> None:
    with pytest.warns(DeprecationWarning, match="will be removed: use without_confidence"):
        gate = ConfidenceGateMiddleware(POLICY, foreign="refuse")
    assert gate.without_confidence == "refuse"
    with pytest.warns(
        DeprecationWarning,
        match=r"\.foreign is deprecated and will be removed: use without_confidence",
    ):
        assert gate.foreign == "refuse"


def test_decisions_are_logged(tmp_path: Path) -> None:
    with DecisionLog(tmp_path / "log.sqlite") as log:
        gate = ConfidenceGateMiddleware(POLICY, log=log)
        agent_of(FakeChat(replies=[says("4", 0.2)]), gate).invoke(ASK)
        report = log.report()
    assert (report.decisions, report.actions[Action.ABSTAIN]) == (1, 1)


def test_settings_are_checked() -> None:
    with pytest.raises(
        SettingsError, match="without_confidence is 'ignore': use 'pass' or 'refuse'"
    ):
        ConfidenceGateMiddleware(POLICY, without_confidence="ignore")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="unsure_tool_calls is 'run'"):
        ConfidenceGateMiddleware(POLICY, unsure_tool_calls="run")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="escalate is 'nobody:knows'") as caught:
        ConfidenceGateMiddleware(POLICY, escalate="nobody:knows")
    assert caught.value.__cause__ is not None
    with pytest.raises(SettingsError, match="policy is a dict: pass a GatePolicy"):
        ConfidenceGateMiddleware({"answer_at": 0.5})  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="escalate is an int: pass a chat model"):
        ConfidenceGateMiddleware(POLICY, escalate=5)  # type: ignore[arg-type]
    with pytest.raises(PolicyError, match="Clarifier"):
        ConfidenceGateMiddleware(GatePolicy(answer_at=0.5, clarify=True))


def test_a_result_is_read_back() -> None:
    result = result_with("4", 0.9)
    message = AIMessage("4", response_metadata={METADATA_KEY: metadata_of(result)})
    assert result_of(message) == result.model_copy(update={"tree": None})
    assert result_of(HumanMessage("4")) is None
