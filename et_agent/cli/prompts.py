"""The system prompt of the command line."""

from pathlib import Path

from et_agent.errors import QuestionError

__all__ = ["read_system"]


def read_system(text: str) -> str:
    """A system prompt as given, or from a file for `@FILE`; empty for none.

    Raises:
        QuestionError: The file cannot be read, or the prompt is not a text.
    """
    from et_agent.asking.conversation import check_text

    what = "the system prompt"
    if text.startswith("@"):
        what = f"the system prompt in {text[1:]}"
        try:
            text = Path(text[1:]).expanduser().read_text(encoding="utf-8-sig").strip()
        except UnicodeDecodeError as error:
            raise QuestionError(
                f"{what} is not valid UTF-8 (byte {error.start + 1}): convert it to UTF-8"
            ) from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise QuestionError(f"cannot read {what}: {reason}") from error
    return check_text(text, what) if text else text
