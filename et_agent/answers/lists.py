"""Answers of several parts: "red, green and blue", one per line, numbered, in several boxes."""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import re
from collections.abc import Hashable, Sequence
from typing import Final

from et_agent.answers.finders import Found
from et_agent.answers.latex import strip_delimiters, strip_markdown, unwrap_text
from et_agent.answers.number import number_in_value, plain_number
from et_agent.answers.numerals import convention_of
from et_agent.answers.text import normalised, readable

__all__ = ["find_bullets", "is_ordered", "item_key", "items_of", "listed", "without_lead"]

_MOST_CHARACTERS: Final = 2000
_MOST_IN_AN_ITEM: Final = 120
_MOST_LINES: Final = 200
_ORDER_SAID: Final = re.compile(
    r"\b(?:in (?:\w+ ){0,2}order|order(?:ed)?\b|sort(?:ed)?|arrange|rank(?:ed|ing)?|sequence|"
    r"steps?|chronolog\w+|respective(?:ly)?|first\b.{1,60}\b(?:second|last)|"
    r"from where to where|who\b.{1,60}\bwho|"
    r"jeweils|beziehungsweise|respectiv\w+|rispettiv\w+|соответственно|"
    r"(?:ascending|descending)|from (?:the )?\w+est to|smallest to|largest to|first to last|"
    r"reihenfolge|sortier\w+|ordne|geordnet|dans l'ordre|ordre|trie[rz]?|en orden|ordena|orden|"
    r"in ordine|ordina|em ordem|ordene|по порядку|в порядке|упорядоч\w+|отсортируй\w*)(?!\w)"
    r"|分别|それぞれ|각각|顺序|排序|排列|順番|順に|並べ|순서|정렬|بالترتيب|رتب|क्रम",
    re.IGNORECASE,
)
_BULLET: Final = re.compile(r"^[ \t]*(?:[-*•+–]|\(?\d{1,2}[.)、]|\(?[a-hA-H][.)])[ \t]*(?=\S)")
_LEAD: Final = re.compile(
    r"^(?:[^:,;\n]{0,60}?\b(?:are|include|is|were|sind|sont|son|sono|são|это)\b:?\s+|"
    r"[^:,;\n]{0,60}:\s+)",
    re.IGNORECASE,
)
_CONJUNCTION: Final = re.compile(
    r"\s*,?\s+(?:and|as well as|und|sowie|et|y|e|ed|и|और|तथा|&)\s+|\s*(?:和|以及|及|と|"
    r"그리고)\s*|\s+و\s*",
    re.IGNORECASE,
)
_STRONG: Final = re.compile(r"\s*[;\n|]\s*|\s*\\\\\s*")
_WEAK: Final = re.compile(r"\s*[,，、،]\s+|\s*[、，،]\s*|,(?=[^\d\s])|(?<=\D),(?=\d)|,\s+(?=\d)")
_NARROW: Final = re.compile(r"\s*,\s*")
_SUFFIX: Final = re.compile(
    r"(?:Jr|Sr|Inc|Ltd|Corp|Co|Esq|LLC|LLP|PLC|S\.?A|Ph\.?\s?D|M\.?D|M\.?A|MBA|CPA|GmbH)\.?"
)
_CAPITAL: Final = re.compile(r"D\.?C\.?")
_NAMED: Final = re.compile(r"[A-ZÀ-Þ][\w.&'’-]*$")
_PLACE: Final = re.compile(r"(?:[A-Z][a-z]+\.? ?){1,4}")
_STATE: Final = re.compile(
    "A[KLRZ]|C[AOT]|DE|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|"
    "UT|V[AT]|W[AIVY]"
)
"""Codes of the United States' states, behind a town."""
_BRACKETS: Final = (("{", "}"), ("[", "]"), ("(", ")"), (r"\{", r"\}"))


def is_ordered(question: str) -> bool:
    """Whether a question asks for its parts in an order."""
    return _ORDER_SAID.search(question) is not None


def items_of(text: str) -> list[str]:
    """The parts of an answer, as they are to be shown; a single one if there is nothing to part."""
    if len(text) > _MOST_CHARACTERS:
        return []
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and all(_BULLET.match(line) for line in lines):
        parts = [_BULLET.sub("", line) for line in lines]
        return [one for one in map(readable, parts) if one]
    cleaned = strip_delimiters(unwrap_text(strip_markdown(" ".join(text.split()))))
    cleaned = re.sub(
        r"\\[,;:! ]|\\q?quad\b", " ", cleaned.replace(r"\left", "").replace(r"\right", "")
    )
    cleaned = cleaned.strip().rstrip(".。")
    for opening, closing in _BRACKETS:
        if cleaned.startswith(opening) and cleaned.endswith(closing):
            cleaned = cleaned[len(opening) : len(cleaned) - len(closing)]
            break
    cleaned = re.sub(r"(?<!\w)\(?\d{1,2}[.)]\s+(?=[^\W\d])", "; ", cleaned).lstrip("; ")
    parts = _parts(cleaned)
    shown = [readable(part).strip("\"'“”‘’") for part in parts]
    return [one for one in shown if one and len(one) <= _MOST_IN_AN_ITEM]


def _parts(text: str) -> list[str]:
    strong = [one for one in _STRONG.split(text) if one]
    if len(strong) > 1:
        return strong
    weak = [one for one in _WEAK.split(text) if one]
    if len(weak) == 1 and re.fullmatch(r"-?\d+(?:,-?\d+)+", text):
        weak = _NARROW.split(text)
    *front, last = weak or [text]
    last = re.sub(r"^(?:and|und|et|y|e|ed|и|or)\s+", "", last, flags=re.IGNORECASE)
    # "salt and pepper, oil and vinegar" has its pairs; only before the last part "and" divides.
    ends = _CONJUNCTION.split(last)
    return _with_suffixes([*front, *(ends if len(ends) == 2 or not front else [last])])


def _with_suffixes(parts: Sequence[str]) -> list[str]:
    """The parts, "D.C.", "Jr." and their like joined to the name before them."""
    joined: list[str] = []
    for part in parts:
        name = joined[-1] if joined else ""
        state = _STATE.fullmatch(part) and _PLACE.fullmatch(name)
        if name and ", " not in name and (state or (_NAMED.search(name) and _suffix(part, name))):
            joined[-1] = f"{name}, {part}"
        else:
            joined.append(part)
    return joined


def _suffix(part: str, name: str) -> bool:
    if _CAPITAL.fullmatch(part):
        return name.endswith("Washington")
    return _SUFFIX.fullmatch(part) is not None and _SUFFIX.fullmatch(name) is None


def item_key(item: str, question: str) -> Hashable:
    """What is equal for parts that say the same: numbers by value, words as in SQuAD."""
    convention = convention_of(question)
    number = plain_number(item, convention)
    if number is None and not any(map(str.isalpha, item)):
        number = number_in_value(item, convention)
    return normalised(item) if number is None else number


def find_bullets(text: str) -> Found | None:
    """Find the last block of two or more lines with bullets or numbers."""
    lines = text.splitlines()[-_MOST_LINES:]
    block: list[str] = []
    for line in reversed(lines):
        if _BULLET.match(line):
            block.append(line)
        elif block and (line.strip() or len(block) < 2):
            break
    return Found("\n".join(reversed(block)), "last line") if len(block) > 1 else None


def without_lead(text: str) -> str:
    """A sentence without the words before its parts: "The colours are red and blue"."""
    return _LEAD.sub("", text, count=1)


def listed(items: Sequence[str]) -> str:
    """The parts on one line."""
    return ", ".join(items)
