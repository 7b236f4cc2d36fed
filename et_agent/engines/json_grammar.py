"""From a JSON schema to llama.cpp's grammar language, by llama.cpp's own converter.

What a grammar cannot say is an error, or checked when the value is finished: bounds of numbers and
sizes (`et_agent.answers.structured.within_bounds`). As in llama.cpp itself, formats other than dates,
times and UUIDs are not enforced.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from et_agent.errors import SettingsError

__all__ = ["combined", "literal", "schema_rules"]

_ANYTHING: Final = {
    "anyOf": [{"type": one} for one in ("object", "array", "string", "number", "boolean", "null")]
}
_KEPT: Final = frozenset(
    {
        "$ref",
        "$defs",
        "definitions",
        "type",
        "format",
        "oneOf",
        "anyOf",
        "allOf",
        "const",
        "enum",
        "properties",
        "required",
        "items",
        "additionalProperties",
        "prefixItems",
        "minItems",
        "maxItems",
        "pattern",
        "minLength",
        "maxLength",
    }
)
_LIMITS: Final = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
_SIZES: Final = frozenset({"minProperties", "maxProperties"})
_NAMED: Final = frozenset({"properties", "$defs", "definitions"})
"""Keywords whose keys are names."""
_LISTED: Final = frozenset({"oneOf", "anyOf", "allOf", "prefixItems"})
_REFUSED: Final = frozenset(
    {
        "not",
        "if",
        "then",
        "else",
        "dependentSchemas",
        "dependentRequired",
        "patternProperties",
        "propertyNames",
        "contains",
        "unevaluatedProperties",
        "unevaluatedItems",
        "$dynamicRef",
    }
)
_NO_NAMES: Final = re.compile(r'("(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|\{[^}]*\})')
_NAMES: Final = re.compile(r"[A-Za-z0-9-]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
# Line breaks and other control characters are no JSON, but llama-cpp-python's rule lets them pass.
_CHARACTER: Final = r'[^"\\]'
_STRICT_CHARACTER: Final = r'[^"\\\x7F\x00-\x1F]'


def schema_rules(schema: Mapping[str, Any], name: str = "root") -> str:
    """The grammar of JSON texts that fit a schema.

    Args:
        schema: A JSON schema.
        name: Name of the rule to begin with; others are called so too, so that grammars can be put
            together. Letters, digits and hyphens.

    Raises:
        SettingsError: The schema is none, or says what llama.cpp's grammar cannot.
    """
    try:
        gbnf = _converted(json.loads(json.dumps(_known(schema))))
    except RecursionError as error:
        raise SettingsError("the JSON schema is nested too deeply for a grammar") from error
    # The converter asserts, and takes the schema's form for granted.
    except (AssertionError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        reason = str(error) or type(error).__name__
        raise SettingsError(
            f"llama.cpp's grammar cannot express the JSON schema: {reason}; leave that part out"
        ) from error
    return _renamed(gbnf.replace(_CHARACTER, _STRICT_CHARACTER), name)


def _converted(schema: dict[str, Any]) -> str:
    from llama_cpp.llama_grammar import PRIMITIVE_RULES, SchemaConverter

    class Converter(SchemaConverter):  # type: ignore[misc]
        """Mends what llama-cpp-python's copy of the converter gets wrong."""

        def _format_literal(self, text: str) -> str:
            # A constant's JSON: its backslashes are no escapes of the grammar.
            return literal(json.dumps(json.loads(text), ensure_ascii=False))

        def _build_object_rule(
            self, properties: Any, required: Any, name: str, additional_properties: Any
        ) -> Any:
            if additional_properties is True:
                additional_properties = _ANYTHING  # or they would be objects
            # Left out of the rule without a word: no text of the grammar would ever fit.
            unknown = sorted(required - {key for key, _ in properties})
            if unknown and not isinstance(additional_properties, dict):
                raise ValueError(
                    f"it requires {', '.join(unknown)}, which its properties do not define"
                )
            return super()._build_object_rule(properties, required, name, additional_properties)

        def visit(self, schema: Any, name: str) -> Any:
            if set(schema) - {"minLength", "maxLength"} != {"type"} or len(schema) == 1:
                return super().visit(schema, name)
            # Written out, long strings would be nested as deeply as they are long.
            least, most = schema.get("minLength", 0), schema.get("maxLength", "")
            characters = self._add_primitive("char", PRIMITIVE_RULES["char"])
            rule = rf'"\"" {characters}{{{least},{most}}} "\"" space'
            return self._add_rule(name or "root", rule)

    converter = Converter(prop_order={}, allow_fetch=False, dotall=False, raw_pattern=False)
    converter.visit(converter.resolve_refs(schema, "schema"), "")
    return str(converter.format_grammar())


def _known(schema: Any) -> Any:
    """The schema without annotations and bounds, which the converter trips over or passes over.

    Raises:
        ValueError: It holds a keyword that changes what fits and that nothing enforces, or a bound
            that is none.
    """
    if schema is True:
        return dict(_ANYTHING)
    if not isinstance(schema, Mapping):
        raise ValueError(f"{schema!r} is no schema")
    odd = sorted(_REFUSED & set(schema))
    if odd:
        raise ValueError(f"it uses {', '.join(odd)}")
    for key, value in schema.items():
        if not _is_bound(key, value):
            raise ValueError(f"{key} is {value!r}")
    kept: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _NAMED:
            kept[key] = {name: _known(one) for name, one in value.items()}
        elif key in _LISTED:
            kept[key] = [_known(one) for one in value]
        elif key == "items" or (key == "additionalProperties" and not isinstance(value, bool)):
            kept[key] = _known(value)
        elif key in _KEPT:
            kept[key] = value
    if len(kept.get("allOf", ())) == 1 and "properties" not in kept:
        kept |= kept.pop("allOf")[0]  # as pydantic writes a reference with a description
    if set(kept) <= {"$defs", "definitions"}:
        kept |= _ANYTHING
    if isinstance(kept.get("type"), list):
        kinds = kept.pop("type")
        return {"anyOf": [{**kept, "type": kind} for kind in kinds]}
    return kept


def _is_bound(key: str, value: Any) -> bool:
    """Whether the value of a keyword can be compared with; any value of another keyword."""
    if key in _LIMITS:
        return _is_number(value) and math.isfinite(value)
    if key == "multipleOf":
        return _is_number(value) and 0 < value < math.inf
    if key in _SIZES:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return key != "uniqueItems" or isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _renamed(gbnf: str, name: str) -> str:
    """The grammar with its own names behind `name`, and `name` for its root."""
    # Outside of literals, classes and repetitions every word is the name of a rule.
    parts = _NO_NAMES.split(gbnf)
    for at in range(0, len(parts), 2):
        parts[at] = _NAMES.sub(
            lambda found: name if found[0] == "root" else f"{name}-{found[0]}", parts[at]
        )
    return "".join(parts)


def literal(text: str) -> str:
    """A text as a literal of the grammar."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    escaped = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02X}", escaped)
    return f'"{escaped}"'


def combined(root: str, *rules: str) -> str:
    """A grammar from its root rule's right side and further rules."""
    return "\n".join((f"root ::= {root}", *rules))
