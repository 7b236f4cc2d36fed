"""Paths of fields: written, read back, and matched by patterns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.answers.field_paths import ANY, matches, parse_path, spell_path

steps = st.lists(st.text(max_size=4) | st.sampled_from(["$", "*", "a.b", 'a"]', "a\\"]))
indexes = st.lists(st.text(max_size=2) | st.integers(0, 99))


@given(steps | indexes)
def test_a_path_is_read_back(path: list[str | int]) -> None:
    assert parse_path(spell_path(path)) == tuple(path)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("amount",), "amount"),
        (("address", "city"), "address.city"),
        (("lines", 0, "price"), "lines[0].price"),
        ((0, "price"), "[0].price"),
        (("due date",), "due date"),
        (("a.b", "*"), '["a.b"]["*"]'),
        (("",), '[""]'),
        (("$",), '["$"]'),
        ((), "$"),
    ],
)
def test_how_paths_are_written(path: tuple[str | int, ...], text: str) -> None:
    assert spell_path(path) == text
    assert parse_path(text) == path


@pytest.mark.parametrize(
    "text", ["", ".", ".a", "a.", "a..b", "a[", "a[b]", "a[-1]", "a[0]b", "a b*"]
)
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(ValueError, match="is no path of a field: write one such as amount"):
        parse_path(text)


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("pay.amount", "pay.amount", True),
        ("*.iban", "pay.iban", True),
        ("*.iban", "iban", False),
        ("*.iban", "pay.to.iban", False),
        ("lines[*].price", "lines[3].price", True),
        ("lines[*].price", "lines[3].text", False),
        ("lines.*.price", "lines[3].price", True),
        ("lines[1]", "lines.1", False),
        ('["*"]', "a", False),
        ("*", "a", True),
        ("$", "$", True),
    ],
)
def test_patterns(pattern: str, path: str, fits: bool) -> None:
    assert matches(parse_path(pattern), parse_path(path)) is fits


def test_a_star_is_any_step() -> None:
    assert parse_path("*[*].a") == (ANY, ANY, "a")
