"""From a run to a calibrator that `ask` finds, and back to whether it still fits."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from et_agent.calibration.finding import calibrators_folder, known_calibrators
from tests.cli.conftest import Install, Run

DECODER = ["--decoder", "multi-chain", "--leaves", "6"]


def half_known(prompt: str) -> Mapping[str, float]:
    """How sure the model is goes with how often it is right."""
    asked = re.search(r"What is (\d+) \+ \d+\?", prompt)
    assert asked is not None
    number = int(asked[1])
    sure = (0.95, 0.6, 0.3)[number % 3]
    return {
        f"It is \\boxed{{{number * 2}}}": sure,
        f"I say \\boxed{{{number * 2 + 1}}}": 0.7 * (1 - sure),
        f"Or \\boxed{{{number * 2 + 2}}}": 0.3 * (1 - sure),
    }


def overconfident(prompt: str) -> Mapping[str, float]:
    """Just as sure, and always wrong."""
    return {text.replace("{", "{9"): share for text, share in half_known(prompt).items()}


@pytest.fixture
def data(tmp_path: Path) -> str:
    file = tmp_path / "doubles.jsonl"
    rows = [{"question": f"What is {n} + {n}?", "answer": str(2 * n)} for n in range(1, 91)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(file)


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "runs.sqlite")


@pytest.fixture
def fitted(run: Run, install: Install, data: str, store: str) -> str:
    """The name of a run to which a calibrator was fitted, where `ask` finds it."""
    install(half_known)
    shown = run("eval", "run", "--data", data, *DECODER, "--store", store)
    assert shown.code == 0, shown.err
    name = shown.out.partition(":")[0]
    shown = run("calibrate", "fit", name, "--method", "platt", "--store", store)
    assert shown.code == 0, shown.err
    assert "saved: " in shown.out
    return name


def test_ask_prints_the_confidence_and_what_moved_it(
    run: Run, install: Install, fitted: str
) -> None:
    install(half_known)
    ask = ["ask", "What is 93 + 93?", "--kind", "number", "--decoder", "multi-chain"]
    shown = run(*ask, "--leaves", "6", "--json")
    assert shown.code == 0, shown.err
    result = json.loads(shown.out)
    assert result["calibrated"] is True
    assert 0 < result["confidence"] < 1
    install(half_known)
    plain = run(*ask, "--leaves", "6", "--explain")
    low, high = result["calibration"]["interval"]
    figures = (
        f"{result['confidence']:.1%}, own calibrator, 90 labels, {100 * low:.0f} to {high:.0%}"
    )
    assert figures in plain.out
    assert f"P(correct) is between {low:.1%} and {high:.1%} with a probability of 90%" in plain.out
    assert "an average answer" in plain.out
    assert re.search(rf"\nis +{result['confidence']:.1%} ", plain.out.replace("\n ", "\n"))
    install(half_known)
    other = json.loads(run(*ask, "--leaves", "5", "--json").out)
    assert (other["calibrated"], other["calibration"]["source"]) == (False, "general")
    install(half_known)
    told = " ".join(run(*ask, "--leaves", "5", "--explain").out.split())
    assert re.search(r"%, general map, \d+ to \d+%: 5 leaves instead of 6 ", told)
    assert "token_probability" in told, "what moved the general map"
    assert re.search(r"; 5 leaves can reach [\d.]+% at most, and [\d.]+% at the lower end", told)
    install(half_known)
    none = run(*ask, "--leaves", "6", "--calibrator", "none", "--explain").out
    assert "no confidence to explain" in none
    assert "general map" not in none


def test_a_labelled_file_fits_as_well(
    run: Run, install: Install, data: str, tmp_path: Path
) -> None:
    lines = []
    for line in Path(data).read_text("utf-8").splitlines()[:60]:
        asked = json.loads(line)
        install(half_known)
        shown = run("ask", asked["question"], *DECODER, "--kind", "number", "--json")
        assert shown.code == 0, shown.err
        result = json.loads(shown.out)
        lines.append(json.dumps({**result, "right": result["answer"] == asked["answer"]}))
    labels = tmp_path / "labels.jsonl"
    labels.write_text("\n".join(lines), encoding="utf-8")
    out = str(tmp_path / "own.json")
    for line in (earlier := [json.loads(one) for one in lines]):
        del line["features"]["answer_logprob"]  # as before there were any
    old = tmp_path / "old.jsonl"
    old.write_text("\n".join(map(json.dumps, earlier)), encoding="utf-8")
    shown = run("calibrate", "fit", "--labels", str(old), "--output", out)
    assert shown.code == 0, shown.err
    assert "platt" in shown.out
    assert "at least one question lacks them: rauq, answer_logprob, answerable\n" in shown.out
    shown = run("calibrate", "fit", "--labels", str(labels), "--output", out)
    assert shown.code == 0, shown.err
    install(half_known)
    again = run(
        "ask", "What is 4 + 4?", *DECODER, "--kind", "number", "--json", "--calibrator", out
    )
    assert again.code == 0, again.err
    assert json.loads(again.out)["calibrated"] is True
    assert run("calibrate", "check", "--labels", str(labels), "--calibrator", out).code == 0


def test_show_and_its_picture(
    run: Run, fitted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = tmp_path / "reliability.png"
    monkeypatch.setenv("COLUMNS", "80")
    shown = run("calibrate", "show", "--out", str(picture))
    assert shown.code == 0, shown.err
    assert re.search(r"-number +yours +6 +90 +\d\d% +0\.\d{3} +platt\n", shown.out)
    assert re.search(r"qwen2.5-coder-0.5b-text +shipped +3 to 16 +2,110 +3% +0\.004 ", shown.out)
    table = shown.out.split("more of one")[0].splitlines()
    assert len(table) == 1 + len(known_calibrators())
    assert max(map(len, table)) <= 80
    assert picture.read_bytes()[1:4] == b"PNG"
    one = run("calibrate", "show", "qwen2.5-coder-0.5b-n").out
    assert one.count("  method ") == 1
    assert "fitted on 196 questions of gsm8k:train" in one
    assert len(one.splitlines()) <= 45
    every = run("calibrate", "show", "--all").out
    assert every.count("  method ") == len(known_calibrators())


@pytest.mark.posix
def test_a_file_that_is_no_calibrator_is_named(run: Run, fitted: str, store: str) -> None:
    path = calibrators_folder() / "other.json"
    path.symlink_to("absent")
    for command in (
        ["calibrate", "show"],
        ["calibrate", "check", fitted, "--store", store],
        ["gate", "simulate", fitted, "--splits", "2", "--store", store],
    ):
        shown = run(*command)
        assert shown.code == 0
        assert f"note: a calibrator is left out: {path} cannot be read" in shown.err
        assert re.search(r"\b90 +(questions|\d\d%)", shown.out)


def test_what_a_new_calibrator_replaces_is_told(
    run: Run, install: Install, fitted: str, store: str, tmp_path: Path
) -> None:
    (own,) = calibrators_folder().iterdir()
    created = json.loads(own.read_text("utf-8"))["created"]
    again = run("calibrate", "fit", fitted, "--method", "platt", "--store", store)
    told = f"replaced: {own}, the calibrator of {created}, fitted on 90 questions\nsaved: {own}\n"
    assert again.out.endswith(told)
    out = tmp_path / "out.json"
    fit = ["calibrate", "fit", fitted, "--method", "platt", "--store", store, "--output", str(out)]
    assert "replaced" not in run(*fit).out
    out.write_text("{")
    assert f"replaced: {out}, which was no calibrator" in run(*fit).out


def seldom_answered(prompt: str) -> Mapping[str, float]:
    """An answer to one question in three."""
    asked = re.search(r"What is (\d+) \+ \d+\?", prompt)
    assert asked is not None
    return {"I do not know": 1.0} if int(asked[1]) % 3 else half_known(prompt)


def test_questions_without_an_answer_are_told(
    run: Run, install: Install, data: str, store: str
) -> None:
    install(seldom_answered)
    shown = run("eval", "run", "--data", data, *DECODER, "--store", store)
    assert shown.code == 0, shown.err
    name = shown.out.partition(":")[0]
    shown = run("calibrate", "fit", name, "--store", store)
    assert "60 of 90 questions left out: no answer, or stopped" in shown.out
    assert shown.code == 0, shown.err
    assert "fitted on 30 questions" in shown.out


def test_check_raises_the_alarm(
    run: Run, install: Install, data: str, store: str, fitted: str, tmp_path: Path
) -> None:
    good = run("calibrate", "check", fitted, "--store", store)
    assert good.code == 0
    assert "no drift found" in good.out
    other = str(tmp_path / "later.sqlite")
    install(overconfident)
    name = run("eval", "run", "--data", data, *DECODER, "--store", other).out.partition(":")[0]
    bad = run("calibrate", "check", name, "--store", other)
    assert bad.code == 1
    assert "DRIFT: the confidence is overconfident" in bad.out


def test_a_check_of_several_kinds_names_them(run: Run, install: Install, tmp_path: Path) -> None:
    lines = []
    for kind, said in (("number", "72"), ("text", "Bo")):
        install({f"\\boxed{{{said}}}": 1.0})
        asked = run("ask", "Which one is it?", "--kind", kind, "--json", *DECODER[2:])
        lines.append(json.dumps({**json.loads(asked.out), "right": True}))
    file = tmp_path / "results.jsonl"
    file.write_text("\n".join(lines) + "\n", "utf-8")
    shown = run("calibrate", "check", "--labels", str(file))
    assert shown.code == 2
    assert "whose answers are of kind number and text: keep those of one kind" in shown.err


def test_bad_input(run: Run, store: str, tmp_path: Path) -> None:
    assert "name a run" in run("calibrate", "fit", "--store", store).err
    labels = tmp_path / "labels.jsonl"
    labels.write_text('{"question": "x"}\n', encoding="utf-8")
    shown = run("calibrate", "fit", "--labels", str(labels))
    assert shown.code == 2
    assert "line 1" in shown.err
    assert run("calibrate", "show", str(labels)).code == 2
    unknown = run("calibrate", "show", "nosuch")
    assert (unknown.code, "there is no calibrator nosuch: choose" in unknown.err) == (2, True)
