"""Passages on the command line."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Install, Run

FOUND = {"\\boxed{Rollo}": 1.0}
ABSENT = {"\\boxed{not stated}": 1.0}
FEW = ("--leaves", "4")


def test_passages_are_texts_and_files(run: Run, install: Install, tmp_path: Path) -> None:
    install(FOUND)
    file = tmp_path / "norse.txt"
    file.write_text("\ufeffRollo led them.\n", encoding="utf-8")
    shown = run("ask", "Who led?", "--passage", f"@{file}", "--passage", "Second.", *FEW, "--json")
    assert shown.code == 0, shown.err
    result = json.loads(shown.out)
    assert result["passages"] == ["Rollo led them.", "Second."]
    assert (result["answer"], result["features"]["beside"]) == ("Rollo", 1.0)


def test_what_they_do_not_say_is_said(run: Run, install: Install) -> None:
    install(ABSENT)
    shown = run("ask", "Who led?", "--passage", "Nobody.", *FEW)
    assert "the passages do not say" in shown.out
    assert "not in the passages" in shown.out


def test_the_gate_abstains(run: Run, install: Install) -> None:
    install(ABSENT)
    shown = run("gate", "ask", "Who led?", "--passage", "Nobody.", *FEW)
    assert shown.code == 3
    assert "abstain" in shown.out
    assert "The passages do not say." in shown.out


@pytest.mark.parametrize(
    ("passage", "says"),
    [
        ("", "the passage is empty"),
        ("@nowhere.txt", "cannot read the passage in nowhere.txt"),
    ],
)
def test_passages_that_cannot_be(run: Run, install: Install, passage: str, says: str) -> None:
    install(FOUND)
    shown = run("ask", "Who led?", "--passage", passage)
    assert shown.code == 2
    assert says in shown.err


def test_a_file_that_is_not_utf8_is_named(run: Run, install: Install, tmp_path: Path) -> None:
    install(FOUND)
    file = tmp_path / "latin.txt"
    file.write_bytes(b"caf\xe9")
    shown = run("ask", "Who led?", "--passage", f"@{file}", "--passage", "b")
    assert shown.code == 2
    assert "passage 1 in" in shown.err
    assert "not valid UTF-8 (byte 4)" in shown.err.replace("\n", " ")
