"""Answers that say the same become one class, and no third answer joins two that differ."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.answers import AnswerKind
from et_agent.answers.equivalence import AnswerClasses
from et_agent.answers.joining import cliques, join_classes

LEONARDO = "Who painted the Mona Lisa?"


def joined(question: str, kind: AnswerKind, labels: list[str], weights: list[float]) -> list[str]:
    """The answer that each leaf then has."""
    classes = AnswerClasses(tuple(labels), tuple(range(len(labels))))
    found = join_classes(classes, weights, question, kind).classes
    return [found.labels[one] for one in found.index_of_leaf if one is not None]


def test_spellings_of_one_answer_are_one() -> None:
    labels = ["Michelangelo", "Leonardo", "It was Leonardo da Vinci", "Leonardo da Vinci"]
    given = joined(LEONARDO, AnswerKind.TEXT, labels, [0.4, 0.2, 0.2, 0.2])
    assert given == ["Michelangelo", "Leonardo", "Leonardo", "Leonardo"]


def test_a_vague_answer_joins_the_heaviest_of_those_that_differ() -> None:
    labels = ["1945-09-02", "1945", "1945-05-08"]
    given = joined("When did the war end?", AnswerKind.DATE, labels, [0.2, 0.3, 0.5])
    assert given[0] != given[2]
    assert given[1] == given[2]


def test_numbers_and_options_are_compared_by_value_alone() -> None:
    for kind in (AnswerKind.NUMBER, AnswerKind.MATH, AnswerKind.CHOICE, AnswerKind.QUANTITY):
        assert joined("How many?", kind, ["3", "3 apples"], [0.5, 0.5]) == ["3", "3 apples"]


def test_a_judge_has_a_say_only_where_words_do_not_tell() -> None:
    classes = AnswerClasses(("New York", "New York City", "Boston"), (0, 1, 2, None))
    weights = [0.4, 0.3, 0.2, 0.1]
    first = join_classes(classes, weights, "Where was it?", AnswerKind.TEXT)
    assert first.undecided == (("New York", "New York City"),)
    assert first.classes == classes
    said = {first.undecided[0]: 0.9, ("New York", "Boston"): 0.9}
    found = join_classes(classes, weights, "Where was it?", AnswerKind.TEXT, said).classes
    assert found.labels == ("New York", "Boston")
    assert found.index_of_leaf == (0, 0, 1, None)


def test_hundreds_of_answers_are_bounded() -> None:
    labels = [f"the {one} of {one}th place and more of it" for one in range(400)]
    classes = AnswerClasses(tuple(labels), tuple(range(400)))
    found = join_classes(classes, [1 / 400] * 400, "Where?", AnswerKind.TEXT)
    assert len(found.undecided) <= 48 * 47 / 2
    assert len(found.classes.labels) == 400


@given(
    st.integers(1, 7).flatmap(lambda n: st.lists(st.floats(0, 1), min_size=n * n, max_size=n * n))
)
def test_no_class_holds_two_that_differ(values: list[float]) -> None:
    count = int(len(values) ** 0.5)
    links = np.array(values).reshape(count, count)
    links = np.minimum(links, links.T)
    found = cliques(links)
    for one in range(count):
        assert found[found[one]] == found[one] <= one
        for other in range(one):
            if found[one] == found[other]:
                assert links[one, other] >= 0.5


def test_what_is_not_known_does_not_link() -> None:
    links = np.array([[1.0, np.nan, 0.9], [np.nan, 1.0, 0.9], [0.9, 0.9, 1.0]])
    assert cliques(links) == [0, 1, 0]
    assert cliques(np.empty((0, 0))) == []


@pytest.mark.parametrize("kind", [AnswerKind.TEXT, AnswerKind.LIST])
def test_answers_that_decline_stay_apart(kind: AnswerKind) -> None:
    labels = ["not in the passages", "in the passages"]
    assert joined("Where is it?", kind, labels, [0.5, 0.5]) == labels
