"""Nodes and edges for LangGraph graphs that you build yourself.

    graph = StateGraph(GatedState)
    graph.add_node("answer", answer_node(EntropyTreeRunnable(model="qwen2.5-coder-0.5b")))
    graph.add_node("gate", gate_node(Gate(GatePolicy(answer_at=0.8, clarify=True), clarifier=…)))
    graph.add_node("clarify", clarify_node())
    graph.add_edge(START, "answer")
    graph.add_edge("answer", "gate")
    graph.add_conditional_edges("gate", route_by_action(answer=END, abstain=END, clarify="clarify"))
    graph.add_edge("clarify", "answer")

Each node does one thing and writes plain JSON types. When an interrupted graph is resumed, what an
earlier node has brought is neither decoded nor escalated again.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol, TypedDict, TypeVar

from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda

from et_agent.errors import InputError, SettingsError
from et_agent.gate import Action, Decision, Gate, question_after
from et_agent.results import AskResult
from langchain_et_agent.metadata import metadata_of, read_result
from langchain_et_agent.replies import clarification_request, no_text, reply_to

__all__ = ["GatedState", "answer_node", "clarify_node", "gate_node", "route_by_action"]

State = Mapping[str, Any]
Read = str | Callable[[Any], Any]
"""A key of the state, or a function of it."""
Name = TypeVar("Name", bound=str)


class GatedState(TypedDict, total=False):
    """The keys that the nodes read and write by default, in plain JSON types."""

    question: str
    """The question. Once the user has clarified it, this includes the clarification."""
    result: dict[str, Any]
    """An `AskResult` without its tree."""
    decision: dict[str, Any]
    """A `Decision`."""
    answer: str | None
    """The answer to give. None unless the decision is to answer."""


def answer_node(
    tree: Runnable[Any, AskResult], *, question: Read = "question", result: str = "result"
) -> RunnableLambda[Any, dict[str, Any]]:
    """Make a node that answers a question and writes the result, without the tree.

    Args:
        tree: An `EntropyTreeRunnable`, or any runnable from a question to an `AskResult`.
        question: Where the state holds the question or messages: a key, or a function of the state.
        result: The key that is written.

    Raises, when run:
        InputError: The state has no question.
        EtAgentError: Decoding failed.
    """

    def answer(state: State, config: RunnableConfig) -> dict[str, Any]:
        return {result: metadata_of(tree.invoke(_read(state, question, "question"), config))}

    async def aanswer(state: State, config: RunnableConfig) -> dict[str, Any]:
        asked = _read(state, question, "question")
        return {result: metadata_of(await tree.ainvoke(asked, config))}

    return RunnableLambda(answer, aanswer, name="entropy_tree")


def gate_node(
    gate: Gate,
    *,
    result: Read = "result",
    topic: Read | None = None,
    decision: str = "decision",
    answer: str = "answer",
    hand_over: bool = False,
) -> RunnableLambda[Any, dict[str, Any]]:
    """Make a node that judges a result, escalates if the gate says so, and writes the decision.

    It does not ask the user. `clarify_node` does, since a node that is interrupted runs again.

    Args:
        gate: The gate.
        result: Where the state holds the result: a key, or a function such as one using `result_of`.
        topic: Where the state holds the topic or tool whose policy applies; None for the general one.
        decision: The key for the decision.
        answer: The key for the answer, which is None unless the decision is to answer.
        hand_over: Leave escalating to the graph. The decision is then `escalate`, for
            `route_by_action(escalate=…)`, and the gate needs no target.

    Raises, when run:
        InputError: The state has no result, or one that cannot be read.
        PolicyError: The policy has no such topic.
        StoreError: The decision cannot be logged.
    """

    def judge(state: State) -> dict[str, Any]:
        found = read_result(_read(state, result, "result"))
        if found is None:
            raise InputError("there is no result to judge: run answer_node before gate_node")
        named = None if topic is None else _read(state, topic, "topic")
        asked = _asked(state, decision, found.question)
        made = gate.resolve(found, topic=named, asked=asked, hand_over=hand_over)
        return {decision: made.model_dump(mode="json"), answer: made.answer}

    # Without a coroutine of its own it runs in a thread when the graph is run asynchronously.
    return RunnableLambda(judge, name="confidence_gate")


class GraphNode(Protocol):
    """A node as LangGraph types it."""

    def __call__(self, state: Any) -> dict[str, Any]:
        """The state's update."""
        ...


def clarify_node(*, question: str = "question", decision: str = "decision") -> GraphNode:
    """Make a node that interrupts with the clarifying question and adds the reply to the question.

    Resume with `Command(resume="the user's reply")`. The reply is a text or the number of a reading. A
    reply of another type is asked for again.

    Args:
        question: The key of the question, which is read and written.
        decision: The key of the decision.

    Raises, when run:
        InputError: The decision is not to ask back.
    """

    def clarify(state: Any) -> dict[str, Any]:
        made = _decision(state, decision)
        reply = reply_to(clarification_request(made), no_text)
        return {question: question_after(made, reply)}

    return clarify


def route_by_action(
    *,
    answer: Name,
    abstain: Name,
    escalate: Name | None = None,
    clarify: Name | None = None,
    decision: str = "decision",
) -> Callable[[Any], Name]:
    """Make a path function for `add_conditional_edges`, from a decision's action to the next node.

    Its return type is a Literal of the names, which LangGraph uses to draw the edges.

    Args:
        answer: Node after an answer, for instance `END`.
        abstain: Node after an abstention.
        escalate: Node that escalates, after a `gate_node` with `hand_over`.
        clarify: Node that asks the user, usually a `clarify_node`.
        decision: The key of the decision, or of a `Decision` itself.

    Raises, when run:
        InputError: The state has no decision, or one that cannot be read.
        SettingsError: The action has no node.
    """
    nodes = {
        action: name
        for action, name in (
            (Action.ANSWER, answer),
            (Action.ABSTAIN, abstain),
            (Action.ESCALATE, escalate),
            (Action.CLARIFY, clarify),
        )
        if name is not None
    }

    def route(state: Any) -> Name:
        action = _decision(state, decision).action
        if action not in nodes:
            raise SettingsError(
                f"the decision is to {action}, but there is no node for it: use "
                f'route_by_action({action}="name of the node")'
            )
        return nodes[action]

    route.__annotations__["return"] = Literal[tuple(dict.fromkeys(nodes.values()))]
    return route


def _read(state: State, where: Read, what: str) -> Any:
    if callable(where):
        return where(state)
    if where not in state:
        raise InputError(
            f"the state has no {where!r}: write the {what} there, or pass the key that holds it"
        )
    return state[where]


def _asked(state: State, key: str, question: str) -> int:
    """How often the user was asked back about this question, by the last decision of the thread."""
    if state.get(key) is None:
        return 0
    before = _decision(state, key)
    # `question_after` adds what is meant to the end of the question.
    same = before.action is Action.CLARIFY and question.startswith(before.question)
    return before.asked if same else 0


def _decision(state: State, key: str) -> Decision:
    found = _read(state, key, "decision")
    if isinstance(found, Decision):
        return found
    try:
        return Decision.model_validate(found)
    except ValueError as error:
        raise InputError(f"the decision in the state cannot be read: {error}") from error
