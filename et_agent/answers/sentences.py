"""The sentences of a reply that state something, and where they stand in it."""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from et_agent.answers.language import language_of
from et_agent.answers.latex import strip_markdown
from et_agent.answers.own_words import code_blocks

__all__ = ["Sentence", "holds_several", "sentences"]

_MOST_CHARACTERS: Final = 100_000
_MOST_IN_LINE: Final = 10_000
_FENCE: Final = re.compile(r"^[ \t]*(?:`{3,}|~{3,})", re.MULTILINE)
_ITEM: Final = re.compile(
    r"[ \t]*(?:(?:[-*+•–—]|\d{1,3}[.)、．]|\(?[a-z]\)|#{1,6}|>)[ \t]+|\d{1,3}[、．])*"
)
_TABLE_ROW: Final = re.compile(r"[ \t]*\|")
_LETTERS: Final = re.compile(r"[^\W\d_]+")
_UNSPACED: Final = re.compile(r"[\u0e00-\u0e7f\u3040-\u9fff]")
_STATES_NOTHING: Final = re.compile(r"[:：?？][\"'”’»)\]*]*$")
_NUMBER_POINT: Final = re.compile(r"(?<!\d)\d{1,3}\.\s*$")
_ENDED: Final = re.compile(r"[.!…。！।][\"'”’»)\]*]*$")
_COURTESY: Final = re.compile(
    r"(?:i hope|hope (?:this|that)|let me know|please let me|if you have|is there anything else|"
    r"feel free|sure[,!.]|certainly[,!.]|of course[,!.]|here (?:is|are)\b[^.]*[:.]$)",
    re.IGNORECASE,
)
_LEAST_WORDS: Final = 3
_LEAST_SIGNS: Final = 4
_SEVERAL_WORDS: Final = 10
_SEVERAL_SIGNS: Final = 20
_LONGEST: Final = 600


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a reply.

    Attributes:
        text: The sentence without the marks of lists and emphasis.
        start, end: Where it stands in the reply, characters.
    """

    text: str
    start: int
    end: int


def sentences(text: str, *, finished: bool = True) -> list[Sentence]:
    """The sentences of a reply that state something, first to last.

    A line ends a sentence, and so does what ends one in the reply's language (the library sentencex).
    Blocks of code, rows of tables, headings that end in a colon, questions, courtesies and fragments of
    one or two words state nothing.

    Args:
        text: The reply; what follows its first 100,000 characters is not read.
        finished: False for a reply that was cut off, whose last words are then no sentence.
    """
    import sentencex

    text = text[:_MOST_CHARACTERS]
    language = language_of(text)
    found = []
    for start, line in _lines(text):
        at = start
        for piece in _joined(sentencex.segment(language, line)):
            begin = text.find(piece, at)
            if begin < 0:  # what the library changed has no place in the reply
                continue
            at = begin + len(piece)
            stripped = piece.strip()
            begin += len(piece) - len(piece.lstrip())
            shown = strip_markdown(stripped)
            if _states(shown):
                found.append(Sentence(shown, begin, begin + len(stripped)))
    last = found[-1] if found and found[-1].end == len(text.rstrip()) else None
    if not finished and last is not None and not _ENDED.search(last.text):
        found.pop()
    return found


def holds_several(sentence: str) -> bool:
    """Whether a sentence is long enough to state several things, and no endless one."""
    if len(sentence) > _LONGEST:
        return False
    words, signs = _LETTERS.findall(sentence), _UNSPACED.findall(sentence)
    return len(words) >= _SEVERAL_WORDS or len(signs) >= _SEVERAL_SIGNS


def _lines(text: str) -> list[tuple[int, str]]:
    """Lines outside of code without the marks of lists, each with its place."""
    hidden = [(block.start, block.end) for block in code_blocks(text)]
    after = hidden[-1][1] if hidden else 0
    opened = _FENCE.search(text, after)
    if opened is not None:  # a block that was cut off
        hidden.append((opened.start(), len(text)))
    found, at = [], 0
    for line in text.splitlines(keepends=True):
        start, at = at, at + len(line)
        content = line.rstrip()
        if any(low <= start < high for low, high in hidden) or _TABLE_ROW.match(content):
            continue
        mark = _ITEM.match(content)
        skipped = 0 if mark is None else mark.end()
        # A line without end is no prose, and the library would look through it again and again.
        found.append((start + skipped, content[skipped:][:_MOST_IN_LINE]))
    return found


def _joined(pieces: Sequence[str]) -> list[str]:
    """The same with numbers whole: models write "2. 7 billion"."""
    found: list[str] = []
    for piece in pieces:
        if found and piece[:1].isdigit() and _NUMBER_POINT.search(found[-1]):
            found[-1] += piece
        else:
            found.append(piece)
    return found


def _states(sentence: str) -> bool:
    words, signs = _LETTERS.findall(sentence), _UNSPACED.findall(sentence)
    if len(words) < _LEAST_WORDS and len(signs) < _LEAST_SIGNS:
        return False
    return not _STATES_NOTHING.search(sentence) and not _COURTESY.match(sentence)
