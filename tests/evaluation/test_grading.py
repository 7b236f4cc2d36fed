import pytest

from et_agent.answers import AnswerKind
from et_agent.errors import DataError
from et_agent.evaluation.grading import gold_answers, is_right
from et_agent.evaluation.items import Item


def item(kind: AnswerKind, *golds: str, question: str = "?", tolerance: float = 0.0) -> Item:
    return Item(id="x/1", question=question, kind=kind, golds=golds, tolerance=tolerance)


@pytest.mark.parametrize(
    ("kind", "gold", "answer", "right"),
    [
        (AnswerKind.NUMBER, "51.0", "51", True),
        (AnswerKind.NUMBER, "1,200", "1200", True),
        (AnswerKind.NUMBER, "51.0", "51.5", False),
        (AnswerKind.MATH, "\\frac{1}{2}", "0.5", True),
        (AnswerKind.MATH, "x+1", "1+x", True),
        (AnswerKind.MATH, "x+1", "x-1", False),
        (AnswerKind.TEXT, "the Moon", "Moon.", True),
        (AnswerKind.TEXT, "Moon", "Mars", False),
        (AnswerKind.TEXT, "a}b", "a}b", True),
        (AnswerKind.CHOICE, "B", "B", True),
        (AnswerKind.CHOICE, "B", "C", False),
    ],
)
def test_right_and_wrong(kind: AnswerKind, gold: str, answer: str, right: bool) -> None:
    assert is_right(answer, item(kind, gold)) is right


def test_no_answer_is_never_right() -> None:
    assert not is_right(None, item(AnswerKind.TEXT, "none"))


def test_any_accepted_answer_will_do() -> None:
    one = item(AnswerKind.TEXT, "14 December 1972 UTC", "December 1972")
    assert is_right("december 1972", one)


@pytest.mark.parametrize(
    ("answer", "right"), [("100", True), ("105", True), ("95", True), ("94", False), ("106", False)]
)
def test_a_relative_tolerance(answer: str, right: bool) -> None:
    assert is_right(answer, item(AnswerKind.NUMBER, "100", tolerance=0.05)) is right


def test_zero_and_negative_numbers_within_a_tolerance() -> None:
    assert is_right("-102", item(AnswerKind.NUMBER, "-100", tolerance=0.05))
    assert not is_right("100", item(AnswerKind.NUMBER, "-100", tolerance=0.05))
    assert is_right("0", item(AnswerKind.NUMBER, "0", tolerance=0.05))
    assert not is_right("0.001", item(AnswerKind.NUMBER, "0", tolerance=0.05))


def test_accepted_answers_that_cannot_be_read() -> None:
    with pytest.raises(DataError, match="correct the row"):
        gold_answers(item(AnswerKind.NUMBER, "many"))
    assert len(gold_answers(item(AnswerKind.TEXT, "x" * 500, "short"))) == 1
