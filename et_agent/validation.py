"""Messages for values that pydantic rejects."""

from pydantic import ValidationError

__all__ = ["explained"]


def explained(name: str, error: ValidationError) -> str:
    """Return one line that says what is wrong with each field, and what was given."""
    parts = []
    for item in error.errors(include_url=False):
        where = ".".join(str(part) for part in item["loc"])
        got = f" (got {item['input']!r})" if where and item["type"] != "missing" else ""
        parts.append(f"{where}: {item['msg']}{got}" if where else str(item["msg"]))
    return f"{name}: " + "; ".join(parts)
