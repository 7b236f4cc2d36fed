"""Numbers with a unit: `3.0e8 m/s`, "5 feet 10 inches", `$2.5B`, "12,50 Euro"."""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from et_agent.answers.arithmetic import evaluate
from et_agent.answers.latex import strip_markdown
from et_agent.answers.number import prepared_number
from et_agent.answers.numerals import Convention, convention_of
from et_agent.answers.spelled_numbers import digits_for_words
from et_agent.answers.units import in_base_units, unit_called

__all__ = [
    "Quantity",
    "asked_unit",
    "endings",
    "number_in_unit",
    "quantity_in_prose",
    "quantity_in_value",
]

_MOST_CHARACTERS: Final = 300
_MOST_PARTS: Final = 4
_FIGURES: Final = re.compile(r"\d+(?:[.,:]\d+)*")
_CURRENCY: Final = (
    r"(?:(?:US|CA|A|R|CN)?[$€£¥₹₽₩]"
    r"|(?:USD|EUR|GBP|JPY|CNY|KRW|INR|RUB|CHF|BRL|CAD|AUD|Rs\.?)(?=\s?\d))"
)
_LITERAL: Final = r"(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?"
_AMOUNT: Final = (
    rf"(?P<sign>-\s?)?(?P<money>{_CURRENCY})?\s?-?"
    rf"(?P<number>\d+\s+\d+/\d+|{_LITERAL}\s?/\s?{_LITERAL}(?![\d/])|{_LITERAL})"
)
_WORD: Final = r"[^\W\d_]+(?:[\u0900-\u0963\u064b-\u0652]+[^\W\d_]*)*"
"""Vowel signs of Hindi and Arabic are no letters."""
_UNIT: Final = (
    rf"(?P<unit>[%€£₽]|(?![eE][-+]?\d)(?:degrees )?°?\s?{_WORD}(?:\^?\(?-?[1-9]\)?)?"
    r"(?:(?:\s?[*·⋅/]\s?|\s+per\s+|\s+)(?!and\b|und\b|et\b|y\b|in\s+[^\W\d_]|"
    rf"or\b){_WORD}(?:\^?\(?-?[1-9]\)?)?){{0,3}}|[°'′\"″])"
)
_QUANTITY: Final = re.compile(rf"(?<![\w.^]){_AMOUNT}\s*-?{_UNIT}?")
_ABOUT: Final = re.compile(
    r"^(?:about|approximately|approx\.?|around|roughly|nearly|almost|ca\.?|circa|some|just over|"
    r"exactly|"
    r"etwa|ungefähr|environ|aproximadamente|unos|unas|cerca de|约|約|大约|およそ|약|примерно|"
    r"около|حوالي|लगभग|≈|~|=)\s*",
    re.IGNORECASE,
)
_ASSIGNED: Final = re.compile(r"^\s*[A-Za-z]\w*\s*(?:=|≈)\s*")
_AND: Final = re.compile(r"\s*(?:,|and|und|et|y|e|и|&)?\s*", re.IGNORECASE)
_ASKED: Final = re.compile(
    r"\b(?:how many|wie viele|wieviele|combien de|combien d'|cuántos|cuántas|quanti|quante|"
    r"quantos|quantas|"
    r"сколько)\s+([^\W\d_]+(?: [^\W\d_]+)?)"
    r"|\bin ((?:square |cubic )?[^\W\d_]+(?:/[^\W\d_]+)?)\s*[?.,)]"
    r"|\b(?:in|en|em) ([^\W\d_]+)\s*\?|多少([^\W\d_]{1,3})|何(キロ|メートル|時間|分|グラム)|"
    r"몇 ?([^\W\d_]{1,4})",
    re.IGNORECASE,
)
_FEET_AND_INCHES: Final = re.compile(
    r"(?<![°\d])(\d{1,2})\s?['’]\s?(\d{1,2}(?:\.\d+)?)\s?(?:[\"”]|''|’’)(?!\w)"
)
_LONE_INCHES: Final = re.compile(r"^(\d)\s?(?:['’′]|feet|foot|ft\b)\s?(1[01]|\d)$")
_HOURS: Final = re.compile(
    r"(?<![\d.])(\d{1,2})\s?(?:h|hrs?|std\.?)\s?([0-5]?\d)(?:\s?m)?(?!\s?[\w.:/])", re.IGNORECASE
)
"""`1h30`, `1 h 30`, `1h 30m`: an m behind hours is no metre."""
_HYPHENS: Final = re.compile(r"(?<=\blight)-(?=years?\b)|(?<=watt)-(?=hour)")
_RAISED: Final = re.compile(r"(?P<slash>/[^\W\d_]+)?(?<=[^\W\d_])\^(?P<power>[2-4])\s?(?=[A-Z])")
_HALF_A: Final = re.compile(r"^half an? ", re.IGNORECASE)
_ABBREVIATED: Final = re.compile(r"(?<=[\d\s])(ft|in|yd|mi|lbs?|oz|hrs?|min|sec)\.(?!\w)")
_MORE_WORDS: Final = re.compile(r"[^\d,;:=+*/]{1,40}")
_OWN_NOUN: Final = re.compile(rf"{_WORD}(?:[ -]{_WORD}){{0,2}}")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit.

    Attributes:
        number: In that unit; a compound amount is in its first.
        unit: As `unit_called` has it, `noun:…` for things that are counted, "" for none.
    """

    number: Fraction
    unit: str
    is_compound: bool = False
    """Whether it is written in several units: "5 feet 10 inches"."""

    @property
    def base(self) -> tuple[str, Fraction]:
        """What is measured, and how much of it in base units; equal for equal amounts."""
        if not self.unit or self.unit.startswith("noun:"):
            return self.unit, self.number
        measure = in_base_units(self.unit)
        return measure.dimension, self.number * measure.factor + measure.offset


def quantity_in_value(text: str, question: str = "") -> Quantity | None:
    """Return the quantity that a short string is; None if it is none, or several."""
    if len(text) > _MOST_CHARACTERS:
        return None
    convention = convention_of(question or text)
    digits = _HALF_A.sub("1/2 ", prepared_number(text, convention))
    cleaned = _plain_units(digits_for_words(digits, convention.language, ones=True))
    cleaned = _ASSIGNED.sub("", cleaned.rpartition("=")[2] if "=" in cleaned else cleaned)
    cleaned = _ABOUT.sub("", cleaned.strip()).strip(" .")
    first = _QUANTITY.match(cleaned)
    if first is None:
        return None
    found, end = _read(first, convention)
    return None if found is None else _with_smaller_parts(found, cleaned, end, convention)


def _with_smaller_parts(
    found: Quantity, text: str, end: int, convention: Convention
) -> Quantity | None:
    """The sum of "5 feet 10 inches"; None if what follows is no smaller part."""
    total, last = found, found
    while end < len(text):
        rest = _AND.match(text, end)
        end = rest.end() if rest is not None else end
        match = _QUANTITY.match(text, end)
        if match is None:
            # "5 km north": words that hold no further number.
            return total if _MORE_WORDS.fullmatch(text, end) else None
        part, end = _read(match, convention)
        if part is None or not part.unit or part.unit.startswith("noun:"):
            return None
        if part.unit.endswith("/100") and last.unit.startswith("currency:"):
            part = replace(part, unit=f"{last.unit}/100")  # cents are of the money before them
        larger, smaller = in_base_units(last.unit), in_base_units(part.unit)
        if larger.dimension != smaller.dimension or larger.factor <= smaller.factor:
            return None
        share = part.number * smaller.factor / in_base_units(found.unit).factor
        total, last = Quantity(total.number + share, found.unit, is_compound=True), part
    return total


def quantity_in_prose(text: str, question: str = "", *, prefer_first: bool) -> Quantity | None:
    """Return a quantity with a known unit from a sentence: the last one, or the first."""
    part = text[:_MOST_CHARACTERS] if prefer_first else text[-_MOST_CHARACTERS:]
    convention = convention_of(question or text)
    cleaned = _plain_units(prepared_number(strip_markdown(part), convention))
    found = list[Quantity]()
    at = 0
    while (match := _QUANTITY.search(cleaned, at)) is not None:
        at = max(match.end(), at + 1)
        one, end = _read(match, convention)
        if one is None or not one.unit or one.unit.startswith("noun:"):
            continue
        at = end
        rest = _AND.match(cleaned, end)
        following = _QUANTITY.match(cleaned, end if rest is None else rest.end())
        if following is not None:
            whole = _with_smaller_parts(one, cleaned[: following.end()].rstrip(), end, convention)
            one, at = (one, at) if whole is None else (whole, following.end())
        found.append(one)
    return None if not found else found[0 if prefer_first else -1]


def endings(text: str) -> Iterator[str]:
    """The ends of a sentence from each of its last numbers on, the longest first."""
    starts = [match.start() for match in _FIGURES.finditer(text[-_MOST_CHARACTERS:])]
    yield from (text[-_MOST_CHARACTERS:][start:] for start in starts[-_MOST_PARTS:])


def _plain_units(text: str) -> str:
    """Temperatures, feet and inches in quotation marks, and abbreviated units, in one form."""
    text = re.sub(r"\bdegrees?\s*\(?([CF])\b\)?", r"°\1", text)
    text = _FEET_AND_INCHES.sub("\\1′\\2″", text)
    text = _LONE_INCHES.sub("\\1′\\2″", _HOURS.sub(r"\1 h \2 min", text))
    text = _HYPHENS.sub(" ", _RAISED.sub(_divided, text))
    return _ABBREVIATED.sub(r"\1", text)


def _divided(match: re.Match[str]) -> str:
    """`W/m^2K` divides by both."""
    return f"{match['slash'] or ''}^{match['power']}{'/' if match['slash'] else '·'}"


def _read(match: re.Match[str], convention: Convention) -> tuple[Quantity | None, int]:
    number = evaluate(match["number"])
    if number is None:
        return None, match.end()
    if match["sign"]:
        number = -number
    end, unit = match.end("number"), ""
    words = match["unit"] or ""
    if match["money"]:
        known = unit_called(match["money"], convention.language)
        unit = known or f"noun:{match['money']}"
        if words and (unit_called(words, convention.language) or "").startswith("currency"):
            end = match.end()
        return Quantity(number, unit), end
    # The longest beginning of the words that is a unit: "5 km north" is five kilometres.
    pieces = re.split(r"(\s+)", words)
    for size in range(len(pieces), 0, -2):
        name = "".join(pieces[:size])
        known = unit_called(name, convention.language) if name else None
        if known is not None:
            return Quantity(number, known), match.start("unit") + len(name)
    if words and _OWN_NOUN.fullmatch(words):
        return Quantity(number, f"noun:{words.casefold()}"), match.end()
    return Quantity(number, ""), end


@functools.lru_cache(maxsize=64)
def asked_unit(question: str) -> str | None:
    """The unit that a question wants its answer in ("How many hours …", "… in meters?"), if any."""
    language = convention_of(question).language
    for match in list(_ASKED.finditer(question))[::-1]:
        words = next(filter(None, match.groups()))
        for name in (words, words.partition(" ")[0]):
            unit = unit_called(name, language)
            if unit is not None:
                return unit
    return None


def number_in_unit(text: str, question: str) -> Fraction | None:
    """The number of a quantity in the unit that the question asks for; None if it has another sort."""
    found, wanted = quantity_in_value(text, question), asked_unit(question)
    if found is None or wanted is None or not found.unit:
        return None
    dimension, base = found.base
    measure = in_base_units(wanted)
    return (base - measure.offset) / measure.factor if measure.dimension == dimension else None
