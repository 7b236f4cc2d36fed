"""What is said before a question, to see whether an earlier turn moves the level of a confidence.

The questions are of training splits, and asked alone in `benchmarks.runs`. Each gets one of four
histories, in turn, so that no single one decides.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.runs import SAMPLE_SEED, TRAINING, Plan
from et_agent.answers import AnswerKind
from et_agent.evaluation.items import Item, sample

__all__ = ["HISTORIES", "LATER", "History", "Later"]

History = Callable[[Item], tuple[tuple[str, str], ...]]
"""From a question to a conversation: roles with texts, what is asked last."""


@dataclass(frozen=True)
class Later:
    """Questions of training runs that are asked again, later in a conversation.

    Attributes:
        plans: Names of their plans in `benchmarks.runs`.
        decoder: The name of their decoder there.
        first, end: Which of each plan's questions.
    """

    plans: tuple[str, ...]
    decoder: str
    first: int
    end: int

    def items(self) -> list[Item]:
        """The questions, as many of each plan as there are histories in turn."""
        plans = {plan.name: plan for plan in TRAINING}
        parts = [
            sample(plans[name].items(), self.end, seed=SAMPLE_SEED)[self.first :]
            for name in self.plans
        ]
        step = len(HISTORIES)
        return [
            item
            for at in range(0, self.end - self.first, step)
            for part in parts
            for item in part[at : at + step]
        ]

    def first_turns(self, model: str) -> Sequence[tuple[Plan, str]]:
        """The runs in which a model was asked them alone, with decoders."""
        data = {plan.data for plan in TRAINING if plan.name in self.plans}
        return [
            (plan, self.decoder) for plan in TRAINING if plan.model == model and plan.data in data
        ]


LATER: Final[Mapping[str, Later]] = {
    "later-word-problems": Later(("train-svamp", "train-gsm8k"), "entropy-tree", 40, 100),
    "later-trivia": Later(("train-nq-open",), "entropy-tree", 0, 120),
    "later-choices": Later(("train-mmlu",), "direct", 0, 120),
}
"""Sets by name."""
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+")

_WORKED: Final = {
    AnswerKind.NUMBER: (
        ("user", "A box holds 6 eggs. Maria buys 4 boxes and uses 5 eggs. How many are left?"),
        ("assistant", "Four boxes hold 4 * 6 = 24 eggs.\n24 - 5 = 19.\n\n\\boxed{19}"),
    ),
    AnswerKind.TEXT: (
        ("user", "who wrote the novel moby dick"),
        ("assistant", "The novel was written by Herman Melville.\n\n\\boxed{Herman Melville}"),
    ),
    AnswerKind.CHOICE: (
        (
            "user",
            "Which metal is liquid at room temperature?\nA) Iron\nB) Mercury\nC) Zinc\nD) Tin",
        ),
        ("assistant", "B"),
    ),
}


def _planet(item: Item) -> tuple[tuple[str, str], ...]:
    return (
        ("user", "Hello! Which planet is the largest of the solar system?"),
        ("assistant", "Jupiter is the largest planet of the solar system."),
        ("user", item.question),
    )


def _talk(item: Item) -> tuple[tuple[str, str], ...]:
    """Several turns, and a long reply."""
    return (
        ("user", "I want to bake bread at home for the first time. What do I need?"),
        (
            "assistant",
            "You need very little:\n\n1. 500 g of flour\n2. 350 ml of warm water\n3. 10 g of salt\n"
            "4. 7 g of dry yeast\n\nMix everything in a large bowl until no dry flour is left. Cover "
            "the bowl and let the dough rise for about two hours, until it has doubled. Fold it a few "
            "times, shape it into a ball and let it rest for another 30 minutes. Meanwhile heat the "
            "oven to 230 °C with a heavy pot inside. Put the dough into the pot, close the lid and "
            "bake it for 30 minutes. Take the lid off and bake it for 15 minutes more, until the crust "
            "is dark brown. Let it cool on a rack before you cut it.",
        ),
        ("user", "Thanks! Can I leave the salt out?"),
        (
            "assistant",
            "You can, but the bread will taste flat and rise faster, since salt slows the yeast down.",
        ),
        ("user", f"OK. Now something else: {item.question}"),
    )


def _worked(item: Item) -> tuple[tuple[str, str], ...]:
    """Another question of the kind, answered."""
    return (*_WORKED[item.kind], ("user", item.question))


def _story(item: Item) -> tuple[tuple[str, str], ...]:
    """What it is about is told first; a question that cannot be parted comes after a greeting."""
    *told, asked = _SENTENCE.split(item.question.strip())
    if item.kind is not AnswerKind.NUMBER or not told:
        return (
            ("user", "Hi, are you there?"),
            ("assistant", "Hello! Yes, how can I help you today?"),
            ("user", item.question),
        )
    return (
        ("user", " ".join(told)),
        ("assistant", "I see. What would you like to know?"),
        ("user", asked),
    )


HISTORIES: Final[Mapping[str, History]] = {
    "turn-other": _planet,
    "turn-long": _talk,
    "turn-same": _worked,
    "turn-story": _story,
}
"""Histories by the names of their variants."""
