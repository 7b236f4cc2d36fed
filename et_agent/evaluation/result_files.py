"""Files of results as `et-agent ask --json` prints them: one, or one per line."""

from pathlib import Path
from typing import Any

from et_agent.errors import DataError
from et_agent.storage import read_given
from et_agent.validation import parsed_json

__all__ = ["read_documents", "read_text"]


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        DataError: It cannot be read, or is not UTF-8.
    """
    try:
        return read_given(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not valid UTF-8 (byte {error.start + 1}): convert it to UTF-8"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{path} cannot be read: {reason}") from error


def read_documents(text: str, name: str) -> list[tuple[int, Any]]:
    """JSON documents with the lines that they begin in: one over several lines, or one per line.

    Args:
        text: The text.
        name: Where it is from, for messages.

    Raises:
        DataError: It is not JSON; names the line.
    """
    # Not splitlines(), which takes characters within a text for line ends.
    lines = [(at, line) for at, line in enumerate(text.split("\n"), 1) if line.strip()]
    found: list[tuple[int, Any]] = []
    for number, line in lines:
        try:
            found.append((number, parsed_json(line)))
        except ValueError as error:
            if not found and len(lines) > 1:
                return [(number, _whole(text, name))]
            raise DataError(f"{name}, line {number} is not JSON ({error}): correct it") from error
    return found


def _whole(text: str, name: str) -> Any:
    try:
        return parsed_json(text)
    except ValueError as error:
        raise DataError(
            f"{name} is not JSON ({error}): use what `et-agent ask --json` prints"
        ) from error
