"""NQ-open: factual questions with short answers, several of which may be accepted."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from et_agent.answers import AnswerKind
from et_agent.evaluation.datasets.base import DataFile, Dataset, Row, divided, jsonl_rows
from et_agent.evaluation.items import Item

__all__ = ["NQ_OPEN"]


def _nq_open(paths: Sequence[Path], split: str) -> Iterator[Item]:
    yield from divided(map(_item, jsonl_rows(paths[0])), split, test=1500)


def _item(row: Row) -> Item:
    answers = row.any("answer")
    texts = (
        [text.strip() for text in answers if isinstance(text, str) and text.strip()]
        if (isinstance(answers, list))
        else []
    )
    if not texts:
        raise row.damaged("'answer' is not a list of texts")
    question = row.text("question")
    return Item(
        id=f"nq-open/{row.line}",
        question=question if question.endswith("?") else f"{question}?",
        kind=AnswerKind.TEXT,
        golds=tuple(dict.fromkeys(texts)),
    )


NQ_OPEN = Dataset(
    name="nq-open",
    title="questions to a search engine with short answers (Lee et al. 2019)",
    licence="CC BY-SA 3.0",
    source="google-research-datasets/natural-questions",
    splits={
        split: (
            DataFile(
                "nq_open/NQ-open.dev.jsonl",
                (
                    "https://raw.githubusercontent.com/google-research-datasets/"
                    "natural-questions/master/nq_open/NQ-open.dev.jsonl",
                ),
                "f15567f38099f3615f5b8a685c0aef449c11ad90d3da3735e8d1b98115b40616",
            ),
        )
        for split in ("test", "train")
    },
    read=_nq_open,
)
