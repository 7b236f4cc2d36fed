import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.answers.structured import canonical, read_json, read_json_at, within_bounds


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a": 1, "b": [2, {"d": 1, "c": 0}]}', '{"b":[2.0,{"c":0,"d":1}],"a":1.0}'),
        ('"\\u00e9"', '"é"'),
        ("1e2", "100"),
        ("-0.0", "0"),
    ],
)
def test_equal_values_are_equal_texts(one: str, other: str) -> None:
    assert canonical(read_json(one)) == canonical(read_json(other))


def test_different_values_are_not() -> None:
    texts = ["1", "true", '"1"', "null", "[1]", "0.5", '{"a":1}', "[]", "{}", '""', "1.0000001"]
    assert len({canonical(read_json(text)) for text in texts}) == len(texts)


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"a": 1', "1 2", "NaN", "Infinity", "-Infinity", "1e999", "[1,]", "[" * 10**5],
)
def test_what_is_no_json(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_json(text)


def test_halves_of_surrogate_pairs_are_replaced() -> None:
    value = read_json('{"\\ud83d": ["\\udc00", "\\ud83d\\ude00"]}')
    assert value == {"\ufffd": ["\ufffd", "😀"]}
    json.dumps(value, ensure_ascii=False).encode("utf-8")


def test_json_within_a_text() -> None:
    assert read_json_at('x {"a": 1} y', 1) == ({"a": 1}, 10)


@given(st.dictionaries(st.text(max_size=3), st.floats(allow_nan=False, allow_infinity=False)))
def test_canonical_text_reads_as_the_same_value(value: dict[str, float]) -> None:
    again = read_json(canonical(value))
    assert canonical(again) == canonical(value)


def test_a_value_is_compared_with_a_schema_once() -> None:
    ways = [{"$ref": "#/$defs/D40"}]
    found = {f"D{i}": {"allOf": [{"$ref": f"#/$defs/D{i + 1}"}] * 2} for i in range(40)}
    schema = {"$defs": {**found, "D40": {"type": "integer"}}, "allOf": [{"$ref": "#/$defs/D0"}]}
    start = time.perf_counter()
    assert within_bounds(3, schema)
    assert not within_bounds("3", schema)
    assert time.perf_counter() - start < 1
    assert within_bounds([3, 3], {"items": {"anyOf": ways}, "$defs": schema["$defs"]})


def test_json_too_deep_to_be_checked_is_not_within_bounds() -> None:
    schema = {"type": "array", "items": {"$ref": "#"}}
    value: list[Any] = []
    for _ in range(5000):
        value = [value]
    assert not within_bounds(value, schema)
