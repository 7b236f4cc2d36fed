"""Answers a question if the model is sure, and otherwise says that it does not know.

    .venv/bin/python examples/gated_qa.py
    .venv/bin/python examples/gated_qa.py "What is 17 times 23?" --answer-at 0.8 --leaves 16

The whole program is `prompt | tree | gate`. While it decodes, it shows the leading answer.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda

from et_agent.engines.base import LanguageModel
from et_agent.gate import Decision, GatePolicy
from et_agent.runnables import EntropyTreeRunnable, GateRunnable

QUESTIONS = (
    "Tom has 3 boxes of 12 eggs and breaks 5 of them. How many eggs are left?",
    "What is 15 % of 240?",
    "A farmer has 17 sheep, and all but 9 run away. How many sheep are left?",
    "Ann is 4 years younger than Ben. In 6 years Ben will be twice as old as Ann was 2 years ago. "
    "How old is Ann?",
)


class LeadingAnswer(BaseCallbackHandler):
    """Prints whenever another answer leads."""

    def __init__(self) -> None:
        self._leading: str | None = None

    def on_custom_event(self, name: str, data: Any, **_: Any) -> None:
        """Look at the running distribution."""
        if name != "entropy_tree_posterior" or data["answer"] == self._leading:
            return
        self._leading = data["answer"]
        paths = f"{data['leaves_done']} of {data['leaves']} paths"
        print(f"    after {paths}: {data['answer']} ({data['share']:.0%})", flush=True)


def answered(decision: Decision) -> str:
    """What is said when the model is sure enough."""
    assert decision.calibration is not None, "nothing is answered without one"
    return (
        f"{decision.answer}  (P(correct) {decision.confidence:.0%}, by the "
        f"{decision.calibration.source} map)"
    )


def abstained(decision: Decision) -> str:
    """What is said when it is not."""
    spread = ", ".join(
        f"{one.answer or 'no answer'} {one.share:.0%}" for one in decision.alternatives
    )
    return f"I do not know. {decision.reason} Its paths say: {spread}."


def program(tree: EntropyTreeRunnable, policy: GatePolicy) -> Runnable[Any, str]:
    """From {"question": …} to what is said."""
    # No system message, so that the answer kind's own instruction holds, and with it a calibrator.
    prompt = ChatPromptTemplate.from_messages([("human", "{question}")])
    gate = GateRunnable(
        gate=policy, answer=RunnableLambda(answered), abstain=RunnableLambda(abstained)
    )
    return prompt | tree | gate


def main(argv: Sequence[str] | None = None, model: LanguageModel | None = None) -> None:
    """Run the example; `model` stands in for the one named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("questions", nargs="*", default=QUESTIONS)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--leaves", type=int, default=8)
    parser.add_argument("--max-tokens", type=int, help="longest path in tokens; 320 by default")
    parser.add_argument(
        "--answer-at", type=float, default=0.7, help="lowest confidence of an answer"
    )
    options = parser.parse_args(argv)
    tree = EntropyTreeRunnable(
        model=options.model if model is None else model,
        leaves=options.leaves,
        max_tokens=options.max_tokens,
    )
    # If no calibrator matches the model, the general map's lower end has to reach the threshold.
    policy = GatePolicy(answer_at=options.answer_at)
    chain = program(tree, policy)
    for question in options.questions:
        print(question, flush=True)
        said = chain.invoke({"question": question}, {"callbacks": [LeadingAnswer()]})
        print(f"  = {said}\n")


if __name__ == "__main__":
    main()
