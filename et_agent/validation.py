"""Data that is checked once and stays as it is, and messages for what pydantic rejects."""

from pydantic import BaseModel, ConfigDict, ValidationError

__all__ = ["Frozen", "explained"]


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
