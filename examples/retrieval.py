"""Answers questions about a few passages, and says so if the passages do not contain the answer.

    .venv/bin/python examples/retrieval.py
    .venv/bin/python examples/retrieval.py "Who built the telescope?" --leaves 8

An answer is given if its confidence is high enough, which depends on the paths of the tree and on what
the answer owes to the passages. If most paths say that the passages do not hold it, there is none. If
no passage is found, the model is not asked. The passages are made up, so no model knows them by heart.
"""

import argparse
import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import (
    Runnable,
    RunnableBranch,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
)

from et_agent.engines.base import LanguageModel
from et_agent.gate import Decision, GatePolicy
from et_agent.runnables import EntropyTreeRunnable, GateRunnable

PASSAGES = {
    "observatory": "The Lindholm observatory stands on the hill above Varsby. It was opened in 1934 "
    "and has been a museum since 1998.",
    "telescope": "The main telescope of the observatory was built by Ida Brandt. Its mirror measures "
    "80 centimetres.",
    "ferry": "A ferry crosses from Varsby to the island of Torholm six times a day. The crossing takes "
    "25 minutes and carries up to 40 cars.",
    "bakery": "The bakery on Quay Street sells rye bread on Tuesdays and Fridays. It closes at noon.",
    "archive": "The town archive keeps letters from 1702 on. Visitors need a card, which the town hall "
    "gives out free of charge.",
}
QUESTIONS = (
    "Who built the telescope of the observatory?",
    "How many minutes does the ferry to Torholm take?",
    "Who is the captain of the ferry to Torholm?",
    "What is the capital of Australia?",
)
WORD = re.compile(r"\w+")
COMMON = frozenset(
    re.findall(r"\w+", "a an and by does for how in is it many of on the to what who")
)


def words_of(text: str) -> list[str]:
    """Words that say something, in lower case."""
    return [word for word in WORD.findall(text.lower()) if word not in COMMON]


class LexicalRetriever(BaseRetriever):
    """Passages that share words with the question, ranked by BM25 (k1 = 1.2, b = 0.75)."""

    passages: dict[str, str]
    most: int = 2
    """Passages at most; one without a common word is never among them."""

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        del run_manager
        counts = {name: Counter(words_of(text)) for name, text in self.passages.items()}
        lengths = {name: sum(count.values()) for name, count in counts.items()}
        mean = sum(lengths.values()) / len(lengths)
        scores = dict.fromkeys(counts, 0.0)
        for word in set(words_of(query)):
            having = sum(word in count for count in counts.values())
            rarity = math.log(1 + (len(counts) - having + 0.5) / (having + 0.5))
            for name, count in counts.items():
                length = 0.25 + 0.75 * lengths[name] / mean
                scores[name] += rarity * count[word] * 2.2 / (count[word] + 1.2 * length)
        return [
            Document(self.passages[name], metadata={"name": name})
            for name, score in sorted(scores.items(), key=lambda item: -item[1])[: self.most]
            if score > 0
        ]


def retrieval_chain(
    tree: EntropyTreeRunnable, policy: GatePolicy, passages: dict[str, str]
) -> Runnable[str, Decision | str]:
    """From a question to a decision, or to a text where no passage fits."""
    answered = tree | GateRunnable(gate=policy)
    nothing: Runnable[Any, str] = RunnableLambda(lambda _: "no passage has anything to do with it")
    found = RunnableParallel[Any](
        question=RunnablePassthrough(), context=LexicalRetriever(passages=passages)
    )
    return found | RunnableBranch((lambda asked: bool(asked["context"]), answered), nothing)


def told(outcome: Decision | str) -> list[str]:
    """What is printed of an outcome."""
    if isinstance(outcome, str):
        return [f"  I cannot tell: {outcome}. (The model was not asked.)"]
    paths = ", ".join(f"{one.answer or 'nothing'} {one.share:.0%}" for one in outcome.alternatives)
    said = f"I cannot tell. {outcome.reason}" if outcome.answer is None else outcome.answer
    return [f"  {said}", f"  (paths: {paths})"]


def main(argv: Sequence[str] | None = None, model: LanguageModel | None = None) -> None:
    """Run the example; `model` stands in for the one named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("questions", nargs="*", default=QUESTIONS)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--leaves", type=int, default=8)
    parser.add_argument("--answer-at", type=float, default=0.4, help="what an answer has to reach")
    options = parser.parse_args(argv)
    tree = EntropyTreeRunnable(
        model=options.model if model is None else model, leaves=options.leaves
    )
    policy = GatePolicy(answer_at=options.answer_at)
    chain = retrieval_chain(tree, policy, PASSAGES)
    for question, outcome in zip(
        options.questions, chain.batch(list(options.questions)), strict=True
    ):
        print(question, *told(outcome), sep="\n")


if __name__ == "__main__":
    main()
