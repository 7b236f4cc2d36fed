# Other scripts are what this reads.

import time

import pytest

from et_agent.answers.spelled_dates import dates_in_digits


@pytest.mark.parametrize(
    ("words", "language", "digits"),
    [
        ("half past three", "en", "3:30"),
        ("a quarter to one in the afternoon", "en", "12:45 pm "),
        ("9 to 5", "en", "9 to 5"),
        ("half of it", "en", "half of it"),
        ("fünf vor halb vier", "de", "3:25"),
        ("halb leer", "de", "halb leer"),
        ("après-midi", "fr", "après-midi"),
        ("下午 3 点半", "zh", "3:30 pm "),
        ("令和6年5月1日", "ja", "2024年5月1日"),
        ("平成40年", "ja", "平成40年"),
        ("昭和元年", "ja", "1926年"),
        ("二〇二四年", "zh", "2024年"),
    ],
)
def test_dates_and_times(words: str, language: str, digits: str) -> None:
    assert dates_in_digits(words, language) == digits


@pytest.mark.parametrize("piece", ["half past ", "three thirty ", "半", "令和", "viertel vor "])
def test_many_words_are_read_at_once(piece: str) -> None:
    for language in ("en", "de", "ja"):
        dates_in_digits(piece, language)  # makes the patterns
        started = time.process_time()
        dates_in_digits(piece * (4000 // len(piece)), language)
        assert time.process_time() - started < 0.5
