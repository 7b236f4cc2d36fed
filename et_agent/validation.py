"""Data that is checked once and stays as it is, messages for what pydantic rejects, foreign JSON."""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

__all__ = ["Frozen", "explained", "parsed_json"]


class Frozen(BaseModel):
    """Data that cannot change, without unknown fields, NaN or infinities."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )


def explained(name: str, error: ValidationError) -> str:
    """Return one line that says what is wrong with each field, and what was given."""
    parts = []
    for item in error.errors(include_url=False):
        where = ".".join(str(part) for part in item["loc"])
        got = f" (got {item['input']!r})" if where and item["type"] != "missing" else ""
        message = str(item["msg"]).removeprefix("Value error, ")
        parts.append(f"{where}: {message}{got}" if where else message)
    return f"{name}: " + "; ".join(parts)


def parsed_json(text: str | bytes) -> Any:
    """Read JSON that somebody else wrote.

    Raises:
        ValueError: It is not JSON, not UTF-8, or nested too deeply to be read.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
