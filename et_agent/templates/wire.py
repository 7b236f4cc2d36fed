"""What a template gets and gives, as JSON that keeps apart which characters are the template's own."""

from collections.abc import Mapping
from typing import Any

from et_agent.templates.own_text import OwnText

__all__ = ["from_wire", "to_wire"]

_TO_DIGITS = bytes.maketrans(b"\0\1", b"01")
_FROM_DIGITS = bytes.maketrans(b"01", b"\0\1")


def to_wire(value: Any) -> Any:
    """A value of plain JSON types and `OwnText`, as plain JSON: lists and objects are tagged."""
    if isinstance(value, OwnText):
        return ["own", str.__str__(value), value.mask.translate(_TO_DIGITS).decode()]
    if isinstance(value, Mapping):
        return ["object", *([to_wire(key), to_wire(one)] for key, one in value.items())]
    if isinstance(value, list | tuple):
        return ["array", *map(to_wire, value)]
    return value


def from_wire(value: Any) -> Any:
    """The value that `to_wire` was given."""
    if not isinstance(value, list):
        return value
    kind, *rest = value
    if kind == "own":
        text, mask = rest
        return OwnText(text, mask.encode().translate(_FROM_DIGITS))
    if kind == "object":
        return {from_wire(key): from_wire(one) for key, one in rest}
    return [from_wire(one) for one in rest]
