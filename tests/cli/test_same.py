"""`et-agent ask --same`."""

import json

import pytest

from tests.cli.conftest import Install, Run

TEXTS = {"\\boxed{Paris}": 0.5, "\\boxed{The capital is Paris}": 0.5}


@pytest.mark.parametrize(
    ("options", "same", "answers"),
    [([], "tests", 1), (["--same", "meaning"], "meaning", 1), (["--same", "words"], "words", 2)],
)
def test_answers_that_say_the_same_are_one(
    run: Run, install: Install, options: list[str], same: str, answers: int
) -> None:
    install(TEXTS)
    shown = run("ask", "What is the capital?", "--temperature", "1", "--json", *options)
    assert shown.code == 0
    found = json.loads(shown.out)
    assert (found["same"], len(found["distribution"])) == (same, answers)


def test_other_names_are_refused(run: Run, install: Install) -> None:
    install(TEXTS)
    assert run("ask", "What is the capital?", "--same", "sense").code == 2
