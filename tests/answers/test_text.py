import pytest

from et_agent.answers import extract
from et_agent.answers.text import first_sentence, normalised, readable


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("The Eiffel Tower", "eiffel tower!"),
        ("J. K. Rowling", "JK Rowling".replace("JK", "J K")),
        ("\uff30aris", "paris"),
        ("STRASSE", "stra\u00dfe"),
        ("rock-n-roll", "rocknroll"),
    ],
)
def test_squad_normalisation_joins(left: str, right: str) -> None:
    assert normalised(left) == normalised(right)


def test_an_article_alone_still_equals_itself() -> None:
    assert normalised("The") == "the"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**Paris**.", "Paris"),
        (r"\text{Evelyn}", "Evelyn"),
        ('"Hey Jude"', "Hey Jude"),
        ("- the  `moon`", "the moon"),
        ("Washington D.C.", "Washington D.C."),
    ],
)
def test_readable(text: str, shown: str) -> None:
    assert readable(text) == shown


def test_initials_end_no_sentence() -> None:
    assert first_sentence("J. K. Rowling. She wrote it.") == "J. K. Rowling"
    assert first_sentence("Dr. No (1962)") == "Dr. No (1962)"


@pytest.mark.parametrize(
    ("leaf", "value"),
    [
        (r"It was \boxed{\text{14 December 1972}}.", "14 December 1972"),
        ("The answer is Paris. I hope this helps.", "Paris"),
        ("Answer: Bobby Scott", "Bobby Scott"),
        ("Bobby Scott", "Bobby Scott"),
        ("word " * 60, None),
        ("...", None),
    ],
)
def test_text_answers(leaf: str, value: str | None) -> None:
    extracted = extract(leaf, "text")
    assert (extracted and extracted.value) == value
