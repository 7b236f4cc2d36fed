import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.answers.structured import within_bounds
from et_agent.engines.gbnf import Gbnf
from et_agent.engines.json_grammar import combined, literal, schema_rules
from et_agent.errors import SettingsError


def fits(schema: dict[str, Any], text: str) -> bool:
    grammar = Gbnf.parse(combined("t0", schema_rules(schema, "t0")))
    return grammar.complete(grammar.accept(grammar.start(), text))


PERSON = {
    "title": "Person",
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "of the person", "title": "Name"},
        "age": {"type": "integer", "minimum": 0, "default": 3},
        "kin": {"type": "array", "items": {"$ref": "#/$defs/Kin"}},
    },
    "required": ["name", "age"],
    "$defs": {"Kin": {"type": "object", "properties": {"of": {"type": "string"}}}},
}


@pytest.mark.parametrize(
    ("schema", "texts", "others"),
    [
        (
            PERSON,
            ['{"name": "A", "age": 3}', '{"name":"A","age":3,"kin":[{"of":"B"},{}]}'],
            ['{"age": 3, "name": "A"}', '{"name": "A"}', '{"name": "A", "age": "3"}', "{}"],
        ),
        (
            {"enum": ["a\\b", 'q"é', "x\ny", 1, None]},
            ['"a\\\\b"', '"q\\"é"', '"x\\ny"', "1", "null"],
            ['"a\\b"', '"x\ny"', "2"],
        ),
        (
            {"type": "string", "minLength": 2, "maxLength": 600},
            ['"ab"', '"' + "x" * 600 + '"'],
            ['"a"', '"' + "x" * 601 + '"'],
        ),
        ({"type": "string", "minLength": 2}, ['"ab"', '"abc"'], ['"a"']),
        (
            {"type": ["object", "null"], "properties": {"a": {"type": "null"}}, "required": ["a"]},
            ["null", '{"a": null}'],
            ["{}"],
        ),
        ({"type": "string", "pattern": "^a[0-9]{2,3}$"}, ['"a12"', '"a123"'], ['"a1"']),
        ({"type": "string"}, ['"a\\n\\u00e9"'], ['"a\nb"', '"\x7f"', '"a']),
        ({}, ["[1, {}]", '"x"', "null"], ["x"]),
        ({"properties": {"any": True}}, ['{"any": [1]}', "{}"], ["[]"]),
        (
            {"properties": {"root": {"const": 1}, "2 x": {"const": 2}}},
            ['{"root": 1, "2 x": 2}'],
            ['{"root": 2}'],
        ),
        ({"allOf": [{"$ref": "#/$defs/E"}], "$defs": {"E": {"enum": ["a"]}}}, ['"a"'], ['"b"']),
        ({"type": "object"}, ['{"a": [true]}'], ["[]"]),
        (
            {"properties": {"a": {"const": 1}}, "required": ["b"], "additionalProperties": True},
            ['{"a": 1, "b": 2}', '{"b": 2}'],
            ["[]"],
        ),
        ({"type": "object", "required": ["b"]}, ['{"b": 2}'], ["[]"]),
    ],
)
def test_schemas(schema: dict[str, Any], texts: list[str], others: list[str]) -> None:
    assert [text for text in texts if not fits(schema, text)] == []
    assert [text for text in others if fits(schema, text)] == []


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"not": {}}, "uses not"),
        ({"if": {}, "then": {}}, "uses if, then"),
        ({"properties": {"a": {"patternProperties": {}}}}, "uses patternProperties"),
        ({"pattern": "a"}, "must start with"),
        ({"type": "foo"}, "foo"),
        ({"type": "integer", "minimum": "1"}, "minimum is '1'"),
        ({"type": "number", "exclusiveMaximum": True}, "exclusiveMaximum is True"),
        ({"items": {"multipleOf": 0}}, "multipleOf is 0"),
        ({"type": "object", "minProperties": -1}, "minProperties is -1"),
        ({"type": "array", "uniqueItems": 1}, "uniqueItems is 1"),
        ({"$ref": "#/x"}, "x not in"),
        ({"$ref": "https://example.org/x"}, "[Rr]emote"),
        ({"properties": 3}, "items"),
        ({"properties": {"a": {}}, "required": ["a", "c", "b"]}, "requires b, c, which"),
        ({"properties": {}, "required": ["a"], "additionalProperties": False}, "requires a, which"),
        ({"items": {"properties": {}, "required": ["a"]}}, "requires a, which"),
        ({"items": 3}, "3 is no schema"),
        ([1], r"\[1\] is no schema"),
        ({"enum": [object()]}, "not JSON serializable"),
    ],
)
def test_what_the_grammar_cannot_express_is_said_with_its_cause(schema: Any, says: str) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        schema_rules(schema)
    assert caught.value.__cause__ is not None


AGE = {"type": "integer", "minimum": 0, "exclusiveMaximum": 150}


@pytest.mark.parametrize(
    ("schema", "inside", "outside"),
    [
        (AGE, [0, 149, 3.0], [-1, 150]),
        ({"exclusiveMinimum": 0, "maximum": 1.5}, [0.1, 1.5, "-3", None, True], [0, 1.6]),
        ({"multipleOf": 0.1}, [0.3, 7, -0.1], [0.25]),
        ({"multipleOf": 5}, [0, 10, 1e300], [7, 5.5]),
        (
            {"uniqueItems": True},
            [[], [1, 2, "1", True], {"a": 1}],
            [[1, 1.0], [{"a": 1}, {"a": 1}]],
        ),
        ({"minProperties": 1, "maxProperties": 2}, [{"a": 1}, [], "x"], [{}, dict.fromkeys("abc")]),
        ({"properties": {"a": AGE}}, [{"a": 1}, {"b": -1}], [{"a": -1}]),
        ({"properties": {"minimum": AGE}}, [{"minimum": 1}, -5], [{"minimum": -1}]),
        ({"properties": {"a": True}, "additionalProperties": AGE}, [{"a": -1}], [{"b": -1}]),
        ({"items": {"items": AGE}}, [[[1], []]], [[[1], [2, -1]]]),
        ({"prefixItems": [{}, AGE], "items": {"maximum": 0}}, [[-1, 1, 0]], [[0, -1], [0, 0, 1]]),
        ({"anyOf": [AGE, {"type": "null"}]}, [None, 5], [-5]),
        ({"type": ["integer", "null"], "minimum": 0}, [None, 5], [-5]),
        ({"oneOf": [AGE, {"maximum": -10, "type": "integer"}]}, [5, -10], [-5]),
        ({"allOf": [{"minimum": 0}, {"maximum": 5}]}, [3], [-1, 6]),
        ({"$ref": "#/$defs/Age", "$defs": {"Age": AGE}}, [1], [-1]),
        (
            {
                "anyOf": [
                    {
                        "type": "object",
                        "properties": {"k": {"const": "a"}, "n": AGE},
                        "required": ["k", "n"],
                    },
                    {
                        "type": "object",
                        "properties": {"k": {"enum": ["b", "c"]}},
                        "required": ["k"],
                    },
                    {"type": "object", "properties": {"n": AGE}, "additionalProperties": False},
                    {"type": "string", "minLength": 2},
                    {"type": "array", "minItems": 1, "items": AGE},
                ]
            },
            [{"k": "a", "n": 1}, {"k": "b", "n": -1}, {"n": 3}, "xy", [1]],
            [{"k": "a", "n": -1}, {"n": -3}, "x", [], [-1]],
        ),
    ],
)
def test_what_no_grammar_can_keep_is_checked(
    schema: dict[str, Any], inside: list[Any], outside: list[Any]
) -> None:
    assert [value for value in inside if not within_bounds(value, schema)] == []
    assert [value for value in outside if within_bounds(value, schema)] == []
    assert schema_rules(schema)


def test_a_schema_without_end_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(3000):
        deep = {"items": deep}
    with pytest.raises(SettingsError, match="too deeply"):
        schema_rules(deep)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_literals_stand_for_themselves(text: str) -> None:
    grammar = Gbnf.parse(combined(literal(text)))
    assert grammar.complete(grammar.accept(grammar.start(), text))


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(_JSON)
def test_all_json_fits_the_empty_schema(value: object) -> None:
    assert fits({}, json.dumps(value))
