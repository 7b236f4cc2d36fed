"""Fields of JSON: which there are, when two say the same, and where they stand in a text."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.answers.fields import ABSENT, Body, field_key, fields_of, spans_of, value_at

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Halves of surrogate pairs are no text.
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=3), inner, max_size=3
        )
    ),
)


def test_fields_in_the_order_of_writing() -> None:
    value = {"b": 1, "a": {"c": "x", "d": {}}, "e": [], "f": [{"g": None}, [2, False]]}
    assert list(fields_of(value)) == [
        (("b",), 1),
        (("a", "c"), "x"),
        (("a", "d"), {}),
        (("e",), []),
        (("f", 0, "g"), None),
        (("f", 1, 0), 2),
        (("f", 1, 1), False),
    ]
    assert list(fields_of(3)) == [((), 3)]


@given(values, st.sampled_from([None, 2]), st.sampled_from([None, "pay"]), st.booleans())
def test_every_field_is_found_by_its_path_and_stands_where_it_is_said_to(
    value: Any, indent: int | None, tool: str | None, escaped: bool
) -> None:
    before = "I pay € 5: " if tool else " "
    text = f"{before}{json.dumps(value, indent=indent, ensure_ascii=escaped)}}}"
    body = Body(value, len(before), tool)
    spans = spans_of(body, text)
    fields = list(fields_of(body.whole))
    assert list(spans) == [steps for steps, _ in fields]
    for steps, one in fields:
        assert value_at(body.whole, steps) == one
        start, end = spans[steps]
        assert json.loads(text.encode()[start:end]) == one


@pytest.mark.parametrize("steps", [("a",), ("b", 2), ("b", "c"), ("b", 0, "c"), (0,), ("b", 1, 0)])
def test_a_path_that_leads_nowhere(steps: tuple[str | int, ...]) -> None:
    assert value_at({"b": [1, "x"]}, steps) is ABSENT


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (5, 5.0),
        (100.0, 1e2),
        ("Müller & Söhne", "MÜLLER & SÖHNE"),
        ("The Hague", "the  Hague."),
        ("Bonn", "Bonn!"),
        ("DE12  3456", "DE12 3456"),
        ("№ 5", "No 5"),
        ({"a": 1, "b": [2.0]}, {"b": [2], "a": 1.0}),
    ],
)
def test_values_that_say_the_same(one: Any, other: Any) -> None:
    assert field_key(one) == field_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (5, "5"),
        (1, True),
        (0, False),
        (None, "null"),
        (None, ""),
        ([], {}),
        ("12,50", "1250"),
        ("-5", "5"),
        ("2024-05-01", "2024-01-05"),
        ("INV-7/a", "INV-7/A"),
        ("ann.lee@x.org", "annlee@x.org"),
        ("www.a-b.de", "www.ab.de"),
        ("Bonn", "Born"),
        ("", "x"),
    ],
)
def test_values_that_do_not(one: Any, other: Any) -> None:
    assert field_key(one) != field_key(other)


@given(values, values)
def test_equal_values_have_equal_keys(one: Any, other: Any) -> None:
    assert field_key(one) == field_key(json.loads(json.dumps(one)))
    if json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True):
        assert field_key(one) == field_key(other)
