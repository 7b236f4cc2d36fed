"""Reads the tool calls of a reply, as the model's template writes them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from et_agent.answers.structured import read_json_at, referred
from et_agent.templates.tool_format import (
    ID,
    INDEX,
    ToolFormat,
    decoded,
    filled,
    type_of,
)

__all__ = ["ReadCall", "kinds_of", "read_calls", "slotted"]

_SLOTS: Final = re.compile(f"([{ID}{INDEX}])")
_PATTERNS: Final = {ID: r"[\w.:-]{1,64}", INDEX: r"\d{1,3}"}
_KINDS: Final = ("null", "boolean", "integer", "number", "array", "object", "string")
"""JSON types, those first whose texts a string could have too."""


@dataclass(frozen=True, slots=True)
class ReadCall:
    """A tool call.

    Attributes:
        name: The tool.
        arguments: Its arguments by name.
        at: Where the arguments' JSON begins, characters; None where they are written one by one.
        spans: First character of each value that is written by itself, and the one after its last.
    """

    name: str
    arguments: dict[str, Any]
    at: int | None
    spans: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def kinds_of(schema: Any, root: Mapping[str, Any]) -> list[str]:
    """The JSON types that a schema allows, in the order in which a text is tried as one of them."""
    allowed = set(_kinds(schema, root, depth=0))
    return [kind for kind in _KINDS if kind in allowed]


def _kinds(schema: Any, root: Mapping[str, Any], depth: int) -> Iterator[str]:
    if not isinstance(schema, Mapping) or depth > 8:
        yield from _KINDS
        return
    if isinstance(schema.get("$ref"), str):
        yield from _kinds(referred(schema["$ref"], root), root, depth + 1)
        return
    given = schema.get("type")
    for key in ("anyOf", "oneOf"):
        if given is None and isinstance(schema.get(key), Sequence):
            for one in schema[key]:
                yield from _kinds(one, root, depth + 1)
            return
    if given is None and ("enum" in schema or "const" in schema):
        yield from map(type_of, schema.get("enum", [schema.get("const")]))
        return
    if given is None and isinstance(schema.get("allOf"), Sequence) and schema["allOf"]:
        yield from _kinds(schema["allOf"][0], root, depth + 1)
        return
    for kind in [given] if isinstance(given, str) else given or _KINDS:
        yield kind
        if kind == "number":
            yield "integer"


def read_calls(
    form: ToolFormat, text: str, at: int, schemas: Mapping[str, Mapping[str, Any]]
) -> list[ReadCall]:
    """The calls of a reply, which ends with them.

    Args:
        form: How they are written.
        text: The reply.
        at: Where the first name stands, characters.
        schemas: The schema of each tool's arguments, by the tool's name.

    Raises:
        ValueError: A call is cut off, or written in another form.
    """
    return _Reader(form, text, schemas).calls(at)


class _Reader:
    def __init__(
        self, form: ToolFormat, text: str, schemas: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self._form, self._text, self._schemas = form, text, schemas
        self._names = sorted(schemas, key=len, reverse=True)

    def calls(self, at: int) -> list[ReadCall]:
        found: list[ReadCall] = []
        while True:
            call, rests, at = self._call(at)
            found.append(call)
            between, closing = rests
            more = None if between is None else self._match(between, at)
            if more is not None and self._named(more):
                at = more
                continue
            end = self._match(closing.rstrip(), at)
            if end is None or self._text[end:].strip():
                raise ValueError("the calls do not end as the template writes it")
            return found

    def _match(self, text: str, at: int) -> int | None:
        """Where a text of the format ends that stands at a place; spaces may stand before it."""
        pattern = slotted(text)
        found = re.compile(pattern).match(self._text, at) or re.compile(rf" *{pattern}").match(
            self._text, at
        )
        return None if found is None else found.end()

    def _named(self, at: int) -> bool:
        return any(self._text.startswith(name, at) for name in self._names)

    def _call(self, at: int) -> tuple[ReadCall, tuple[str | None, str], int]:
        form = self._form
        for name in self._names:
            if not self._text.startswith(name, at):
                continue
            behind = at + len(name)
            bare = form.parameters
            if bare is not None and bare.bare_closing is not None:
                rests = _filled_rests(bare.bare_between, bare.bare_closing, name)
                if any(one is not None and self._match(one.rstrip(), behind) for one in rests):
                    return ReadCall(name, {}, None), rests, behind
            for middle in (form.middle, *form.middles):
                begins = self._match(filled(middle, name=name), behind)
                if begins is None:
                    continue
                if bare is not None:
                    return self._with_parameters(name, begins)
                value, end = read_json_at(self._text, begins)
                if not isinstance(value, dict):
                    raise ValueError("the arguments are no object")
                rests = _filled_rests(form.between, form.closing, name)
                return ReadCall(name, value, begins), rests, end
        raise ValueError("no call of a tool follows")

    def _with_parameters(self, name: str, at: int) -> tuple[ReadCall, tuple[str | None, str], int]:
        form, schema = self._form, self._schemas[name]
        assert form.parameters is not None
        properties = schema.get("properties") or {}
        keys = sorted(properties, key=len, reverse=True)
        arguments: dict[str, Any] = {}
        spans: dict[str, tuple[int, int]] = {}
        while True:
            key = next((one for one in keys if self._text.startswith(one, at)), None)
            if key is None or key in arguments:
                raise ValueError("no argument of the tool follows")
            rests = _filled_rests(form.between, form.closing, name, key)
            separator = filled(form.parameters.separator, name=name, key=key)
            value, span, at = self._value(
                at + len(key),
                key,
                kinds_of(properties[key], schema),
                [separator, *filter(None, rests)],
            )
            arguments[key], spans[key] = value, span
            more = self._match(separator, at)
            if more is not None and any(self._text.startswith(one, more) for one in keys):
                at = more
                continue
            return ReadCall(name, arguments, None, spans), rests, at

    def _value(
        self, at: int, key: str, kinds: Sequence[str], rests: Sequence[str]
    ) -> tuple[Any, tuple[int, int], int]:
        """The value of an argument, where it stands, and where what ends it ends."""
        assert self._form.parameters is not None
        for kind in kinds:
            how = self._form.parameters.values.get(kind)
            begins = None if how is None else self._match(filled(how.before, key=key), at)
            if how is None or begins is None:
                continue
            after = re.escape(filled(how.after, key=key))
            ends = "|".join(slotted(one.rstrip()) for one in rests)
            for found in re.compile(f"{after}(?={ends})").finditer(self._text, begins):
                try:
                    value = decoded(self._text[begins : found.start()], how)
                except ValueError:
                    continue
                if type_of(value) == kind or (kind == "number" and type_of(value) == "integer"):
                    return value, (begins, found.start()), found.end()
        raise ValueError(f"no value of {key} follows")


def _filled_rests(
    between: str | None, closing: str, name: str, key: str = ""
) -> tuple[str | None, str]:
    more = None if between is None else filled(between, name=name, key=key)
    return more, filled(closing, name=name, key=key)


def slotted(text: str) -> str:
    """The pattern of a text of a format, its names in their places."""
    return "".join(_PATTERNS.get(part) or re.escape(part) for part in _SLOTS.split(text))
