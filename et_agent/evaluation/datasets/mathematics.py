"""MATH-500 and AIME: competition mathematics."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from et_agent.answers import AnswerKind
from et_agent.evaluation.datasets.base import DataFile, Dataset, jsonl_rows
from et_agent.evaluation.items import Item

__all__ = ["AIME24", "AIME25", "MATH500"]

_RAW = "https://raw.githubusercontent.com/"


def _math500(paths: Sequence[Path], split: str) -> Iterator[Item]:
    del split
    for row in jsonl_rows(paths[0]):
        yield Item(
            id=f"math500/{row.text('unique_id')}",
            question=row.text("problem"),
            kind=AnswerKind.MATH,
            golds=(row.text("answer"),),
            subject=row.text("subject"),
        )


MATH500 = Dataset(
    name="math500",
    title="500 problems of MATH (Hendrycks et al. 2021; split of Lightman et al. 2023)",
    licence="MIT",
    source="openai/prm800k, as in hkust-nlp/simpleRL-reason",
    splits={
        "test": (
            DataFile(
                "math500/test.jsonl",
                (
                    f"{_RAW}hkust-nlp/simpleRL-reason/main/examples/simplelr_math_eval/data/"
                    "math500/test.jsonl",
                    f"{_RAW}hkust-nlp/simpleRL-reason/v0/eval/data/math500/test.jsonl",
                ),
                "35dc41080a3680858b27fa7e0533d2d547825316fc5dafe5d316f4ccc5a06132",
            ),
        )
    },
    read=_math500,
)


class _Aime:
    """Reads a year's thirty problems; answers are integers from 0 to 999."""

    def __init__(self, year: str) -> None:
        self._year = year

    def __call__(self, paths: Sequence[Path], split: str) -> Iterator[Item]:
        del split
        for row in jsonl_rows(paths[0]):
            answer = row.text("answer")
            if not answer.isdigit():
                raise row.damaged(f"'answer' is not an integer: {answer!r:.80}")
            yield Item(
                id=f"aime{self._year}/{row.any('id')}",
                question=row.text("problem"),
                kind=AnswerKind.NUMBER,
                golds=(str(int(answer)),),
            )


AIME24 = Dataset(
    name="aime24",
    title="American Invitational Mathematics Examination 2024",
    licence="problems by the MAA; the file's repository is MIT",
    source="QwenLM/Qwen2.5-Math",
    splits={
        "test": (
            DataFile(
                "aime24/test.jsonl",
                (f"{_RAW}QwenLM/Qwen2.5-Math/main/evaluation/data/aime24/test.jsonl",),
                "af2b8bd2aa911b6333ad0df32f3ca05c7ae8ed10f1731f4372c8ae26990bf7ac",
            ),
        )
    },
    read=_Aime("24"),
)

AIME25 = Dataset(
    name="aime25",
    title="American Invitational Mathematics Examination 2025",
    licence="problems by the MAA; the file's repository is MIT",
    source="armenjeddi/mcd",
    splits={
        "test": (
            DataFile(
                "aime25/test.jsonl",
                (f"{_RAW}armenjeddi/mcd/main/evaluation/data/aime25/test.jsonl",),
                "19a9f25a12e89abaeea9f7e214f8b6f6eae43285e9d8df7a3818ca0408df4b07",
            ),
        )
    },
    read=_Aime("25"),
)
