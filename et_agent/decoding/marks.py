"""Texts that end with what may become a mark: a stop sequence, the end of a thought, a tool call."""

from collections.abc import Iterable
from typing import AnyStr

__all__ = ["without_begun"]


def without_begun(text: AnyStr, marks: Iterable[AnyStr]) -> AnyStr:
    """A text up to the longest end of it that is the beginning of a mark, but not a whole one."""
    held = 0
    for mark in marks:
        sizes = range(min(len(mark) - 1, len(text)), held, -1)
        held = next((size for size in sizes if text.endswith(mark[:size])), held)
    return text[: len(text) - held]
