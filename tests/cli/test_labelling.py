"""Labels given while working: asked for after an answer, from files, and from logs of decisions."""

import builtins
import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from et_agent.calibration import Calibrator
from et_agent.calibration.calibrator_file import LEARNT, DataUsed
from et_agent.calibration.finding import calibrators_folder, known_calibrators, save_calibrator
from et_agent.cli import labelling
from tests.cli.conftest import Install, Outcome, Run

ASK = ["ask", "--decoder", "multi-chain", "--leaves", "6", "--kind", "number", "--no-tree"]
QUESTION = "How many clips were sold?"

Reply = Callable[..., list[str]]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def replies(monkeypatch: pytest.MonkeyPatch) -> Reply:
    """Let a person reply; gives the prompts."""

    def give(*given: str | type[BaseException]) -> list[str]:
        rest: Iterator[str | type[BaseException]] = iter(given)
        prompts: list[str] = []

        def answer(prompt: str) -> str:
            prompts.append(prompt)
            reply = next(rest)
            if isinstance(reply, str):
                return reply
            raise reply

        monkeypatch.setattr(builtins, "input", answer)
        monkeypatch.setattr(labelling, "is_watched", lambda: True)
        monkeypatch.setattr(sys, "stdin", Terminal())
        return prompts

    return give


def own() -> Calibrator:
    (path,) = calibrators_folder().iterdir()
    return Calibrator.load(path)


def test_labels_of_ones_own_are_counted_apart_from_those_it_began_from(run: Run) -> None:
    shipped = next(one for _, one in known_calibrators() if one.data[0].questions == 2110)
    held = shipped.document()
    own = DataUsed(name=LEARNT, questions=1, right=1)
    both = held.model_copy(update={"data": (*held.data, own)})
    save_calibrator(Calibrator.from_json(both.model_dump_json()))
    shown = run("calibrate", "show").out
    assert re.search(r"-text +yours +3 to 16 +2,110 \+ 1 ", shown)
    assert re.search(r"-text +shipped +3 to 16 +2,110 ", shown)


def test_a_reply_moves_the_confidence_of_the_next_answer(
    run: Run, install: Install, replies: Reply
) -> None:
    install()
    prompts = replies("y")
    shown = run(*ASK, "--learn", QUESTION)
    assert shown.code == 0, shown.err
    assert prompts == ["was this right? y or n, Enter skips: "]
    (path,) = calibrators_folder().iterdir()
    assert shown.out.endswith(f"learnt; 1 label of yours (number): {path}\n")
    install()
    replies("Yes ")
    again = run(*ASK, "--learn", QUESTION)
    assert "known before; 1 label of yours" in again.out
    install()
    replies("n")
    against = run(*ASK, "--learn", QUESTION)
    assert against.code == 2
    assert "not learnt: this answer was labelled right before and wrong now" in against.err
    assert own().labels == 1
    install()
    result = json.loads(run(*ASK, "--json", QUESTION).out)
    assert result["calibration"]["source"] == "own"


def test_every_answer_of_several_is_asked_about(run: Run, install: Install, replies: Reply) -> None:
    install()
    prompts = replies("what?", "n", "", "Y")
    shown = run(*ASK, "--learn", "How many?", "How much?", "How far?")
    assert shown.code == 0, shown.err
    assert len(prompts) == 4, "it asks again after a reply that is none"
    assert (own().labels, sum(one.right for one in own().learnt_)) == (2, 1)
    assert shown.out.index("learnt; 1 label of") < shown.out.index("#3")


def test_nothing_is_asked_without_an_answer_and_nothing_learnt_without_a_reply(
    run: Run, install: Install, replies: Reply
) -> None:
    install({"I do not know": 1.0})
    assert replies() == []
    assert run(*ASK, "--learn", QUESTION).code == 0
    install()
    replies(EOFError)
    assert run(*ASK, "--learn", QUESTION).code == 0
    install()
    replies("y", KeyboardInterrupt)
    stopped = run(*ASK, "--learn", QUESTION, "How much?")
    assert (stopped.code, stopped.err) == (130, "interrupted\n")
    assert own().labels == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "which needs a terminal: add"),
        (["--json"], "--json is for programs: add"),
        (["--calibrator", "none"], "leave one of them out"),
    ],
)
def test_where_nobody_can_reply_it_is_refused_before_anything_is_loaded(
    run: Run, arguments: list[str], message: str
) -> None:
    shown = run(*ASK, "--learn", *arguments, QUESTION)
    assert (shown.code, shown.out) == (2, "")
    assert message in shown.err


def labelled(run: Run, install: Install, *labels: bool | None) -> str:
    """Lines of results with different seeds, labelled; None for one without an answer."""
    lines = []
    for seed, right in enumerate(labels):
        install() if right is not None else install({"Who knows": 1.0})
        result = json.loads(run(*ASK, "--json", "--seed", str(seed), QUESTION).out)
        lines.append(json.dumps({**result, "question": f"{seed}?", "right": bool(right)}))
    return "".join(line + "\n" for line in lines)


def test_a_file_of_labels_counts_once(run: Run, install: Install, tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    file.write_text(labelled(run, install, True, None, False), "utf-8")
    shown = run("calibrate", "learn", "--labels", str(file))
    assert shown.code == 0, shown.err
    assert shown.out.startswith("2 learnt\n  2 labels of yours (number): ")
    assert "1 of 3 results left out: without an answer" in shown.err
    again = run("calibrate", "learn", "--labels", str(file), "--labels", str(file))
    assert again.out.startswith("0 learnt, 4 known before\n  2 labels of yours")
    file.write_text(file.read_text("utf-8").replace('"right": true', '"right": false'), "utf-8")
    against = run("calibrate", "learn", "--labels", str(file))
    assert against.code == 2
    assert against.out.startswith("0 learnt, 1 known before\n")
    assert "labels.jsonl, line 1: this answer was labelled right before and wrong" in against.err
    assert own().labels == 2


def test_a_damaged_calibrator_is_told_and_left_alone(
    run: Run, install: Install, tmp_path: Path
) -> None:
    file = tmp_path / "labels.jsonl"
    file.write_text(labelled(run, install, True), "utf-8")
    run("calibrate", "learn", "--labels", str(file))
    (path,) = calibrators_folder().iterdir()
    path.write_text("{")
    shown = run("calibrate", "learn", "--labels", str(file))
    assert shown.code == 0, shown.err
    assert f"note: a calibrator is left out: {path} is not JSON" in shown.err
    assert f"1 learnt\n  1 label of yours (number): {path.with_suffix('')}-2.json\n" == shown.out
    assert path.read_text() == "{"


def gated(run: Run, install: Install, log: str, *more: str) -> Outcome:
    install()
    return run("gate", "ask", QUESTION, "--kind", "number", "--log", log, "--json", *more)


def test_labels_of_a_log_of_decisions_are_learnt(
    run: Run, install: Install, tmp_path: Path
) -> None:
    log = str(tmp_path / "log.sqlite")
    traces = [
        json.loads(gated(run, install, log, "--seed", str(seed)).out)["trace_id"]
        for seed in range(3)
    ]
    plain = run("gate", "label", traces[0], "right", "--log", log)
    assert (plain.code, plain.out) == (0, "")
    assert not calibrators_folder().exists(), "it learns only where that is asked for"
    at_once = run("gate", "label", traces[1], "wrong", "--log", log, "--learn")
    assert at_once.code == 0, at_once.err
    assert at_once.out.startswith("1 learnt\n  1 label of yours (number): ")
    rest = run("calibrate", "learn", "--log", log)
    assert rest.out.startswith("1 learnt, 1 known before\n  2 labels of yours")
    changed = run("gate", "label", traces[1], "right", "--log", log, "--learn")
    assert changed.code == 2
    assert f"decision {traces[1]}: this answer was labelled wrong before" in changed.err
    install()
    tree = run("ask", "--kind", "number", "--json", QUESTION)
    assert json.loads(tree.out)["calibration"]["source"] == "own"


def test_bad_input(run: Run, install: Install, tmp_path: Path) -> None:
    assert "use --labels FILE or --log FILE" in run("calibrate", "learn").err
    assert "does not exist" in run("calibrate", "learn", "--log", str(tmp_path / "no")).err
    absent = run("calibrate", "learn", "--labels", str(tmp_path / "no"))
    assert (absent.code, "cannot be read" in absent.err) == (2, True)
    log = str(tmp_path / "log.sqlite")
    gated(run, install, log)
    none = run("calibrate", "learn", "--log", log)
    assert (none.code, "no answer is labelled" in none.err) == (2, True)
    file = tmp_path / "labels.jsonl"
    file.write_text('{"features": {"share": 1.0}, "right": true, "question": "?"}\n', "utf-8")
    foreign = run("calibrate", "learn", "--labels", str(file))
    assert foreign.code == 2
    assert "labels.jsonl, line 1: " in foreign.err
    assert not calibrators_folder().exists()


def test_the_help_names_it(run: Run) -> None:
    assert "--learn" in run("ask", "--help-all").out
    assert "--learn" in run("gate", "label", "--help").out
    commands = run("calibrate", "--help").out
    assert commands.index(" model ") < commands.index(" learn ") < commands.index(" fit ")
