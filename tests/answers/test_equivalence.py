from collections.abc import Sequence
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.answers import (
    AnswerClasses,
    Extracted,
    MathWorker,
    answer_classes,
    equivalence_classes,
    extract,
)
from et_agent.errors import SettingsError


class Scripted(MathWorker):
    """Gives the verdicts it was told and starts no process."""

    def __init__(self, *equal: set[str]) -> None:
        super().__init__()
        self.pairs = [frozenset(pair) for pair in equal]
        self.asked = 0

    def equal(self, left: str, right: str) -> bool | None:
        self.asked += 1
        return frozenset((left, right)) in self.pairs


def boxed(contents: Sequence[str | None], kind: str) -> list[Extracted | None]:
    return [
        None if content is None else extract(f"\\boxed{{{content}}}", kind) for content in contents
    ]


def classes(contents: Sequence[str | None], kind: str, worker: MathWorker) -> AnswerClasses:
    return answer_classes(boxed(contents, kind), kind, worker=worker)


# The forms of the gold answers of MATH-500, written anew.
EQUAL = [
    (r"\frac{\sqrt{3}}{3}", r"\frac{1}{\sqrt{3}}"),
    ("2k+2", "2(k+1)"),
    (r"\{1\pm\sqrt{5},-2\}", r"\{-2, 1+\sqrt{5}, 1-\sqrt{5}\}"),
    ("1,-2", "-2,1"),
    (r"x=1 \text{ or } x=-2", r"x=-2, x=1"),
    (r"\left( 3, \frac{\pi}{2} \right)", r"(3, \pi/2)"),
    (r"(0,9) \cup (9,36)", r"(9,36)\cup(0,9)"),
    (r"x \in [-2,7]", r"-2 \le x \le 7"),
    ("y = 2x + 3", "y=3+2x"),
    (
        r"\begin{pmatrix} -1/3 \\ 2/3 \end{pmatrix}",
        r"\begin{bmatrix}-\frac13\\ \frac{2}{3}\end{bmatrix}",
    ),
    ("6+9i", "9i + 6"),
    (r"\frac{1}{2}", "0.5"),
    (r"1\frac{4}{5}", "9/5"),
    (r"\text{east}", "East"),
    ("52_8", "52_{8}"),
    (r"8\pi", r"\pi \cdot 8"),
    (r"\sqrt{4}", "2"),
    (r"3 \pm 2 \sqrt{2}", r"3-2\sqrt2, 3+2\sqrt2"),
]
DIFFERENT = [
    ("(3,4]", "[3,4)"),
    ("2k+2", "2k+3"),
    (r"\text{east}", r"\text{west}"),
    ("52_8", "52_9"),
    (r"(2,\infty)", r"(-\infty,2)"),
    ("(1,2)", "(2,1)"),
    (r"\frac{1}{3}", "0.333"),
    ("x^2=4", "x=2"),
    (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix} 2 \\ 1 \end{pmatrix}"),
    ("3R^2", "3R^3"),
    ("72", r"\text{none}"),
]


@pytest.mark.parametrize(("left", "right"), EQUAL)
def test_equal_mathematics(worker: MathWorker, left: str, right: str) -> None:
    assert len(classes([left, right], "math", worker).labels) == 1


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_different_mathematics(worker: MathWorker, left: str, right: str) -> None:
    assert len(classes([left, right], "math", worker).labels) == 2


@pytest.mark.parametrize("content", [content for pair in EQUAL + DIFFERENT for content in pair])
def test_every_form_equals_itself_without_a_worker(content: str) -> None:
    worker = Scripted()
    assert classes([content, content], "math", worker).index_of_leaf == (0, 0)
    assert worker.asked == 0


def test_numbers_words_and_equal_strings_need_no_worker() -> None:
    worker = Scripted()
    found = classes(
        ["72", "72.0", r"\frac{1}{2}", "0.5", r"\text{east}", "east", "2k", "2 k"], "math", worker
    )
    assert found.index_of_leaf == (0, 0, 1, 1, 2, 2, 3, 3)
    # Only the expression had to be held against the two numbers.
    assert worker.asked == 2


def test_leaves_without_an_answer_have_no_class() -> None:
    assert equivalence_classes(boxed([None, "5", None, "5.0"], "number"), "number") == [
        None,
        0,
        None,
        0,
    ]
    assert answer_classes([], "text") == AnswerClasses((), ())
    assert answer_classes([None], "math") == AnswerClasses((), (None,))


def test_the_label_is_the_commonest_then_the_shortest_value() -> None:
    found = answer_classes(boxed(["the Moon", "The moon", "Moon", "Moon"], "text"), "text")
    assert found == AnswerClasses(("Moon",), (0, 0, 0, 0))
    found = answer_classes(boxed(["The Moon", "Moon"], "text"), "text")
    assert found.labels == ("Moon",)


def test_choices_and_numbers() -> None:
    assert equivalence_classes(boxed(["B", "(b)", "A"], "choice"), "choice") == [0, 0, 1]
    assert equivalence_classes(boxed(["1/3", r"\frac{2}{6}", "0.3333"], "number"), "number") == [
        0,
        0,
        1,
    ]


def test_intransitive_verdicts_give_one_partition_in_any_order() -> None:
    partitions = set()
    for order in permutations(["a+1", "a+22", "a+333"]):
        # a+1 = a+22 and a+22 = a+333, yet a+1 is not a+333.
        worker = Scripted({"a+1", "a+22"}, {"a+22", "a+333"})
        found = classes(order, "math", worker)
        partitions.add(
            frozenset(
                frozenset(
                    content
                    for content, member in zip(order, found.index_of_leaf, strict=True)
                    if member == one
                )
                for one in range(len(found.labels))
            )
        )
    assert partitions == {frozenset({frozenset({"a+1", "a+22"}), frozenset({"a+333"})})}


def test_hostile_answers_fall_back_to_their_strings() -> None:
    tower, braces = "9^{9^{9^{9}}} + x", "{" * 10_000 + "}" * 10_000
    with MathWorker(seconds=0.5) as worker:
        found = classes([tower, "x", tower, braces, braces, "2x"], "math", worker)
    assert found.index_of_leaf == (0, 1, 0, 2, 2, 3)


def test_the_total_time_is_bounded() -> None:
    worker = Scripted({"a+1", "1+a"})
    found = answer_classes(boxed(["a+1", "1+a"], "math"), "math", worker=worker, total_seconds=1e-9)
    assert found.index_of_leaf == (0, 1)
    assert worker.asked == 0


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_the_total_time_must_be_positive(seconds: float) -> None:
    with pytest.raises(SettingsError, match="total_seconds"):
        answer_classes([], "math", total_seconds=seconds)


def test_auto_must_be_decided_first() -> None:
    with pytest.raises(SettingsError, match="decide_kind"):
        answer_classes([], "auto")


number = st.fractions(min_value=-50, max_value=50, max_denominator=12)


@given(st.lists(number | st.none(), max_size=12), st.sampled_from(["number", "math"]))
def test_numbers_are_equal_exactly_if_their_values_are(values: list[object], kind: str) -> None:
    found = equivalence_classes(
        boxed([None if value is None else str(value) for value in values], kind), kind
    )
    for value, member in zip(values, found, strict=True):
        assert (value is None) == (member is None)
        for other, other_member in zip(values, found, strict=True):
            assert (value == other) == (member == other_member)
