"""Yes and no where the choice itself is repeated."""

import pytest

from et_agent.answers.yes_no import yes_or_no


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("True or false? False.", "False"),
        ("Yes or no: no", "No"),
        ("Yes/No: Yes", "Yes"),
        ("Ja oder nein? Nein", "Nein"),
    ],
)
def test_the_choice_before_the_answer_is_none(text: str, said: str) -> None:
    found = yes_or_no(text)
    assert found is not None
    assert found[1] == said


@pytest.mark.parametrize("text", ["True or false", "Yes/No", "wrong or right", "No question"])
def test_the_choice_alone_is_no_answer(text: str) -> None:
    assert yes_or_no(text, at_end=True) is None
