import json
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import ModelRetryMiddleware
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatResult
from langchain_et_agent import ConfidenceGateMiddleware, result_of
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

from et_agent import ScriptedModel
from et_agent.gate import Action, Clarifier, GatePolicy

from .agent_fakes import (
    HOURS,
    UNCLEAR,
    Call,
    FakeChat,
    TreeChat,
    calls,
    says,
    tools_into,
    unclear,
)
from .agents import ASK, HOW, POLICY, THREAD, agent_of, decisions_of, run, valid


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


@HOW
async def test_the_user_is_asked_once_and_nothing_is_decoded_again(how: str) -> None:
    policy = GatePolicy(answer_at=0.9, uncalibrated="share", clarify=True)
    with ScriptedModel.from_texts(unclear) as scripted:
        chat = TreeChat(scripted=scripted)
        gate = ConfidenceGateMiddleware(policy, clarifier=Clarifier(scripted, temperature=1))
        agent = agent_of(chat, gate, checkpointer=InMemorySaver())
        state = await run(agent, how, {"messages": [HumanMessage(UNCLEAR)]}, THREAD)
        (asked,) = state["__interrupt__"]
        assert asked.value["type"] == "clarification"
        assert state["messages"][-1].text == asked.value["question"]
        json.dumps(asked.value)
        before = scripted.decoded
        again = agent.get_state(THREAD)
        assert (again.next, scripted.decoded) == (("ConfidenceGateMiddleware.after_model",), before)
        number = [one["text"] for one in asked.value["readings"]].index(HOURS) + 1
        state = await run(agent, how, Command(resume=f"{number}."), THREAD)
        assert "__interrupt__" not in state
        assert chat.asked == 2, "one tree for the question, one for the reply"
        usage = result_of(state["messages"][-1]).usage  # type: ignore[union-attr]
        whole = usage.prompt_tokens + usage.probe_tokens + usage.tokens_decoded
        assert scripted.decoded - before <= whole
    said = [one.text for one in state["messages"]]
    assert said == [UNCLEAR, asked.value["question"], HOURS, "4"]
    made = [(one.action, one.asked) for one in decisions_of(state)]
    assert made == [(Action.CLARIFY, 1), (Action.ANSWER, 1)]


def test_a_person_may_reject_or_respond_or_say_something_else() -> None:
    both = calls(0.9, ("pay", {"amount": 5}), ("search", {"query": "x"}))
    model = FakeChat(replies=[both, both.model_copy(update={"id": "b"}), says("Fine.", 0.9)])
    done: list[str] = []
    gate = ConfidenceGateMiddleware(POLICY, unsure_tool_calls="approve")
    agent = agent_of(model, gate, tools=tools_into(done), checkpointer=InMemorySaver())
    agent.invoke(ASK, THREAD)
    state = agent.invoke(Command(resume={"decisions": [{"type": "approve"}]}), THREAD)
    assert "one decision for each of the 2 calls" in state["__interrupt__"][0].value["problem"]
    kinds = {"decisions": [{"type": "allow"}, {"type": "approve"}]}
    state = agent.invoke(Command(resume=kinds), THREAD)
    assert "approve, edit, reject, respond" in state["__interrupt__"][0].value["problem"]
    kinds = {"decisions": [{"type": "reject", "message": "Too much."}, {"type": "approve"}]}
    state = agent.invoke(Command(resume=kinds), THREAD)
    assert done == ["search x"]
    (declined,) = [m for m in state["messages"] if m.type == "tool" and m.status == "error"]
    assert (declined.text, declined.tool_call_id) == ("Too much.", "call_0")
    assert "__interrupt__" in state, "the model called again"
    state = agent.invoke(Command(resume="Pay nothing."), THREAD)
    assert [one.text for one in state["messages"][-2:]] == ["Pay nothing.", "Fine."]
    assert done == ["search x"]
    assert valid(state["messages"])


@HOW
async def test_the_user_chooses_among_the_calls_that_paths_made(how: str) -> None:
    done: list[str] = []
    others: list[Call] = [("pay", {"amount": 50}), ("search", {"query": "5"}), ("fire", {})]
    doubtful = calls(0.9, ("pay", {"amount": 5}), others=others)
    model = FakeChat(replies=[doubtful, says("Paid.", 0.9)])
    gate = ConfidenceGateMiddleware(POLICY, unsure_tool_calls="ask")
    agent = agent_of(model, gate, tools=tools_into(done), checkpointer=InMemorySaver())
    state = await run(agent, how, ASK, THREAD)
    (asked,) = state["__interrupt__"]
    assert [one["text"] for one in asked.value["readings"]] == [
        "pay(amount=5)",
        "pay(amount=50)",
        "search(query='5')",
    ]
    assert state["messages"][-1].text == asked.value["question"]
    json.dumps(agent.get_state(THREAD).values["et_agent_pause"])
    (decision,) = decisions_of(state)
    assert (decision.action, decision.asked, decision.topic) == (Action.CLARIFY, 1, "pay")
    state = await run(agent, how, Command(resume=" 2. "), THREAD)
    assert done == ["pay 50"]
    assert model.asked == 2
    assert [one.type for one in state["messages"]] == ["human", "ai", "tool", "ai"]


def test_the_user_may_say_something_else_and_is_not_asked_for_ever() -> None:
    done: list[str] = []
    model = FakeChat(replies=[calls(0.9, ("pay", {"amount": 5}))] * 2)
    gate = ConfidenceGateMiddleware(POLICY, unsure_tool_calls="ask")
    agent = agent_of(model, gate, tools=tools_into(done), checkpointer=InMemorySaver())
    state = agent.invoke(ASK, THREAD)
    assert "Do you mean this?\n1. pay(amount=5)" in state["messages"][-1].text
    state = agent.invoke(Command(resume="2"), THREAD)
    assert "__interrupt__" not in state
    assert [one.action for one in decisions_of(state)] == [Action.CLARIFY, Action.ABSTAIN]
    assert [one.text for one in state["messages"][2:3]] == ["2"]
    assert done == []


def test_a_new_message_instead_of_a_reply_leaves_a_valid_history() -> None:
    model = FakeChat(replies=[calls(0.9, ("pay", {"amount": 5})), says("4", 0.9)])
    gate = ConfidenceGateMiddleware(POLICY, unsure_tool_calls="approve")
    agent = agent_of(model, gate, tools=tools_into([]), checkpointer=InMemorySaver())
    agent.invoke(ASK, THREAD)
    state = agent.invoke({"messages": [HumanMessage("Forget it. How many?")]}, THREAD)
    assert state["messages"][-1].text == "4"
    assert valid(model.seen[1])
    assert len(state["et_agent_decisions"]) == 1, "of this run alone"


RETRY = ModelRetryMiddleware(max_retries=0, on_failure="continue")


@HOW
async def test_a_call_that_ran_is_not_asked_for_again_when_the_model_then_fails(how: str) -> None:
    done: list[str] = []
    model = FakeChat(replies=[calls(0.9, ("pay", {"amount": 5})), OSError("no network")])
    gate = ConfidenceGateMiddleware(POLICY, unsure_tool_calls="approve")
    agent: Any = create_agent(
        model, tools_into(done), middleware=[RETRY, gate], checkpointer=InMemorySaver()
    )
    await run(agent, how, ASK, THREAD)
    approved: Any = Command(resume={"decisions": [{"type": "approve"}]})
    state = await run(agent, how, approved, THREAD)
    assert "__interrupt__" not in state
    assert (done, model.asked) == (["pay 5"], 2)
    assert agent.get_state(THREAD).values["et_agent_pause"] is None


@HOW
async def test_a_question_is_not_asked_again_when_the_model_fails_after_the_reply(how: str) -> None:
    class Failing(TreeChat):
        def _generate(self, *args: Any, **options: Any) -> ChatResult:
            if self.asked:
                raise OSError("no network")
            return super()._generate(*args, **options)

    policy = GatePolicy(answer_at=0.9, uncalibrated="share", clarify=True)
    with ScriptedModel.from_texts(unclear) as scripted:
        gate = ConfidenceGateMiddleware(policy, clarifier=Clarifier(scripted, temperature=1))
        agent: Any = create_agent(
            Failing(scripted=scripted), middleware=[RETRY, gate], checkpointer=InMemorySaver()
        )
        state = await run(agent, how, {"messages": [HumanMessage(UNCLEAR)]}, THREAD)
        assert "__interrupt__" in state
        state = await run(agent, how, Command(resume=HOURS), THREAD)
    assert "__interrupt__" not in state
    assert [one.text for one in state["messages"]][2] == HOURS


@HOW
async def test_a_target_that_interrupts_lets_the_model_be_asked_again(how: str) -> None:
    model = FakeChat(replies=[says("4", 0.2), says("4", 0.2)])
    gate = ConfidenceGateMiddleware(POLICY, escalate=interrupt)
    agent = agent_of(model, gate, checkpointer=InMemorySaver())
    state = await run(agent, how, ASK, THREAD)
    assert [one.value for one in state["__interrupt__"]] == ["How many?"]
    state = await run(agent, how, Command(resume="forty-two"), THREAD)
    assert (state["messages"][-1].text, model.asked) == ("forty-two", 2)


def test_without_a_checkpointer_the_question_is_the_last_message() -> None:
    model = FakeChat(replies=[calls(0.9, ("pay", {"amount": 5})), says("4", 0.9)])
    agent = agent_of(
        model, ConfidenceGateMiddleware(POLICY, unsure_tool_calls="ask"), tools=tools_into([])
    )
    state = agent.invoke(ASK)
    assert state["messages"][-1].text == state["__interrupt__"][0].value["question"]
    more = [*state["messages"], HumanMessage("Pay nothing. How many?")]
    assert agent.invoke({"messages": more})["messages"][-1].text == "4"


def test_the_state_survives_a_checkpoint() -> None:
    saver = InMemorySaver()
    model = FakeChat(replies=[calls(0.9, ("pay", {"amount": 5}))])
    gate = ConfidenceGateMiddleware(POLICY, unsure_tool_calls="approve")
    agent = agent_of(model, gate, tools=tools_into([]), checkpointer=saver)
    agent.invoke(ASK, THREAD)
    values = agent.get_state(THREAD).values
    kept = {key: value for key, value in values.items() if key.startswith("et_agent")}
    assert set(kept) == {"et_agent_decisions", "et_agent_pause"}
    assert json.loads(json.dumps(kept)) == kept
    assert saver.serde.loads_typed(saver.serde.dumps_typed(kept)) == kept
