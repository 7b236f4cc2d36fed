"""What a person decides about tool calls: what runs, how often, and what is logged."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import ToolException, tool
from langchain_et_agent import ConfidenceGateMiddleware
from langchain_et_agent.middleware import DECISION_EVENT
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from et_agent.gate import Action, DecisionLog, Review

from .agent_fakes import Call, FakeChat, calls, says, tools_into
from .agents import ASK, HOW, POLICY, THREAD, agent_of, decisions_of, run

PAY: Call = ("pay", {"amount": 5})
FINE = says("Fine.", 0.9)
APPROVE, REJECT = {"type": "approve"}, {"type": "reject"}
RESPOND = {"type": "respond", "message": "Paid by hand."}


def edit(**args: Any) -> dict[str, Any]:
    return {"type": "edit", "edited_action": {"name": "pay", "args": args}}


def reviewed(*decisions: Any, **more: Any) -> Any:
    return Command(resume={"decisions": [*decisions], **more})


@pytest.fixture
def log(tmp_path: Path) -> Iterator[DecisionLog]:
    with DecisionLog(tmp_path / "log.sqlite") as opened:
        yield opened


@pytest.fixture
def done() -> list[str]:
    return []


def approving(done: list[str], replies: Sequence[Any], log: DecisionLog | None = None) -> Any:
    gate = ConfidenceGateMiddleware(POLICY, unsure_tool_calls="approve", log=log)
    model = FakeChat(replies=[*replies])
    return agent_of(model, gate, tools=tools_into(done), checkpointer=InMemorySaver())


@HOW
@pytest.mark.parametrize(
    ("reply", "review", "ran"),
    [
        (reviewed(APPROVE), Review.APPROVED, {"amount": 5}),
        (reviewed(edit(amount=7)), Review.EDITED, {"amount": 7}),
        (reviewed(REJECT), Review.REJECTED, None),
        (reviewed(RESPOND), Review.RESPONDED, None),
        (Command(resume="Pay nothing."), Review.REJECTED, None),
    ],
)
async def test_what_a_person_decided_is_done_and_logged(
    how: str,
    reply: Any,
    review: Review,
    ran: dict[str, Any] | None,
    done: list[str],
    log: DecisionLog,
) -> None:
    agent = approving(done, [calls(0.9, PAY), says("Fine.", 0.9)], log)
    state = await run(agent, how, ASK, THREAD)
    (waiting,) = decisions_of(state)
    assert (waiting.action, waiting.reviews, waiting.escalated) == (Action.ESCALATE, (), False)
    assert "A person is asked" in waiting.reason
    assert (log.report().actions[Action.ESCALATE], log.report().reviews) == (1, {})
    state = await run(agent, how, reply, THREAD)
    assert done == ([] if ran is None else [f"pay {ran['amount']}"])
    decided, after = decisions_of(state)
    assert after.action is Action.ANSWER
    (call,) = decided.reviews
    assert (call.name, call.review, call.proposed, call.run) == ("pay", review, PAY[1], ran)
    assert decided == waiting.model_copy(update={"reviews": (call,)})
    report = log.report()
    assert (report.decisions, report.reviews) == (2, {review: 1})
    assert report.actions[Action.ABSTAIN] == 0


def test_the_history_has_the_call_that_ran(done: list[str]) -> None:
    model = FakeChat(replies=[calls(0.9, PAY), says("Paid.", 0.9)])
    gate = ConfidenceGateMiddleware(POLICY, unsure_tool_calls="approve")
    agent = agent_of(model, gate, tools=tools_into(done), checkpointer=InMemorySaver())
    agent.invoke(ASK, THREAD)
    agent.invoke(reviewed(edit(amount=7)), THREAD)
    _, called, told = model.seen[1]
    assert isinstance(called, AIMessage)
    assert [one["args"] for one in called.tool_calls] == [{"amount": 7}]
    assert told.text == "paid 7"


def test_a_person_is_shown_what_arguments_may_be(done: list[str]) -> None:
    state = approving(done, [calls(0.9, PAY)]).invoke(ASK, THREAD)
    request = state["__interrupt__"][0].value
    (config,) = request["review_configs"]
    assert config["allowed_decisions"] == ["approve", "edit", "reject", "respond"]
    assert config["args_schema"]["properties"]["amount"]["type"] == "integer"
    assert request["trace_id"] == decisions_of(state)[0].trace_id


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        ({"type": "edit"}, "the edit of pay has no arguments: use {'type': 'edit'"),
        (
            {"type": "edit", "edited_action": {"name": "pay", "args": '{"amount": 7}'}},
            "no arguments",
        ),
        ({"type": "edit", "edited_action": {"name": "search", "args": {}}}, "calls 'search': only"),
        (edit(amount="seven"), "do not fit the schema of pay"),
        (edit(), "do not fit the schema of pay"),
        (edit(amount=7, amuont=8), "pay has no argument amuont: it has amount"),
        (edit(amount=float("nan")), "are not JSON"),
        (edit(amount=b"7"), "are not JSON"),
        ({"type": "respond"}, "the response to pay is None: give a text"),
        ({"type": "reject", "message": 7}, "the message about pay is 7: give a text"),
        ({"type": "allow"}, "its type is approve, edit, reject, respond"),
        ({"type": ["approve"]}, "its type is approve"),
        ({"type": {"approve": True}}, "its type is approve"),
        ("approve", "its type is approve"),
    ],
)
def test_a_review_that_does_not_fit_is_asked_for_again(
    reply: Any, problem: str, done: list[str], log: DecisionLog
) -> None:
    agent = approving(done, [calls(0.9, PAY), says("Paid.", 0.9)], log)
    agent.invoke(ASK, THREAD)
    state = agent.invoke(reviewed(reply), THREAD)
    assert problem in state["__interrupt__"][0].value["problem"]
    assert (done, log.report().reviews) == ([], {})
    agent.invoke(reviewed(APPROVE), THREAD)
    assert (done, log.report().reviews) == (["pay 5"], {Review.APPROVED: 1})


@HOW
async def test_each_call_of_a_message_has_its_own_review_and_runs_once(
    how: str, done: list[str], log: DecisionLog
) -> None:
    wanted: list[Call] = [("pay", {"amount": amount}) for amount in (1, 2, 3, 4)]
    agent = approving(done, [calls(0.9, *wanted), says("Done.", 0.9)], log)
    await run(agent, how, ASK, THREAD)
    state = await run(agent, how, reviewed(APPROVE, edit(amount=20), REJECT, RESPOND), THREAD)
    assert sorted(done) == ["pay 1", "pay 20"]
    told = {one.tool_call_id: one for one in state["messages"] if isinstance(one, ToolMessage)}
    assert [told[f"call_{number}"].status for number in range(4)] == [
        *("success", "success", "error", "success")
    ]
    assert told["call_3"].text == "Paid by hand."
    assert log.report().reviews == dict.fromkeys(Review, 1)


@HOW
async def test_an_approval_that_comes_twice_runs_nothing_twice(
    how: str, done: list[str], log: DecisionLog
) -> None:
    again = calls(0.9, ("pay", {"amount": 50}))
    agent = approving(done, [calls(0.9, PAY), says("Paid.", 0.9), again], log)
    await run(agent, how, ASK, THREAD)
    first = await run(agent, how, reviewed(APPROVE), THREAD)
    second = await run(agent, how, reviewed(APPROVE), THREAD)
    assert (done, first["messages"]) == (["pay 5"], second["messages"])
    assert log.report().reviews == {Review.APPROVED: 1}
    state = await run(agent, how, ASK, THREAD)
    assert "__interrupt__" in state, "nothing of the second approval is left for the next call"
    assert done == ["pay 5"]
    assert log.report().reviews == {Review.APPROVED: 1}


def test_an_approval_of_a_call_that_is_gone_approves_no_other(
    done: list[str], log: DecisionLog
) -> None:
    other = calls(0.9, ("pay", {"amount": 50}))
    agent = approving(done, [calls(0.9, PAY), other, says("Paid.", 0.9)], log)
    gone = agent.invoke(ASK, THREAD)["__interrupt__"][0].value["trace_id"]
    waiting = agent.invoke({"messages": [HumanMessage("No, pay 50.")]}, THREAD)
    trace = waiting["__interrupt__"][0].value["trace_id"]
    state = agent.invoke(reviewed(APPROVE, trace_id=gone), THREAD)
    asked = state["__interrupt__"][0].value
    assert f"about request '{gone}', which does not wait any more" in asked["problem"]
    assert asked["action_requests"][0]["args"] == {"amount": 50}
    assert (done, log.report().reviews) == ([], {})
    agent.invoke(reviewed(APPROVE, trace_id=trace), THREAD)
    assert done == ["pay 50"]
    report = log.report()
    assert (report.actions[Action.ESCALATE], report.reviews) == (2, {Review.APPROVED: 1})


def test_an_approval_by_the_id_of_an_interrupt_that_is_gone_approves_nothing(
    done: list[str],
) -> None:
    other = calls(0.9, ("pay", {"amount": 50}))
    agent = approving(done, [calls(0.9, PAY), other])
    gone = agent.invoke(ASK, THREAD)["__interrupt__"][0].id
    agent.invoke({"messages": [HumanMessage("No, pay 50.")]}, THREAD)
    state = agent.invoke(Command(resume={gone: {"decisions": [APPROVE]}}), THREAD)
    assert "__interrupt__" in state
    assert done == []


@pytest.mark.parametrize("ids", [(None, None), ("", ""), ("same", "same")])
def test_a_rejected_call_without_an_id_of_its_own_does_not_run(
    ids: tuple[Any, Any], done: list[str]
) -> None:
    both = calls(0.9, PAY, ("search", {"query": "x"}))
    for call, known in zip(both.tool_calls, ids, strict=True):
        call["id"] = known
    agent = approving(done, [both, says("Done.", 0.9)])
    agent.invoke(ASK, THREAD)
    state = agent.invoke(reviewed(REJECT, APPROVE), THREAD)
    assert done == ["search x"]
    assert state["messages"][-1].text == "Done."


def test_a_call_that_the_user_chose_is_logged_as_approved(
    done: list[str], log: DecisionLog
) -> None:
    doubtful = calls(0.9, PAY, others=[("pay", {"amount": 50})])
    gate = ConfidenceGateMiddleware(POLICY, unsure_tool_calls="ask", log=log)
    model = FakeChat(replies=[doubtful, says("Paid.", 0.9)])
    agent = agent_of(model, gate, tools=tools_into(done), checkpointer=InMemorySaver())
    agent.invoke(ASK, THREAD)
    decision, _ = decisions_of(agent.invoke(Command(resume="2"), THREAD))
    assert (decision.action, done) == (Action.CLARIFY, ["pay 50"])
    assert [(one.review, one.run) for one in decision.reviews] == [
        (Review.APPROVED, {"amount": 50})
    ]
    assert log.report().reviews == {Review.APPROVED: 1}


async def test_the_review_is_in_the_trace(done: list[str]) -> None:
    agent = approving(done, [calls(0.9, PAY), says("Paid.", 0.9)])
    await agent.ainvoke(ASK, THREAD)
    events = [
        event["data"]
        async for event in agent.astream_events(reviewed(APPROVE), THREAD, version="v2")
        if event["name"] == DECISION_EVENT
    ]
    assert [one["action"] for one in events] == ["escalate", "answer"]
    assert [call["review"] for call in events[0]["reviews"]] == ["approved"]


def test_without_confidence_a_person_may_be_asked_too(done: list[str]) -> None:
    call = calls(None, PAY)
    call.response_metadata.clear()
    gate = ConfidenceGateMiddleware(
        POLICY, unsure_tool_calls="approve", without_confidence="refuse"
    )
    model = FakeChat(replies=[call, says("Paid.", 0.9)])
    agent = agent_of(model, gate, tools=tools_into(done), checkpointer=InMemorySaver())
    agent.invoke(ASK, THREAD)
    agent.invoke(reviewed(APPROVE), THREAD)
    assert done == ["pay 5"]


@HOW
@pytest.mark.parametrize(
    ("reply", "again", "says"),
    [
        (reviewed(APPROVE), 5, "a person has decided about pay(amount=5)"),
        (reviewed(REJECT), 5, "a person has decided about pay(amount=5)"),
        (reviewed(edit(amount=7)), 7, "a person has decided about pay(amount=7)"),
        (reviewed(edit(amount=7)), 5, "a person has decided about pay(amount=5)"),
    ],
)
async def test_a_call_that_a_person_decided_about_does_not_run_again_unasked(
    how: str, reply: Any, again: int, says: str, done: list[str]
) -> None:
    repeated = calls(0.99, ("pay", {"amount": again}))
    agent = approving(done, [calls(0.9, PAY), repeated, FINE])
    await run(agent, how, ASK, THREAD)
    state = await run(agent, how, reply, THREAD)
    ran = [*done]
    assert len(ran) == (reply != reviewed(REJECT))
    assert says in state["__interrupt__"][0].value["action_requests"][0]["description"]
    assert decisions_of(state)[-1].action is Action.ESCALATE
    await run(agent, how, reviewed(RESPOND), THREAD)
    assert done == ran


@HOW
@pytest.mark.parametrize("unsure", ["abstain", "approve"])
async def test_a_payment_that_passed_is_not_made_twice(
    how: str, unsure: Any, done: list[str]
) -> None:
    model = FakeChat(replies=[calls(0.99, PAY)] * 4)
    gate = ConfidenceGateMiddleware(POLICY, unsure_tool_calls=unsure)
    agent = agent_of(model, gate, tools=tools_into(done), checkpointer=InMemorySaver())
    state = await run(agent, how, ASK, THREAD)
    assert done == ["pay 5"]
    assert ("__interrupt__" in state) is (unsure == "approve")
    assert "pay(amount=5) has run since the user's last message" in decisions_of(state)[-1].reason
    state = await run(agent, how, {"messages": [HumanMessage("Again, please.")]}, THREAD)
    assert done == ["pay 5", "pay 5"], "the user said so"


@pytest.mark.parametrize("again", [{"to": "Anna", "amount": 5}, {"to": " anna.", "amount": 5.0}])
@pytest.mark.parametrize("apart", [True, False])
def test_calls_that_say_the_same_do_not_run_twice(again: dict[str, Any], apart: bool) -> None:
    """After each other, or in one message of a model that makes several calls."""
    paid: list[str] = []

    @tool
    def pay(to: str, amount: float) -> str:
        """Pay."""
        paid.append(f"{to} {amount}")
        return "paid"

    first, second = ("pay", {"to": "Anna", "amount": 5}), ("pay", again)
    said = [calls(0.99, first), calls(0.99, second)] if apart else [calls(0.99, first, second)]
    gate = ConfidenceGateMiddleware(POLICY)
    state = agent_of(FakeChat(replies=said), gate, tools=[pay]).invoke(ASK)
    assert len(paid) == apart
    told = "has run since" if apart else "is called twice"
    assert told in decisions_of(state)[-1].reason


def test_other_calls_may_be_repeated(done: list[str]) -> None:
    """Tools without a topic, other arguments, and calls that failed."""

    @tool
    def pay(amount: int) -> str:
        """Pay."""
        done.append(f"pay {amount}")
        raise ToolException("no network")

    pay.handle_tool_error = True
    search: Call = ("search", {"query": "x"})
    wanted: list[Call] = [search, search, PAY, PAY, ("pay", {"amount": 6})]
    model = FakeChat(replies=[*(calls(0.99, one) for one in wanted), says("Done.", 0.9)])
    tools = [tools_into(done)[0], pay]
    state = agent_of(model, ConfidenceGateMiddleware(POLICY), tools=tools).invoke(ASK)
    assert state["messages"][-1].text == "Done."
    assert done == ["search x", "search x", "pay 5", "pay 5", "pay 6"]


def test_a_dry_run_tells_of_a_repeated_call(done: list[str]) -> None:
    model = FakeChat(replies=[calls(0.99, PAY), calls(0.99, PAY), says("Done.", 0.9)])
    gate = ConfidenceGateMiddleware(POLICY.changed(observe=True))
    state = agent_of(model, gate, tools=tools_into(done)).invoke(ASK)
    assert done == ["pay 5", "pay 5"]
    assert [one.would for one in decisions_of(state)] == [None, Action.ABSTAIN, None]
