"""Writing to terminals: text from models can never control them, and no character can fail."""

import io
import os
import re
import sys
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = [
    "bar",
    "duration",
    "error_console",
    "has_unicode",
    "is_watched",
    "make_streams_safe",
    "one_line",
    "output_console",
    "print_block",
    "say",
    "tell_deprecated",
    "visible",
    "write_line",
]

_JOINERS: Final = "\u200c\u200d"  # they hold emoji and scripts together and move nothing
_CLEAR_LINE: Final = "\r\x1b[2K"
_BLOCKS: Final = " ▏▎▍▌▋▊▉"
_CONTROL_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def visible(text: str, *, keep: str = "") -> str:
    r"""Spell out control characters, except those in `keep`: an escape becomes `\x1b`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        _spell(c)
        if unicodedata.category(c) in _CONTROL_CATEGORIES and c not in keep and c not in _JOINERS
        else c
        for c in text
    )


def _spell(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def one_line(text: str, *, newline: str = " ") -> str:
    """Fold text into one line of visible characters; `newline` stands for line breaks."""
    folded = re.sub(r"[^\S\n]*\n\s*", newline, text)
    return visible(re.sub(r"[^\S\n]+", " ", folded))


def make_streams_safe() -> None:
    """Let standard output and error spell out what their encoding does not have.

    A stream that the caller closed goes nowhere.
    """
    if sys.stdout is None or sys.stderr is None:
        nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
        sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def is_watched() -> bool:
    """Whether a person sees both output streams, so that a live display is of use."""
    terminals = sys.stdout.isatty() and sys.stderr.isatty()
    return terminals and os.environ.get("TERM", "").lower() not in {"dumb", "unknown"}


def has_unicode(encoding: str | None) -> bool:
    """Whether a stream's encoding has every character, such as those that bars are drawn with."""
    return (encoding or "").lower().startswith("utf")


def output_console() -> "Console":
    """A console on standard output; plain text if that is not a terminal."""
    return _console(stderr=False)


def error_console() -> "Console":
    """A console on standard error; plain text if that is not a terminal."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> "Console":
    from rich.console import Console

    class PipeConsole(Console):
        """Leaves a broken pipe to the command, which must stop decoding first."""

        def on_broken_pipe(self) -> None:
            raise

    stream = sys.stderr if stderr else sys.stdout
    return PipeConsole(
        file=stream,
        force_terminal=None if stream.isatty() else False,
        highlight=False,
        markup=False,
        emoji=False,
    )


def print_block(console: "Console", block: "RenderableType") -> None:
    """Print something; without the spaces at line ends where no person watches."""
    if console.is_terminal:
        console.print(block)
        return
    with console.capture() as capture:
        console.print(block, soft_wrap=False)
    lines = [line.rstrip() for line in capture.get().split("\n")]
    stream = console.file
    stream.write("\n".join(lines))


def write_line(text: str) -> None:
    """Write a line to standard output at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """Write a line for people to standard error, in place of a spinner that turns there."""
    start = _CLEAR_LINE if sys.stderr.isatty() else ""
    sys.stderr.write(start + visible(text, keep="\n") + "\n")
    sys.stderr.flush()


def tell_deprecated(old: str, new: str) -> None:
    """Say on standard error that an option has another spelling now."""
    say(f"note: {old} is deprecated: use {new}")


def duration(seconds: float) -> str:
    """Seconds as `m:ss` or `h:mm:ss`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def bar(share: float, width: int, *, ascii_only: bool = False) -> str:
    """A bar of at most `width` columns for a share in [0, 1]; never empty for a share above 0."""
    share = min(max(share, 0.0), 1.0)
    if ascii_only:
        return "#" * max(round(share * width), int(share > 0))
    eighths = max(round(share * width * 8), int(share > 0))
    full, rest = divmod(eighths, 8)
    return "█" * full + (_BLOCKS[rest] if rest else "")
