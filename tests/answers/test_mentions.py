import pytest

from et_agent.answers import mentions


@pytest.mark.parametrize(
    ("pieces", "answer", "said"),
    [
        (["So", " ", "12", " +", " 3", " =", " ", "15", "."], "15", "  x x  x "),
        (["The", " capital", " is", " Can", "berra"], "Canberra", "   x "),
        # Whole words only begin; a lower-case "can" is another word.
        (["It", " can", " be", " Canberra"], "Canberra", "   x"),
        (["A", " box", " of", " the", " King"], "Lord of the Rings", "     "),
        (["Option", " B", " is", " a", " Better", " one"], "B", " x    "),
        (["the", " A", " is", " a", " hit"], "A", " x   "),
        (["no", " answer", " 7"], None, "  x"),
        ([], "1", ""),
    ],
)
def test_pieces_that_say_something_of_the_answer(
    pieces: list[str], answer: str | None, said: str
) -> None:
    assert mentions(pieces, answer) == [mark == "x" for mark in said]
