# Other scripts are what this reads.
# ruff: noqa: RUF001

import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.answers.language import LANGUAGES, language_of
from et_agent.answers.locales import decimal_mark, month_names, scale_words, weekday_names
from et_agent.answers.numerals import ENGLISH, Convention, convention_of, rewritten, with_scales

COMMA = Convention("de", comma=True)


@pytest.mark.parametrize(
    ("question", "language", "comma"),
    [
        ("What is the price?", "en", False),
        ("Wie viel kostet das?", "de", True),
        ("Quel est le prix du livre ?", "fr", True),
        ("¿Cuánto cuesta el libro?", "es", True),
        ("¿Cuánto es $1,000.50 más 5?", "es", False),
        ("Quanto costa il libro?", "it", True),
        ("Quanto custa o livro? Não sei.", "pt", True),
        ("多少钱？", "zh", False),
        ("いくらですか", "ja", False),
        ("얼마입니까", "ko", False),
        ("كم السعر", "ar", False),
        ("कितना है", "hi", False),
        ("Сколько это стоит?", "ru", True),
        ("", "en", False),
    ],
)
def test_the_convention_of_a_question(question: str, language: str, comma: bool) -> None:
    found = convention_of(question)
    assert (found.language, found.comma) == (language, comma)


@pytest.mark.parametrize(
    ("text", "english", "german"),
    [
        ("1,234", "1234", "1.234"),
        ("1.234", "1.234", "1234"),
        ("1,234.5", "1234.5", "1234.5"),
        ("1.234,5", "1234.5", "1234.5"),
        ("0,5", "0.5", "0.5"),
        ("(1,5)", "(1,5)", "(1.5)"),
        ("3, 5", "3, 5", "3, 5"),
        ("3,5,7", "3,5,7", "3,5,7"),
        ("v1.10", "v1.10", "v1.10"),
        ("192.168.0.1", "192.168.0.1", "192.168.0.1"),
        ("1,2345", "1,2345", "1.2345"),
        ("the 5's", "the 5's", "the 5's"),
    ],
)
def test_separators(text: str, english: str, german: str) -> None:
    assert rewritten(text) == english
    assert rewritten(text, COMMA) == german


@given(st.integers(0, 10**15), st.integers(0, 99))
def test_every_country_writes_the_same_number(whole: int, hundredths: int) -> None:
    american = f"{whole:,}.{hundredths:02d}"
    ways = [
        american,
        american.translate(str.maketrans(",.", ".,")),
        american.replace(",", "'"),
        american.replace(",", "\u202f").replace(".", ","),
        american.replace(",", "\u00a0"),
    ]
    assert {rewritten(way, one_number=True) for way in ways} == {f"{whole}.{hundredths:02d}"}


@pytest.mark.parametrize(
    ("text", "language", "number"),
    [
        ("3 Milliarden", "de", "3000000000"),
        ("2 Billionen", "de", "2000000000000"),
        ("2 billion", "en", "2000000000"),
        ("5 mil millones", "es", "5000000000"),
        ("3億2000万", "ja", "320000000"),
        ("3만 5천", "ko", "35000"),
        ("2 करोड़", "hi", "20000000"),
        ("3 million, 2 million", "en", "3 million, 2 million"),
        ("a millionaire of 3 millionaires", "en", "a millionaire of 3 millionaires"),
        ("5 mm", "en", "5 mm"),
    ],
)
def test_scales(text: str, language: str, number: str) -> None:
    assert with_scales(text, Convention(language, comma=False)) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3k", "3000"),
        ("2k+2", "2k+2"),
        ("3k = 6", "3k = 6"),
        ("$5m", "$5000000"),
        ("5m", "5m"),
        ("300 K", "300 K"),
    ],
)
def test_suffixes(text: str, number: str) -> None:
    assert with_scales(text, ENGLISH, suffixes=True) == number


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_its_names(language: str) -> None:
    assert decimal_mark(language) in ".,"
    assert set(month_names(language).values()) == set(range(1, 13))
    assert set(weekday_names(language).values()) == set(range(1, 8))
    assert (
        10**6 in scale_words(language).values()
        or 10**8 in scale_words(language).values()
        or (10**7 in scale_words(language).values())
    )


def test_a_name_in_another_script_does_not_decide() -> None:
    assert language_of("What does the word 山 mean in English, and who wrote it?") == "en"
