"""A conversation: piped, by hand, kept and gone on with."""

import builtins
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from et_agent.calibration.finding import calibrators_folder
from et_agent.cli import chat as chat_module
from et_agent.cli import terminal
from et_agent.cli.chat_files import chats_folder, find_chat
from et_agent.cli.chat_view import reply_line
from et_agent.results import AskResult, ClaimReport
from tests.cli.conftest import Install, Outcome, Run

CHAT = ("chat", "--temperature", "1", "--leaves", "4", "--decoder", "multi-chain")
NUMBER = "How many clips were sold?"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def say(run: Run, monkeypatch: pytest.MonkeyPatch, text: str, *options: str) -> Outcome:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    return run(*CHAT, *options)


def test_piped_lines_are_turns_with_one_line_each(
    run: Run, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install()
    shown = say(run, monkeypatch, f"{NUMBER}\n\nHow many in all?\n")
    assert shown.code == 0, shown.err
    first, second = shown.out.splitlines()
    assert first.endswith("%]")
    assert second.endswith("%]")
    (path,) = chats_folder().iterdir()
    kept = json.loads(path.read_text())
    assert [turn["question"] for turn in kept["turns"]] == [NUMBER, "How many in all?"]
    assert path.stat().st_mode & 0o077 == 0, "only this user may read what was said"


def test_what_was_said_is_shown_to_the_model(
    run: Run, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install()
    say(run, monkeypatch, f"{NUMBER}\nHow many in all?\n", "--json")
    messages = find_chat("").asked("And now?")
    assert [one["role"] for one in messages] == ["user", "assistant"] * 2 + ["user"]
    assert messages[0]["content"] == NUMBER
    assert "72" in messages[1]["content"], "the words of a path with the answer"


def test_a_conversation_goes_on(
    run: Run, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install()
    say(run, monkeypatch, f"{NUMBER}\n")
    install()
    lines = say(run, monkeypatch, "How many in all?\n", "--json", "--resume", "latest").out
    assert json.loads(lines)["single"] is False, "the first question is part of the prompt"
    assert len(find_chat("").turns) == 2
    listed = run("chat", "--list")
    assert "how-many-clips-were-sold  2 turns" in listed.out
    missing = run(*CHAT, "--resume", "nosuch")
    assert missing.code == 2
    assert "see `et-agent chat --list`" in missing.err


def test_nothing_is_kept_if_that_is_wanted(
    run: Run, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install()
    assert say(run, monkeypatch, f"{NUMBER}\n", "--no-save").code == 0
    assert not chats_folder().exists()


def test_a_label_moves_the_calibrator_and_is_kept(
    run: Run, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install()
    shown = say(run, monkeypatch, f"{NUMBER}\n/right\n")
    assert "learnt; 1 label of yours" in shown.err
    assert len(list(calibrators_folder().glob("*.json"))) == 1
    assert find_chat("").turns[-1].right is True


def test_commands_about_the_last_reply(
    run: Run, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install()
    text = f"/explain\n{NUMBER}\n/explain\n/tree\n/undo\n/nosuch\n/help\n"
    shown = say(run, monkeypatch, text)
    assert shown.code == 2, "what could not be done is told in the end too"
    assert "nothing was asked yet" in shown.err
    assert "there is no command /nosuch" in shown.err
    assert "an average answer" in shown.out
    assert "together" in shown.out
    assert "taken back: How many" in shown.err
    assert "/model NAME" in shown.err
    assert not find_chat("").turns


def test_another_model_takes_over_and_an_unknown_one_does_not(
    run: Run, install: Install, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install()
    unknown = say(run, monkeypatch, f"/model nosuch\n{NUMBER}\n")
    assert "/model: Unknown model 'nosuch'" in unknown.err
    assert "%]" in unknown.out, "the one before stays"


def test_a_conversation_that_is_too_long_says_how_to_go_on(
    run: Run, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install()
    long = "word " * 60_000
    first = say(run, monkeypatch, f"{long}\n")
    assert first.code == 2
    assert "/new" not in first.err
    install()
    later = say(run, monkeypatch, f"{NUMBER}\n{long}\n{NUMBER}\n")
    assert "/new begins another conversation" in later.err
    assert later.out.count("%]") == 2, "it goes on"


def test_doubtful_claims_are_marked(
    run: Run, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install({"Rollo led them. He was a Dane.": 1.0})
    told = say(run, monkeypatch, "Tell me who led them.\n", "--json")
    reply = AskResult.model_validate_json(told.out)
    assert reply.kind == "long", "what has no short answer is judged claim by claim"
    claims = (
        ClaimReport(text="Rollo led them.", span=(0, 15), confidence=0.9),
        ClaimReport(text="He was a Dane.", span=(16, 30), confidence=0.2),
    )
    judged = reply.model_copy(update={"claims": claims, "confidence": 0.55})
    assert reply_line(judged) == "Rollo led them. He was a Dane. [?]  [55%]"
    unsure = judged.model_copy(update={"confidence": 0.3})
    assert reply_line(unsure).startswith(
        "(not sure: 30% of its claims are true, by their mean confidence) Rollo"
    )


def test_a_long_reply_is_not_labelled_and_says_why(
    run: Run, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install({"Rollo led them. He was a Dane.": 1.0})
    told = say(run, monkeypatch, "Tell me who led them.\n/right\n")
    assert told.code == 2
    assert "/right and /wrong are for short answers. This reply is several sentences" in told.err


@pytest.mark.parametrize("kept", [True, False])
def test_a_person_at_the_terminal(
    run: Run, install: Install, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    install()
    replies: Iterator[str] = iter([NUMBER, "/help", "/quit"])
    monkeypatch.setattr(builtins, "input", lambda _: next(replies))
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(terminal, "is_watched", lambda: True)
    shown = run(*CHAT, *(() if kept else ("--no-save",)))
    assert shown.code == 0, shown.err
    assert "/help lists commands" in shown.out
    assert re.search(r" · number · \d+ paths?, \d+\.\d\ss\b", shown.out)
    assert "loading" not in shown.out + shown.err
    assert "/right, /wrong" in shown.out
    assert ("to go on: et-agent chat --resume" in shown.out) is kept
    assert not kept or f"--resume {find_chat('').name}" in shown.out
    assert chat_module.ChatCommand.shown


def test_a_damaged_file_is_named(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_text('{"name": "x"}')
    shown = run(*CHAT, "--resume", str(path))
    assert shown.code == 2
    assert "broken.json is no conversation" in shown.err
