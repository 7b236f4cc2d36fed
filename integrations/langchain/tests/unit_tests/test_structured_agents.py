"""Agents with a response format: a structured response passes the gate whole, or there is none."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import (
    ProviderStrategy,
    StructuredOutputValidationError,
    ToolStrategy,
)
from langchain_core.messages import AIMessage, HumanMessage
from langchain_et_agent import ChatEntropyTree, ConfidenceGateMiddleware, result_of
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel, Field

from et_agent import ScriptedModel
from et_agent.errors import SettingsError
from et_agent.gate import Action, GatePolicy

from .agent_fakes import FakeChat, calls, says, tools_into
from .agents import ASK, HOW, POLICY, THREAD, agent_of, decisions_of, run


class Total(BaseModel):
    """The total."""

    value: int = Field(le=100)


STRATEGY = pytest.mark.parametrize("strategy", [ToolStrategy, ProviderStrategy])


def totals(strategy: Any, value: int, confidence: float | None) -> AIMessage:
    """A message with a total, as the strategy has it."""
    if strategy is ToolStrategy:
        return calls(confidence, ("Total", {"value": value}))
    return says(f'{{"value": {value}}}', confidence)


def plain(message: AIMessage) -> AIMessage:
    """The message as another model would give it, without a result."""
    return message.model_copy(update={"response_metadata": {}})


@HOW
@STRATEGY
async def test_a_sure_structured_response_passes(how: str, strategy: Any) -> None:
    agent = agent_of(
        FakeChat(replies=[totals(strategy, 4, 0.9)]),
        ConfidenceGateMiddleware(POLICY),
        response_format=strategy(Total),
    )
    state = await run(agent, how, ASK)
    assert state["structured_response"] == Total(value=4)
    assert [one.action for one in decisions_of(state)] == [Action.ANSWER]


@HOW
@STRATEGY
@pytest.mark.parametrize("unsure", ["abstain", "approve", "ask"])
async def test_a_doubtful_one_is_none_and_the_state_says_why(
    how: str, strategy: Any, unsure: Any
) -> None:
    model = FakeChat(replies=[totals(strategy, 4, 0.9), totals(strategy, 5, 0.2)])
    gate = ConfidenceGateMiddleware(POLICY, unsure_tool_calls=unsure)
    agent = agent_of(model, gate, response_format=strategy(Total), checkpointer=InMemorySaver())
    await run(agent, how, ASK, THREAD)
    state = await run(agent, how, ASK, THREAD)
    assert state["structured_response"] is None, "nor the one of the turn before"
    (decision,) = decisions_of(state)
    assert decision.action is Action.ABSTAIN
    assert "below the threshold" in decision.reason
    assert state["messages"][-1].text.endswith(decision.reason)
    assert model.asked == 2


@HOW
@STRATEGY
async def test_a_stronger_model_s_structured_response_takes_its_place(
    how: str, strategy: Any
) -> None:
    for strong, value in (
        (totals(strategy, 42, 0.9), 42),
        (plain(totals(strategy, 42, None)), 42),
        (totals(strategy, 42, 0.3), None),
    ):
        gate = ConfidenceGateMiddleware(POLICY, escalate=FakeChat(replies=[strong]))
        model = FakeChat(replies=[totals(strategy, 4, 0.2)])
        agent = agent_of(model, gate, response_format=strategy(Total))
        state = await run(agent, how, ASK)
        found = state["structured_response"]
        assert found == (None if value is None else Total(value=value))
        (decision,) = decisions_of(state)
        assert decision.escalated
        assert decision.action is (Action.ABSTAIN if value is None else Action.ANSWER)


@HOW
@STRATEGY
async def test_a_target_that_answers_in_words_gives_no_structured_response(
    how: str, strategy: Any
) -> None:
    model = FakeChat(replies=[totals(strategy, 4, 0.2)])
    gate = ConfidenceGateMiddleware(POLICY, escalate=lambda question: "forty-two")
    state = await run(agent_of(model, gate, response_format=strategy(Total)), how, ASK)
    assert (state["messages"][-1].text, model.asked) == ("forty-two", 1)
    assert state["structured_response"] is None
    (decision,) = decisions_of(state)
    assert (decision.action, decision.answer) == (Action.ANSWER, "forty-two")
    assert decision.reason.endswith("There is no structured response: the answer is a text.")


@HOW
async def test_a_doubtful_reply_that_does_not_parse_is_an_abstention(how: str) -> None:
    for doubtful in (says("no JSON", 0.2), says('{"value": 4', None), says('{"value": 1000}', 0.2)):
        agent = agent_of(
            FakeChat(replies=[doubtful]),
            ConfidenceGateMiddleware(POLICY),
            response_format=ProviderStrategy(Total),
        )
        state = await run(agent, how, ASK)
        assert state["structured_response"] is None
        assert [one.action for one in decisions_of(state)] == [Action.ABSTAIN]


@HOW
async def test_a_reply_that_does_not_parse_and_passes_is_the_error_that_it_is(how: str) -> None:
    watching = POLICY.changed(observe=True)
    wrong = says('{"value": 1000}', 0.9)
    for policy, reply in (
        (POLICY, wrong),
        (watching, says("no JSON", 0.2)),
        (POLICY, plain(wrong)),
    ):
        agent = agent_of(
            FakeChat(replies=[reply]),
            ConfidenceGateMiddleware(policy),
            response_format=ProviderStrategy(Total),
        )
        with pytest.raises(StructuredOutputValidationError):
            await run(agent, how, ASK)


@HOW
async def test_a_stronger_model_mends_a_reply_that_does_not_parse(how: str) -> None:
    gate = ConfidenceGateMiddleware(
        POLICY, escalate=FakeChat(replies=[totals(ProviderStrategy, 42, 0.9)])
    )
    model = FakeChat(replies=[says("no JSON", 0.2)])
    state = await run(agent_of(model, gate, response_format=ProviderStrategy(Total)), how, ASK)
    assert state["structured_response"] == Total(value=42)


def test_the_policy_of_a_tool_holds_for_the_response_format_too() -> None:
    policy = GatePolicy(answer_at=0.6, topics={"Total": {"answer_at": 0.95}})
    agent = agent_of(
        FakeChat(replies=[totals(ToolStrategy, 4, 0.9)]),
        ConfidenceGateMiddleware(policy, unsure_tool_calls="approve"),
        tools=tools_into([]),
        response_format=ToolStrategy(Total),
    )
    state = agent.invoke(ASK)
    assert state["structured_response"] is None
    assert decisions_of(state)[0].topic == "Total"


CALL = '<tool_call>{"name": "Total", "arguments": {"value": VALUE}}</tool_call>'


@HOW
@STRATEGY
async def test_a_tree_gives_it_with_a_confidence_of_the_general_map(
    how: str, strategy: Any
) -> None:
    text = CALL if strategy is ToolStrategy else '{"value": VALUE}'

    def replies(prompt: str) -> dict[str, float]:
        if "Guess" in prompt:
            return {text.replace("VALUE", str(value)): 0.2 for value in range(1, 6)}
        return {text.replace("VALUE", "4"): 1.0}

    gate = ConfidenceGateMiddleware(GatePolicy(answer_at=0.3))
    with ScriptedModel.from_texts(replies) as model:
        chat = ChatEntropyTree(engine=model, temperature=1.0)
        agent: Any = create_agent(chat, middleware=[gate], response_format=strategy(Total))
        sure = await run(agent, how, ASK)
        guessed = await run(agent, how, {"messages": [HumanMessage("Guess.")]})
    assert sure["structured_response"] == Total(value=4)
    (decision,) = decisions_of(sure)
    assert decision.calibration is not None
    assert decision.calibration.source == "general"
    assert decision.compared is not None
    assert guessed["structured_response"] is None
    assert decisions_of(guessed)[0].action is Action.ABSTAIN


def test_a_reply_that_is_cut_off_is_an_abstention() -> None:
    with ScriptedModel.from_texts({'{"value": 12345}': 1.0}) as model:
        chat = ChatEntropyTree(engine=model, leaves=2, max_tokens=11)
        agent: Any = create_agent(
            chat,
            middleware=[ConfidenceGateMiddleware(GatePolicy(answer_at=0.1))],
            response_format=ProviderStrategy(Total),
        )
        state = agent.invoke(ASK)
    assert state["structured_response"] is None
    assert "No path gave an answer" in decisions_of(state)[0].reason
    assert result_of(state["messages"][-1]) is not None


def test_tools_and_a_response_format_exclude_each_other_unless_the_format_is_a_tool() -> None:
    with ScriptedModel.from_texts({"4": 1.0}) as model:
        chat = ChatEntropyTree(engine=model)
        agent: Any = create_agent(chat, tools_into([]), response_format=ProviderStrategy(Total))
        with pytest.raises(SettingsError, match=r"response_format=ToolStrategy\(…\)"):
            agent.invoke(ASK)
