# ruff: noqa: RUF001

import pytest

from et_agent.answers.containing import contains

TEXT = (
    "The Treaty of 5 May 1789 gave 1,200 men to Rollo’s army, of whom twelve left; one of them, from "
    "Saint-Étienne, paid $3.50. 東京は日本の首都です。"
)


@pytest.mark.parametrize(
    "answer",
    [
        "Rollo",
        "rollo's army",
        "the Treaty",
        "1200",
        "1,200 men",
        "12",
        "Twelve",
        "May 5, 1789",
        "5th of May 1789",
        "May 5",
        "saint-étienne",
        "3.50",
        "$3.5",
        "東京",
    ],
)
def test_what_stands_in_the_text(answer: str) -> None:
    assert contains(TEXT, answer)


@pytest.mark.parametrize(
    "answer",
    [
        "Rol",
        "army of Rollo",
        "1201",
        "120",
        "1",
        "13",
        "6 May 1789",
        "May 1790",
        "May 5, 1790",
        "",
        "?!",
    ],
)
def test_what_does_not(answer: str) -> None:
    assert not contains(TEXT, answer)


def test_an_empty_text_holds_nothing() -> None:
    assert not contains("", "Rollo")
