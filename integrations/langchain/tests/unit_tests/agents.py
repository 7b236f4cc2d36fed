"""Agents with gates, and what to look at in their states."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_et_agent import ConfidenceGateMiddleware

from et_agent.gate import Decision, GatePolicy

from .agent_fakes import FakeChat

ASK = {"messages": [HumanMessage("How many?")]}
POLICY = GatePolicy(answer_at=0.6, topics={"pay": {"answer_at": 0.95}}, retries=0, backoff=0)
THREAD: Any = {"configurable": {"thread_id": "1"}}
HOW = pytest.mark.parametrize("how", ["sync", "async"])


def agent_of(model: FakeChat, *gates: ConfidenceGateMiddleware, **options: Any) -> Any:
    return create_agent(model, middleware=list(gates), **options)


def decisions_of(state: dict[str, Any]) -> list[Decision]:
    return [Decision.model_validate(one) for one in state["et_agent_decisions"]]


def valid(messages: list[Any]) -> bool:
    """Whether every tool call is answered before anybody else speaks, as chat APIs want it."""
    open_calls: set[str] = set()
    for message in messages:
        if isinstance(message, ToolMessage):
            if message.tool_call_id not in open_calls:
                return False
            open_calls.discard(message.tool_call_id)
        elif open_calls:
            return False
        if isinstance(message, AIMessage):
            open_calls = {str(call["id"]) for call in message.tool_calls}
    return not open_calls


async def run(agent: Any, how: str, value: Any, config: Any = None) -> dict[str, Any]:
    found = agent.invoke(value, config) if how == "sync" else await agent.ainvoke(value, config)
    assert valid(found["messages"])
    return dict(found)
