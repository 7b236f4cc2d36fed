"""How much of one text another has: beginnings of words, or pairs of signs without spaces."""

import re
from typing import Final

from et_agent.answers.text import normalised

__all__ = ["overlap", "share_held", "stems"]

_WORD: Final = re.compile(r"\w+")
_UNSPACED: Final = re.compile(r"[\u0e00-\u0e7f\u3040-\u9fff]+")
"""Scripts that write no spaces between words: Chinese, Japanese, Thai."""
_STEM: Final = 5
"""Letters by which words are compared: "interpolate" and "interpolation" are one."""


def stems(text: str, *, least: int = 3) -> frozenset[str]:
    """The beginnings of a text's words, its numbers, and the pairs of signs where words have no spaces.

    Args:
        text: The text, of any length; a million characters take seconds.
        least: Letters of the shortest word that counts; numbers count always, and whole.
    """
    found: set[str] = set()
    for word in _WORD.findall(normalised(text)):
        for run in _UNSPACED.findall(word):
            found.update(run[at : at + 2] for at in range(max(1, len(run) - 1)))
        spaced = _UNSPACED.sub("", word)
        if any(map(str.isdigit, spaced)):
            found.add(spaced)
        elif len(spaced) >= least:
            found.add(spaced[:_STEM])
    return frozenset(found)


def overlap(one: frozenset[str], other: frozenset[str]) -> float:
    """Dice's coefficient of two sets of `stems`, 0 to 1; 1 where both are empty."""
    total = len(one) + len(other)
    return 2 * len(one & other) / total if total else 1.0


def share_held(part: frozenset[str], whole: frozenset[str]) -> float:
    """Which share of `part` is in `whole`, 0 to 1; 1 where it is empty."""
    return len(part & whole) / len(part) if part else 1.0
