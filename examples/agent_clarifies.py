"""An agent with a tool that asks back if the request is unclear, and continues with the reply.

    make setup    # once, in a checkout
    .venv/bin/python examples/agent_clarifies.py
    .venv/bin/python examples/agent_clarifies.py "How big is Georgia?" --reply 2

The paths of the tree call the tool. Calls with equal arguments are one answer, so a call has a
confidence. Below the threshold, the agent stops and asks which call is meant. With the reply it
continues where it stopped, without decoding anything again.
"""

import argparse
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import zip_longest
from typing import Any, Literal

from langchain.agents import create_agent
from langchain.agents.middleware import ModelRequest, ModelResponse, wrap_model_call
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.tools import tool
from langchain_et_agent import ChatEntropyTree, ConfidenceGateMiddleware
from langchain_et_agent.offered_calls import spelled
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from et_agent import load_model
from et_agent.engines.base import LanguageModel
from et_agent.gate import Decision, GatePolicy

FACTS = {
    ("country", "area"): "69,700 square kilometres",
    ("country", "population"): "3.7 million people",
    ("US state", "area"): "153,900 square kilometres",
    ("US state", "population"): "11 million people",
}


@tool(return_direct=True)
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


@wrap_model_call
def calls_a_tool(
    request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
) -> ModelResponse[Any]:
    """Small models call tools only when they must; the grammar then makes every path a call."""
    return handler(request.override(tool_choice="any"))


def agent_over(model: LanguageModel, *, leaves: int, answer_at: float) -> Any:
    """An agent that runs the call that most of its paths make, and else asks which one is meant."""
    # No calibrator was fitted for agents: the lower end of the general map is compared.
    policy = GatePolicy(answer_at=answer_at)
    gate = ConfidenceGateMiddleware(policy, unsure_tool_calls="ask")
    return create_agent(
        ChatEntropyTree(engine=model, leaves=leaves, temperature=1.0),
        tools=[georgia],
        system_prompt="Use the tool to look things up.",
        middleware=[gate, calls_a_tool],
        checkpointer=InMemorySaver(),
    )


def told(message: BaseMessage) -> str:
    """What is printed of a message."""
    if isinstance(message, HumanMessage):
        return f"You: {message.text}"
    if isinstance(message, AIMessage) and message.tool_calls:
        return f"Agent calls {spelled(message)}"
    return f"{'Agent' if isinstance(message, AIMessage) else 'Tool'}: {message.text}"


def main(argv: Sequence[str] | None = None, model: LanguageModel | None = None) -> None:
    """Run the example; `model` stands in for the one named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("question", nargs="?", default="How big is Georgia?")
    parser.add_argument(
        "--reply", help="your reply to a question back; the program asks for it if left out"
    )
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--leaves", type=int, default=12)
    parser.add_argument("--answer-at", type=float, default=0.4, help="what a call has to reach")
    options = parser.parse_args(argv)
    with ExitStack() as stack:
        loaded = model or stack.enter_context(load_model(options.model))
        agent = agent_over(loaded, leaves=options.leaves, answer_at=options.answer_at)
        calls = Calls()
        config: Any = {"configurable": {"thread_id": "1"}, "callbacks": [calls]}
        state = agent.invoke({"messages": [HumanMessage(options.question)]}, config)
        shown: list[str] = []
        while True:
            lines = [told(message) for message in state["messages"]]
            # A call that was chosen takes the place of the question that was asked.
            print(*(line for line, before in zip_longest(lines, shown) if line != before), sep="\n")
            shown = lines
            if "__interrupt__" not in state:
                break
            print(f"(The question is asked after {calls.count} tree{'s'[: calls.count != 1]}.)")
            state = agent.invoke(Command(resume=options.reply or input("> ")), config)
    for number, made in enumerate(state["et_agent_decisions"], 1):
        decision = Decision.model_validate(made)
        print(f"({number}. {decision.action.value}: {decision.reason})")
    print(f"(Trees: {calls.count})")


if __name__ == "__main__":
    main()
