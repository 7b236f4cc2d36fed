"""Files of questions, standard input, and what never reaches a prompt."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from et_agent.cli import standard_input
from et_agent.cli.questions import read_file
from et_agent.errors import DataError
from tests.cli.conftest import Install, Run

TREE = ("--temperature", "1", "--leaves", "2")


def texts(path: Path) -> list[str]:
    return [one.text for one in read_file(str(path))]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("q.csv", 'question,answer\nHow many?,72\n"One, or two?",1\n'),
        ("q.csv", "answer;Question\n72;How many?\n1;One, or two?\n"),
        ("q.tsv", "prompt\tgold\nHow many?\t72\nOne, or two?\t1\n"),
        ("q.txt", "id;Question;answer\n1;How many?;72\n2;One, or two?;1\n"),
        ("q.jsonl", '{"prompt": "How many?", "gold": 72}\n{"prompt": "One, or two?"}\n'),
    ],
)
def test_columns_are_found_and_answers_left_out(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    assert texts(path) == ["How many?", "One, or two?"]


def test_what_was_guessed_and_left_out_is_said(run: Run, install: Install, tmp_path: Path) -> None:
    install()
    path = tmp_path / "mine.csv"
    path.write_text("id;Problem;gold\n1;How many clips?;SECRET\n")
    shown = run("ask", *TREE, "--json", "--questions", str(path))
    assert shown.code == 0, shown.err
    assert json.loads(shown.out)["question"] == "How many clips?"
    assert 'mine.csv: "Problem" as the question; id, answer not used (label by' in shown.err
    assert f"(label by them: et-agent label RESULTS --answers {path})" in shown.err
    assert "SECRET" not in shown.out


def test_choices_are_asked_with_the_question(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text("question,choices,answer\nWhich?,x|y,x\n")
    assert texts(path) == ["Which?\nA) x\nB) y"]


def test_no_choice_is_left_out_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text(f"question,choices\nWhich?,{'|'.join('abcdefghijk')}\n")
    with pytest.raises(DataError, match="line 2: 11 choices: 2 to 10 are needed"):
        texts(path)


def test_choices_beside_the_questions(run: Run, install: Install, tmp_path: Path) -> None:
    install({r"\boxed{B}": 1.0})
    path = tmp_path / "q.txt"
    path.write_text("Is it a cat?\nIs it a dog?\n")
    offered = ("--choice", "yes", "--choice", "no")
    shown = run("ask", *TREE, "--json", *offered, "--questions", str(path))
    assert shown.code == 0, shown.err
    found = [json.loads(line) for line in shown.out.splitlines()]
    assert [one["question"] for one in found] == [
        "Is it a cat?\nA) yes\nB) no",
        "Is it a dog?\nA) yes\nB) no",
    ]
    assert {one["kind"] for one in found} == {"choice"}
    install({r"\boxed{B}": 1.0})
    gated = run("gate", "ask", *TREE, "--json", *offered, "Is it a cat?")
    assert gated.code in (0, 3), gated.err
    assert json.loads(gated.out)["alternatives"][0]["answer"] == "B"


@pytest.mark.parametrize(
    ("question", "options", "says"),
    [
        ("Which?", ["--choice", "one"], "1 choice: 2 to 10 are needed"),
        ("Which?", ["--choice", "a", "--choice", "a"], "two choices are alike ('a')"),
        ("Which?", ["--choice", "a", "--choice", ""], "a choice is empty"),
        (
            "Which?\nA) x\nB) y",
            ["--choice", "a", "--choice", "b"],
            "the question offers choices of its own: leave out --choice",
        ),
        (
            "Which?",
            ["--choice", "a", "--choice", "b", "--kind", "text"],
            "--choice asks for one of the choices: leave out --kind text",
        ),
    ],
)
@pytest.mark.parametrize("command", [("ask",), ("gate", "ask")])
def test_choices_that_cannot_be(
    run: Run,
    install: Install,
    command: tuple[str, ...],
    question: str,
    options: list[str],
    says: str,
) -> None:
    install()
    shown = run(*command, *options, question)
    assert shown.code == 2
    assert says in shown.err


def test_a_table_without_questions_is_refused(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text("What is 2+2?,4\n3+3?,6\n")
    shown = run("ask", "--questions", str(path))
    assert shown.code == 2
    assert "none of its columns (What is 2+2?, 4) has the questions" in shown.err


@pytest.mark.parametrize(
    "lines",
    [
        ("Question, which one is it?", "And this?"),
        ("Problem: 3, 4 and what?", "And this?"),
        ("a, b", "And this?"),
        ("question", "And this?"),
        ("q" * 200_000, "And this?"),
    ],
)
def test_lines_with_commas_are_no_table(tmp_path: Path, lines: tuple[str, str]) -> None:
    path = tmp_path / "q.txt"
    path.write_text("\n".join(lines))
    assert texts(path) == list(lines)


def test_a_table_without_a_name_for_its_format(
    run: Run, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = b"question,answer\nHow many clips?,SECRET\n"
    for asked in (("ask", *TREE, "--json", "--questions", "-"), ("score", "--file", "-")):
        install()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(table)))
        shown = run(*asked)
        assert shown.code == 0, shown.err
        found = json.loads(shown.out)
        assert found.get("score", found)["question"] == "How many clips?"


Pipe = Callable[[bytes], None]


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    """Let standard input be a real pipe with something in it."""
    with ExitStack() as stack:

        def pipe(text: bytes) -> None:
            reading, writing = os.pipe()
            os.write(writing, text)
            os.close(writing)
            stream = io.TextIOWrapper(os.fdopen(reading, "rb"))
            monkeypatch.setattr(sys, "stdin", stack.enter_context(stream))

        yield pipe


def test_a_dash_is_standard_input(run: Run, install: Install, piped: Pipe) -> None:
    install()
    piped(b"How many clips\nwere sold?\n")
    shown = run("ask", *TREE, "--json", "-")
    assert json.loads(shown.out)["question"] == "How many clips\nwere sold?"
    assert json.loads(shown.out)["passages"] == []


@pytest.mark.parametrize("command", [("ask",), ("gate", "ask")])
def test_text_piped_beside_a_question_is_its_context(
    run: Run, install: Install, piped: Pipe, command: tuple[str, ...]
) -> None:
    install({"\\boxed{Rollo}": 1.0})
    piped(b"Rollo led them.\n")
    shown = run(*command, *TREE, "--json", "Who led?")
    assert "context: 15 characters of standard input" in shown.err
    if command == ("ask",):
        assert json.loads(shown.out)["passages"] == ["Rollo led them."]


def test_the_file_of_a_loop_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "list.txt"
    path.write_text("first\nsecond\n")
    with path.open("rb") as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert standard_input._is_piped()
        os.lseek(file.fileno(), 6, os.SEEK_SET)
        assert standard_input.piped_text() == ""


def test_nothing_is_read_from_a_device() -> None:
    code = "from et_agent.cli.standard_input import piped_text; print(repr(piped_text()))"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "''\n"


@pytest.mark.parametrize(
    "twice",
    [
        ("ask", "-", "--system", "@-"),
        ("ask", "-", "--questions", "-"),
        ("gate", "ask", "-", "--passage", "@-"),
        ("score", "--question", "-", "--answer", "-"),
        ("score", "--file", "-", "--passage", "@-"),
    ],
)
def test_standard_input_is_read_once(
    run: Run, install: Install, piped: Pipe, twice: tuple[str, ...]
) -> None:
    install()
    piped(b"How many clips?\n")
    shown = run(*twice)
    assert shown.code == 2
    assert "standard input, which is read once: name it once" in shown.err


def test_a_system_prompt_of_standard_input_is_no_passage(
    run: Run, install: Install, piped: Pipe
) -> None:
    install()
    piped(b"Answer with a number.\n")
    shown = run("ask", *TREE, "--json", "--system", "@-", "How many clips?")
    found = json.loads(shown.out)
    assert found["passages"] == []
    assert "context:" not in shown.err
    assert found["instruction"] == "Answer with a number."


@pytest.mark.parametrize("given", ["question", "answer"])
def test_score_reads_standard_input(run: Run, install: Install, piped: Pipe, given: str) -> None:
    install()
    piped(b"How many clips?\n")
    texts = {"question": "How many clips?", "answer": "72", given: "-"}
    shown = run(
        "score", "--question", texts["question"], "--answer", texts["answer"], *TREE, "--json"
    )
    assert shown.code == 0, shown.err
    assert json.loads(shown.out)[given] == "How many clips?"
