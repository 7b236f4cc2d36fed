"""JSON as an answer: read strictly, and written so that equal values are equal texts."""

import json
import re
from typing import Any, Final

__all__ = ["canonical", "read_json", "read_json_at"]

_LARGEST_EXACT: Final = 2**53
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
        ValueError: It is no JSON, goes on after it, or holds a number beyond all floats.
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
    except RecursionError as error:
        raise ValueError("the JSON is nested too deeply") from error
    canonical(value)  # refuses infinite numbers, which 1e999 is read as
    return _mended(value), end


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


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
