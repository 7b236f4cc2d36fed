import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.cli.terminal import bar, one_line, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("72", "72"),
        ("café 漢字 👩‍👩‍👧", "café 漢字 👩‍👩‍👧"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\u202eb", "a\\u202eb"),
        ("\udcff", "\\udcff"),
        ("\U000e0001", "\\U000e0001"),
        ("[red]", "[red]"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text(alphabet=st.characters()))
def test_nothing_that_controls_is_left(text: str) -> None:
    for character in one_line(text):
        assert unicodedata.category(character) not in {"Cc", "Cs"}


def test_one_line() -> None:
    assert one_line("a \n\n b\tc") == "a b c"
    assert one_line("a\n\nb", newline=" ⏎ ") == "a ⏎ b"


@pytest.mark.parametrize(
    ("share", "drawn"), [(0, ""), (0.001, "▏"), (0.5, "█████"), (1, "█" * 10), (2, "█" * 10)]
)
def test_bar(share: float, drawn: str) -> None:
    assert bar(share, 10) == drawn


def test_bar_in_ascii() -> None:
    assert bar(0.5, 10, ascii_only=True) == "#####"
