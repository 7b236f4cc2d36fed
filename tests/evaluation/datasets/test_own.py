import json
from pathlib import Path

import pytest

from et_agent.answers import AnswerKind
from et_agent.errors import DataError
from et_agent.evaluation.datasets import guessed_of, load_items
from et_agent.evaluation.grading import is_right
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


def test_kinds_are_what_ask_takes_the_questions_for(tmp_path: Path) -> None:
    items = jsonl(
        tmp_path,
        {"question": "Capital?", "answer": "Paris", "id": "fr"},
        {"question": "Which is a gas?\nA) iron\nB) argon", "answer": "B"},
        {"question": "How many people live there?", "answer": "nobody"},
        {"question": "When did the war end?", "answer": 1945},
        {"question": "When did she leave?", "answer": "as soon as she could"},
        {"question": "What is his age?", "answer": 50},
    )
    kinds = ["text", "choice", "text", "date", "text", "number"]
    assert [item.kind.value for item in items] == kinds
    assert items[0].id == "mine/fr"
    for item in items:
        assert is_right(item.golds[0], item)
    assert (
        guessed_of(str(tmp_path / "mine.jsonl"))
        == "kinds by the questions and answers: 3 text, 1 choice, 1 date, 1 number"
    )


def test_kinds_that_are_named_or_have_choices_are_not_guessed(tmp_path: Path) -> None:
    jsonl(tmp_path, {"question": "Year?", "answer": "1972", "kind": "text"})
    assert guessed_of(str(tmp_path / "mine.jsonl")) == ""
    jsonl(tmp_path, {"question": "Which?", "choices": ["x", "y"], "answer": "x"})
    assert guessed_of(str(tmp_path / "mine.jsonl")) == ""


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
        ([{"question": "Q", "answer": "x", "choices": ["x"]}], "1 choice: 2 to 10"),
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
