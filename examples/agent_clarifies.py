"""An agent with a tool that asks back when a question is unclear, and goes on with the reply.

    python examples/agent_clarifies.py
    python examples/agent_clarifies.py "How big is Georgia?" --reply 2

The tree's paths call the tool with different arguments, so the confidence of the call is low, and the
gate looks for readings of the question. If they lead to different answers, the agent stops and asks;
with the reply it goes on where it stopped: what was decoded before is not decoded again.
"""

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Literal

from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from et_agent import load_model
from et_agent.gate import Clarifier, Decision, GatePolicy
from et_agent.models.base import LanguageModel
from langchain_et_agent import ChatEntropyTree, ConfidenceGateMiddleware

FACTS = {
    ("country", "area"): "69,700 square kilometres",
    ("country", "population"): "3.7 million people",
    ("US state", "area"): "153,900 square kilometres",
    ("US state", "population"): "11 million people",
}


@tool
def georgia(which: Literal["country", "US state"], fact: Literal["area", "population"]) -> str:
    """Look up the area or the population of Georgia, the country or the US state."""
    return FACTS[which, fact]


class Calls(BaseCallbackHandler):
    """Counts calls of the chat model."""

    def __init__(self) -> None:
        self.count = 0

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        """A call begins."""
        self.count += 1


def agent_over(model: LanguageModel, *, leaves: int, answer_at: float) -> Any:
    """An agent that gives what most of its paths agree on, and asks where the question is unclear."""
    # The share stands in for a confidence: no calibrator was fitted for agents.
    policy = GatePolicy(answer_at=answer_at, uncalibrated="share", clarify=True)
    return create_agent(
        ChatEntropyTree(engine=model, leaves=leaves),
        tools=[georgia],
        system_prompt="Use the tool to look things up, then answer in one sentence.",
        middleware=[ConfidenceGateMiddleware(policy, clarifier=Clarifier(model))],
        checkpointer=InMemorySaver(),
    )


def told(message: BaseMessage) -> str:
    """What is printed of a message."""
    if isinstance(message, HumanMessage):
        return f"You: {message.text}"
    if isinstance(message, AIMessage) and message.tool_calls:
        calls = ", ".join(f"{call['name']}({call['args']})" for call in message.tool_calls)
        return f"Agent calls {calls}"
    return f"{'Agent' if isinstance(message, AIMessage) else 'Tool'}: {message.text}"


def main(argv: Sequence[str] | None = None, model: LanguageModel | None = None) -> None:
    """Run the example; `model` stands in for the one named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("question", nargs="?", default="How big is Georgia?")
    parser.add_argument("--reply", help="what you say when asked back; asked for if left out")
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--leaves", type=int, default=8)
    parser.add_argument("--answer-at", type=float, default=0.7, help="least share of an answer")
    options = parser.parse_args(argv)
    with ExitStack() as stack:
        loaded = model or stack.enter_context(load_model(options.model))
        agent = agent_over(loaded, leaves=options.leaves, answer_at=options.answer_at)
        calls = Calls()
        config: Any = {"configurable": {"thread_id": "1"}, "callbacks": [calls]}
        state = agent.invoke({"messages": [HumanMessage(options.question)]}, config)
        shown = 0
        while "__interrupt__" in state:
            print(*map(told, state["messages"][shown:]), sep="\n")
            shown = len(state["messages"])
            print(f"({state['__interrupt__'][0].value['reason']} Trees so far: {calls.count})")
            state = agent.invoke(Command(resume=options.reply or input("> ")), config)
        print(*map(told, state["messages"][shown:]), sep="\n")
    for number, made in enumerate(state["et_agent_decisions"], 1):
        decision = Decision.model_validate(made)
        print(f"({number}. {decision.action.value}: {decision.reason})")
    print(f"(Trees: {calls.count}, one for each time the model was to speak)")


if __name__ == "__main__":
    main()
