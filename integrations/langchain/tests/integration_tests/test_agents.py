"""Gated agents on real models: the README's example, reviews of calls, and structured responses.

The small model has no tools in its chat template, so calls are tested with the larger one.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langchain_et_agent import (
    ChatEntropyTree,
    ConfidenceGateMiddleware,
    EntropyTreeDecisionModel,
    EntropyTreeResponse,
    close_engines,
    result_of,
)
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import BaseModel

from et_agent.gate import Action, Decision, DecisionLog, GatePolicy, Review
from et_agent.runnables import EntropyTreeRunnable

README = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
THREAD: Any = {"configurable": {"thread_id": "1"}}


class Payment(BaseModel):
    """A payment."""

    amount: int
    to: str


def ask(text: str) -> Any:
    return {"messages": [HumanMessage(text)]}


def decisions_of(state: dict[str, Any]) -> list[Decision]:
    return [Decision.model_validate(one) for one in state["et_agent_decisions"]]


# --- The small model


@pytest.fixture(scope="module")
def small() -> ChatEntropyTree:
    return ChatEntropyTree(
        model="smollm2-135m", leaves=4, max_tokens=24, context=2048, max_sequences=16, threads=1
    )


@pytest.mark.model
def test_a_small_model_has_a_general_confidence_in_conversations_and_plain_prompts(
    small: ChatEntropyTree,
) -> None:
    history = [HumanMessage("Hi."), AIMessage("Hello."), HumanMessage("What is 2 plus 3?")]
    plain = small.invoke("What is 2 plus 3?", chat="plain", system_prompt="", max_tokens=64)
    for message in (small.invoke(history), plain):
        found = result_of(message)
        assert found is not None
        assert found.answer is not None
        assert found.calibration is not None
        assert found.calibration.source == "general"
        assert found.confidence is not None


@pytest.mark.model
def test_a_small_model_gives_a_structured_response_or_says_why_not(small: ChatEntropyTree) -> None:
    for answer_at, action in ((0.0, Action.ANSWER), (0.99, Action.ABSTAIN)):
        gate = ConfidenceGateMiddleware(GatePolicy(answer_at=answer_at))
        agent: Any = create_agent(
            small, middleware=[gate], response_format=ProviderStrategy(Payment)
        )
        state = agent.invoke(ask("Ann pays 3 euros to Ida. Who gets how much?"))
        (decision,) = decisions_of(state)
        assert decision.action is action
        assert isinstance(state["structured_response"], Payment) is (action is Action.ANSWER)


@pytest.mark.model
@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
def test_a_small_model_decides_with_a_general_confidence() -> None:
    from langchain_core.decisions import Choice

    tree = EntropyTreeRunnable(
        model="smollm2-135m",
        kind="choice",
        leaves=4,
        max_tokens=48,
        load_options={"context": 2048, "max_sequences": 16, "threads": 1},
    )
    team = Choice(instructions="Which team?", criteria={"billing": "Payments.", "bugs": "Bugs."})
    request: Any = {"state": "My card was charged twice.", "questions": {"team": team}}
    response = EntropyTreeDecisionModel(tree=tree).invoke(request)
    assert isinstance(response, EntropyTreeResponse)
    found = response.calibrations["team"]
    assert found is None or found.source == "general"


# --- The model with tools


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """The names of the README's example, after it ran."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in BLOCK.findall(README.read_text("utf-8")):
        exec(compile(block, README.name, "exec"), names)
    yield names
    names["log"].close()
    close_engines()


@pytest.mark.model
@pytest.mark.slow
def test_the_readme_s_example_works_as_it_is_written(example: dict[str, Any]) -> None:
    sure: Any = {"configurable": {"thread_id": "sure"}}
    state = example["agent"].invoke(ask("Pay 5 euros to Ida."), sure)
    passed = decisions_of(state)[0]
    assert (passed.action, passed.topic, passed.reviews) == (Action.ANSWER, "pay", ())
    told = [one.text for one in state["messages"] if one.type == "tool"]
    assert told == ["paid 5 euros to Ida"], "once, although the model calls it again"
    doubtful = decisions_of(example["state"])[0]
    assert (doubtful.action, doubtful.topic) == (Action.ESCALATE, "pay")
    assert [one.review for one in doubtful.reviews] == [Review.EDITED]
    assert example["log"].report().reviews == {Review.EDITED: 1}


@pytest.fixture(scope="module")
def large() -> ChatEntropyTree:
    return ChatEntropyTree(model="qwen2.5-coder-0.5b", leaves=8, max_tokens=96)


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize(
    ("reply", "review", "paid"),
    [
        ({"type": "approve"}, Review.APPROVED, [5]),
        (
            {"type": "edit", "edited_action": {"name": "pay", "args": {"amount": 4, "to": "Ida"}}},
            Review.EDITED,
            [4],
        ),
        ({"type": "reject"}, Review.REJECTED, []),
    ],
)
def test_what_a_person_decides_is_done_once_and_logged(
    large: ChatEntropyTree, tmp_path: Path, reply: Any, review: Review, paid: list[int]
) -> None:
    done: list[int] = []

    @tool
    def pay(amount: int, to: str) -> str:
        """Pay an amount in euros to somebody."""
        done.append(amount)
        return f"paid {amount} euros to {to}"

    policy = GatePolicy(answer_at=0.0, topics={"pay": {"answer_at": 1.0}})
    with DecisionLog(tmp_path / "log.sqlite") as log:
        gate = ConfidenceGateMiddleware(policy, unsure_tool_calls="approve", log=log)
        agent: Any = create_agent(large, [pay], middleware=[gate], checkpointer=InMemorySaver())
        state = agent.invoke(ask("Pay 5 euros to Ida."), THREAD)
        request = state["__interrupt__"][0].value
        (call,) = request["action_requests"]
        assert (call["name"], call["args"]) == ("pay", {"amount": 5, "to": "Ida"})
        assert done == []
        resume: Any = Command(resume={"decisions": [reply], "trace_id": request["trace_id"]})
        agent.invoke(resume, THREAD)
        agent.invoke(resume, THREAD)
        assert done == paid
        assert log.report().reviews == {review: 1}


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("strategy", [ToolStrategy, ProviderStrategy])
def test_a_structured_response_passes_or_there_is_none(
    large: ChatEntropyTree, strategy: Any
) -> None:
    for answer_at, action in ((0.1, Action.ANSWER), (0.99, Action.ABSTAIN)):
        gate = ConfidenceGateMiddleware(GatePolicy(answer_at=answer_at))
        agent: Any = create_agent(large, middleware=[gate], response_format=strategy(Payment))
        state = agent.invoke(ask("Ann pays 3 euros to Ida. How much is paid, and to whom?"))
        (decision,) = decisions_of(state)
        assert decision.action is action
        expected = Payment(amount=3, to="Ida") if action is Action.ANSWER else None
        assert state["structured_response"] == expected
