"""Short answers on the screen, lines of several, and what is said where nobody watches."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from et_agent import AskResult, MultiChain, ScriptedModel, ask
from et_agent.cli import meter
from et_agent.cli.brief import Tally, brief_rows, print_line, worth_noting
from et_agent.cli.report import print_result
from et_agent.results import CalibrationReport
from tests.cli.conftest import Install, Run


@pytest.fixture(scope="module")
def result() -> AskResult:
    with ScriptedModel.from_texts({"So \\boxed{4}": 0.6, "So \\boxed{5}": 0.4}) as model:
        return ask(model, "How many?", decoder=MultiChain(leaves=8), kind="number", calibrator=None)


@pytest.mark.parametrize(
    ("confidence", "kind", "told"),
    [
        (0.0, "number", "0%: of 100 such answers, fewer than 1 is right (likely 0 to 40)"),
        (0.014, "number", "1%: of 100 such answers, 1 is right (likely 0 to 40)"),
        (0.373, "number", "37%: of 100 such answers, 37 are right (likely 0 to 40)"),
        (0.999, "number", "100%: of 100 such answers, more than 99 are right (likely 0 to 40)"),
        (0.12, "long", "12%: of 100 such claims, 12 are true (likely 0 to 40)"),
    ],
)
def test_a_confidence_is_told_as_its_promise(
    result: AskResult, confidence: float, kind: str, told: str
) -> None:
    rests = CalibrationReport(source="own", labels=1, interval=(0.0, 0.4), notes=())
    one = result.model_copy(update={"confidence": confidence, "kind": kind, "calibration": rests})
    rows = dict(brief_rows(one))
    assert rows["confidence"] == told
    assert rows["rests on"] == "own calibrator, 1 label"
    assert rows["cost"].endswith(" s, 8 paths")


def test_why_no_calibrator_holds_is_told_with_options(result: AskResult) -> None:
    why = "no calibrator for answers of kind text; yours is for number: ask with kind='number'"
    rests = CalibrationReport(source="general", labels=0, interval=(0.0, 0.4), notes=(why,))
    one = result.model_copy(update={"confidence": 0.5, "calibration": rests})
    told = "of kind text; yours is for number: ask with --kind number"
    assert dict(brief_rows(one))["rests on"] == f"general map: no calibrator for answers {told}"


def test_an_interval_of_one_percent_is_not_told(result: AskResult) -> None:
    rests = CalibrationReport(source="own", labels=9, interval=(0.926, 0.934), notes=())
    one = result.model_copy(update={"confidence": 0.93, "calibration": rests})
    assert dict(brief_rows(one))["confidence"] == "93%: of 100 such answers, 93 are right"


def test_of_notes_those_to_mind_are_shown(result: AskResult) -> None:
    size = ("2 of at most 4 leaves: no other position", "1 leaf: more would hardly change")
    kept = ("2 answers have the same share", "interrupted: 3 leaves were not finished")
    assert worth_noting(result.model_copy(update={"notes": (*size, *kept)})) == list(kept)


def test_a_summary_counts_every_question_once(
    result: AskResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("et_agent.cli.brief.time.perf_counter", lambda: 0.0)
    tally = Tally(6)
    assert tally.told() == "6 questions: none answered; 0 tokens, 0.0 s"
    changes: tuple[dict[str, object], ...] = (
        {"confidence": 0.9},
        {"confidence": 0.2},
        {"confidence": 0.1, "answer": None},
        {"complete": False, "confidence": None},
        {"confidence": None},
    )
    for change in changes:
        tally.add(result.model_copy(update=change))
    tally.add_failure()
    tokens = 5 * result.usage.tokens_decoded
    assert tally.told() == (
        "6 questions: 2 answered, 1 not sure, 1 without an answer, 1 stopped, 1 failed; mean "
        f"confidence 40%; {tokens} tokens, 0.0 s"
    )


@pytest.mark.parametrize("columns", [60, 100])
def test_a_summary_is_not_broken_within_its_parts(
    result: AskResult, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    console = Console(force_terminal=True, width=columns, file=io.StringIO())
    monkeypatch.setattr("et_agent.cli.brief.output_console", lambda: console)
    monkeypatch.setattr("et_agent.cli.brief.time.perf_counter", lambda: 0.0)
    tally = Tally(1)
    tally.add(result.model_copy(update={"confidence": 0.9}))
    tally.print()
    parts = tally.told().split("; ")
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    if columns == 100:
        assert lines == ["; ".join(parts)]
    else:
        assert lines == [parts[0], "  " + "; ".join(parts[1:])]


def test_choices_are_shown_with_their_texts(capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedModel.from_texts({"A": 0.7, "B": 0.3}) as model:
        chosen = ask(model, "A fish?\nA) trout\nB) eagle", decoder=MultiChain(leaves=8))
    print_line(chosen, 3, 12)
    assert re.match(r" #3 .*A\) trout  \| A fish\?", capsys.readouterr().out)
    print_result(chosen, tree=False)
    assert capsys.readouterr().out.count("A) trout") == 2


def test_where_nobody_watches_lines_say_how_far_it_is(
    run: Run, install: Install, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(meter, "_EVERY", 0.0)
    install()
    shown = run("ask", "--leaves", "4", "one?")
    assert "paths done" in shown.err
    assert "paths done" not in shown.out
    install()
    file = tmp_path / "q.txt"
    file.write_text("one?\ntwo?\n", encoding="utf-8")
    shown = run("ask", "--leaves", "4", "--questions", str(file))
    assert "/2 questions done, " in shown.err
    assert len(shown.out.splitlines()) == 3


def test_a_first_line_comes_only_after_a_while(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("et_agent.cli.meter.time.monotonic", lambda: now)
    lines = meter.NowAndThen(at_once=False)
    lines.say("too early")
    now = 31.0
    lines.say("in time")
    lines.say("too soon")
    lines.say("the end", last=True)
    assert capsys.readouterr().err == "in time\nthe end\n"
