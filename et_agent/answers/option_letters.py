# Unicode look-alikes are what this reads.
# ruff: noqa: RUF001, RUF002
"""Letters of options in other alphabets, and which Latin letters they are read as.

Options may be named А, Б, В or ア, イ, ウ. The patterns of `choice` know A to J; a text in another
alphabet is put into these letters, each in its place, and what is found is put back.
"""

import functools
import re
from collections.abc import Mapping
from typing import Final

__all__ = ["LATIN", "alphabet_of", "alphabets_in", "in_alphabet", "in_latin"]

LATIN: Final = "ABCDEFGHIJ"
_ENDS: Final = r"(?=\s*(?:[).:,;!?»\"”’*}\]—–-]|$|(?:и|или|верн\w*|неверн\w*|правильн\w*|не)\b))"
_STANDING: Final[Mapping[str, str]] = {
    # Where such a letter stands by itself; some are words as well.
    "АБВГДЕЖЗИК": rf"(?<!\w)(?:[БГДЕЖЗ](?!\w)|[АВИК](?!\w){_ENDS}"
    r"|(?:(?<=\()|(?<=^)|(?<=\n))[а-ик](?=\)))",
    "アイウエオカキクケコ": r"(?<![ァ-ヶー])[アイウエオカキクケコ](?![ァ-ヶー])",
    "가나다라마바사아자차": r"(?<![가-힣])[가나다라마바사아자차]"
    r"(?=\s*[).:,、}\]]|\W*$|입니다|이다|[와과] )",
    "أبجده": r"(?<![\u0620-\u0652])[أابجده](?![\u0620-\u0652])",
    "कखगघङ": r"(?<![\u0900-\u097f])[कखगघङ](?![\u0900-\u097f])",
}
_LONE_LATIN: Final = re.compile(r"(?<![A-Za-z0-9_])[A-Ja-j](?![A-Za-z0-9_])")


@functools.cache
def _pattern(alphabet: str) -> re.Pattern[str]:
    return re.compile(_STANDING[alphabet])


def alphabets_in(text: str) -> list[str]:
    """Alphabets whose first letters stand in a text by themselves, the Latin one left out."""
    if text.isascii():
        return []
    return [one for one in _STANDING if one[0] in text or one[0].lower() in text]


def alphabet_of(options: Mapping[str, str]) -> str:
    """The alphabet of options by letter; the Latin one for none."""
    first = next(iter(options), LATIN[0])
    return next((one for one in _STANDING if one[0] == first), LATIN)


def in_latin(text: str, alphabet: str) -> str:
    """Put letters of an alphabet that stand by themselves into Latin ones, each in its place.

    Latin letters go: beside А, Б, В a "B" may be the second letter or the third.
    """
    if alphabet == LATIN:
        return text
    lone = text.strip(" \t\n().:;*$")
    if len(lone) == 1 and alphabet.startswith("А") and lone.upper() in alphabet:
        return _latin(lone, alphabet)
    bare = _LONE_LATIN.sub("\0", text)
    if alphabet.startswith("А"):  # of which "A" is the first in any case
        kept = zip(text, bare, strict=True)
        bare = "".join("А" if (was, now) == ("A", "\0") else now for was, now in kept)
    return _pattern(alphabet).sub(lambda match: _latin(match.group(), alphabet), bare)


def _latin(letter: str, alphabet: str) -> str:
    at = alphabet.find("أ" if letter == "ا" else letter.upper())
    latin = LATIN[at]
    return latin.lower() if letter != letter.upper() else latin


def in_alphabet(letters: str, alphabet: str) -> str:
    """Put "A, C" back into the letters of an alphabet."""
    return "".join(alphabet[LATIN.index(one)] if one in LATIN else one for one in letters)
