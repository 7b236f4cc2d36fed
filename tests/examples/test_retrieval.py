from collections.abc import Mapping

import pytest

from et_agent import ScriptedModel
from examples import retrieval


def replies(prompt: str) -> Mapping[str, float]:
    if "Write the question" in prompt:
        return dict.fromkeys(retrieval.QUESTIONS, 1 / len(retrieval.QUESTIONS))
    question = prompt.partition("Question: ")[2]
    if "Reply with one letter" in prompt:
        sure = 0.99 if "Ida Brandt" in question or "25 minutes" in question else 0.1
        first, second = (1 - sure, sure) if "A) The passages" in question else (sure, 1 - sure)
        return {"A": first, "B": second}
    if "telescope" in question:
        return {"\\boxed{Ida Brandt}": 0.9, "\\boxed{unknown}": 0.1}
    if "minutes" in question:
        return {"\\boxed{25 minutes}": 1.0}
    if "captain" in question:
        return {"\\boxed{Captain Ahab}": 0.2, "\\boxed{unknown}": 0.8}
    return {"\\boxed{Quay Street}": 0.4, "\\boxed{Quay}": 0.3, "\\boxed{unknown}": 0.3}


def test_it_answers_from_the_passages_and_abstains_otherwise(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with ScriptedModel.from_texts(replies) as model:
        asked = [*retrieval.QUESTIONS, "Where is the bakery?", "--answer-at", "0.3"]
        retrieval.main(asked, model=model)
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("  (")]
    *said, bakery = lines
    assert said == [
        "Who built the telescope of the observatory?",
        "  Ida Brandt",
        "How many minutes does the ferry to Torholm take?",
        "  25 minutes",
        "Who is the captain of the ferry to Torholm?",
        "  I cannot tell. The passages do not say.",
        "What is the capital of Australia?",
        "  I cannot tell: no passage has anything to do with it. (The model was not asked.)",
        "Where is the bakery?",
    ]
    assert bakery.startswith("  I cannot tell. The confidence of ")
    assert bakery.endswith("% is below the threshold of 30%.")


def test_the_retriever_ranks_by_common_words() -> None:
    found = retrieval.LexicalRetriever(passages=retrieval.PASSAGES).invoke(
        "Who built the telescope of the observatory?"
    )
    assert [one.metadata["name"] for one in found] == ["telescope", "observatory"]
    assert retrieval.LexicalRetriever(passages=retrieval.PASSAGES).invoke("Is it?") == []
