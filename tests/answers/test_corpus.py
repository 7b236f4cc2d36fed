"""The corpus of readings: what leaves say, and which of them say the same.

Files in `corpus/` hold, per fault, `read` (text, answer shown, and the class where it is not the answer
shown), `given` (what else leaves may quote), `classes` (partitions of contents of boxes), `apart` (two
that differ whatever a third equals), what `auto` decides, and, per language, questions with their kind
and the classes of their leaves (`languages`).
"""

import time
import tomllib
from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from et_agent.answers import (
    Extracted,
    MathWorker,
    answer_classes,
    decide_kind,
    extract,
    guess_kind,
)
from et_agent.answers.language import LANGUAGES
from et_agent.answers.quantity import Quantity

CORPUS = Path(__file__).with_name("corpus")
LEAST_CASES, LEAST_PAIRS = 600, 400
QUESTIONS_PER_LANGUAGE = 10
SLOWEST_SHARE, SLOWEST_SECONDS = 0.99, 0.002


def groups(table: str) -> Iterator[dict[str, Any]]:
    for path in sorted(CORPUS.glob("*.toml")):
        yield from tomllib.loads(path.read_text(encoding="utf-8")).get(table, [])


def leaf(text: str, group: dict[str, Any], *, default: bool = False) -> str:
    return f"\\boxed{{{text}}}" if group.get("boxed", default) else text


CASES = [
    pytest.param(group, id=f"{group['fault']} {at}") for at, group in enumerate(groups("cases"))
]
PARTITIONS = [pytest.param(group, id=group["fault"]) for group in groups("partitions")]
BRIDGES = [
    pytest.param(*contents, id=" ".join(contents))
    for group in groups("bridges")
    for contents in group["apart"]
]


def spelled(extracted: Extracted) -> str:
    """The class of an answer as the corpus writes it."""
    match extracted.key:
        case ("quantity", Fraction() as number, str(unit)):
            dimension, base = Quantity(number, unit).base
            return f"{decimal(base)} {dimension}".strip()
        case ("range", str(dimension), Fraction() as low, Fraction() as high):
            return f"{decimal(low)}..{decimal(high)} {dimension}".strip()
        case ("list", tuple(items)):
            return "|".join(map(str, items))
        case ("yes_no", said):
            return "yes" if said else "no"
        case (_, form):
            return str(form)
    raise AssertionError(extracted)


def decimal(value: Fraction) -> str:
    if value.denominator == 1:
        return str(value.numerator)
    return f"{float(value):.12f}".rstrip("0")


@pytest.mark.parametrize("group", CASES)
def test_leaves_are_read(group: dict[str, Any]) -> None:
    wrong = dict[str, str]()
    for text, shown, *one_class in group["read"]:
        extracted = extract(
            leaf(text, group),
            group["kind"],
            question=group.get("question", ""),
            given=group.get("given", ""),
        )
        if (extracted.value if extracted else "") != shown:
            wrong[text] = f"{extracted.value if extracted else ''!r} instead of {shown!r}"
        elif extracted is not None and one_class and spelled(extracted) != one_class[0]:
            wrong[text] = f"in class {spelled(extracted)!r} instead of {one_class[0]!r}"
    assert not wrong


def answers_of(group: dict[str, Any], contents: list[str]) -> list[Extracted | None]:
    question = group.get("question", "")
    return [
        extract(leaf(content, group, default=True), group["kind"], question=question)
        for content in contents
    ]


@pytest.mark.parametrize("group", PARTITIONS)
def test_answers_fall_into_classes(group: dict[str, Any], worker: MathWorker) -> None:
    contents = [content for one in group["classes"] for content in one]
    expected = [at for at, one in enumerate(group["classes"]) for _ in one]
    answers = answers_of(group, contents)
    assert None not in answers, contents[answers.index(None)]
    found = answer_classes(answers, group["kind"], worker=worker).index_of_leaf
    told = dict(zip(contents, found, strict=True))
    assert list(found) == expected, told
    # And so whatever the other leaves say.
    for (one, left), (other, right) in combinations(list(enumerate(expected)), 2):
        pair = [answers[one], answers[other]]
        index = answer_classes(pair, group["kind"], worker=worker).index_of_leaf
        if group["kind"] == "quantity" and "" in {unit_of(answers[one]), unit_of(answers[other])}:
            continue  # a bare number goes by its company
        assert (index[0] == index[1]) == (left == right), (contents[one], contents[other])


def unit_of(answer: Extracted | None) -> str:
    assert answer is not None
    assert isinstance(answer.key, tuple)
    return str(answer.key[2])


@pytest.mark.parametrize(("left", "right", "third"), BRIDGES)
def test_a_third_answer_is_no_bridge(left: str, right: str, third: str, worker: MathWorker) -> None:
    for contents in ([left, right, third], [third, right, left]):
        answers = [extract(f"\\boxed{{{one}}}", "math") for one in contents]
        index = answer_classes(answers, "math", worker=worker).index_of_leaf
        assert index[contents.index(left)] != index[contents.index(right)]


@pytest.mark.parametrize("group", list(groups("kinds")), ids=lambda group: group["fault"])
def test_the_kind_of_a_question(group: dict[str, Any]) -> None:
    guessed = {question: str(guess_kind(question).kind) for question, _ in group["asked"]}
    assert guessed == dict(group["asked"])


@pytest.mark.parametrize("group", list(groups("decided")), ids=lambda group: group["fault"])
def test_the_kind_of_question_and_leaves(group: dict[str, Any]) -> None:
    for question, contents, kind in group["asked"]:
        leaves = [f"So \\boxed{{{content}}}." for content in contents]
        assert decide_kind(question, leaves).kind == kind, (question, contents)


@pytest.mark.parametrize("group", list(groups("languages")), ids=lambda group: group["language"])
def test_ten_questions_of_a_language(group: dict[str, Any], worker: MathWorker) -> None:
    assert len(group["asked"]) >= QUESTIONS_PER_LANGUAGE
    for question, kind, classes in group["asked"]:
        leaves = [leaf for one in classes for leaf in one]
        assert guess_kind(question).kind == kind, question
        assert decide_kind(question, leaves).kind == kind, question
        answers = [extract(leaf, kind, question=question) for leaf in leaves]
        assert None not in answers, question
        found = answer_classes(answers, kind, worker=worker).index_of_leaf
        expected = [at for at, one in enumerate(classes) for _ in one]
        assert list(found) == expected, question


def test_the_corpus_has_all_languages() -> None:
    assert len(list(groups("languages"))) == len(LANGUAGES)


def test_the_corpus_is_as_large_as_it_says() -> None:
    asked = sum(len(group["asked"]) for table in ("kinds", "decided") for group in groups(table))
    pairs = sum(
        len(list(combinations([one for each in group["classes"] for one in each], 2)))
        for group in groups("partitions")
    )
    read = sum(len(group["read"]) for group in groups("cases"))
    assert read + asked >= LEAST_CASES
    assert pairs >= LEAST_PAIRS


def test_a_leaf_is_read_in_two_milliseconds() -> None:
    """The 99th percentile over the corpus; the first reading of a language loads its names."""
    given = [
        (group["kind"], group.get("question", ""), leaf(text, group))
        for group in groups("cases")
        for text, *_ in group["read"]
    ]
    for kind, question, text in given:
        extract(str(text), str(kind), question=str(question))
    # Leaves are as long as a model's reasoning.
    filler = "We add 12 and 30, which gives 42 in all, and go on from there. " * 20 + "\n"
    seconds = []
    for kind, question, text in given:
        long = filler + str(text)
        started = time.process_time()
        extract(long, str(kind), question=str(question))
        seconds.append(time.process_time() - started)
    assert sorted(seconds)[int(SLOWEST_SHARE * len(seconds))] < SLOWEST_SECONDS
