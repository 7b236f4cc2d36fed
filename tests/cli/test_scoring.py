"""`et-agent score`, and long answers on the screen."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cli.conftest import Install, Run

QUESTION = "How many legs has a cat?"
SHOWN = "Cats have four legs. Cats can bark."
FEW = ("--leaves", "4")


def script(prompt: str) -> Mapping[str, float]:
    if "Judging by this text" in prompt or "several statements" in prompt:
        told = 0.95 if prompt.endswith("four legs.\n") else 0.1
        return {"True": told, "False": 1 - told}
    if "Proposed answer" in prompt:
        return {"True": 0.8, "False": 0.2}
    if "boxed" in prompt:
        return {"\\boxed{4}": 0.75, "\\boxed{5}": 0.25}
    return {SHOWN: 0.9, "Cats have four legs. They hunt mice.": 0.1}


def test_one_answer(run: Run, install: Install) -> None:
    install(script)
    shown = run("score", "--question", QUESTION, "--answer", "It is 4", *FEW)
    assert shown.code == 0, shown.err
    for name in ("confidence", "agreement", "P(true)", "log-probability", "own answer"):
        assert name in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80


def test_as_json(run: Run, install: Install) -> None:
    install(script)
    found = json.loads(run("score", "--question", QUESTION, "--answer", "4", *FEW, "--json").out)
    assert (found["value"], found["samples"]) == ("4", 3)
    assert found["agreement"] > 0.5


def test_samples_in_place_of_the_tree(run: Run, install: Install) -> None:
    install(script)
    samples = ("--sample", "4", "--sample", "5", "--sample", "four")
    found = json.loads(
        run("score", "--question", QUESTION, "--answer", "4", *samples, "--json").out
    )
    assert (found["samples"], found["tokens_decoded"]) == (3, 0)
    assert found["agreement"] == pytest.approx(2 / 3)


def rows(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_file_keeps_its_order_and_goes_on(run: Run, install: Install, tmp_path: Path) -> None:
    answers, out = tmp_path / "answers.jsonl", tmp_path / "scores.jsonl"
    given = [
        {"question": QUESTION, "answer": answer, "id": answer, "samples": ["4", "5"]}
        for answer in ("4", "5", "7", "none", "four")
    ]
    given.append({"question": QUESTION, "answer": "long " * 5000})
    answers.write_text("\n\n".join(map(json.dumps, given)))
    install(script, context=2048)
    call = ("score", "--file", str(answers), "--out", str(out))
    shown = run(*call)
    assert shown.code == 2
    assert "line 11" in shown.err
    whole = rows(out)
    assert [row.get("id") for row in whole] == ["4", "5", "7", "none", "four", None]
    assert [row["line"] for row in whole] == [1, 3, 5, 7, 9, 11]
    assert "context" in str(whole[-1]["error"])
    # Killed in the middle of the third line.
    lines = out.read_text().splitlines(keepends=True)
    out.write_text("".join(lines[:2]) + lines[2][:40])
    model = install(script, context=2048)
    again = run(*call)
    assert "2 of 6 are scored already" in again.err

    def without_time(found: list[dict[str, object]]) -> list[object]:
        return [
            {**row, "score": {**dict(row["score"]), "seconds": 0}} if "score" in row else row  # type: ignore[call-overload]
            for row in found
        ]

    assert without_time(rows(out)) == without_time(whole)
    decoded = model.decoded
    assert run(*call).code == 0  # nothing is left to fail
    assert model.decoded == decoded


def test_scores_of_something_else_are_not_mixed_in(
    run: Run, install: Install, tmp_path: Path
) -> None:
    answers, out = tmp_path / "a.csv", tmp_path / "scores.jsonl"
    answers.write_text('id,question,answer\n1,"How, many?",4\n2,How many?,"5\nlegs"\n')
    install(script)
    assert run("score", "--file", str(answers), "--out", str(out), *FEW).code == 0
    assert [row["id"] for row in rows(out)] == ["1", "2"]
    install(script)
    other = run("score", "--file", str(answers), "--out", str(out), "--leaves", "5")
    assert other.code == 2
    assert "not the score of this row" in other.err
    answers.write_text("question,answer\nHow many?,4\n")
    install(script)
    assert run("score", "--file", str(answers), "--out", str(out), *FEW).code == 2


def test_a_file_to_standard_output(run: Run, install: Install, tmp_path: Path) -> None:
    answers = tmp_path / "a.jsonl"
    answers.write_text(json.dumps({"question": QUESTION, "answer": "4", "samples": ["4"]}))
    install(script)
    (line,) = run("score", "--file", str(answers)).out.splitlines()
    assert json.loads(line)["score"]["value"] == "4"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "contains no answer"),
        ("[]", "is no object"),
        ("{", "not valid JSON"),
        ('{"question": "a?"}', 'no text under "answer"'),
        ('{"question": "a?", "answer": 3}', 'no text under "answer"'),
        ('{"question": "a?", "answer": " "}', "is empty"),
        ('{"question": "a?", "answer": "b", "samples": "c"}', "no list of texts"),
        ('{"question": "a?", "answer": "b", "samples": [1]}', "no list of texts"),
    ],
)
def test_rows_that_cannot_be_used(
    run: Run, install: Install, tmp_path: Path, text: str, says: str
) -> None:
    install(script)
    file = tmp_path / "a.jsonl"
    file.write_text(text)
    shown = run("score", "--file", str(file))
    assert shown.code == 2
    assert says in shown.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "--question and --answer, or --file"),
        (("--question", "a?"), "go together"),
        (("--question", "a?", "--answer", "b", "--file", "c"), "or --file"),
        (("--question", "a?", "--answer", "b", "--out", "c"), "--out"),
        (("--file", "c", "--sample", "d"), "under"),
        (("--question", "a?", "--answer", ""), "the answer is empty"),
        (("--file", "/nowhere/a.jsonl"), "cannot read"),
        (("--question", "a?", "--answer", "b", "--sample", "c", "--leaves", "4"), "--leaves"),
    ],
)
def test_calls_that_contradict_themselves(
    run: Run, install: Install, arguments: tuple[str, ...], says: str
) -> None:
    install(script)
    shown = run("score", *arguments)
    assert shown.code == 2
    assert says in shown.err


def test_a_long_answer_on_the_screen(run: Run, install: Install) -> None:
    install(script)
    shown = run("ask", "--kind", "long", "What are cats?")
    assert shown.code == 0, shown.err
    for word in ("claim", "confidence", "support", "against", "Cats can bark."):
        assert word in shown.out
    assert "p(a|x)" not in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80


def test_the_gate_marks_and_drops(run: Run, install: Install) -> None:
    install(script)
    mean = json.loads(run("ask", "--kind", "long", "What are cats?", "--json").out)["confidence"]
    install(script)
    call = ("gate", "ask", "--kind", "long", "What are cats?", "--not-cautious")
    at = ("--answer-at", str(mean))
    decision = json.loads(run(*call, *at, "--claims", "drop", "--json").out)
    assert decision["answer"] == "Cats have four legs."
    assert decision["doubtful_claims"] == [1]
    install(script)
    marked = run(*call, *at, "--claims", "mark")
    assert "Cats can bark [doubtful]." in marked.out


def test_what_a_long_answer_cannot_be_asked_with(run: Run, install: Install) -> None:
    install(script)
    shown = run("gate", "ask", "--kind", "long", "--early", "What are cats?")
    assert shown.code == 2
    assert "not voted on" in shown.err
    assert "long answer" in run("ask", "--kind", "long", "--learn", "What?").err


def test_control_characters_in_an_answer_do_nothing(run: Run, install: Install) -> None:
    install(script)
    shown = run("score", "--question", QUESTION, "--answer", "\x1b[31m4 <|im_end|>", *FEW)
    assert "\x1b[31m" not in shown.out
    assert "<|im_end|>" in shown.out
