"""Texts of special tokens, which text from outside must not become."""

import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Final

from et_agent.templates.own_text import Piece

__all__ = ["Marks"]

_SIGN: Final = re.compile(r"[^\w\s]")
_TAG: Final = re.compile(r"[<\[>][^\s]*[>\]<]")


class Marks:
    """Finds the special tokens that a text from outside spells.

    Args:
        control: Texts of control tokens.
        defined: Texts of tokens that a vocabulary takes out of any text. Those that look like tags, or
            that a template writes, are marks; words and runs of spaces are ordinary text.
        written: What templates write.
    """

    def __init__(self, control: Iterable[str], defined: Iterable[str], written: str = "") -> None:
        tags = (one for one in defined if _is_mark(one, written))
        self._texts = frozenset(one for one in (*control, *tags) if len(one) > 1)
        heads: dict[str, list[str]] = {}
        for text in self._texts:
            heads.setdefault(text[:2], []).append(text)
        self._heads = heads

    def cut(self, pieces: Sequence[Piece]) -> list[str]:
        """The text of pieces, cut within each mark that the template did not write itself, all of it.

        No part spells such a mark; without any the text is one part.
        """
        text = "".join(piece.text for piece in pieces)
        own = b"".join((b"\1" if one.control else b"\0") * len(one.text) for one in pieces)
        if b"\0" not in own:
            return [text]
        cuts: set[int] = set()
        for head, marks in self._heads.items():
            if head not in text:
                continue
            for mark in marks:
                at = text.find(mark)
                while at >= 0:
                    given = own.find(b"\0", at, at + len(mark))
                    if given >= 0:
                        cuts.add(max(given, at + 1))
                    at = text.find(mark, at + 1)
        bounds = [0, *sorted(cuts), len(text)]
        return [text[a:b] for a, b in itertools.pairwise(bounds)]


def _is_mark(text: str, written: str) -> bool:
    if len(text) > 2 and _TAG.fullmatch(text):
        return True
    return text in written and _SIGN.search(text) is not None
