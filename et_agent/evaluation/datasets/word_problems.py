"""SVAMP and GSM8K: word problems whose answer is a number."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from et_agent.answers import AnswerKind
from et_agent.evaluation.datasets.base import DataFile, Dataset, Row, divided, json_rows, jsonl_rows
from et_agent.evaluation.items import Item

__all__ = ["GSM8K", "SVAMP", "SVAMP_SAMPLE"]

_GSM8K = "https://raw.githubusercontent.com/openai/grade-school-math/master/grade_school_math/data/"


def _svamp(paths: Sequence[Path], split: str) -> Iterator[Item]:
    yield from divided(map(_svamp_item, json_rows(paths[0])), split, test=300)


def _svamp_item(row: Row) -> Item:
    body = row.text("Body")
    if body[-1] not in ".,?!":
        # Some bodies end in the middle of a sentence, which the question goes on with.
        body += ","
    answer = row.any("Answer")
    if isinstance(answer, bool) or not isinstance(answer, int | float):
        raise row.damaged(f"'Answer' is not a number: {answer!r:.80}")
    return Item(
        id=f"svamp/{row.text('ID')}",
        question=f"{body} {row.text('Question')}",
        kind=AnswerKind.NUMBER,
        golds=(repr(float(answer)),),
        subject=row.text("Type"),
    )


SVAMP = Dataset(
    name="svamp",
    title="short word problems with misleading details (Patel et al. 2021)",
    licence="MIT",
    source="arkilpatel/SVAMP",
    splits={
        split: (
            DataFile(
                "svamp/SVAMP.json",
                ("https://raw.githubusercontent.com/arkilpatel/SVAMP/main/SVAMP.json",),
                "5be77703a6d891ae476d7c082787ad361392aa02453b132516cdd5f4e7934e3e",
            ),
        )
        for split in ("test", "train")
    },
    read=_svamp,
)


def _sample(paths: Sequence[Path], split: str) -> Iterator[Item]:
    del split
    yield from map(_svamp_item, json_rows(paths[0]))


SVAMP_SAMPLE = Dataset(
    name="svamp-sample",
    title="30 questions of SVAMP's train split, shipped for a first try",
    licence="MIT, see samples/LICENSE-SVAMP.txt",
    source="arkilpatel/SVAMP",
    splits={"test": (DataFile(str(Path(__file__).with_name("samples") / "svamp-sample.json")),)},
    read=_sample,
)


def _gsm8k(paths: Sequence[Path], split: str) -> Iterator[Item]:
    for row in jsonl_rows(paths[0]):
        _, mark, answer = row.text("answer").rpartition("####")
        if not mark or not answer.strip():
            raise row.damaged("'answer' has no final answer after ####")
        yield Item(
            id=f"gsm8k/{split}/{row.line}",
            question=row.text("question"),
            kind=AnswerKind.NUMBER,
            golds=(answer.strip(),),
        )


GSM8K = Dataset(
    name="gsm8k",
    title="grade school word problems in several steps (Cobbe et al. 2021)",
    licence="MIT",
    source="openai/grade-school-math",
    splits={
        "test": (
            DataFile(
                "gsm8k/test.jsonl",
                (f"{_GSM8K}test.jsonl",),
                "3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14",
            ),
        ),
        "train": (
            DataFile(
                "gsm8k/train.jsonl",
                (f"{_GSM8K}train.jsonl",),
                "17f347dc51477c50d4efb83959dbb7c56297aba886e5544ee2aaed3024813465",
            ),
        ),
    },
    read=_gsm8k,
)
