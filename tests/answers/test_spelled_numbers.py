# Other scripts are what this reads.
# ruff: noqa: RUF001

import pytest

from et_agent.answers.spelled_numbers import (
    digits_for_words,
    spelled_number,
)


@pytest.mark.parametrize(
    ("words", "language", "value"),
    [
        ("zweitausenddreihundertvierundfünfzig", "de", 2354),
        ("quatre-vingt-dix-sept", "fr", 97),
        ("mil doscientos", "es", 1200),
        ("milleduecento", "it", 1200),
        ("quarenta e dois", "pt", 42),
        ("三百四十五万", "zh", 3450000),
        ("二〇二四", "zh", 2024),
        ("両百", "zh", None),
        ("百二十", "ja", 120),
        ("천이백", "ko", 1200),
        ("스물다섯", "ko", 25),
        ("열", "ko", 10),
        ("одна тысяча двести", "ru", 1200),
        ("три миллиона", "ru", 3000000),
        ("مائة وخمسة وعشرون", "ar", 125),
        ("خمسة عشر", "ar", 15),
        ("ثلاثة آلاف", "ar", 3000),
        ("निन्यानवे", "hi", 99),
        ("तीन लाख", "hi", 300000),
        ("minus drei", "de", -3),
        ("负五", "zh", -5),
        ("两百五", "zh", 250),
        ("二百五", "ja", 205),
        ("两三", "zh", None),
        ("みっつ", "ja", 3),
        ("Äpfel", "de", None),
        ("bonjour", "fr", None),
        ("яблоко", "ru", None),
        ("", "en", None),
    ],
)
def test_a_text_that_is_one_number(words: str, language: str, value: int | None) -> None:
    assert spelled_number(words, language) == value


@pytest.mark.parametrize(
    ("line", "language", "digits"),
    [
        ("Ein Mann und eine Frau", "de", "Ein Mann und eine Frau"),
        ("Es sind zweiundvierzig.", "de", "Es sind 42."),
        ("Es sind zwei oder drei.", "de", "Es sind 2 oder 3."),
        ("Two of the twelve", "en", "2 of the 12"),
        ("Il est le troisième.", "fr", "Il est le troisième."),
        ("一共有四十二个", "zh", "一共有 42 个"),
        ("Всего сорок два яблока", "ru", "Всего 42 яблока"),
        ("No one knows one.", "en", "No one knows one."),
    ],
)
def test_the_numbers_of_a_line(line: str, language: str, digits: str) -> None:
    assert digits_for_words(line, language) == digits


@pytest.mark.parametrize("number", range(1, 100))
def test_hindi_has_every_number_once(number: int) -> None:
    from et_agent.answers.spelled_numbers import _HINDI

    words = [word for word, value in _HINDI.items() if value == number]
    assert words
    assert all(spelled_number(word, "hi") == number for word in words)


def test_one_counts_where_it_is_said_to() -> None:
    assert digits_for_words("one apple", "en", ones=True) == "1 apple"
    assert digits_for_words("no one", "en", ones=True) == "no one"
