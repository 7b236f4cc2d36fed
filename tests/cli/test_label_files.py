"""`et-agent label`: one key per result, kept at once, with undo."""

import builtins
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from et_agent.cli import labelling
from tests.cli.conftest import Install, Run

ASK = ["ask", "--decoder", "multi-chain", "--leaves", "6", "--kind", "number", "--json"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def results(run: Run, install: Install, tmp_path: Path) -> Path:
    install()
    path = tmp_path / "results.jsonl"
    path.write_text(run(*ASK, "one?", "two?", "three?").out)
    return path


def reply(monkeypatch: pytest.MonkeyPatch, *given: str | type[BaseException]) -> None:
    rest: Iterator[str | type[BaseException]] = iter(given)

    def answer(_: str) -> str:
        one = next(rest)
        if isinstance(one, str):
            return one
        raise one

    monkeypatch.setattr(builtins, "input", answer)
    monkeypatch.setattr(labelling, "is_watched", lambda: True)
    monkeypatch.setattr(sys, "stdin", Terminal())


def labels(path: Path) -> list[Any]:
    return [json.loads(line).get("right") for line in path.read_text().splitlines()]


def test_labels_are_kept_undone_and_learnt(
    run: Run, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply(monkeypatch, "y", "n", "u", "what?", "y", "")
    shown = run("label", str(results))
    assert shown.code == 0, shown.err
    assert labels(results) == [True, True, None]
    learn = f"et-agent calibrate learn --labels {results}"
    assert f"2 of 3 labelled, 2 right; to learn from them:\n{learn}\n" in shown.out
    some = run("calibrate", "learn", "--labels", str(results))
    assert some.out.startswith("2 learnt")
    assert "1 of 3 results left out: without a label" in some.err
    reply(monkeypatch, "n")
    assert "1/1  three?" in run("label", str(results)).out, "only what has no label"
    learnt = run("calibrate", "learn", "--labels", str(results))
    assert learnt.out.startswith("1 learnt, 2 known before")


def test_an_unknown_key_is_answered_with_the_keys_there_are(
    run: Run, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply(monkeypatch, "x", "u", "q")
    shown = run("label", str(results))
    keys = "  keys: y (right), n (wrong), Enter (skip), u (undo), q (leave)\n"
    assert shown.out.count(keys) == 1
    assert shown.out.count("  there is nothing to undo yet\n") == 1
    assert labels(results) == [None, None, None]


def test_undo_puts_back_the_label_of_before(
    run: Run, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply(monkeypatch, "y", "", "q")
    run("label", str(results))
    reply(monkeypatch, "u", "n", "n", "u", "u", "q")
    run("label", str(results), "--again")
    assert labels(results) == [True, None, None]


def test_one_result_over_several_lines(
    run: Run, install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install()
    path = tmp_path / "one.json"
    path.write_text(run(*ASK, "one?").out)
    assert path.read_text().count("\n") > 1
    reply(monkeypatch, "y")
    assert "1 of 1 labelled" in run("label", str(path)).out
    assert run("calibrate", "learn", "--labels", str(path)).out.startswith("1 learnt")


def test_odd_values_of_a_file_stay(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "odd.jsonl"
    odd = '{"question": "é", "answer": "\\ud800", "features": {}, "x": NaN'
    path.write_text(odd + "}\n")
    reply(monkeypatch, "y")
    assert run("label", str(path)).code == 0
    assert path.read_text() == odd.replace("é", "\\u00e9") + ', "right": true}\n'


def test_what_another_program_writes_meanwhile_is_not_lost(
    run: Run, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = results.read_text()

    def answer(_: str) -> str:
        with results.open("a") as file:
            file.write(written)
        return "y"

    reply(monkeypatch)
    monkeypatch.setattr(builtins, "input", answer)
    shown = run("label", str(results))
    assert shown.code == 2
    assert "was changed meanwhile, so this label is not kept" in shown.err
    assert results.read_text() == 2 * written


@pytest.mark.parametrize("last", ["q", EOFError, KeyboardInterrupt])
def test_whoever_leaves_keeps_what_was_said(
    run: Run, results: Path, monkeypatch: pytest.MonkeyPatch, last: str | type[BaseException]
) -> None:
    reply(monkeypatch, "n", last)
    shown = run("label", str(results))
    assert shown.code == (130 if last is KeyboardInterrupt else 0)
    assert labels(results) == [False, None, None]


def test_where_nobody_can_reply(run: Run, results: Path) -> None:
    shown = run("label", str(results))
    assert shown.code == 2
    assert "needs a terminal" in shown.err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no result"),
        ("nothing\n", "line 1 is not JSON"),
        ('{"a": 1}\n', "is no result"),
        ('{"question": "1+1?", "answer": 2}\n', "`et-agent calibrate model --data"),
    ],
)
def test_files_of_something_else(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, says: str
) -> None:
    reply(monkeypatch)
    path = tmp_path / "other.jsonl"
    path.write_text(text)
    shown = run("label", str(path))
    assert shown.code == 2
    assert says in shown.err


def test_a_table_of_questions_is_no_file_of_results(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("question,answer\n1+1?,2\n")
    shown = run("label", str(path))
    assert shown.code == 2
    assert f"{path} holds no results. If these are questions with known answers" in shown.err


def test_known_answers_label_and_a_person_is_asked_about_the_rest(
    run: Run, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = json.loads(results.read_text().splitlines()[0])["answer"]
    known = tmp_path / "known.csv"
    known.write_text(f"question,answer\none?,{answers}\ntwo?,77\nnever asked?,1\n")
    refused = run("label", str(results), "--answers", str(known))
    assert (refused.code, "needs a terminal" in refused.err) == (2, True)
    assert labels(results) == [True, False, None], "these need nobody"
    assert "2 of 3 labelled by their known answers; you are asked about the other 1" in refused.out
    reply(monkeypatch, "y")
    assert "3 of 3 labelled, 2 right" in run("label", str(results), "--answers", str(known)).out
    reply(monkeypatch, "", "y", "q")
    again = run("label", str(results), "--answers", str(known), "--again")
    assert "known answer: 77" in again.out
    assert labels(results) == [True, True, True], "a person has the last word"


def test_known_answers_that_contradict_each_other_are_left_to_a_person(
    run: Run, results: Path, tmp_path: Path
) -> None:
    known = tmp_path / "known.csv"
    known.write_text("question,answer\none?,7\ntwo?,77\none?,8\n")
    shown = run("label", str(results), "--answers", str(known))
    assert f"{known}: 1 question with different answers in different rows" in shown.err
    assert "1 of 3 labelled by their known answers; you are asked about the other 2" in shown.out
    assert labels(results) == [None, False, None]


def test_a_result_may_have_its_known_answer_beside_it(run: Run, results: Path) -> None:
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    golds = [["none", rows[0]["answer"]], 77, f"{rows[2]['answer']}.0"]
    for row, gold in zip(rows, golds, strict=True):
        row["expected"] = gold
    results.write_text("".join(json.dumps(row) + "\n" for row in rows))
    shown = run("label", str(results))
    assert (shown.code, shown.err) == (0, "")
    assert labels(results) == [True, False, True]
    assert shown.out.startswith("3 of 3 labelled by their known answers\n")
    assert run("calibrate", "learn", "--labels", str(results)).out.startswith("3 learnt")


def test_what_stands_behind_an_answer_is_named(
    run: Run, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply(monkeypatch, "q")
    shown = run("label", str(results))
    assert shown.out.count("  (confidence ") == 1


@pytest.mark.parametrize("place", ["", "."])
def test_a_folder_is_no_file_of_results(run: Run, place: str) -> None:
    shown = run("label", place)
    assert shown.code == 2
    assert "cannot be read: Is a directory" in shown.err


def test_the_answers_of_a_model_label_nothing(run: Run, results: Path) -> None:
    shown = run("label", str(results), "--answers", str(results))
    assert shown.code == 2
    assert "this is a result of `ask`, and its answer is a model's own" in shown.err
    assert labels(results) == [None, None, None]
