# Other alphabets are what this reads.
# ruff: noqa: RUF001

import pytest

from et_agent.answers.choice import placed_options, rotations_of
from et_agent.answers.option_letters import LATIN, alphabet_of, alphabets_in, in_alphabet, in_latin

CYRILLIC, KANA = "АБВГДЕЖЗИК", "アイウエオカキクケコ"


@pytest.mark.parametrize(
    ("text", "alphabet", "latin"),
    [
        ("Ответ: Б", CYRILLIC, "Ответ: B"),
        ("В Париже", CYRILLIC, "В Париже"),
        ("А и Б верны", CYRILLIC, "A и B верны"),
        ("答えはイです", KANA, "答えはBです"),
        ("イタリア", KANA, "イタリア"),
        ("B", LATIN, "B"),
    ],
)
def test_letters_keep_their_places(text: str, alphabet: str, latin: str) -> None:
    assert in_latin(text, alphabet) == latin
    assert len(latin) == len(text)


def test_latin_letters_beside_others_tell_nothing() -> None:
    assert "B" not in in_latin("B", CYRILLIC)
    assert in_latin("Ответ: A.", CYRILLIC) == "Ответ: A."


def test_an_alphabet_is_told_by_its_first_letter() -> None:
    assert alphabets_in("plain") == []
    assert alphabets_in("Это А) и Б)") == [CYRILLIC]
    assert alphabet_of({"ア": "x", "イ": "y"}) == KANA
    assert alphabet_of({}) == LATIN
    assert in_alphabet("A, C", KANA) == "ア, ウ"


def test_options_turn_round_in_their_places() -> None:
    question = "どれ？\nア．赤\nイ．青"
    assert [(one.letter, one.text) for one in placed_options(question)] == [
        ("ア", "赤"),
        ("イ", "青"),
    ]
    assert [letters for _, letters in rotations_of(question)] == [("ア", "イ"), ("イ", "ア")]


@pytest.mark.parametrize(
    "question", ["А. Пушкин и Б. Пастернак", "Это А, а не Б?", "アとイはどこですか？"]
)
def test_no_options(question: str) -> None:
    assert not placed_options(question)
