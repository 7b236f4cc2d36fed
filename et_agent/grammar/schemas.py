"""From a JSON schema to a rule of a grammar, and refusal of what cannot be enforced.

llguidance enforces types, constants, properties, lengths, patterns, formats and bounds. Here the schema
is made ready for it: annotations go, objects that name their properties hold no others, and what can
only be told of a complete value is left to `et_agent.answers.structured.within_bounds`.
Keywords: https://github.com/guidance-ai/llguidance/blob/main/docs/json_schema.md
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, Final

from llguidance import LLMatcher

from et_agent.answers.structured import canonical, exact, referred
from et_agent.errors import SettingsError
from et_agent.validation import plain_json

__all__ = ["json_rule"]

Schema = dict[str, Any]

_STYLE: Final = {
    # At most once where JSON allows spaces: no text is endless for its spaces.
    "whitespace_pattern": r" |\n{1,2}[ \t]{0,20}",
    "json_allow_general_unicode_escapes": True,
    # Whether exactly one of them fits is checked when the value is complete.
    "coerce_one_of": True,
}
_DEEPEST: Final = 200
"""Schemas within schemas, along references too: beyond 1000, llguidance may overflow the stack."""
_DEEPEST_JSON: Final = 2 * _DEEPEST
_MOST_SCHEMAS: Final = 2000
_MOST_ENTRIES: Final = 20_000
"""Of all objects and lists together, those of plain values in `enum` aside."""
_MOST_IN_ONE: Final = 1000
"""Entries of an object or a list: llguidance goes a level down the stack for each property, and may
overflow it; for other entries it takes the square of their number in time."""
_MOST_PATTERNS: Final = 100
"""Patterns of names in an object; time grows with the square or more."""
_LARGEST_DIVISOR: Final = 10_000
"""As an integer, the decimal point aside: llguidance has a state per remainder."""
_CLASSES: Final = re.compile(r"\\.|\[\^?(?P<inside>(?:\\.|[^\]\\])*)\]", re.DOTALL)
_ESCAPES: Final = re.compile(r"\\.", re.DOTALL)
_OPERATORS: Final = re.compile(r"\[|&&|--|~~")
_NAMED: Final = ("properties", "patternProperties", "$defs", "definitions")
_LISTED: Final = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
_SINGLE: Final = ("items", "additionalItems", "additionalProperties")
_OTHERS: Final = frozenset({"patternProperties", "additionalProperties"})
_OBJECT: Final = frozenset({"properties", "required"}) | _OTHERS
_IMPLIED: Final[Mapping[str, frozenset[str]]] = {
    "object": _OBJECT,
    "array": frozenset({"items", "prefixItems"}),
    "string": frozenset({"pattern", "format"}),
}
_LIMITS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_COUNTS: Final = ("minProperties", "maxProperties")
_LARGEST_EXACT: Final = 2**53
_FREE_FORMATS: Final = ("path", "password", "binary")
"""Formats that any text has."""
_IDENTITY: Final = ("$schema", "$id", "id", "$anchor", "x-guidance")


def json_rule(schema: Any) -> str:
    """The grammar of JSON texts that fit a schema, for the right side of a rule.

    Properties come in the schema's order. A schema that names properties and has no keyword for
    others allows no others. A schema without a type gets the type that its keywords apply to.
    Between the parts of a value there may be a space, or up to two line breaks and an indentation.

    Args:
        schema: A JSON schema.

    Raises:
        SettingsError: The schema is not valid, is too large, or has a keyword that neither the
            grammar nor a check of the complete value enforces. The message names place and keyword.
    """
    try:
        return _rule(plain_json(schema, "the JSON schema", deepest=_DEEPEST_JSON))
    except RecursionError as error:
        raise SettingsError("the JSON schema is nested too deeply: use a flatter one") from error


def _rule(schema: Any) -> str:
    root = {} if schema is True else schema
    if not isinstance(root, dict):
        raise _refusal("", "", f"{json.dumps(schema)[:80]} is not a schema that a value can match")
    _check_width(root)
    places = _places(root)
    if len(places) > _MOST_SCHEMAS:
        raise _refusal("", "", f"it has {len(places)} schemas, and {_MOST_SCHEMAS} are the most")
    _check_depth(root)
    for place, node in places:
        _check(place, node)
    _refuse_circles(places, root)
    merged = _merged(places, root)
    for place, node in places:
        _refuse_impossible(place, node, root, alone=id(node) not in merged)
    _leave_large_divisors(places, root)
    for place, node in places:
        _simplify(place, node, alone=id(node) not in merged)
    fault = _fault(root)
    if fault:
        raise _refusal(*_located("#", root, fault))
    return f"%json {_styled(root)}"


def _refusal(place: str, keyword: str, reason: str) -> SettingsError:
    where = "".join((f"at {place}, " if place else "", f"{keyword}: " if keyword else ""))
    remedy = f"leave {keyword} out, or use another" if keyword else "use another one"
    return SettingsError(f"no grammar can express the JSON schema: {where}{reason}; {remedy}")


def _children(node: Schema) -> Iterator[tuple[str, Schema]]:
    """Schemas within a schema and where they are, references aside."""
    found: list[tuple[str, Any]] = []
    for key in _NAMED:
        if isinstance(node.get(key), dict):
            found += ((f"{key}/{name}", child) for name, child in node[key].items())
    for key in _LISTED:
        found += ((f"{key}/{at}", child) for at, child in enumerate(_list(node, key)))
    found += ((key, node.get(key)) for key in _SINGLE)
    return ((at, child) for at, child in found if isinstance(child, dict))


def _list(node: Schema, key: str) -> list[Any]:
    """A keyword's list; empty if it has none, or a value that llguidance will refuse."""
    found = node.get(key)
    return found if isinstance(found, list) else []


def _places(root: Schema) -> list[tuple[str, Schema]]:
    """All schemas in a schema, and where they are.

    Raises:
        SettingsError: A reference leads nowhere.
    """
    found: list[tuple[str, Schema]] = []
    seen: set[int] = set()
    todo = [("#", root)]
    while todo:
        place, node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        found.append((place, node))
        todo += ((f"{place}/{at}", child) for at, child in _children(node))
        if isinstance(node.get("$ref"), str):
            try:
                target = referred(node["$ref"], root)
            except LookupError as error:
                raise _refusal(place, "$ref", f"{node['$ref']!r} leads nowhere in it") from error
            if isinstance(target, dict):
                todo.insert(0, (node["$ref"], target))  # so that its own place comes first
    return found


def _check_width(root: Schema) -> None:
    """Refuse an object or a list with more entries than llguidance can follow."""
    todo: list[tuple[str, str, Any]] = [("#", "", root)]
    entries = 0
    while todo:
        place, key, value = todo.pop()
        if not isinstance(value, dict | list):
            continue
        plain = key == "enum" and not any(isinstance(one, dict | list) for one in value)
        most = _MOST_PATTERNS if key == "patternProperties" else _MOST_IN_ONE
        if len(value) > most and not plain:
            raise _refusal(place, key, f"it has {len(value)} entries, and {most} are the most")
        entries += 0 if plain else len(value)
        if entries > _MOST_ENTRIES:
            raise _refusal("", "", f"it has more than {_MOST_ENTRIES} entries in all")
        place = f"{place}/{key}" if key else place
        named = value.items() if isinstance(value, dict) else enumerate(value)
        todo += ((place, str(at), child) for at, child in named)


def _check_depth(root: Schema) -> None:
    """Refuse a schema with more levels, along children and references, than llguidance can follow."""
    below: dict[int, int] = {}
    above = {id(root)}
    path = [("#", root, _links(root, root))]
    while path:
        place, node, links = path[-1]
        below.setdefault(id(node), 0)
        # A schema that leads back to one above it goes no deeper there.
        at, child = next(((at, one) for at, one in links if id(one) not in above), ("", None))
        if child is None:
            path.pop()
            above.remove(id(node))
            child, node = node, path[-1][1] if path else node
        elif len(path) + below.get(id(child), 0) >= _DEEPEST:
            raise _refusal(place, at.partition("/")[0], f"it is nested over {_DEEPEST} deep")
        elif id(child) not in below:
            above.add(id(child))
            path.append(
                (node["$ref"] if at == "$ref" else f"{place}/{at}", child, _links(child, root))
            )
            continue
        if path:
            below[id(node)] = max(below[id(node)], below[id(child)] + 1)


def _links(node: Schema, root: Schema) -> Iterator[tuple[str, Schema]]:
    """Schemas within a schema, and the one that it refers to."""
    yield from _children(node)
    if isinstance(node.get("$ref"), str):
        target = referred(node["$ref"], root)
        if isinstance(target, dict):
            yield "$ref", target


def _check(place: str, node: Schema) -> None:
    """Refuse what llguidance would ignore or mistake, and bounds no value can be compared with.

    Raises:
        SettingsError: The schema holds such a keyword.
    """
    for key, value in node.items():
        if not _is_bound(key, value):
            raise _refusal(place, key, f"it is {value!r}")
    for key, values in (("const", [node.get("const")]), ("enum", _list(node, "enum"))):
        if any(_is_far(one) for one in values):
            raise _refusal(place, key, f"it holds a number beyond {_LARGEST_EXACT}")
    for key, pattern in _patterns(node):
        if operator := _operator(pattern):
            reason = f"{operator} within a character class is no JSON Schema; escape it"
            raise _refusal(place, key, reason)


def _patterns(node: Schema) -> list[tuple[str, str]]:
    """Regular expressions of a schema, and their keywords."""
    of_names = node.get("patternProperties")
    found = [("patternProperties", one) for one in of_names] if isinstance(of_names, dict) else []
    return [*found, *(("pattern", one) for one in [node.get("pattern")] if isinstance(one, str))]


def _operator(pattern: str) -> str:
    """What a class of a pattern has that llguidance takes for an operator and ECMA-262 does not."""
    for found in _CLASSES.finditer(pattern):
        inside = found["inside"]
        if inside == "":
            return found[0]
        operator = _OPERATORS.search(_ESCAPES.sub("_", inside or ""))
        if operator:
            return operator[0]
    return ""


def _is_bound(key: str, value: Any) -> bool:
    """Whether the value of a keyword can be compared with; any value of another keyword."""
    if key in _LIMITS:
        return _is_number(value) and -math.inf < value < math.inf
    if key == "multipleOf":
        return _is_number(value) and 0 < value < math.inf
    if key in _COUNTS:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return key != "uniqueItems" or isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_far(value: Any) -> bool:
    """Whether it is a number that llguidance, which has doubles, may take for another one."""
    return _is_number(value) and abs(value) > _LARGEST_EXACT


def _groups(node: Schema, root: Schema) -> list[list[Any]]:
    """What else a value of the schema has to fit: one schema of each group."""
    found = [[one] for one in _list(node, "allOf")]
    found += [ways for key in ("anyOf", "oneOf") if (ways := _list(node, key))]
    if isinstance(node.get("$ref"), str):
        found.append([referred(node["$ref"], root)])
    return [[one for one in group if isinstance(one, dict)] for group in found]


def _refuse_circles(places: list[tuple[str, Schema]], root: Schema) -> None:
    """Refuse a schema that refers to itself for the same value."""
    done: set[int] = set()

    def visit(place: str, node: Schema, above: tuple[int, ...]) -> None:
        if id(node) in above:
            raise _refusal(place, "$ref", "it leads back to itself, with no value in between")
        if id(node) not in done:
            for one in (one for group in _groups(node, root) for one in group):
                visit(place, one, (*above, id(node)))
            done.add(id(node))

    for place, node in places:
        visit(place, node, ())


def _merged(places: list[tuple[str, Schema]], root: Schema) -> set[int]:
    """Ids of schemas that apply to an object together, so that none of them may close it."""
    found: set[int] = set()
    for _, node in places:
        shared = len(_groups(node, root)) + bool(_OBJECT & set(node)) > 1
        todo = [node] if shared else []
        while todo:
            one = todo.pop()
            if id(one) not in found:
                found.add(id(one))
                todo += (inner for group in _groups(one, root) for inner in group)
    return found


def _refuse_impossible(place: str, node: Schema, root: Schema, *, alone: bool) -> None:
    """Refuse sizes that no value has, where the grammar is not told of them."""
    named, least = node.get("properties"), node.get("minProperties", 0)
    closed = node.get("additionalProperties") is False or (alone and "properties" in node)
    if closed and not (_OTHERS - {"additionalProperties"}) & set(node) and isinstance(named, dict):
        others = node.get("additionalProperties", False)
        if others is False and least > len(named):
            raise _refusal(place, "minProperties", f"there are but {len(named)} properties")
    if node.get("uniqueItems") and isinstance(node.get("minItems"), int):
        values = None if "prefixItems" in node else _values(node.get("items"), root)
        if values is not None and node["minItems"] > values:
            raise _refusal(place, "minItems", f"there are but {values} different items")


def _values(node: Any, root: Schema) -> int | None:
    """How many values a schema has at most; None if that is not told by an enumeration."""
    while isinstance(node, dict) and isinstance(node.get("$ref"), str):
        node = referred(node["$ref"], root)
    if not isinstance(node, dict):
        return None
    if isinstance(node.get("enum"), list):
        return len(set(map(canonical, node["enum"])))
    known = {"boolean": 2, "null": 1}.get(str(node.get("type")))
    return 1 if "const" in node else known


def _leave_large_divisors(places: list[tuple[str, Schema]], root: Schema) -> None:
    """Leave to the check of the value what llguidance would take very long for."""
    known: dict[int, Fraction] = {}
    seen: set[int] = set()
    for _, node in places:
        if _coefficient(_divisor(node, root, known)) <= _LARGEST_DIVISOR:
            continue
        todo = [node]
        while todo:
            one = todo.pop()
            if id(one) not in seen:
                seen.add(id(one))
                one.pop("multipleOf", None)
                todo += (inner for group in _groups(one, root) for inner in group)


def _divisor(node: Schema, root: Schema, known: dict[int, Fraction]) -> Fraction:
    """The least common multiple of all divisors that may apply to a value; 0 if there are none."""
    if id(node) not in known:
        inner = [_divisor(one, root, known) for group in _groups(node, root) for one in group]
        own = exact(node["multipleOf"]) if "multipleOf" in node else Fraction(0)
        least = Fraction(0)
        for one in filter(None, (own, *inner)):
            least = least if _coefficient(least) > _LARGEST_DIVISOR else _multiple(least, one)
        known[id(node)] = least
    return known[id(node)]


def _multiple(one: Fraction, other: Fraction) -> Fraction:
    if not one:
        return other
    above = math.lcm(one.numerator, other.numerator)
    return Fraction(above, math.gcd(one.denominator, other.denominator))


def _coefficient(number: Fraction) -> int:
    """The digits of a decimal fraction, as an integer: 37 of 0.37."""
    scale = 1
    while (number * scale).denominator > 1:
        scale *= 10
    return int(number * scale)


def _simplify(place: str, node: Schema, *, alone: bool) -> None:
    """Remove keywords that only a check of the value enforces, and those without effect.

    A schema without a type gets the type that its keywords apply to.
    """
    implied = [kind for kind, keywords in _IMPLIED.items() if keywords & set(node)]
    if alone and len(implied) == 1:
        node.setdefault("type", implied[0])
    for key in (*_IDENTITY, "uniqueItems"):
        node.pop(key, None)
    for key in _LIMITS:
        if _is_far(node.get(key)):
            del node[key]
    if node.get("format") in _FREE_FORMATS:
        del node["format"]
    required = set(map(str, _list(node, "required")))
    names = set(node["properties"]) if isinstance(node.get("properties"), dict) else set()
    if not alone or not names <= required:
        for key in _COUNTS:
            node.pop(key, None)
    if alone and isinstance(node.get("properties"), dict) and not _OTHERS & set(node):
        _close(place, node, sorted(required - names))


def _close(place: str, node: Schema, undefined: list[str]) -> None:
    """Let an object hold no other properties than those its schema names."""
    if undefined:
        reason = f"it names {', '.join(undefined)}, which its properties do not define"
        raise _refusal(place, "required", reason)
    node["additionalProperties"] = False


def _styled(schema: Schema) -> str:
    return json.dumps({**schema, "x-guidance": _STYLE})


def _fault(schema: Schema) -> str:
    """Why llguidance refuses a schema; empty if it does not."""
    grammar = LLMatcher.grammar_from_json_schema(_styled(schema))
    failed, said = LLMatcher.validate_grammar_with_warnings(grammar)
    if not failed:
        return ""
    # A regular expression's error is drawn over several lines, its reason last.
    reason = said[0].rpartition("\nerror: ")[2].partition("\n")[0]
    return reason.replace("Unimplemented keys:", "nothing enforces")


def _located(place: str, node: Schema, fault: str) -> tuple[str, str, str]:
    """The innermost schema at fault, its keyword if only one is at fault, and the reason."""
    for at, child in _children(node):
        if inner := _fault(_alone(child)):
            return _located(f"{place}/{at}", child, inner)
    for key in sorted(node, key=lambda key: key == "type"):  # without it, nearly all is possible
        if not _fault(_alone({name: one for name, one in node.items() if name != key})):
            return place, key, fault
    return place, "", fault


def _alone(value: Any) -> Any:
    """A part of a schema without references, whose targets are looked at where they are."""
    if isinstance(value, list):
        return [_alone(one) for one in value]
    if isinstance(value, Mapping):
        return {
            key: _alone(one)
            for key, one in value.items()
            if key != "$ref" or not isinstance(one, str)
        }
    return value
