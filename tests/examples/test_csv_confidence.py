import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from et_agent import ScriptedModel
from examples import csv_confidence


def replies(prompt: str) -> Mapping[str, float]:
    if "eggs" in prompt:
        return {"So \\boxed{31}": 1.0}
    return {"So \\boxed{9}": 0.5, "So \\boxed{8}": 0.5}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    Path("farm.csv").write_text(
        'id,question\na,How many eggs?\nb,"How many, say, sheep?"\nc,"How many\ncows?"\n'
    )


def rows(path: str = "farm.answered.csv") -> list[dict[str, str]]:
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def run(*arguments: str, made: Mapping[str, float] | Any = replies) -> int:
    """Run the example; returns the tokens that were decoded."""
    with ScriptedModel.from_texts(made) as model:
        csv_confidence.main(["farm.csv", *arguments], model=model)
        return model.decoded


def test_answers_and_confidences_are_added(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() > 0
    found = rows()
    assert [row["id"] for row in found] == ["a", "b", "c"]
    assert found[1]["question"] == "How many, say, sheep?"
    assert (found[0]["answer"], found[0]["share"]) == ("31", "1.0000")
    assert 0.7 < float(found[0]["confidence"]) < 1
    assert {row["calibration"] for row in found} == {"general"}
    assert found[0]["entropy"] == "0.0000"
    assert int(found[0]["tokens"]) > 0
    assert found[0]["settings"] == "qwen2.5-coder-0.5b leaves=8 seed=0"
    said = capsys.readouterr().out
    assert said.startswith("0 of 3 rows are finished in farm.answered.csv\n")
    assert "farm.answered.csv: 3 answers, mean confidence 0." in said
    assert not list(Path().glob(".farm*"))


def test_the_shipped_questions_are_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedModel.from_texts(replies) as model:
        csv_confidence.main([], model=model)
    assert len(rows("questions.answered.csv")) == len(rows(str(csv_confidence.QUESTIONS))) == 6


def test_finished_rows_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    run()
    before = Path("farm.answered.csv").read_text()
    assert run() == 0
    assert Path("farm.answered.csv").read_text() == before
    assert "3 of 3 rows are finished" in capsys.readouterr().out


@pytest.mark.parametrize("cut", [1, 5, 20, 75, 80, 90])
def test_a_run_that_was_stopped_is_gone_on_with(cut: int) -> None:
    whole = run()
    expected = rows()
    path = Path("farm.answered.csv")
    text = path.read_text()
    path.write_text(text[:-cut])  # wherever it was stopped within the last row
    assert 0 < run() < whole
    assert rows() == expected


def test_stopping_keeps_what_is_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    add = csv_confidence.Answers.add

    def stop(self: Any, number: int, *rest: Any) -> Any:
        if len(self.done) == 2:
            raise KeyboardInterrupt
        return add(self, number, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(csv_confidence.Answers, "add", stop)
        with pytest.raises(SystemExit, match="what is finished is kept"):
            run("--at-once", "1")
    assert [row["id"] for row in rows()] == ["a", "b"]
    run()
    assert [row["id"] for row in rows()] == ["a", "b", "c"]


def test_a_row_that_fails_is_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    Path("farm.csv").write_text("id,question\na,How many eggs?\nb, \n")
    run()
    assert rows()[1]["error"] == "the question is empty: pass some text"
    assert rows()[1]["answer"] == ""
    run()
    assert len(rows()) == 2
    assert "1 of 2 rows are finished" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ("", [], "no rows with a column 'question'"),
        ("id,text\na,b\n", [], "name it with --column"),
        ("id,question\na\n", [], "row 1 has more or fewer values"),
        ("id,question\na,b,c\n", [], "row 1 has more or fewer values"),
        ("question,share\na,b\n", [], "columns of its own called share"),
        ("question\nWhy?\n", ["--leaves", "0"], "leaves"),
    ],
)
def test_bad_input(content: str, arguments: list[str], message: str) -> None:
    Path("farm.csv").write_text(content)
    with pytest.raises(SystemExit, match=message):
        run(*arguments)


def test_a_file_that_is_not_there() -> None:
    Path("farm.csv").unlink()
    with pytest.raises(SystemExit, match="cannot be read"):
        run()


def test_answers_to_something_else_are_not_touched() -> None:
    run()
    before = Path("farm.answered.csv").read_text()
    with pytest.raises(SystemExit, match="made with other settings"):
        run("--seed", "4")
    Path("farm.csv").write_text("id,question\na,How many hens?\nb,x\nc,y\n")
    with pytest.raises(SystemExit, match="made from other rows"):
        run()
    assert Path("farm.answered.csv").read_text() == before
    with pytest.raises(SystemExit, match="made from other rows"):
        run("--out", "farm.csv")
    assert Path("farm.csv").read_text().startswith("id,question\na,How many hens?")


def test_a_model_that_cannot_be_loaded_is_no_error_of_the_rows() -> None:
    with pytest.raises(SystemExit, match="no-such-model"):
        csv_confidence.main(["farm.csv", "--model", "no-such-model"])
    assert rows() == []
