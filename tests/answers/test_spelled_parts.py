# Other scripts are what this reads.
# ruff: noqa: RUF001

import time

import pytest

from et_agent.answers.spelled_parts import parts_in_digits


@pytest.mark.parametrize(
    ("words", "language", "digits"),
    [
        ("one half", "en", "1/2"),
        ("three quarters of it", "en", "3/4 of it"),
        ("two and a half hours", "en", "5/2 hours"),
        ("two and three quarters", "en", "11/4"),
        ("two million and a half", "en", "2500000"),
        ("half a million", "en", "1/2 million"),
        ("a dozen and 2 dozen", "en", "12 and 2 dozen"),
        ("three point one four", "en", "157/50"),
        ("one second", "en", "one second"),
        ("the third", "en", "the third"),
        ("48 halves", "en", "48 halves"),
        ("the point is one", "en", "the point is one"),
        ("minus 3", "en", "-3"),
        ("dreieinhalb Äpfel", "de", "7/2 Äpfel"),
        ("deux millions et demi", "fr", "2500000"),
        ("hay un cuarto libre", "es", "hay un cuarto libre"),
        ("половина", "ru", "1/2"),
        ("с половиной", "ru", "с половиной"),
        ("三分の二", "ja", " 2/3 "),
        ("百分之四十二", "zh", " 42% "),
        ("三点五分", "zh", "三点五分"),
        ("साढ़े तीन", "hi", "7/2"),
    ],
)
def test_parts(words: str, language: str, digits: str) -> None:
    assert parts_in_digits(words, language) == digits


@pytest.mark.parametrize("piece", ["one half ", "point ", "half and ", "drei ", "半", "1/2 and "])
def test_many_words_are_read_at_once(piece: str) -> None:
    for language in ("en", "de", "zh", "hi"):
        parts_in_digits(piece, language)  # loads the language
        started = time.process_time()
        parts_in_digits(piece * (4000 // len(piece)), language)
        assert time.process_time() - started < 0.5
