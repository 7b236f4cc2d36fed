import json
from collections.abc import Iterator
from typing import Any, Literal, get_type_hints

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import HumanMessage
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_et_agent import (
    GatedState,
    answer_node,
    clarify_node,
    gate_node,
    result_of,
    route_by_action,
)
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command

from et_agent import AskResult, MultiChain, ScriptedModel, ask
from et_agent.errors import InputError, ModelClosedError, SettingsError
from et_agent.gate import Action, Clarifier, Decision, Gate, GatePolicy

from .agent_fakes import HOURS, MILES, UNCLEAR, FakeChat, result_with, says, unclear

QUESTION = {"question": "How many legs has a cat?"}
THREAD: Any = {"configurable": {"thread_id": "1"}}


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    texts = {"The answer is 4.": 0.75, "The answer is 5.": 0.25}
    with ScriptedModel.from_texts(texts) as model:
        yield model


def tree_over(model: ScriptedModel) -> Runnable[Any, AskResult]:
    decoder = MultiChain(leaves=8, temperature=1)
    return RunnableLambda(lambda question: ask(model, question, decoder=decoder, calibrator=None))


@pytest.fixture
def unsure() -> Iterator[ScriptedModel]:
    with ScriptedModel.from_texts(unclear) as model:
        yield model


def asks_back(model: ScriptedModel) -> Gate:
    policy = GatePolicy(answer_at=0.9, uncalibrated="share", clarify=True)
    return Gate(policy, clarifier=Clarifier(model, temperature=1))


def graph_of(model: ScriptedModel, gate: Gate, saver: InMemorySaver | None = None) -> Any:
    graph = StateGraph(GatedState)
    graph.add_node("tree", answer_node(tree_over(model)))
    graph.add_node("gate", gate_node(gate))
    graph.add_node("ask", clarify_node())
    graph.add_edge(START, "tree")
    graph.add_edge("tree", "gate")
    graph.add_conditional_edges("gate", route_by_action(answer=END, abstain=END, clarify="ask"))
    graph.add_edge("ask", "tree")
    return graph.compile(checkpointer=saver)


SHARE = GatePolicy(answer_at=0.5, uncalibrated="share")


async def test_a_graph_answers_or_abstains(model: ScriptedModel) -> None:
    sure = graph_of(model, Gate(SHARE))
    state, again = sure.invoke(QUESTION), await sure.ainvoke(QUESTION)
    assert (state["answer"], again["answer"]) == ("4", "4")
    assert state["result"]["distribution"] == again["result"]["distribution"]
    strict = graph_of(model, Gate(SHARE.model_copy(update={"answer_at": 0.99})))
    state = strict.invoke(QUESTION)
    assert (state["answer"], state["decision"]["action"]) == (None, "abstain")


def test_the_state_is_plain_json_and_survives_a_checkpoint(model: ScriptedModel) -> None:
    saver = InMemorySaver()
    graph = graph_of(model, Gate(SHARE), saver)
    state = graph.invoke(QUESTION, THREAD)
    assert json.loads(json.dumps(state)) == state
    kind, data = saver.serde.dumps_typed(state)
    assert saver.serde.loads_typed((kind, data)) == state
    kept = graph.get_state(THREAD).values
    assert AskResult.model_validate({**kept["result"], "tree": None}).answer == "4"
    assert Decision.model_validate(kept["decision"]).action is Action.ANSWER


def test_the_user_is_asked_once_and_nothing_is_decoded_again(unsure: ScriptedModel) -> None:
    graph = graph_of(unsure, asks_back(unsure), InMemorySaver())
    state = graph.invoke({"question": UNCLEAR}, THREAD)
    (asked,) = state["__interrupt__"]
    assert "Which one do you mean?" in asked.value["question"]
    assert {one["text"]: one["answer"] for one in asked.value["readings"]} == {
        MILES: "26",
        HOURS: "4",
    }
    json.dumps(asked.value)
    before = unsure.decoded
    assert graph.get_state(THREAD).next == ("ask",)
    number = [one["text"] for one in asked.value["readings"]].index(HOURS) + 1
    state = graph.invoke(Command(resume=str(number)), THREAD)
    assert "__interrupt__" not in state
    assert state["answer"] == "4"
    assert state["question"] == f"How long is the race?\n\nWhat is meant: {HOURS}"
    # One tree, over the new question; the last token of a path is not decoded.
    usage = state["result"]["usage"]
    assert usage["prompt_tokens"] < unsure.decoded - before
    assert unsure.decoded - before <= sum(
        usage[name] for name in ("prompt_tokens", "probe_tokens", "tokens_decoded")
    )


def test_a_question_is_asked_back_once(unsure: ScriptedModel) -> None:
    graph = graph_of(unsure, asks_back(unsure), InMemorySaver())
    graph.invoke({"question": UNCLEAR}, THREAD)
    state = graph.invoke(Command(resume="I do not know"), THREAD)
    assert "__interrupt__" not in state
    assert state["decision"]["action"] == "abstain"
    assert "__interrupt__" in graph.invoke({"question": UNCLEAR}, THREAD), (
        "another question, asked anew"
    )


@pytest.mark.parametrize("reply", [3, " ", {"a": 1}])
def test_a_reply_that_is_no_text_is_asked_for_again(unsure: ScriptedModel, reply: Any) -> None:
    graph = graph_of(unsure, asks_back(unsure), InMemorySaver())
    graph.invoke({"question": UNCLEAR}, THREAD)
    before = unsure.decoded
    (asked,) = graph.invoke(Command(resume=reply), THREAD)["__interrupt__"]
    assert "resume with a text" in asked.value["problem"]
    assert len(asked.value["readings"]) == 2
    assert unsure.decoded == before
    assert graph.invoke(Command(resume="in miles"), THREAD)["answer"] == "26"


def test_routes_are_typed() -> None:
    route = route_by_action(answer="say", abstain=END, clarify="ask")
    assert get_type_hints(route)["return"] == Literal["say", "__end__", "ask"]
    decision = Gate(SHARE).decide(result_with("4", 0.9))
    assert route({"decision": decision}) == "say"
    assert route({"decision": decision.model_dump(mode="json")}) == "say"
    asked = decision.model_copy(update={"action": Action.CLARIFY})
    assert route({"decision": asked}) == "ask"
    with pytest.raises(SettingsError, match='route_by_action\\(escalate="name of the node"\\)'):
        route({"decision": decision.model_copy(update={"action": Action.ESCALATE})})
    with pytest.raises(InputError, match="the state has no 'decision'"):
        route({})
    with pytest.raises(InputError, match="cannot be read"):
        route({"decision": {"action": "run"}})


def test_the_drawn_graph_has_the_edges_of_the_route(model: ScriptedModel) -> None:
    drawn = graph_of(model, Gate(SHARE)).get_graph()
    assert {edge.target for edge in drawn.edges if edge.source == "gate"} == {"ask", "__end__"}


def test_a_gate_after_a_chat_model() -> None:
    chat = FakeChat(replies=[says("4", 0.9)])

    class State(MessagesState):
        decision: dict[str, Any]
        answer: str | None

    graph = StateGraph(State)
    graph.add_node("chat", lambda state: {"messages": [chat.invoke(state["messages"])]})
    graph.add_node("gate", gate_node(Gate(SHARE), result=lambda s: result_of(s["messages"][-1])))
    graph.add_edge(START, "chat")
    graph.add_edge("chat", "gate")
    asked: Any = {"messages": [HumanMessage("How many?")]}
    state = graph.compile().invoke(asked)
    assert (state["answer"], state["decision"]["confidence"]) == ("4", 0.9)


def test_a_topic_from_the_state() -> None:
    policy = GatePolicy(answer_at=0.5, topics={"money": {"answer_at": 0.95}})
    node = gate_node(Gate(policy), topic="topic")
    state = {"result": result_with("4", 0.9), "topic": "money"}
    assert node.invoke(state)["decision"]["action"] == "abstain"
    assert node.invoke({**state, "topic": None})["decision"]["action"] == "answer"


class Errors(BaseCallbackHandler):
    def __init__(self) -> None:
        self.seen: list[BaseException] = []

    def on_chain_error(self, error: BaseException, **_: Any) -> None:
        self.seen.append(error)


def test_failures_are_typed_and_seen_by_callbacks(model: ScriptedModel) -> None:
    graph = graph_of(model, Gate(SHARE))
    errors = Errors()
    with pytest.raises(InputError, match="the state has no 'question'"):
        graph.invoke({"answer": None}, {"callbacks": [errors]})
    assert isinstance(errors.seen[0], InputError)
    model.close()
    errors = Errors()
    with pytest.raises(ModelClosedError):
        graph.invoke(QUESTION, {"callbacks": [errors]})
    assert isinstance(errors.seen[0], ModelClosedError)
    with pytest.raises(InputError, match="a dict, not a list"):
        gate_node(Gate(SHARE)).invoke({"result": []})
    with pytest.raises(InputError, match="run answer_node before"):
        gate_node(Gate(SHARE)).invoke({"result": None})


def test_a_graph_escalates_by_itself(model: ScriptedModel) -> None:
    graph = StateGraph(GatedState)
    graph.add_node("tree", answer_node(tree_over(model)))
    graph.add_node("gate", gate_node(Gate(SHARE.changed(answer_at=0.99)), hand_over=True))
    graph.add_node("person", lambda state: {"answer": f"asked about {state['question']}"})
    graph.add_edge(START, "tree")
    graph.add_edge("tree", "gate")
    route = route_by_action(answer=END, abstain=END, escalate="person")
    graph.add_conditional_edges("gate", route)
    whole: Any = graph.compile()
    assert whole.invoke(QUESTION)["answer"] == f"asked about {QUESTION['question']}"


def test_a_new_question_in_a_thread_was_not_asked_back_about(unsure: ScriptedModel) -> None:
    graph = graph_of(unsure, asks_back(unsure), InMemorySaver())
    first = graph.invoke({"question": UNCLEAR}, THREAD)
    assert first["__interrupt__"]
    again = graph.invoke({"question": UNCLEAR.replace("race", "run")}, THREAD)
    assert again["__interrupt__"], "asked back, as if it were the first question"
