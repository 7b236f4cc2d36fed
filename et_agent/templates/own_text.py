# ruff: noqa: D102  (methods do what those of `str` do)
"""Text that knows which of its characters a chat template wrote itself, through all string operations.

A text of which that is not known counts as text from outside. So an operation that forgets where its
characters come from takes control tokens away, and never lets one in.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, Self, SupportsIndex

__all__ = ["OwnText", "Piece", "joined", "own", "pieces_of"]

_OWN: Final = b"\1"
_GIVEN: Final = b"\0"


class OwnText(str):
    """A text with a byte per character: 1 for the template's own, 0 for one from outside.

    Attributes:
        mask: Those bytes.
    """

    __slots__ = ("mask",)
    mask: bytes

    def __new__(cls, text: str, mask: bytes | None = None) -> Self:
        """A text; one from outside if nothing is said of its characters."""
        made = super().__new__(cls, text)
        made.mask = _mask(text) if mask is None else mask
        return made

    def __str__(self) -> str:
        return self

    def __add__(self, other: str) -> "OwnText":
        return joined((self, other))

    def __radd__(self, other: str) -> "OwnText":
        return joined((other, self))

    def __mul__(self, times: SupportsIndex) -> "OwnText":
        return OwnText(super().__mul__(times), self.mask * times)

    __rmul__ = __mul__

    def __getitem__(self, key: Any) -> "OwnText":
        mask = self.mask[key]
        return OwnText(super().__getitem__(key), mask if isinstance(mask, bytes) else bytes([mask]))

    def __iter__(self) -> Iterator["OwnText"]:
        return (self[at] for at in range(len(self)))

    def _part(self, start: int, length: int) -> "OwnText":
        return self[start : start + length]

    def strip(self, chars: str | None = None) -> "OwnText":
        return self.lstrip(chars).rstrip(chars)

    def lstrip(self, chars: str | None = None) -> "OwnText":
        return self[len(self) - len(super().lstrip(chars)) :]

    def rstrip(self, chars: str | None = None) -> "OwnText":
        return self[: len(super().rstrip(chars))]

    def removeprefix(self, prefix: str, /) -> "OwnText":
        return self[len(self) - len(super().removeprefix(prefix)) :]

    def removesuffix(self, suffix: str, /) -> "OwnText":
        return self[: len(super().removesuffix(suffix))]

    def _parts(self, parts: Iterable[str], *, backwards: bool = False) -> "list[OwnText]":
        """The same stretches of this text, found one after the other."""
        found: list[OwnText] = []
        at = len(self) if backwards else 0
        for part in reversed(list(parts)) if backwards else parts:
            if backwards:
                at = self.rindex(part, 0, at)
                found.insert(0, self._part(at, len(part)))
            else:
                at = self.index(part, at)
                found.append(self._part(at, len(part)))
                at += len(part)
        return found

    def split(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> "list[OwnText]":  # type: ignore[override]
        if sep is None:
            return self._parts(super().split(None, maxsplit))
        found, at = [], 0
        for part in super().split(sep, maxsplit):
            found.append(self._part(at, len(part)))
            at += len(part) + len(sep)
        return found

    def rsplit(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> "list[OwnText]":  # type: ignore[override]
        if sep is None:
            return self._parts(super().rsplit(None, maxsplit), backwards=True)
        found: list[OwnText] = []
        end = len(self)
        for part in reversed(super().rsplit(sep, maxsplit)):
            found.insert(0, self._part(end - len(part), len(part)))
            end -= len(part) + len(sep)
        return found

    def splitlines(self, keepends: bool = False) -> "list[OwnText]":  # type: ignore[override]
        whole = self._parts(super().splitlines(keepends=True))
        if keepends:
            return whole
        return [one[: len(bare)] for one, bare in zip(whole, super().splitlines(), strict=True)]

    def partition(self, sep: str, /) -> "tuple[OwnText, OwnText, OwnText]":
        return self._three(self.find(sep), sep, missing=len(self))

    def rpartition(self, sep: str, /) -> "tuple[OwnText, OwnText, OwnText]":
        return self._three(self.rfind(sep), sep, missing=0)

    def _three(self, at: int, sep: str, *, missing: int) -> "tuple[OwnText, OwnText, OwnText]":
        end = missing if at < 0 else at + len(sep)
        at = missing if at < 0 else at
        return self[:at], self[at:end], self[end:]

    def replace(self, old: str, new: str, count: SupportsIndex = -1) -> "OwnText":
        if not old:
            return OwnText(super().replace(old, new, count))
        return joined(_between(new, self.split(old, count)))

    def join(self, parts: Iterable[str], /) -> "OwnText":
        return joined(_between(self, parts))

    def _case(self, changed: str) -> "OwnText":
        return OwnText(changed, self.mask if len(changed) == len(self) else None)

    def upper(self) -> "OwnText":
        return self._case(super().upper())

    def lower(self) -> "OwnText":
        return self._case(super().lower())

    def title(self) -> "OwnText":
        return self._case(super().title())

    def capitalize(self) -> "OwnText":
        return self._case(super().capitalize())


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a rendered prompt; `control` says that the template itself wrote it."""

    text: str
    control: bool


def pieces_of(text: OwnText) -> list[Piece]:
    """A text in stretches that the template wrote, and others."""
    found, at = [], 0
    for written, run in groupby(text.mask):
        length = sum(1 for _ in run)
        found.append(Piece(str.__getitem__(text, slice(at, at + length)), control=bool(written)))
        at += length
    return found


def own(text: str) -> OwnText:
    """A text that is the template's own, all of it."""
    return OwnText(text, _OWN * len(text))


def joined(parts: Iterable[str]) -> OwnText:
    """Texts in a row."""
    listed = list(parts)
    return OwnText("".join(listed), b"".join(map(_mask, listed)))


def _mask(text: str) -> bytes:
    return text.mask if isinstance(text, OwnText) else _GIVEN * len(text)


def _between(text: str, parts: Iterable[str]) -> Iterator[str]:
    """Parts with a text between them."""
    for number, part in enumerate(parts):
        if number:
            yield text
        yield part
