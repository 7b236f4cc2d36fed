import json
from pathlib import Path

import pytest

from et_agent.answers import AnswerKind
from et_agent.errors import DataError
from et_agent.evaluation.datasets import load_items
from et_agent.evaluation.items import Item


def jsonl(tmp_path: Path, *rows: object) -> list[Item]:
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_items(str(path))


def test_numbers(tmp_path: Path) -> None:
    items = jsonl(
        tmp_path, {"question": "1+1?", "answer": 2}, {"question": "Half?", "answer": ["0.5", "1/2"]}
    )
    assert [item.kind for item in items] == [AnswerKind.NUMBER] * 2
    assert [item.golds for item in items] == [("2",), ("0.5", "1/2")]
    assert [item.id for item in items] == ["mine/1", "mine/2"]


def test_texts(tmp_path: Path) -> None:
    items = jsonl(
        tmp_path,
        {"question": "Capital?", "answer": "Paris", "id": "fr"},
        {"question": "Year?", "answer": "1972"},
    )
    assert [item.kind for item in items] == [AnswerKind.TEXT] * 2
    assert items[0].id == "mine/fr"


def test_choices_by_letter_and_by_text(tmp_path: Path) -> None:
    items = jsonl(
        tmp_path,
        {"question": "Which?", "choices": ["x", "y"], "answer": "b"},
        {"question": "Which?", "choices": ["x", "y", 3], "answer": "x"},
    )
    assert [item.golds for item in items] == [("B",), ("A",)]
    assert items[1].question == "Which?\nA) x\nB) y\nC) 3"


def test_csv_with_choices_and_kinds(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(
        'question,answer,choices,kind\n"A, or B?",y,x|y,choice\nSum?,3,,number\nName?,Bo,,text\n'
    )
    items = load_items(str(path))
    assert [item.kind.value for item in items] == ["choice", "number", "text"]
    assert items[0].golds == ("B",)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [{"question": "Q", "answer": "1"}, {"question": "Q"}],
            "line 2: there is no field 'answer'",
        ),
        ([{"question": "Q", "answer": []}], "neither a text nor a number"),
        ([{"question": "Q", "answer": {"a": 1}}], "neither a text nor a number"),
        (
            [{"question": "Q", "answer": "z", "choices": ["x", "y"]}],
            "neither a choice nor its letter",
        ),
        ([{"question": "Q", "answer": "x", "choices": ["x"]}], "1 choices: 2 to 10"),
        (
            [{"question": "Q", "answer": "1", "kind": "poem"}],
            "use number, math, choice, text, date",
        ),
        (
            [
                {"question": "Q", "answer": "A", "choices": ["x", "y"]},
                {"question": "Q", "answer": "1"},
            ],
            "line 2: other rows have choices",
        ),
        ([{"question": "Q", "answer": "1", "id": 1}] * 2, "the id 'mine/1' occurs twice"),
        (["Q"], "not a record with named fields"),
    ],
)
def test_rows_that_cannot_be_used(tmp_path: Path, rows: list[object], said: str) -> None:
    with pytest.raises(DataError) as caught:
        jsonl(tmp_path, *rows)
    assert said in str(caught.value)
    assert "mine.jsonl, line" in str(caught.value)


def test_a_header_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("question,answer\n")
    with pytest.raises(DataError, match="no questions"):
        load_items(str(path))
