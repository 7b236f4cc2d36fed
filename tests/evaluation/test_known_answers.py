"""Known answers grade results, whatever kind the results are of."""

import json
from pathlib import Path
from typing import Any

import pytest

from et_agent.errors import DataError
from et_agent.evaluation.known_answers import KnownAnswers


def known(folder: Path, *rows: dict[str, Any]) -> KnownAnswers:
    path = folder / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return KnownAnswers.of(str(path))


def result(question: str, answer: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"question": question, "answer": answer, "kind": kind, **more}


def test_an_answer_is_read_as_what_the_result_is(tmp_path: Path) -> None:
    found = known(
        tmp_path,
        {"question": "How much?", "answer": "1,000"},
        {"question": "Who?", "answer": ["Bo", "Bo Li"]},
        {"question": "Which?\nA) iron\nB) argon", "answer": "B"},
    )
    assert found.grade(result(" How much?\n", "1000", "number"))
    assert found.grade(result("How much?", "999", "text")) is False
    assert found.grade(result("Who?", "bo li", "text"))
    assert found.grade(result("Who?", "7", "number")) is False, "its answers are no numbers"
    for kind in ("long", "tool_call"):
        assert found.grade(result("Who?", "It was Bo.", kind)) is None, "a person has to tell"
    assert found.grade(result("Which?\nA) iron\nB) argon", "B", "choice"))
    assert found.grade(result("Where?", "here", "text")) is None
    assert found.expected(result("Who?", "", "text")) == ("Bo", "Bo Li")
    assert found.expected(result("Where?", "", "text")) == ()


def test_what_stands_beside_a_result_comes_first(tmp_path: Path) -> None:
    found = known(tmp_path, {"question": "How much?", "answer": 5})
    assert found.grade(result("How much?", "6", "number", expected=6))
    assert KnownAnswers().grade(result("Who?", "Li", "text", gold=["Bo", "Li"]))
    assert KnownAnswers().grade(result("Who?", "Li", "text", gold=None)) is None
    expected = '{"b": 2, "a": 1.0}'
    assert KnownAnswers().grade(result("?", '{"a":1,"b":2}', "json", expected=expected))


def test_answers_that_contradict_each_other_are_not_taken(tmp_path: Path) -> None:
    found = known(
        tmp_path,
        {"question": "Who?", "answer": "Bo"},
        {"question": "Where?", "answer": "here"},
        {"question": "Who? ", "answer": "Li"},
        {"question": "Where?", "answer": "here"},
        {"question": "How much?", "answer": "1,000"},
        {"question": "How much?", "answer": 1000.0},
        {"question": "When?", "answer": ["noon", "at 12"]},
        {"question": "When?", "answer": "noon"},
    )
    assert found.contradicted == {"Who?", "When?"}
    assert found.grade(result("How much?", "1000", "number"))
    assert found.expected({"question": "Who?"}) == ()
    assert found.expected({"question": "Where?"}) == ("here",)


def test_files_of_answers_are_checked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no field 'answer'"):
        known(tmp_path, {"question": "Who?"})


@pytest.mark.parametrize("nothing", ["", " ", [], [None], ["Bo", ""], {"a": 1}, None])
def test_a_field_without_an_answer_is_not_one(tmp_path: Path, nothing: object) -> None:
    asked = result("Who?", "Li", "text", expected=nothing)
    assert KnownAnswers().grade(asked) is None
    assert KnownAnswers().grade({**asked, "gold": "Li"})
    assert known(tmp_path, {"question": "Who?", "answer": "Li"}).grade(asked)


def test_the_answers_of_a_model_are_not_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 1: this is a result of `ask`.*a model's own"):
        known(tmp_path, {"question": "Who?", "answer": "Bo", "features": {"share": 1.0}})
