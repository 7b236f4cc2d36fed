"""The system prompt, the passages and the schema of the command line."""

from typing import Any

from et_agent.cli.questions import piped_context
from et_agent.cli.standard_input import NAME, stdin_text
from et_agent.errors import QuestionError, SettingsError
from et_agent.storage import read_given
from et_agent.validation import parsed_json

__all__ = ["read_passages", "read_schema", "read_system"]


def read_system(text: str | None) -> str | None:
    """A system prompt as given, or from a file for `@FILE`; "" for none, None for the default.

    Raises:
        QuestionError: The file cannot be read, or the prompt is not a text.
    """
    if text is None:
        return None
    found, what = _given(text, "the system prompt")
    return _checked(found, what) if found else found


def read_passages(texts: list[str] | None, *others: str | None) -> tuple[str, ...] | None:
    """Passages as given, or from a file for `@FILE`, and what was piped in; None without any.

    Args:
        texts: Those that options give.
        others: What else may name standard input: questions, the system prompt.

    Raises:
        QuestionError: A file cannot be read, or a passage is empty or not a text.
    """
    texts = texts or []
    named = [
        _given(text, f"passage {number}" if len(texts) > 1 else "the passage")
        for number, text in enumerate(texts, 1)
    ]
    given = [_checked(found, what) for found, what in named]
    return (*given, *piped_context(*others, *texts)) or None


def _checked(text: str, what: str) -> str:
    from et_agent.asking.conversation import check_text

    return check_text(text, what)


def _given(text: str, what: str) -> tuple[str, str]:
    """A text, that of a file for `@FILE`, and what messages call it."""
    if not text.startswith("@"):
        return text, what
    if text == "@-":
        return stdin_text().strip(), f"{what} in {NAME}"
    what = f"{what} in {text[1:]}"
    try:
        return read_given(text[1:]).decode("utf-8-sig").strip(), what
    except UnicodeDecodeError as error:
        raise QuestionError(
            f"{what} is not valid UTF-8 (byte {error.start + 1}): convert it to UTF-8"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise QuestionError(f"cannot read {what}: {reason}") from error


def read_schema(file: str) -> dict[str, Any]:
    """A JSON schema from a file.

    Raises:
        SettingsError: The file cannot be read, holds no JSON object, or a schema that no grammar can
            express.
    """
    try:
        found = parsed_json(read_given(file).decode("utf-8-sig"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingsError(f"cannot read the schema {file}: {reason}") from error
    if not isinstance(found, dict):
        raise SettingsError(
            f"the schema {file} is not a JSON object: write one such as "
            '{"type": "object", "properties": …}'
        )
    from et_agent.grammar import json_rule

    json_rule(found)  # now, not when the model is loaded
    return found
