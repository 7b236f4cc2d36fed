import json
from typing import Any

from agent_fakes import FakeChat, calls, says, tools_into
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from et_agent.gate import Action, Decision, GatePolicy
from langchain_et_agent import ConfidenceGateMiddleware

ASK = {"messages": [HumanMessage("How many?")]}
POLICY = GatePolicy(answer_at=0.6, topics={"pay": {"answer_at": 0.95}}, retries=0, backoff=0)
THREAD: Any = {"configurable": {"thread_id": "1"}}


def agent_of(model: FakeChat, *gates: ConfidenceGateMiddleware, **options: Any) -> Any:
    return create_agent(model, middleware=list(gates), **options)


def decisions_of(state: dict[str, Any]) -> list[Decision]:
    return [Decision.model_validate(one) for one in state["et_agent_decisions"]]


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


def test_approval() -> None:
    done: list[str] = []
    model = FakeChat(replies=[calls(0.9, ("pay", {"amount": 5})), says("Paid.", 0.9)])
    gate = ConfidenceGateMiddleware(POLICY, unsure_tool_calls="approve")
    agent = agent_of(model, gate, tools=tools_into(done), checkpointer=InMemorySaver())
    state = agent.invoke(ASK, THREAD)
    (asked,) = state["__interrupt__"]
    assert asked.value["action_requests"][0]["name"] == "pay"
    assert "May I run pay(amount=5)?" in state["messages"][-1].text
    assert done == []
    state = agent.invoke(Command(resume={"decisions": [{"type": "approve"}]}), THREAD)
    assert done == ["pay 5"]
    assert model.asked == 2
    kinds = [type(one) for one in state["messages"]]
    assert kinds == [HumanMessage, AIMessage, ToolMessage, AIMessage]
    assert state["messages"][-1].text == "Paid."
