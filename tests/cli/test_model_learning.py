"""A model is learnt by a call, gone on with by the same call, and told in a sentence."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from et_agent.calibration import Calibrator
from et_agent.calibration.finding import calibrators_folder
from et_agent.cli import model_learning
from et_agent.evaluation.datasets import locating
from tests.cli.conftest import Install, Outcome, Run
from tests.cli.test_calibration import DECODER, data, half_known, overconfident, store
from tests.cli.test_processes import interrupt, start

__all__ = ["data", "store"]

Learn = Callable[..., Outcome]


@pytest.fixture
def learn(run: Run, store: str) -> Learn:
    chains = ["--decoder", "multi-chain", "--leaves", "6"]

    def call(*arguments: str) -> Outcome:
        return run("calibrate", "model", *chains, "--store", store, *arguments)

    return call


def test_what_was_learnt_is_told_and_found_by_ask(
    run: Run, install: Install, learn: Learn, data: str
) -> None:
    install(half_known)
    shown = learn("--data", data, "--interval", "0.01")
    assert shown.code == 0, shown.err
    assert re.search(r"number: 90 questions of .*, 90 with an answer, \d\d right\n", shown.out)
    assert re.search(
        r"before each label: ECE 0\.\d+ \[0\.\d+, 0\.\d+\], Brier 0\.\d+, A", shown.out
    )
    assert "  confidence  accuracy\n" in shown.out
    assert re.search(r"above 0\.8 this model was right in \d+ of \d+\n", shown.out)
    assert "all questions are used" in shown.out
    assert f"{data}: kinds by the questions and answers: 90 number" in shown.err
    (path,) = calibrators_folder().iterdir()
    assert f"saved: {path}\n" in shown.out
    assert (
        "  in use from now on for kind number, 3 to 6 leaves: --kind number --leaves 6\n"
        in shown.out
    )
    assert "tell little" not in shown.out
    assert shown.err.count(" left: ") == 1, "no line for each question"
    told = shown.out.replace(data, "").replace(str(path), "")
    assert max(map(len, told.splitlines())) <= 80
    assert "method pooled" in run("calibrate", "show", "--all").out
    install(half_known)
    asked = run("ask", "What is 93 + 93?", "--kind", "number", *DECODER, "--json")
    assert json.loads(asked.out)["calibration"]["source"] == "own"
    assert json.loads(asked.out)["calibration"]["labels"] == 90


def test_a_damaged_calibrator_is_told_and_left_alone(
    install: Install, learn: Learn, data: str
) -> None:
    install(half_known)
    learn("--data", data, "--interval", "0.4")
    (path,) = calibrators_folder().iterdir()
    path.write_text("{")
    install(half_known)
    shown = learn("--data", data, "--interval", "0.4")
    assert f"note: a calibrator is left out: {path} is not JSON" in shown.err
    assert f"saved: {path.with_suffix('')}-2.json\n" in shown.out
    assert path.read_text() == "{"


def test_labels_given_while_working_stay(
    run: Run, install: Install, learn: Learn, data: str, tmp_path: Path
) -> None:
    install(half_known)
    learn("--data", data, "--interval", "0.4")
    (path,) = calibrators_folder().iterdir()
    before = Calibrator.load(path).labels
    install(half_known)
    asked = run("ask", "What is 93 + 93?", "--kind", "number", *DECODER, "--json")
    labels = tmp_path / "labels.jsonl"
    labels.write_text(json.dumps({**json.loads(asked.out), "right": True}), "utf-8")
    assert str(path) in run("calibrate", "learn", "--labels", str(labels)).out
    assert Calibrator.load(path).labels == before + 1
    install(half_known)
    again = learn("--data", data, "--interval", "0.4")
    assert f"number: {before} questions of {data}, {before} with" in again.out
    assert "labels that were given while working count too: 1\n" in again.out
    assert Calibrator.load(path).labels == before + 1
    assert (
        "fitted on 1 answer that was labelled while working"
        in run("calibrate", "show", str(path)).out
    )


def test_the_same_command_goes_on(install: Install, learn: Learn, data: str) -> None:
    install(half_known)
    first = learn("--data", data, "--minutes", "0.005")
    assert first.code == 0, first.err
    assert "the time is up: the same command goes on from here" in first.out
    (path,) = calibrators_folder().iterdir()
    before = Calibrator.load(path).labels
    assert 0 < before < 90
    install(half_known)
    later = learn("--data", data, "--interval", "0.4")
    assert "enough is known of each kind" in later.out
    guessed, stored = later.err.splitlines()[:2]
    assert guessed == f"{data}: kinds by the questions and answers: 90 number"
    assert stored.startswith(f"{before} questions, "), "what is stored is told first"
    assert Calibrator.load(path).labels >= 50


def test_what_another_file_had_taught_is_named(
    install: Install, learn: Learn, data: str, tmp_path: Path
) -> None:
    install(half_known)
    learn("--data", data, "--interval", "0.4")
    other = tmp_path / "other.jsonl"
    other.write_text('{"question": "What is 8 + 8?", "answer": 16}\n', "utf-8")
    install(half_known)
    shown = learn("--data", str(other))
    assert "  1 label tells little: give 50 or more (--data)\n" in shown.out
    found = re.search(r"in place of what (\d+) questions of (.*) had taught", shown.out)
    assert found is not None, shown.out
    assert int(found[1]) >= 50
    assert Path(data).name.partition(".")[0] in found[2]


def test_without_network_the_samples_teach_each_kind(
    install: Install, learn: Learn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(url: str) -> bytes:
        raise OSError("no network")

    monkeypatch.setattr(locating, "_download", offline)
    monkeypatch.delenv("ET_AGENT_DATA", raising=False)
    install({f"\\boxed{{{letter}}}": 0.25 for letter in "ABCD"})
    shown = learn("--kinds", "choice,text")
    assert "note: the questions of choice-sample are used" in shown.err
    assert "choice: 30 questions of choice-sample, 30 with an answer" in shown.out
    assert re.search(r"no confidence was above 0\.[85]; ", shown.out)
    assert "text: 30 questions of text-sample, 30 with an answer, 0 right" in shown.out
    assert len(list(calibrators_folder().iterdir())) == 2


def test_a_model_without_answers_teaches_nothing(install: Install, learn: Learn, data: str) -> None:
    install({"Who knows": 1.0})
    shown = learn("--data", data)
    assert shown.code == 1
    assert "number: nothing is learnt, since none of 90 questions has an answer" in shown.out


def test_a_model_that_is_always_wrong(install: Install, learn: Learn, data: str) -> None:
    install(overconfident)
    shown = learn("--data", data)
    assert shown.code == 0, shown.err
    assert ", 0 right\n" in shown.out
    assert re.search(r"the highest was 0\.\d\d|right in 0 of \d+", shown.out)


def test_ctrl_c_keeps_everything(
    tmp_path: Path, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path / "cache"))
    ready = tmp_path / "ready"
    store = str(tmp_path / "other.sqlite")
    call = ["calibrate", "model", "--data", data, "--leaves", "2", "--store", store]
    with start(0.01, *call, ready=ready) as process:
        interrupt(process, ready)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    told = out.decode()
    assert "interrupted: everything is kept, and the same command goes on from here" in told
    assert "Traceback" not in err.decode()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--minutes", "0"], "--minutes is 0: use a number above 0"),
        (["--minutes", "nan"], "--minutes is nan"),
        (["--minutes", "inf"], "--minutes is inf"),
        (["--kinds", "mood"], "there is no answer kind 'mood': choose from number"),
        (["--kinds", "math"], "there are no public questions of the kind math"),
        (["--kinds", ","], "no answer kind is given"),
        (["--interval", "0"], "--interval is 0"),
        (["--seed", "-1"], "--seed is -1"),
        (["--data", "absent.jsonl"], "there is no file"),
        (["--decoder", "magic"], "there is no decoder 'magic'"),
        (["--threads", "0"], "--threads is 0"),
    ],
)
def test_bad_input(learn: Learn, arguments: list[str], message: str) -> None:
    shown = learn(*arguments)
    assert (shown.code, shown.out) == (2, "")
    assert message in shown.err


def test_the_table_fits_a_terminal(
    install: Install, learn: Learn, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    boards: list[model_learning._Board] = []
    move = model_learning._Board.move

    def note(self: model_learning._Board, progress: object) -> None:
        boards.append(self)
        move(self, progress)  # type: ignore[arg-type]

    monkeypatch.setattr(model_learning._Board, "move", note)
    install(half_known)
    learn("--data", data, "--interval", "0.001")
    from rich.console import Console

    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        console = Console(file=nowhere, width=80, record=True)
        console.print(boards[-1]._draw())
    lines = console.export_text().splitlines()
    assert re.search(r"\d:\d\d left, [\d,]+ tokens/s +Ctrl-C stops and keeps all", lines[1])
    assert re.search(r"number +90 +90 +\d\d +0\.\d+ \[0\.\d+, 0\.\d+\]", lines[3])
    assert len(lines) == 4
