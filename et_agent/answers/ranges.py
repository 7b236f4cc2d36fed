"""Ranges of numbers and quantities: `1914-1918`, "5 to 10 km", "zwischen 3 und 5", `[2, 7]`."""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from et_agent.answers.characters import plain_characters
from et_agent.answers.latex import strip_delimiters, strip_markdown, unwrap_text
from et_agent.answers.quantity import Quantity, quantity_in_value

__all__ = ["Range", "range_in_prose", "range_in_value"]

_MOST_CHARACTERS: Final = 200
_LONGEST_OVER_A_CENTURY: Final = 50
"""Years: "1998-02" are four, but "2020-05" is a month."""
_TO: Final = (
    r"(?:-|–|—|‒|−|~|\bto\b|\bthrough\b|\buntil\b|\bbis\b|\bà\b|\ba\b|\bal\b|\baté\b|\bдо\b|"
    r"至|到|から|에서|부터|إلى|से|\.{2,3}|…)"
)
_SPLIT: Final = re.compile(
    rf"(?<=[\w%°.$€£)])\s*{_TO}\s*(?=[-$€£¥₹]?\s?\d|[a-z]* ?\d)", re.IGNORECASE
)
_FROM: Final = re.compile(
    r"^(?:about|approximately|around|roughly|from|von|vom|de|desde|da|dal|entre|между|от|с|从|從|"
    r"من|"
    r"the (?:years?|range) (?:from )?)\s*",
    re.IGNORECASE,
)
_BETWEEN: Final = re.compile(
    r"^(?:between|zwischen|entre|tra|fra|между|بين)\s+(.+?)\s+(?:and|und|et|y|e|и|و)\s+(.+)$"
    r"|^(?:在|介于)?(.+?)(?:和|与|と|と)(.+?)(?:之间|の間)$",
    re.IGNORECASE,
)
_LEAD: Final = re.compile(
    r"^(?:(?:it is|it's|usually|typically|normally|generally|anywhere|somewhere|about|approximately|"
    r"around|roughly|etwa|ungefähr|environ|circa|примерно|约|約)\s*)+",
    re.IGNORECASE,
)
_TAIL: Final = re.compile(r"\s*(?:まで|까지|之间|तक)\s*$")
_CHAIN: Final = re.compile(
    r"^(.{1,40}?)\s*(?:≤|<=|\\le(?:q)?)\s*[A-Za-z]\s*(?:≤|<=|\\le(?:q)?)\s*(.{1,40})$"
)
"""`1 ≤ x ≤ 10`."""
_YEAR_SIGN: Final = re.compile(r"(?<=\d{4})\s?(?:年|년|гг?\.?(?!\w))\s?")
_INTERVAL: Final = re.compile(r"^\[\s*([^,;\[\]]{1,40})[,;]\s*([^,;\[\]]{1,40})\s*\]$")
_IN_PROSE: Final = re.compile(
    r"(?:\b(?:between|zwischen|entre|tra|между)\s+)?[$€£]?\d[\d.,']*\s?[^\W\d_°]{0,12}°?[CF%]?\s*"
    rf"(?:{_TO}|\b(?:and|und|et|y|e|и)\b)\s*[$€£]?\d[\d.,']*(?:\s?[^\W\d_]{{1,14}}|\s?%|\s?°[CF])?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Range:
    """Two ends of a range, in one unit.

    Attributes:
        dimension: What is measured; "" for plain numbers.
        low, high: In base units.
    """

    dimension: str
    low: Fraction
    high: Fraction


def range_in_value(text: str, question: str = "") -> Range | None:
    """Return the range that a short string is; None if it is none, as a score of `3-1` is none."""
    if len(text) > _MOST_CHARACTERS:
        return None
    cleaned = _TAIL.sub("", plain_characters(strip_delimiters(unwrap_text(strip_markdown(text)))))
    cleaned = _YEAR_SIGN.sub("", " ".join(cleaned.split())).strip(" .")
    cleaned = _LEAD.sub("", cleaned)
    interval = _INTERVAL.match(cleaned)
    if interval is not None:
        return _between(interval[1], interval[2], question)
    chain = _CHAIN.match(cleaned)
    if chain is not None:
        return _between(chain[1], chain[2], question)
    between = _BETWEEN.match(cleaned)
    if between is not None:
        return _between(between[1] or between[3], between[2] or between[4], question)
    parts = _SPLIT.split(_FROM.sub("", cleaned))
    return _between(parts[0], parts[1], question) if len(parts) == 2 else None


def range_in_prose(text: str, question: str = "", *, prefer_first: bool) -> Range | None:
    """Return a range that a sentence names: the last one, or with `prefer_first` the first."""
    part = text[:_MOST_CHARACTERS] if prefer_first else text[-_MOST_CHARACTERS:]
    plain = plain_characters(unwrap_text(strip_markdown(part)))
    found = [range_in_value(match.group(), question) for match in _IN_PROSE.finditer(plain)]
    known = [one for one in found if one is not None]
    return None if not known else known[0 if prefer_first else -1]


def _whole_year(first: str, last: str) -> str:
    """The last year of `1914-18` or `1998-02` in four digits; anything else as it is."""
    if re.fullmatch(r"[12]\d{3}", first) is None or re.fullmatch(r"\d\d", last) is None:
        return last
    year = int(first[:2] + last)
    if year > int(first):
        return str(year)
    return str(year + 100) if year + 100 - int(first) < _LONGEST_OVER_A_CENTURY else last


def _between(low: str, high: str, question: str) -> Range | None:
    high = _whole_year(low.strip(), high.strip())
    first, second = quantity_in_value(low, question), quantity_in_value(high, question)
    if first is None or second is None:
        return None
    if not first.unit:
        first = Quantity(first.number, second.unit)
    elif not second.unit:
        second = Quantity(second.number, first.unit)
    (dimension, bottom), (other, top) = first.base, second.base
    return Range(dimension, bottom, top) if dimension == other and bottom < top else None
