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
    assert "2 of 3 labelled, 2 right" in shown.out
    reply(monkeypatch, "n")
    assert "1/1  three?" in run("label", str(results)).out, "only what has no label"
    learnt = run("calibrate", "learn", "--labels", str(results))
    assert learnt.out.startswith("3 learnt")


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
    [("", "holds no result"), ("nothing\n", "line 1 is not JSON"), ('{"a": 1}\n', "is no result")],
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
