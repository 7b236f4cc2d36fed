"""Sentences that state something."""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import time

import pytest

from et_agent.answers import AnswerKind, extract
from et_agent.answers.guess import decide_kind, guess_kind
from et_agent.answers.sentences import holds_several, sentences


def texts(reply: str) -> list[str]:
    return [one.text for one in sentences(reply)]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("Paris is in France. It lies on the Seine!", 2),
        ("Dr. Smith was born on Nov. 3, 1867 in the U.S. He won 2.5 million dollars.", 2),
        ("M. Dupont habite Paris. La ville compte 2,1 millions d'habitants.", 2),
        ("Es sind ca. 3,5 Mio. Menschen, z.B. in Berlin. Das sind viele Menschen.", 2),
        ("巴黎是法国的首都。它在塞纳河上！真的吗？是的，没错的。", 3),
        ("パリはフランスの首都です。セーヌ川にあります。", 2),
        ("पेरिस फ्रांस की राजधानी है। यह सीन नदी पर है।", 2),
        ("It is one sentence without a full stop", 1),
        ("It covers over 2. 7 million square kilometers. It is wet.", 2),
        ("It was built in the year 1889. 300 workers were there.", 2),
        ("", 0),
        ("   \n\n", 0),
        ("Yes.", 0),
        ("Is that so? Really, is it so?", 0),
        ("Sure! Here are the facts:\nMars is a red planet.", 1),
        ("Mars is a red planet.\n\nI hope this helps you!", 1),
    ],
)
def test_how_many_there_are(reply: str, expected: int) -> None:
    assert len(sentences(reply)) == expected


def test_lists_headings_and_emphasis() -> None:
    reply = (
        "## Key facts\n\n1. **Mars** is a red planet. It is cold there.\n- It has two moons\n"
        "* The year has 687 days\n| a | row | of a table |\n> Quoted words are here."
    )
    assert texts(reply) == [
        "Mars is a red planet.",
        "It is cold there.",
        "It has two moons",
        "The year has 687 days",
        "Quoted words are here.",
    ]


def test_code_states_nothing() -> None:
    reply = "This sorts the list.\n```python\nprint(x). Is this it.\n```\nIt prints the result."
    assert texts(reply) == ["This sorts the list.", "It prints the result."]
    assert texts("This sorts the list.\n```python\nx = sorted(x). And so on and on") == [
        "This sorts the list."
    ]


def test_where_they_stand() -> None:
    reply = "Intro:\n\n- Paris is in **France**. It lies on the Seine.\nLyon is in France, too."
    assert [reply[one.start : one.end] for one in sentences(reply)] == [
        "Paris is in **France**.",
        "It lies on the Seine.",
        "Lyon is in France, too.",
    ]


@pytest.mark.parametrize(
    "reply",
    [
        "a. " * 350_000,
        "x" * 1_000_000,
        "." * 1_000_000,
        "It is so. " * 100_000,
        "\n" * 1_000_000,
        "- " * 500_000,
        "**a" * 300_000,
        "`" * 1_000_000,
        "1. " * 300_000,
        "他说。" * 300_000,
    ],
)
def test_a_megabyte_is_bounded(reply: str) -> None:
    began = time.perf_counter()
    found = sentences(reply)
    assert time.perf_counter() - began < 5
    assert all(one.end <= 100_000 for one in found)


def test_which_hold_several() -> None:
    assert not holds_several("It lies on the Seine.")
    assert holds_several("Ada Lovelace was born in London in 1815 and wrote the first program.")
    assert holds_several("巴黎是法国的首都，位于塞纳河上，有两百多万居民，建于很久以前。")
    assert not holds_several("word " * 1000)


@pytest.mark.parametrize("text", ["Paris. It is big.", "It is\n\ncut of", "日本は島国です。"])
@pytest.mark.parametrize("finished", [True, False])
def test_a_long_answer_is_the_whole_text(text: str, finished: bool) -> None:
    found = extract(f" {text}\n", AnswerKind.LONG, finished=finished)
    assert found is not None
    assert (found.value, found.found_by) == (text, "all")


@pytest.mark.parametrize("text", ["", "  \n", "42", "...", "=====", "9" * 1_000_000])
def test_what_is_no_long_answer(text: str) -> None:
    assert extract(text, AnswerKind.LONG) is None


@pytest.mark.parametrize("question", ["Explain how rain forms.", "Describe Mars in detail."])
def test_auto_is_never_long(question: str) -> None:
    reply = "Rain forms in clouds. Water condenses there. Then it falls."
    assert guess_kind(question).kind is not AnswerKind.LONG
    assert decide_kind(question, [reply, reply]).kind is not AnswerKind.LONG


def test_the_last_words_of_a_reply_that_was_cut_off() -> None:
    def cut(reply: str) -> list[str]:
        return [one.text for one in sentences(reply, finished=False)]

    assert cut("It is a city. It lies on the") == ["It is a city."]
    assert cut("It is a city. It is old.") == ["It is a city.", "It is old."]
    assert cut("It lies on the ") == []
    assert cut("它是一座城市。它位于塞") == ["它是一座城市。"]
