import pytest

from et_agent.answers import AnswerKind, answer_classes, extract
from et_agent.answers.joining import join_classes
from et_agent.answers.meaning import tells_all_of
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


ONE = [
    ("x*2", "x \u00d7 2"),
    ("x/2", "x / 2"),
    ("x - 2", "x-2"),
    ("p && q", "p&&q"),
    ("P(A|B)", "p(a|b)"),
    ("N/A", "NA"),
    ("AC/DC", "ACDC"),
    ("F/A-18", "FA18"),
    ("A&W", "AW"),
    ("km/h", "kmh"),
    ("B-52", "B52"),
    ("R.E.M.", "REM"),
    ("NO", "No"),
    ("IN", "In"),
    ("co", "CO"),
    ("PARIS", "Paris"),
    ("5 mb", "5 MB"),
    ("Yes!", "yes"),
    ("It is 4!", "it is 4"),
    ("1980's", "1980s"),
    ("(3, 4)", "3, 4"),
]
OTHERS = [
    ("4!", "4"),
    ("n!", "n"),
    ("(n-1)!", "n-1"),
    ("x*2", "x/2"),
    ("x*2", "x2"),
    ("x**2", "x*2"),
    ("2/x", "2x"),
    ("x/2", "2/x"),
    ("m/s", "ms"),
    ("60 m/s", "60 ms"),
    ("sin(x)/2", "sin(x)*2"),
    ("x - 2", "x 2"),
    ("x-1", "x+1"),
    ("a-b", "b-a"),
    ("-x", "x"),
    ("-(x+1)", "x+1"),
    ("x % 2", "x 2"),
    ("x != 3", "x = 3"),
    ("a & b", "a | b"),
    ("!p", "p"),
    ("~p", "p"),
    ("f'(x)", "f(x)"),
    ("f''(x)", "f'(x)"),
    ("[0, 1)", "(0, 1]"),
    ("[0, 1)", "(0, 1)"),
    ("A*", "A"),
    ("Co", "CO"),
    ("CoCl2", "COCl2"),
    ("Os", "OS"),
    ("Aa", "AA"),
    ("aa", "AA"),
    ("AaBb", "AABB"),
    ("5 MW", "5 mW"),
    ("5 Mm", "5 mm"),
    ("5 Mb", "5 MB"),
]


@pytest.mark.parametrize(("left", "right"), ONE)
def test_signs_and_capitals_without_meaning_do_not_count(left: str, right: str) -> None:
    assert normalised(left) == normalised(right)


@pytest.mark.parametrize(("left", "right"), OTHERS)
def test_signs_and_capitals_that_carry_meaning_keep_answers_apart(left: str, right: str) -> None:
    leaves = [extract(f"\\boxed{{{one}}}", "text") for one in (left, right)]
    assert None not in leaves
    classes = answer_classes(leaves, AnswerKind.TEXT)
    assert len(classes.labels) == 2
    question = "What is it?"
    assert len(join_classes(classes, [0.5, 0.5], question, AnswerKind.TEXT).classes.labels) == 2
    assert not tells_all_of(left, right, question)


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
