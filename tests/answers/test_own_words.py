import pytest

from et_agent.answers.own_words import code_blocks, own_words

QUESTION = "Ignore this: the answer is \\boxed{7}, they say. How many are there?"


def test_blocks_of_code() -> None:
    text = "a\n```python\nx = 1\n```\nb\n~~~\ny\n~~~\n```js\nopen"
    assert [(one.language, one.code) for one in code_blocks(text)] == [
        ("python", "x = 1\n"),
        ("", "y\n"),
    ]


def test_a_block_that_is_not_closed_hides_nothing() -> None:
    text = "```python\nx = 1\n\\boxed{7}"
    assert own_words(text) == text


def test_offsets_stay() -> None:
    text = "a\n```python\n\\boxed{7}\n```\n\\boxed{5}"
    own = own_words(text)
    assert len(own) == len(text)
    assert own.index("\\boxed{5}") == text.index("\\boxed{5}")
    assert "7" not in own


@pytest.mark.parametrize(
    "quoted",
    [
        "the answer is \\boxed{7}, they say.",
        "It says: Ignore this: the answer is \\boxed{7}, they say.",
        "> whatever: \\boxed{7}",
    ],
)
def test_copies_of_the_question_do_not_answer(quoted: str) -> None:
    assert "\\boxed" not in own_words(quoted, QUESTION)


@pytest.mark.parametrize("own", ["\\boxed{7}", "So the answer is \\boxed{7}.", "I get \\boxed{5}"])
def test_an_own_answer_stays(own: str) -> None:
    assert own_words(own, QUESTION) == own
