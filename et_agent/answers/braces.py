r"""Balanced braces: the content of `\boxed{}` and of other LaTeX commands, in linear time."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

__all__ = ["Group", "boxes", "nesting_depth", "read_group"]

_BOX_COMMAND = re.compile(r"\\(?:boxed|fbox|framebox)(?![A-Za-z])[ \t]*")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_BARE_BOX = re.compile(r"[^\s{}$\\.,;]+(?:[.,]\d+)*")


@dataclass(frozen=True)
class Group:
    """What stands between an opening brace and its partner."""

    content: str
    """The text inside, without the braces."""

    end: int
    """Offset just behind the closing brace, or the length of the text if there is none."""

    closed: bool
    """Whether the closing brace was found."""

    start: int = 0
    """Offset of the first character of the content."""

    command: int = 0
    """Offset of the command that opens it, for a box."""


def read_group(text: str, start: int) -> Group:
    r"""Read the group that opens at `text[start]`, which must be `{`.

    Escaped braces (`\{`, `\}`) do not count. Without a partner the group reaches to the end.
    """
    depth = 0
    for match in _BRACE.finditer(text, start):
        sign = match.group()
        if sign == "{":
            depth += 1
        elif sign == "}":
            depth -= 1
            if depth == 0:
                end = match.start()
                return Group(text[start + 1 : end], end + 1, closed=True, start=start + 1)
    return Group(text[start + 1 :], len(text), closed=False, start=start + 1)


def boxes(text: str) -> Iterator[Group]:
    r"""Yield the content of every box in `text`, first to last, inner boxes not apart.

    A box is `\boxed{...}`, `\fbox{...}`, `\framebox{...}` or, without braces, `\boxed 5`. An
    unclosed box reaches only to the end of its line: what follows is not its content.
    """
    position = 0
    while (command := _BOX_COMMAND.search(text, position)) is not None:
        start = command.end()
        if text[start : start + 1] == "{":
            group = read_group(text, start)
            if not group.closed:
                group = _first_line(text, start)
            yield replace(group, command=command.start())
            position = max(group.end, start + 1)
            continue
        bare = _BARE_BOX.match(text, start)
        if bare is not None:
            yield Group(bare.group(), bare.end(), True, start, command.start())
        position = start if bare is None else bare.end()


def _first_line(text: str, start: int) -> Group:
    newline = text.find("\n", start)
    end = len(text) if newline < 0 else newline
    return Group(text[start + 1 : end].rstrip(" \t$."), end, closed=False, start=start + 1)


def nesting_depth(text: str) -> int:
    """Return the deepest nesting of `{`, `(` and `[` together; unbalanced closers are ignored."""
    depth = deepest = 0
    for character in text:
        if character in "{([":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "})]":
            depth = max(0, depth - 1)
    return deepest
