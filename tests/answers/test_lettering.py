"""Options given beside a question."""

import pytest

from et_agent.answers import with_choices
from et_agent.answers.choice import options_of
from et_agent.answers.lettering import MOST_CHOICES
from et_agent.errors import QuestionError


def test_choices_are_lettered_lines_that_are_read_back() -> None:
    asked = with_choices("Which?", ["a dog\n or two", "B) a cat", "none"])
    assert asked == "Which?\nA) a dog or two\nB) B) a cat\nC) none"
    assert options_of(asked) == {"A": "a dog or two", "B": "B) a cat", "C": "none"}


def test_as_many_as_there_are_letters() -> None:
    choices = [f"number {number}" for number in range(MOST_CHOICES)]
    assert list(options_of(with_choices("Which?", choices)).values()) == choices


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ([], "0 choices: 2 to 10"),
        (["one"], "1 choice: 2 to 10"),
        ([str(number) for number in range(11)], "11 choices: 2 to 10"),
        (["a", " \n"], "a choice is empty"),
        (["a b", "c", "a  b"], r"two choices are alike \('a b'\)"),
    ],
)
def test_choices_that_cannot_be_told_apart(choices: list[str], says: str) -> None:
    with pytest.raises(QuestionError, match=says):
        with_choices("Which?", choices)


@pytest.mark.parametrize("question", ["Which?\nA) x\nB) y", "Is it (a) x or (b) y?"])
def test_a_question_with_choices_of_its_own_is_given_no_others(question: str) -> None:
    with pytest.raises(QuestionError, match="offers choices of its own"):
        with_choices(question, ["p", "q"])
