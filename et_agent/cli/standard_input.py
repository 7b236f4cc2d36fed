"""Standard input, read once: a question, questions, or what a question is about."""

import os
import stat
import sys
import threading
import weakref
from typing import Final

from et_agent.cli.terminal import say
from et_agent.errors import QuestionError

__all__ = ["NAME", "given_text", "piped_text", "stdin_text"]

NAME: Final = "standard input"
"""What messages call it."""
_PATIENCE: Final = 2.0
"""Seconds after which a person is told what is waited for."""
_read: Final[weakref.WeakSet[object]] = weakref.WeakSet()
"""Streams of which nothing is left."""


def given_text(text: str) -> str:
    """A text of the command line; that of standard input for "-".

    Raises:
        QuestionError: As `stdin_text`.
    """
    return stdin_text().strip() if text == "-" else text


def stdin_text() -> str:
    """All of standard input.

    Raises:
        QuestionError: It is closed, was read before, or is not UTF-8.
    """
    if sys.stdin is None:
        raise QuestionError(f"{NAME} is closed: pipe a text into the command")
    if sys.stdin in _read:
        raise QuestionError(f"- is {NAME}, which is read once: name it once")
    _read.add(sys.stdin)
    told = threading.Timer(
        _PATIENCE, say, [f"reading {NAME} to its end; `</dev/null` gives it none"]
    )
    told.daemon = True
    told.start()
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise QuestionError(
            f"{NAME} is not valid UTF-8 (byte {error.start + 1}): convert it to UTF-8"
        ) from error
    except OSError as error:
        raise QuestionError(f"cannot read {NAME}: {error.strerror or error}") from error
    finally:
        told.cancel()


def piped_text() -> str:
    """What was piped or redirected into the command; empty for nothing.

    A terminal or a device is not read, and neither is a file that another program is reading, such as
    the list that a loop of the shell goes through.

    Raises:
        QuestionError: It is not UTF-8.
    """
    return stdin_text().strip() if _is_piped() else ""


def _is_piped() -> bool:
    try:
        number = sys.stdin.fileno()
        mode = os.fstat(number).st_mode
        if stat.S_ISREG(mode):
            return os.lseek(number, 0, os.SEEK_CUR) == 0
        return stat.S_ISFIFO(mode)
    except (AttributeError, OSError, ValueError):
        return False  # closed, or none of the system's
