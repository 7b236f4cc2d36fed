"""Options that speak of others, in the languages of the answers."""

# Unicode look-alikes are what this reads.
# ruff: noqa: RUF001

import time

import pytest

from et_agent.answers.choice import rotations_of
from et_agent.answers.option_references import speaks_of_others


@pytest.mark.parametrize(
    "option",
    [
        "both A and B",
        "A, B",
        "all of the above",
        "None of them",
        "Neither.",
        "all three",
        "B only",
        "not (a)",
        "A und B",
        "alle oben genannten",
        "keine der obigen Antworten",
        "Beide",
        "A et B",
        "toutes les réponses ci-dessus",
        "A y C",
        "todas las anteriores",
        "A e C",
        "nessuna delle precedenti",
        "todas as alternativas acima",
        "geen van de bovenstaande",
        "А и Б",
        "все вышеперечисленное",
        "A和B都对",
        "以上都对",
        "アとイ",
        "上記すべて",
        "가와 나",
        "위의 모두",
        "كل ما سبق",
        "उपरोक्त सभी",
        "A as well as B",
        "sowohl A als auch B",
        "ни А, ни Б",
        "keine der genannten",
    ],
)
def test_an_option_that_speaks_of_others(option: str) -> None:
    assert speaks_of_others(option)
    question = f"Which?\nA) x\nB) y\nC) {option}"
    assert rotations_of(question) == [(question, ("A", "B", "C"))]


@pytest.mark.parametrize(
    "option",
    [
        "a dog",
        "A",
        "I only",
        "vitamin C",
        "both sides",
        "all three structures",
        "the core of a Ford for a border",
        "the anterior pituitary",
        "Bonn und Berlin",
        "un gato y un perro",
        "e o mar",
        "не он",
        "北京和上海",
        "Plan A",
        "18岁以上",
        "１０以上",
        "",
    ],
)
def test_one_that_does_not(option: str) -> None:
    assert not speaks_of_others(option)


def test_long_options_are_read_in_no_time() -> None:
    began = time.perf_counter()
    for part in ("A, ", "all of ", "vor ", "(A) ", "not "):
        speaks_of_others(part * 20_000)
    assert time.perf_counter() - began < 2
