"""Which pieces of a leaf's text say something of its answer."""

import re
from collections.abc import Sequence

from et_agent.arguments import checks_arguments

__all__ = ["mentions"]

_WORDS = re.compile(r"[^\W_]+")
_SHORT_WORD = 3
"""Small words of this length or less, such as "of the", are in too many texts to tell anything."""


@checks_arguments
def mentions(pieces: Sequence[str], answer: str | None) -> list[bool]:
    """Tell of each piece whether it holds a digit or begins a word of the answer.

    Numbers count in every text: intermediate results decide the last one.

    Args:
        pieces: The text, cut into pieces as the model writes it: words or parts of words.
        answer: The answer as results show it; None when the text gives none.
    """
    words = {
        word
        for word in _WORDS.findall(answer or "")
        if len(word) == 1 or len(word) > _SHORT_WORD or not word.islower()
    }
    return [
        any(character.isdigit() for character in piece) or _begins(piece.strip(), words)
        for piece in pieces
    ]


def _begins(piece: str, words: set[str]) -> bool:
    if len(piece) < 2:
        return piece in words
    return any(word.startswith(piece) for word in words)
