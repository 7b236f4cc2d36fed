"""A small model answers, and escalates what it is unsure of to a larger model within a budget.

    .venv/bin/python examples/cascade.py
    .venv/bin/python examples/cascade.py --budget 1 --answer-at 0.9

The small model decodes all questions in shared batches. Then the gate judges one result after the
other. The larger model is loaded on first use, and its answers pass through the gate too.
"""

import argparse
from collections.abc import Sequence
from contextlib import closing
from typing import NamedTuple

from et_agent import AskResult, load_model
from et_agent.decoding import EntropyTree
from et_agent.engines.base import LanguageModel
from et_agent.gate import Decision, Gate, GatePolicy, ModelTarget
from et_agent.runnables import EntropyTreeRunnable, GateRunnable

QUESTIONS = (
    "What is 15 % of 240?",
    "A farmer has 17 sheep, and all but 9 run away. How many sheep are left?",
    "Ann is 4 years younger than Ben. Together they are 30 years old. How old is Ann?",
    "A snail climbs 3 metres by day and slips back 2 metres by night. On which day does it reach the "
    "top of a wall of 10 metres?",
)


class Models(NamedTuple):
    """A small model and a larger one that are loaded already."""

    small: LanguageModel
    large: LanguageModel


def say(result: AskResult, decision: Decision) -> None:
    """Print what became of a question."""
    sure = "no confidence" if result.confidence is None else f"{result.confidence:.0%}"
    print(result.question)
    print(f"  small model: {result.answer} ({sure})")
    if decision.escalated:
        found = ", ".join(f"{one.answer} {one.share:.0%}" for one in decision.alternatives)
        print(f"  large model: {found}")
    print(f"  {decision.action.value}: {decision.answer or '-'}")
    print(f"  {decision.reason}\n")


def main(argv: Sequence[str] | None = None, models: Models | None = None) -> None:
    """Run the example; `models` stand in for those named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("questions", nargs="*", default=QUESTIONS)
    parser.add_argument("--small", default="qwen2.5-coder-0.5b")
    parser.add_argument("--large", default="qwen2.5-coder-1.5b")
    parser.add_argument("--budget", type=int, default=2, help="largest number of escalations")
    parser.add_argument(
        "--answer-at", type=float, default=0.7, help="lowest confidence of an answer"
    )
    parser.add_argument("--leaves", type=int, default=8)
    parser.add_argument("--max-tokens", type=int, default=320, help="longest path in tokens")
    options = parser.parse_args(argv)
    decoder = EntropyTree(leaves=options.leaves, max_tokens=options.max_tokens)
    policy = GatePolicy(answer_at=options.answer_at, escalations=options.budget)
    tree = EntropyTreeRunnable(
        model=options.small if models is None else models.small, decoder=decoder
    )
    target = ModelTarget(
        (lambda: load_model(options.large)) if models is None else models.large, decoder=decoder
    )
    with closing(target):
        gate = Gate(policy, escalate=target)
        runnable = GateRunnable(gate=gate)
        results = tree.batch(list(options.questions))
        # In order and not by `batch`, so that it is the first doubtful ones that the budget is for.
        decisions = [runnable.invoke(result) for result in results]
    for result, decision in zip(results, decisions, strict=True):
        say(result, decision)
    small = sum(result.usage.tokens_decoded for result in results)
    both = sum(decision.cost.tokens for decision in decisions)
    given = sum(decision.answer is not None for decision in decisions)
    print(
        f"{given} of {len(decisions)} questions answered, {gate.escalations} of {options.budget} "
        f"escalations used; {small} tokens by the small model, {both - small} by the large one"
    )


if __name__ == "__main__":
    main()
