"""JSON as an answer: read strictly, and written so that equal values are equal texts."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

__all__ = ["canonical", "exact", "read_json", "read_json_at", "referred", "within_bounds"]

_LARGEST_EXACT: Final = 2**53
_OF_TEXTS: Final = re.compile('"(pattern|format|patternProperties)"')
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def canonical(value: Any) -> str:
    """JSON with sorted keys and without spaces; whole floats are integers, as in JSON Schema.

    Raises:
        ValueError: A number is not finite.
    """
    return json.dumps(
        _plain(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )


def read_json(text: str) -> Any:
    """The value of a JSON text, spaces around it aside.

    Raises:
        ValueError: It is not valid JSON, goes on after it, or holds a number beyond all floats.
    """
    value, end = read_json_at(text, 0)
    if text[end:].strip():
        raise ValueError(f"more follows the JSON at character {end}")
    return value


def read_json_at(text: str, start: int) -> tuple[Any, int]:
    """The JSON value that begins at a position or after spaces there, and where it ends.

    Raises:
        ValueError: As for `read_json`.
    """
    while start < len(text) and text[start] in " \t\r\n":
        start += 1
    try:
        value, end = _DECODER.raw_decode(text, start)
        canonical(value)  # refuses infinite numbers, which 1e999 is read as
        return _mended(value), end
    except RecursionError as error:
        raise ValueError("the JSON is nested too deeply") from error


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not valid JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_no_constant)


def _mended(value: Any) -> Any:
    """Halves of surrogate pairs, which a JSON escape may name and no UTF-8 can hold, replaced."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_mended(key): _mended(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_mended(one) for one in value]
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) <= _LARGEST_EXACT:
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value


def within_bounds(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a JSON value that fits the schema's grammar also keeps what no grammar can say.

    Those are `uniqueItems`, `minProperties` and `maxProperties`, numbers beyond 2**53, `multipleOf`
    with a large divisor, that but one of `oneOf` fits, and names that come twice. Patterns and formats
    are the grammar's alone. A value that is nested too deeply to be checked is not within bounds.

    Args:
        value: The value.
        schema: A JSON schema that `et_agent.grammar.json_rule` takes.
    """
    try:
        return _fits(value, schema, _Whole(schema, {}))
    except RecursionError:
        return False


class _Whole(NamedTuple):
    """The schema that references lead into, and what is known of values, by ids of value and schema."""

    schema: Any
    known: dict[tuple[int, int], bool]


def _fits(value: Any, schema: Any, whole: _Whole) -> bool:
    if not isinstance(schema, Mapping):
        return schema is not False
    key = id(value), id(schema)
    if key not in whole.known:
        whole.known[key] = _fits_all(value, schema, whole)
    return whole.known[key]


def _fits_all(value: Any, schema: Mapping[str, Any], whole: _Whole) -> bool:
    if "$ref" in schema and not _fits(value, referred(schema["$ref"], whole.schema), whole):
        return False
    if not all(_fits(value, one, whole) for one in schema.get("allOf", ())):
        return False
    if "anyOf" in schema and not any(_fits(value, one, whole) for one in schema["anyOf"]):
        return False
    if "oneOf" in schema and not _one_fits(value, schema["oneOf"], whole):
        return False
    if not _is_one_of(value, schema):
        return False
    if isinstance(value, dict):
        return _object_fits(value, schema, whole)
    if isinstance(value, list):
        return _array_fits(value, schema, whole)
    if isinstance(value, str):
        return _count_fits(len(value), schema, "Length")
    return not _is_number(value) or _number_fits(value, schema)


def _one_fits(value: Any, ways: Sequence[Any], whole: _Whole) -> bool:
    """Whether one of some schemas fits alone, as far as can be told without patterns and formats."""
    count = sum(_fits(value, one, whole) for one in ways)
    return count == 1 or (count > 1 and _OF_TEXTS.search(json.dumps(whole.schema)) is not None)


def referred(path: str, root: Any) -> Any:
    """The part of a schema that a reference such as `#/$defs/Person` leads to.

    Raises:
        LookupError: It leads nowhere in this schema.
    """
    start, *parts = unquote(path).split("/")
    if start != "#":
        raise LookupError(f"{path} is not within the schema")
    found = root
    for part in parts:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and name.isdecimal():
            found = found[int(name)]
        elif isinstance(found, Mapping):
            found = found[name]
        else:
            raise LookupError(f"{path} leads nowhere")
    return found


def _is_one_of(value: Any, schema: Mapping[str, Any]) -> bool:
    kinds = schema.get("type")
    if kinds is not None:
        named = kinds if isinstance(kinds, list) else [kinds]
        if not any(_TYPES[kind](value) for kind in named):
            return False
    if "const" in schema and canonical(value) != canonical(schema["const"]):
        return False
    return "enum" not in schema or canonical(value) in map(canonical, schema["enum"])


def _object_fits(value: dict[str, Any], schema: Mapping[str, Any], whole: _Whole) -> bool:
    if not _count_fits(len(value), schema, "Properties"):
        return False
    if not set(schema.get("required", ())) <= set(value):
        return False
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    if "patternProperties" in schema:
        others = True
    return all(_fits(one, known.get(name, others), whole) for name, one in value.items())


def _array_fits(value: list[Any], schema: Mapping[str, Any], whole: _Whole) -> bool:
    if not _count_fits(len(value), schema, "Items"):
        return False
    if schema.get("uniqueItems") and len(set(map(canonical, value))) < len(value):
        return False
    first, rest = schema.get("prefixItems", ()), schema.get("items", True)
    if isinstance(rest, list):  # before draft 2020-12
        first, rest = rest, schema.get("additionalItems", True)
    return all(
        _fits(one, first[at] if at < len(first) else rest, whole) for at, one in enumerate(value)
    )


def _number_fits(value: float, schema: Mapping[str, Any]) -> bool:
    step = schema.get("multipleOf")
    return (
        value >= schema.get("minimum", -math.inf)
        and value <= schema.get("maximum", math.inf)
        and value > schema.get("exclusiveMinimum", -math.inf)
        and value < schema.get("exclusiveMaximum", math.inf)
        and (step is None or exact(value) % exact(step) == 0)
    )


def exact(number: float) -> Fraction:
    """A number of a JSON text as it is written, so that 0.3 is a multiple of 0.1."""
    return Fraction(number) if isinstance(number, int) else Fraction(repr(number))


def _count_fits(count: int, schema: Mapping[str, Any], what: str) -> bool:
    return bool(schema.get(f"min{what}", 0) <= count <= schema.get(f"max{what}", math.inf))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": _is_number,
    "integer": lambda value: _is_number(value) and value == value // 1,
}
