# ruff: noqa: RUF001

import time

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
        "1789-05-05",
        "5. Mai 1789",
        "le 5 mai 1789",
        "1789年5月5日",
        "May 1789",
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
        "1789-05-06",
        "1790-05",
        "6. Mai 1789",
        "June 5",
        "",
        "?!",
    ],
)
def test_what_does_not(answer: str) -> None:
    assert not contains(TEXT, answer)


@pytest.mark.parametrize(
    "text",
    [
        "Am 5. Mai 1789 war es.",
        "le 5 mai 1789",
        "5 мая 1789 года",
        "1789年5月5日",
        "on 1789-05-05.",
    ],
)
def test_a_date_is_found_as_other_languages_write_it(text: str) -> None:
    assert contains(text, "May 5, 1789")
    assert contains(text, "1789-05-05")
    assert not contains(text, "1789-05-06")
    assert not contains(text, "June 5, 1789")


def test_a_month_is_no_day() -> None:
    assert not contains("It was in May 1789.", "May 5, 1789")


def test_a_long_table_of_dates_is_read_in_time() -> None:
    rows = ", ".join(f"{1000 + at % 900}-01-{1 + at % 28:02d}" for at in range(5000))
    began = time.process_time()
    assert not contains(rows, "May 5, 1789")
    assert time.process_time() - began < 2


def test_an_empty_text_holds_nothing() -> None:
    assert not contains("", "Rollo")
