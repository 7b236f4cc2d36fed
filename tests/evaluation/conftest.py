"""Questions, a model that half knows the answers, and records made by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from et_agent.answers import AnswerKind
from et_agent.engines.scripted import ScriptedModel
from et_agent.evaluation.items import Item
from et_agent.evaluation.records import QuestionRecord
from et_agent.uncertainty.leaf_table import LeafTable

FLOATS = [
    "log_prob",
    "tail_log_prob",
    "entropy",
    "peak_entropy",
    "certainty",
    "confidence",
    "tail_confidence",
    "lowest_confidence",
    "bottom_confidence",
    "answer_margin",
    "answer_log_prob",
    "rauq",
    "attention_score",
    "prompt_attention",
]


def table(
    answer: Sequence[int], weight: Sequence[float] | None = None, **columns: Sequence[Any]
) -> LeafTable:
    """Leaves with everything that is not given filled in."""
    size = len(answer)
    whole: dict[str, Sequence[Any]] = {
        "answer": answer,
        "count": [1] * size,
        "finish": [0] * size,
        "tokens": [10] * size,
        "parent": [-1] + [0] * (size - 1),
        "start": [0] * size,
        "fork": [-1] + [0] * (size - 1),
    }
    doubles: dict[str, Sequence[Any]] = {name: [-1.0] * size for name in FLOATS}
    doubles["weight"] = [1 / size] * size if weight is None else weight
    for name, values in columns.items():
        (whole if name in whole else doubles)[name] = values
    arrays: dict[str, Any] = {
        **{name: np.array(values, dtype=np.int64) for name, values in whole.items()},
        **{name: np.array(values, dtype=np.float64) for name, values in doubles.items()},
    }
    return LeafTable(**arrays)


def record(item: str, leaves: LeafTable, right: Sequence[bool], **other: Any) -> QuestionRecord:
    settings: dict[str, Any] = {
        "question": "",
        "kind": "number",
        "subject": "",
        "answers": tuple(str(number) for number in range(len(right))),
        "prompt_tokens": 5,
        "tokens_decoded": leaves.tokens_decoded,
        "tokens_as_chains": int(leaves.tokens.sum()),
        "seconds": 1.5,
        "extras": {},
    }
    return QuestionRecord(item=item, leaves=leaves, right=tuple(right), **{**settings, **other})


def half_known(prompt: str) -> Mapping[str, float]:
    """Sums are right most of the time when their first number is even."""
    question = prompt.rpartition("What is ")[2]
    first, second = (int(part) for part in question.partition("?")[0].split(" + "))
    sure = 0.8 if first % 2 == 0 else 0.3
    return {
        f"{first} + {second} is \\boxed{{{first + second}}}": sure,
        f"I say \\boxed{{{first + second + 1}}}": 0.7 - sure / 2,
        f"Perhaps \\boxed{{{first + second + 2}}}": 0.3 - sure / 2,
    }


def sums(count: int) -> list[Item]:
    return [
        Item(
            id=f"sums/{number}",
            question=f"What is {number} + {number * 3}?",
            kind=AnswerKind.NUMBER,
            golds=(str(number * 4),),
        )
        for number in range(count)
    ]


def half_knowing_model() -> ScriptedModel:
    return ScriptedModel.from_texts(half_known)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ET_AGENT_DATA", raising=False)
