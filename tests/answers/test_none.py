"""Sentences with "none" in them that say zero, and others."""

import pytest

from et_agent.answers.none import says_none

BOYS = "How many of the boys are tall?"
APPLES = "How many apples does he have?"


@pytest.mark.parametrize(
    ("question", "text"),
    [
        (APPLES, "After eating all of them, none remain."),
        (APPLES, "He has no apples."),
        (BOYS, "None of the boys is tall."),
    ],
)
def test_nothing_is_left(question: str, text: str) -> None:
    assert says_none(text, question, whole=False)


@pytest.mark.parametrize(
    ("question", "text"),
    [
        (APPLES, "It is none of your business."),
        (APPLES, "No apples were mentioned, so we cannot tell."),
        (APPLES, "None of the above."),
        (BOYS, "None of them knows."),
        (BOYS, "None of the girls is tall, all boys are."),
    ],
)
def test_none_of_something_else_is_no_zero(question: str, text: str) -> None:
    assert not says_none(text, question, whole=False)
