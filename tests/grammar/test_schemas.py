import contextlib
import json
import time
from typing import Annotated, Any, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, HttpUrl

from et_agent import ScriptedModel
from et_agent.answers.structured import read_json, within_bounds
from et_agent.engines.scripted import END
from et_agent.errors import DecodeError, SettingsError
from et_agent.grammar import GrammarConstraint, json_rule

_MODEL = ScriptedModel.from_texts({"x": 1.0})


def fits(schema: Any, text: str) -> bool:
    made = GrammarConstraint(_MODEL, f"start: {json_rule(schema)}")
    try:
        return bool(made.allowed(list(text.encode()))[END])
    except DecodeError:
        return False


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
        ({"items": {"type": "null"}}, ["[null]"], ["{}", "[1]"]),
        ({"pattern": "^a$"}, ['"a"'], ["1", '"b"']),
        ({"properties": {"a": {"type": "null"}}, "items": {}}, ['{"a":null}', "[1]", "2"], ["{1}"]),
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
        ({"type": "object", "required": ["b"]}, ['{"b": 2}'], ["[]", "{}"]),
        (
            {
                "properties": {"a": {"const": 1}},
                "required": ["c", "b"],
                "additionalProperties": {},
            },
            ['{"a":1,"c":[],"b":2}', '{"c":1,"b":1,"d":1}'],
            ['{"a":1}', '{"b":1,"c":1}'],
        ),
        (
            {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["b"]},
            ['{"a":1,"b":1}', '{"b":1}'],
            ['{"b":1,"a":1}', '{"b":1,"c":1}'],
        ),
        ({"type": "object", "properties": {}}, ["{}"], ['{"a":1}']),
        (
            {"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "null"}},
            ['{"a":1,"b":null}', "{}"],
            ['{"a":1,"b":1}'],
        ),
        (
            {
                "type": "object",
                "patternProperties": {"^x": {"type": "integer"}},
                "additionalProperties": False,
            },
            ['{"xa":1}', "{}"],
            ['{"xa":""}', '{"y":1}'],
        ),
        (
            {"type": "object", "properties": {'q"é\\': {"type": "null"}}},
            ['{"q\\"é\\\\":null}'],
            ['{"q":null}'],
        ),
        ({"const": {"a": [1, 2.5, "x"]}}, ['{"a":[1,2.5,"x"]}'], ['{"a":[1,2.5]}', "{}"]),
        ({"enum": [1, "1", None, True, [1]]}, ["1", '"1"', "null", "true", "[1]"], ["2", "[]"]),
        ({"type": "string", "format": "date"}, ['"2024-02-29"'], ['"2024-13-01"']),
        (
            {"type": "string", "format": "uuid"},
            [f'"{"0a" * 4}-0a0a-0a0a-0a0a-{"0a" * 6}"'],
            ['"0"'],
        ),
        ({"type": "string", "format": "password"}, ['"any"'], ["1"]),
        ({"$schema": "https://example.org/mine", "$id": "x", "type": "null"}, ["null"], ["1"]),
        (
            {"$ref": "#/$defs/a~1b%20c", "$defs": {"a/b c": {"type": "null"}}},
            ["null"],
            ["1"],
        ),
        (
            {"properties": {"a": {"$ref": "#/parts/A"}}, "parts": {"A": {"enum": [1]}}},
            ['{"a":1}'],
            ['{"a":2}'],
        ),
        (
            {
                "title": "T",
                "description": "d",
                "default": 1,
                "examples": [1],
                "deprecated": True,
                "readOnly": True,
                "$comment": "c",
                "x-order": 1,
                "type": "null",
            },
            ["null"],
            ["1"],
        ),
        (
            {
                "allOf": [
                    {"properties": {"a": {"type": "null"}}, "required": ["a"]},
                    {"$ref": "#/$defs/B"},
                ],
                "$defs": {"B": {"properties": {"b": {"type": "null"}}, "required": ["b"]}},
                "type": "object",
            },
            ['{"a":null,"b":null}'],
            ['{"a":null}', '{"a":null,"b":1}'],
        ),
        (
            {
                "type": "object",
                "properties": {"a": {}, "b": {}},
                "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
            },
            ['{"a":1}', '{"b":1}', '{"a":1,"b":1}'],
            ["{}"],
        ),
        (
            {"type": "object", "minProperties": 1, "maxProperties": 2},
            ['{"a":1}', '{"a":1,"b":2}'],
            ["{}", '{"a":1,"b":1,"c":1}'],
        ),
        (
            {"type": "integer", "minimum": 0, "exclusiveMaximum": 150},
            ["0", "149"],
            ["-1", "150", "007"],
        ),
        ({"type": "number", "multipleOf": 0.1}, ["0.3", "7", "-0.1"], ["0.25"]),
        ({"type": "integer", "minimum": -(2**63), "maximum": 2**63}, [str(-(2**63)), "7"], ["7.5"]),
        # What the grammars of llama.cpp could not say, or said wrongly.
        ({"type": "string", "pattern": r"^\d{3}-\w+\.\S\-$"}, ['"123-ab.c-"'], ['"12-ab.c-"']),
        ({"type": "string", "pattern": r"^\D\W\s$"}, ['"a. "', '"a.\\n"'], ['"1. "', '"ab "']),
        ({"type": "string", "pattern": r"\d"}, ['"a1b"', '"\\n1"'], ['"ab"', '""']),
        ({"type": "string", "pattern": "^a|b$"}, ['"ax"', '"xb"'], ['"xx"']),
        (
            {"type": "string", "pattern": "^.+$"},
            ['"ab"', '"a\\"b"', '"é😀"', '"\\\\"'],
            ['"a\nb"', '"a"b"', '""', '"\\"'],
        ),
        (
            {"type": "string", "pattern": "^[^,]+$"},
            ['"ab"', '"a\\nb"'],
            ['"a\nb"', '"a"b"', '"a,b"'],
        ),
        (
            {"type": "string", "maxLength": 4096},
            [f'"{"x" * 4096}"', f'"{"é" * 4096}"'],
            [f'"{"x" * 4097}"'],
        ),
        ({"type": "string", "minLength": 4096}, [f'"{"x" * 4096}"'], [f'"{"x" * 4095}"']),
        (
            {"type": "array", "maxItems": 5000, "items": {"type": "integer"}},
            [f"[{','.join('1' * 5000)}]", "[]"],
            [f"[{','.join('1' * 5001)}]"],
        ),
        (
            {"type": "array", "minItems": 5000, "items": {"type": "integer"}},
            [f"[{','.join('1' * 5000)}]"],
            [f"[{','.join('1' * 4999)}]"],
        ),
        (
            {"type": "string", "format": "uri", "minLength": 1, "maxLength": 2083},
            ['"https://a.org/b?c=d#e"'],
            ['"a b"', '"/a"'],
        ),
        (
            {"type": "object", "properties": {"child": {"$ref": "#"}}},
            ['{"child":{"child":{}}}'],
            ['{"child":1}'],
        ),
        (
            {
                "$ref": "#/$defs/A",
                "$defs": {
                    "A": {"type": "array", "items": {"$ref": "#/$defs/B"}},
                    "B": {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]},
                },
            },
            ["[]", "[[null,[]]]"],
            ["[1]", "null"],
        ),
        (
            {"type": "array", "items": [{"type": "integer"}, {"type": "string"}]},
            ['[1,"a"]', '[1,"a",null]', "[1]"],
            ['["a"]', "[1,2]"],
        ),
        (
            {"type": "array", "items": [{"type": "integer"}], "additionalItems": False},
            ["[1]", "[]"],
            ["[1,2]"],
        ),
        (
            {"type": "array", "prefixItems": [{"type": "integer"}], "items": False},
            ["[1]", "[]"],
            ["[1,2]", "[null]"],
        ),
        ({"type": "array", "items": False}, ["[]"], ["[1]"]),
        (True, ["[1]"], ["x"]),
        ({"type": ["string", "null"], "maxLength": 3}, ['"abc"', "null"], ['"abcd"', "3"]),
        ({"type": "integer", "maxLength": 3}, ["12345"], ['"1"']),
        ({"type": "object", "properties": {"a": False}}, ["{}"], ['{"a":1}']),
    ],
)
def test_schemas(schema: dict[str, Any], texts: list[str], others: list[str]) -> None:
    assert [text for text in texts if not fits(schema, text)] == []
    assert [text for text in others if fits(schema, text)] == []


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"not": {}}, r'at #, not: nothing enforces \["not"\]; leave not out'),
        ({"if": {}, "then": {}}, r'at #, nothing enforces \["if", "then"\]'),
        ({"properties": {"a": {"contains": {}}}}, "at #/properties/a, contains"),
        ({"items": {"propertyNames": {}}}, "at #/items, propertyNames"),
        ({"dependencies": {"a": ["b"]}}, "at #, dependencies"),
        ({"$defs": {"x": {"$dynamicRef": "#a"}}, "$ref": "#/$defs/x"}, "#/.defs/x, .dynamicRef"),
        ({"properties": {"a": {"type": "string", "pattern": "(?=a)b"}}}, "#/properties/a, pattern"),
        ({"anyOf": [{"type": "string", "pattern": r"(a)\1"}]}, "#/anyOf/0, pattern: backref"),
        ({"type": "string", "pattern": r"\bfoo\b"}, "at #, pattern: lookarounds"),
        ({"patternProperties": {"(": {}}, "type": "object"}, "patternProperties"),
        ({"items": {"type": "string", "format": "foo"}}, "#/items, format: Unknown format: foo"),
        ({"type": "foo"}, "type: Invalid type: foo"),
        ({"enum": []}, "at #, enum"),
        ({"type": "integer", "minimum": 5, "maximum": 3}, "at #, minimum"),
        ({"type": "integer", "minimum": "1"}, "minimum: it is '1'"),
        ({"type": "number", "exclusiveMaximum": True}, "exclusiveMaximum: it is True"),
        ({"items": {"multipleOf": 0}}, "multipleOf: it is 0"),
        ({"type": "object", "minProperties": -1}, "minProperties: it is -1"),
        ({"type": "array", "uniqueItems": 1}, "uniqueItems: it is 1"),
        ({"const": 2**53 + 1}, "const: it holds a number beyond"),
        ({"enum": [1, 1e300]}, "enum: it holds a number beyond"),
        ({"$ref": "#/x"}, "'#/x' leads nowhere"),
        ({"properties": {"a": {"$ref": "https://example.org/x"}}}, "at #/properties/a, .ref"),
        ({"$ref": "#"}, "leads back to itself"),
        ({"anyOf": [{"$ref": "#"}, {"type": "null"}]}, "leads back to itself"),
        (
            {"properties": {"a": {}}, "required": ["a", "c", "b"]},
            "at #, required: it names b, c, which its properties do not define",
        ),
        ({"items": {"properties": {}, "required": ["a"]}}, "at #/items, required: it names a"),
        ({"properties": 3}, "at #, properties"),
        ({"items": 3}, "at #, items: schema must be"),
        ({"anyOf": 3}, "at #, anyOf"),
        ({"required": "a"}, "at #, required"),
        (
            {"type": "object", "required": ["a"], "additionalProperties": False},
            "at #, required|at #, additionalProperties",
        ),
        ({"pattern": "^[[:alpha:]]+$"}, r"at #, pattern: \[ within a character class"),
        ({"items": {"pattern": r"\[[a-z&&[^b]]"}}, "at #/items, pattern: && within"),
        ({"pattern": "[a-z--b]"}, "pattern: -- within"),
        ({"pattern": "[]a]"}, r"pattern: \[\] within"),
        ({"patternProperties": {"[a~~b]": {}}}, "patternProperties: ~~ within"),
        (
            {"properties": {"a": {}, "b": {}}, "minProperties": 3},
            "at #, minProperties: there are but 2 properties",
        ),
        (
            {"type": "object", "additionalProperties": False, "minProperties": 1, "properties": {}},
            "minProperties",
        ),
        (
            {
                "items": {"$ref": "#/$defs/E"},
                "minItems": 3,
                "uniqueItems": True,
                "$defs": {"E": {"enum": [1, 2, 1.0]}},
            },
            "at #, minItems: there are but 2 different items",
        ),
        ({"items": {"type": "boolean"}, "minItems": 3, "uniqueItems": True}, "minItems"),
        ([1], r"\[1\] is not a schema that a value can match"),
        (False, "false is not a schema that a value can match"),
        ({"enum": [object()]}, "not JSON serializable"),
        ({"const": float("nan")}, "is not valid JSON"),
        # It is the project that says how spaces are set, and that nothing is passed over.
        ({"not": {}, "x-guidance": {"lenient": True}}, "at #, not"),
    ],
)
def test_what_the_grammar_cannot_express_is_said_with_place_and_keyword(
    schema: Any, says: str
) -> None:
    with pytest.raises(SettingsError, match=says):
        json_rule(schema)


def test_a_schema_too_large_is_refused_at_once() -> None:
    start = time.perf_counter()
    with pytest.raises(
        SettingsError, match="at #/properties/a/enum it has more than 100000 values"
    ):
        json_rule({"properties": {"a": {"enum": [f"value {i}" for i in range(200_000)]}}})
    assert time.perf_counter() - start < 5


def chain(links: int, link: Any) -> dict[str, Any]:
    """Definitions that each refer to the next."""
    found = {f"D{i}": link({"$ref": f"#/$defs/D{i + 1}"}) for i in range(links)}
    return {"$defs": {**found, f"D{links}": {"type": "integer"}}, "$ref": "#/$defs/D0"}


@pytest.mark.parametrize(
    ("link", "says"),
    [
        (lambda ref: {"type": "array", "items": ref}, "items|.ref"),
        (lambda ref: {"type": "object", "properties": {"a": ref}}, "properties|.ref"),
        (lambda ref: {"anyOf": [{"type": "null"}, ref]}, "anyOf|.ref"),
        (lambda ref: ref, ".ref"),
    ],
)
def test_a_schema_with_a_long_chain_of_references_is_refused(link: Any, says: str) -> None:
    for links in (250, 600):
        with pytest.raises(SettingsError, match=rf"at #/.defs/D\d+.*, ({says}): it is nested over"):
            json_rule(chain(links, link))
    with pytest.raises(SettingsError, match=r"at #, \$defs: it has 10001 entries"):
        json_rule(chain(10_000, link))
    json_rule(chain(90, link))


def test_all_levels_of_a_deep_schema_are_checked() -> None:
    value: Any = 1
    for _ in range(60):
        value = {"a": [value]}
    schema = chain(60, lambda ref: {"type": "object", "properties": {"a": {"items": ref}}})
    json_rule(schema)
    assert within_bounds(value, schema)
    assert not within_bounds(value["a"][0], schema)


def test_a_schema_nested_too_deeply_is_refused() -> None:
    for depth in (500, 3000, 50_000):
        schema: dict[str, Any] = {"type": "integer"}
        for _ in range(depth):
            schema = {"type": "array", "items": schema}
        with pytest.raises(SettingsError, match="nested"):
            json_rule(schema)


def test_many_definitions_that_refer_to_each_other_are_not_deep() -> None:
    kinds = [f"D{i}" for i in range(40)]
    every = {"anyOf": [*({"$ref": f"#/$defs/{kind}"} for kind in kinds), {"type": "null"}]}
    defined = {
        kind: {
            "type": "object",
            "properties": {"kind": {"const": kind}, "a": {"$ref": "#"}, "b": {"$ref": "#"}},
            "required": ["kind"],
        }
        for kind in kinds
    }
    assert fits({**every, "$defs": defined}, '{"kind":"D3","b":{"kind":"D39","a":null}}')


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "multipleOf": 999_983},
        {"type": "number", "multipleOf": 999.983},
        {"allOf": [{"type": "integer", "multipleOf": 997}, {"multipleOf": 991}]},
        {
            "type": "integer",
            "multipleOf": 997,
            "anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}],
            "$defs": {"A": {"multipleOf": 991}},
        },
    ],
)
def test_large_divisors_are_checked_afterwards(schema: dict[str, Any]) -> None:
    start = time.perf_counter()
    assert fits(schema, "1234567")
    assert not within_bounds(1234567, schema)
    assert within_bounds(0, schema)
    assert time.perf_counter() - start < 2


def test_small_divisors_are_kept_by_the_grammar() -> None:
    schema = {"allOf": [{"type": "integer", "multipleOf": 60}, {"multipleOf": 24}]}
    assert fits(schema, "240")
    assert not fits(schema, "60")


def test_bounds_beyond_what_the_grammar_compares_are_checked_afterwards() -> None:
    schema = {"type": "integer", "minimum": 10**20}
    assert fits(schema, "5")
    assert not within_bounds(5, schema)
    assert within_bounds(10**20, schema)


class Node(BaseModel):
    """A tree."""

    value: Annotated[int, Field(ge=0, lt=10)]
    kind: Literal["leaf", "branch"] = "leaf"
    children: list["Node"] = []
    parent: Optional["Node"] = None


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str | None


class Pet(BaseModel):
    pet: Cat | Dog = Field(discriminator="kind")
    site: HttpUrl


@pytest.mark.parametrize(
    ("model", "texts", "others"),
    [
        (
            Node,
            ['{"value":1,"children":[{"value":2,"parent":null}]}', '{"value": 9,"kind": "branch"}'],
            ['{"value":10}', '{"value":1,"children":[{}]}', '{"value":1,"x":1}'],
        ),
        (
            Pet,
            [
                '{"pet":{"kind":"cat","lives":9},"site":"https://a.org/"}',
                '{"pet":{"kind":"dog","name":null},"site":"http://a"}',
            ],
            ['{"pet":{"kind":"cat","name":"x"},"site":"http://a"}', '{"pet":{"kind":"dog"}}'],
        ),
    ],
)
def test_pydantic_models(model: type[BaseModel], texts: list[str], others: list[str]) -> None:
    schema = model.model_json_schema()
    for text in texts:
        assert fits(schema, text), text
        model.model_validate_json(text)
        assert within_bounds(read_json(text), schema)
    assert [text for text in others if fits(schema, text)] == []


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
        ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, [{"a": 1}], [{"a": 1, "b": 1}, {}]),
        ({"oneOf": [{"type": "string", "pattern": "a"}, {"type": "string"}]}, ["a"], [1]),
        ({"items": [AGE], "additionalItems": {"maximum": 0}}, [[1, 0]], [[-1], [1, 1]]),
        ({"properties": {"a": False}, "items": False}, [{}, []], [{"a": 1}, [1]]),
        (
            {"patternProperties": {"a": {"type": "null"}}, "additionalProperties": False},
            [{"a": None}],
            [],
        ),
        ({"$ref": "#/$defs/A~1b", "$defs": {"A/b": AGE}}, [1], [-1]),
        ({"properties": {"a": {"$ref": "#/allOf/0"}}, "allOf": [AGE]}, [1], [-1, {"a": -1}]),
        ({"type": "integer", "minimum": -(2**63)}, [-(2**63)], [-(2**63) - 1]),
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
    assert json_rule(schema)


def test_a_schema_without_end_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(3000):
        deep = {"items": deep}
    with pytest.raises(SettingsError, match="too deeply"):
        json_rule(deep)


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


def named(count: int, of: Any) -> dict[str, Any]:
    return {f"p{at}": of for at in range(count)}


WIDE: dict[str, Any] = {
    "properties": {"properties": named(30_000, {})},
    "properties that are required": {"required": [f"p{at}" for at in range(30_000)]},
    "properties of references": {
        "properties": named(1001, {"$ref": "#/$defs/a"}),
        "$defs": {"a": {}},
    },
    "properties of parts": {
        "allOf": [{"properties": named(900, {})}, {"properties": named(1100, {})}]
    },
    "parts": {"allOf": [{"properties": named(900, {})}] * 3},
    "all of many": {"allOf": [{"minLength": 1}] * 1001},
    "one of many": {"oneOf": [{"const": at} for at in range(1001)]},
    "items": {"prefixItems": [{"type": "null"}] * 1001},
    "patterns of names": {"patternProperties": {f"^p{at}$": {} for at in range(101)}},
    "an object as constant": {"const": named(1001, 1)},
    "a list as constant": {"const": list(range(1001))},
    "objects within": {"const": named(900, named(90, 1))},
    "lists to choose from": {"enum": [[1]] * 1001},
}


@pytest.mark.parametrize("schema", WIDE.values(), ids=WIDE)
def test_a_schema_that_would_overflow_the_stack_or_take_long_is_refused(schema: Any) -> None:
    with pytest.raises(SettingsError, match=r"no grammar can express .* the most|entries in all"):
        json_rule(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": named(1000, {"type": "null"})},
        {"enum": [f"v{at}" for at in range(5000)]},
        {"enum": list(range(5000))},
    ],
    ids=["properties", "texts", "numbers"],
)
def test_one_that_is_large_is_not(schema: Any) -> None:
    began = time.process_time()
    assert not fits(schema, "[")
    assert time.process_time() - began < 5


@pytest.mark.parametrize("value", [[1], {"a": 1}, 7, None, True, "\0"], ids=repr)
@pytest.mark.parametrize("key", ["format", "$ref", "type", "required", "pattern", "minProperties"])
def test_a_keyword_with_another_sort_of_value_is_refused(key: str, value: Any) -> None:
    with contextlib.suppress(SettingsError):
        json_rule({"type": "object", "properties": {"a": {key: value}}})
