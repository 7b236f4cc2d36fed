"""Fractions, halves and decimals in words, in twelve languages, written as `n/m`.

"three and a quarter" becomes `13/4`, "dos millones y medio" `2500000`, "drei Komma fünf" `7/2`. Words
of fractions come after a number, mostly; `_Words` has them per language, and the number before them is
the longest one that `spelled_numbers` reads.
"""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Final

from et_agent.answers.eastern_parts import (
    DOZEN,
    EASTERN,
    INDEFINITE,
    eastern_parts,
    ratio,
    value_of,
    written,
)
from et_agent.answers.locales import dozen_words, scale_words

__all__ = ["parts_in_digits"]

_MOST_CHARACTERS: Final = 4000
_MOST_WORDS: Final = 6
"""Words that a number before a fraction may have."""
_MOST_DECIMALS: Final = 8
_SCALE: Final = 1000


@dataclass(frozen=True, slots=True)
class _Words:
    """How a language says parts.

    Attributes:
        parts: What may be counted, as patterns, by its denominator.
        half: What stands for a half without a number before it.
        joins: What stands between a whole and its part.
        point: What the decimals follow.
        fixed: Whole words by their value.
        raised: Suffixes or words behind a number, by what they add.
        leading: Words before a number, by what they add.
    """

    parts: Mapping[str, int]
    half: str = ""
    joins: str = ""
    point: str = ""
    fixed: Mapping[str, str] | None = None
    raised: Mapping[str, str] | None = None
    leading: Mapping[str, str] | None = None


_ROOM: Final = r"(?=\s+d|\W*$)"
"""What "cuarto" and "quarto" also name is a room, of which there is no part."""
_WORDS: Final[Mapping[str, _Words]] = {
    "en": _Words(
        {
            "hal(?:f|ves)": 2, "thirds?": 3, "(?:quarter|fourth)s?": 4, "fifths?": 5, "sixths?": 6,
            "sevenths?": 7, "eighths?": 8, "ninths?": 9, "tenths?": 10, "twelfths?": 12,
            "sixteenths?": 16, "twentieths?": 20, "hundredths?": 100, "thousandths?": 1000,
        },
        half=r"half(?:[\s-]+an?(?=\s+(?:million|billion|trillion|thousand|dozen|hundred)\b)"
        r"|(?=[\s-]+dozen\b)|(?=\W*$))",
        joins="and",
        point="point",
    ),
    "de": _Words(
        {
            "halb(?:e[srnm]?)?": 2, "drittel": 3, "viertel": 4, "fünftel": 5, "sechstel": 6,
            "siebtel": 7, "achtel": 8, "neuntel": 9, "zehntel": 10, "zwölftel": 12,
            "zwanzigstel": 20, "hundertstel": 100, "tausendstel": 1000,
        },
        half=r"die hälfte|halbe[srnm]?(?=\s+(?:million|milliarde|billion)\b)",
        joins="und",
        point="komma|punkt",
        fixed={"anderthalb": "3/2", "eineinhalb": "3/2", "dreiviertel": "3/4"},
        raised={"einhalb": "1/2"},
    ),
    "fr": _Words(
        {
            "demi(?:e?s?)": 2, "tiers": 3, "quarts?": 4, "cinquièmes?": 5, "sixièmes?": 6,
            "septièmes?": 7, "huitièmes?": 8, "neuvièmes?": 9, "dixièmes?": 10,
            "douzièmes?": 12, "vingtièmes?": 20, "centièmes?": 100, "millièmes?": 1000,
        },
        half="la moitié|demie?",
        joins="et",
        point="virgule|point",
    ),
    "es": _Words(
        {
            "medi[oa]s?": 2, "terci[oa]s?": 3, f"cuartos|cuarto{_ROOM}": 4, "quintos?": 5,
            "sextos?": 6, "séptimos?": 7, "octavos?": 8, "novenos?": 9, "décimos?": 10,
            "centésimos?": 100, "milésimos?": 1000,
        },
        half="la mitad|medi[oa]",
        joins="y",
        point="coma|punto",
    ),
    "it": _Words(
        {
            "mezz[oiae]": 2, "terz[oi]": 3, f"quarti|quarto{_ROOM}": 4, "quint[oi]": 5,
            "sest[oi]": 6, "settim[oi]": 7, "ottav[oi]": 8, "non[oi]": 9, "decim[oi]": 10,
            "centesim[oi]": 100, "millesim[oi]": 1000,
        },
        half="la metà|mezz[oa]",
        joins="e",
        point="virgola|punto",
    ),
    "pt": _Words(
        {
            "mei[oa]s?": 2, "terços?": 3, f"quartos|quarto{_ROOM}": 4, "quintos?": 5,
            "sextos?": 6, "sétimos?": 7, "oitavos?": 8, "nonos?": 9, "décimos?": 10,
            "centésimos?": 100, "milésimos?": 1000,
        },
        half="a metade|mei[oa]",
        joins="e",
        point="vírgula|ponto",
    ),
    "ru": _Words(
        {
            "втор(?:ая|ых)": 2, "трет(?:ь|ья|и|ьих)": 3, "четверт(?:ь|и|ей)|четв[её]рт(?:ая|ых)": 4,
            "пят(?:ая|ых)": 5, "шест(?:ая|ых)": 6, "седьм(?:ая|ых)": 7, "восьм(?:ая|ых)": 8,
            "девят(?:ая|ых)": 9, "десят(?:ая|ых)": 10, "сот(?:ая|ых)": 100,
            "тысячн(?:ая|ых)": 1000,
        },
        half=r"половина|пол(?=(?:миллиона|миллиарда|тысячи|сотни|дюжины)(?!\w))",
        joins="и|целых|целая",
        fixed={"полтора": "3/2", "полторы": "3/2", "треть": "1/3", "четверть": "1/4"},
        raised={"с половиной": "1/2", "с четвертью": "1/4"},
    ),
    "ar": _Words(
        {
            "(?:أ?نصاف|نصف)": 2, "(?:أثلاث|ثلث)": 3, "(?:أرباع|ربع)": 4, "(?:أخماس|خمس)": 5,
            "أسداس": 6, "أسباع": 7, "أثمان": 8, "أتساع": 9, "أعشار": 10,
        },
        half="نصف",
        joins="و",
        point="فاصلة",
        fixed={
            "ثلث": "1/3", "ربع": "1/4", "ثلثان": "2/3", "ثلثين": "2/3", "ثلثا": "2/3",
            "خمسان": "2/5", "خمسين في المئة": "50",
        },
        raised={"ونصف": "1/2", "و نصف": "1/2", "وربع": "1/4", "وثلث": "1/3"},
    ),
    "hi": _Words(
        {"चौथाई": 4, "तिहाई": 3},
        half="आधा|आधी|आधे",
        point="दशमलव",
        fixed={"डेढ़": "3/2", "ढाई": "5/2", "अढ़ाई": "5/2", "सवा(?= (?:लाख|करोड़|सौ))": "5/4"},
        leading={"साढ़े": "1/2", "सवा": "1/4", "पौने": "-1/4"},
    ),
}  # fmt: skip
_HINDI_RATIO: Final = re.compile(r"(?P<top>\S+)\s+बटा\s+(?P<bottom>[^\s.,।]+)")
_SPACED: Final = re.compile(r"[^\W_]+(?:[\u0300-\u036f\u0900-\u0963\u064b-\u0652]+[^\W_]*)*")
_GAP: Final = re.compile(r"[\s\-~]*")
_FRACTION: Final = r"(?P<part>\d{1,9}/\d{1,9})"
_MINUS: Final = re.compile(
    r"(?<!\w)(?:minus|negative|menos|meno|moins|минус|سالب|ناقص|माइनस|ऋण)\s+(?=\d|[$€£]\d)"
    r"|(?:负|負|マイナス|마이너스)\s*(?=\d)",
    re.IGNORECASE,
)
_JOINS: Final = {
    **{name: frozenset(words.joins.split("|")) for name, words in _WORDS.items()},
    **dict.fromkeys(EASTERN, frozenset[str]()),
}
_DIGITS_ALSO: Final = re.compile(r"(\d) and (?=\d+/\d)")


def parts_in_digits(text: str, language: str) -> str:
    """Write fractions, halves, decimals and signs in words as `n/m`; other words stay as they are.

    Args:
        text: A value or a line.
        language: That of the question, one of the twelve; English words count in each.
    """
    if len(text) > _MOST_CHARACTERS:
        return text
    for one in dict.fromkeys((language, "en")):
        text = eastern_parts(text, one) if one in EASTERN else _western(text, one)
    return _MINUS.sub("-", text)


def _western(text: str, language: str) -> str:
    words = _WORDS[language]
    # Cheap first: most lines have none of these words.
    if _any_word(language).search(text) is None and _DIGITS_ALSO.search(text) is None:
        return text
    if language == "hi":
        text = _HINDI_RATIO.sub(partial(ratio, language), text)
    if words.point:
        text = _with_decimals(text, words.point, language)
    for pattern, value in (words.fixed or {}).items():
        text = re.sub(rf"(?<!\w)(?:{pattern})(?![\w\u0900-\u0963])", value, text, flags=re.I)
    for suffix, added in (words.raised or {}).items():
        # "dreieinhalb" is one word.
        pattern = rf"{suffix}(?!\w)" if language == "de" else rf"(?<!\w){suffix}(?!\w)"
        text = _behind_numbers(text, pattern, language, partial(_plus, added))
    for word, added in (words.leading or {}).items():
        text = _before_numbers(text, word, added, language)
    for pattern, bottom in words.parts.items():
        found = rf"(?<!\w)(?:{pattern})(?![\w\u0900-\u0963])"
        text = _behind_numbers(text, found, language, partial(_parted, bottom))
    if words.half:
        text = re.sub(
            rf"(?<![\w/])(?:{words.half})(?!\w(?<!пол\w))[\s-]*", "1/2 ", text, flags=re.I
        )
    dozens = dozen_words(language)
    text = _behind_numbers(text, rf"(?<!\w)(?:{dozens})(?!\w)", language, _dozens)
    if words.joins:
        joined = rf"(?<!\w)(?:{words.joins})[\s-]+{_FRACTION}(?![\d/])"
        text = _behind_numbers(text, joined, language, _joined)
    return text.rstrip()


@functools.cache
def _any_word(language: str) -> re.Pattern[str]:
    words = _WORDS[language]
    own = [*words.parts, words.half, words.point, *(words.fixed or {}), *(words.raised or {})]
    own.append(dozen_words(language))
    given = "|".join(one for one in (*own, *(words.leading or {})) if one)
    return re.compile(f"{given}|बटा" if language == "hi" else given, re.IGNORECASE)


Value = Callable[[Fraction, str, re.Match[str]], Fraction | None]
"""What a number and the words behind it come to; the second argument is the number as written."""


def _behind_numbers(text: str, pattern: str, language: str, value: Value) -> str:
    """Write each number with a match of `pattern` behind it as one fraction."""
    parts, at = list[str](), 0
    for match in re.finditer(pattern, text, re.IGNORECASE):
        if match.start() < at:
            continue
        found = _number_before(text, at, match.start(), language)
        if found is None:
            continue
        start, number = found
        total = value(number, text[start : match.start()], match)
        if total is not None:
            parts += [text[at:start], written(total)]
            at = match.end()
    return "".join((*parts, text[at:]))


def _number_before(text: str, floor: int, end: int, language: str) -> tuple[int, Fraction] | None:
    """Where the longest number that ends before `end` begins, and its value."""
    tokens = list(_SPACED.finditer(text, max(floor, end - 120), end))[-_MOST_WORDS:]
    while tokens and _GAP.fullmatch(text, tokens[-1].end(), end) is None:
        return None
    joins = _JOINS[language]
    if tokens and tokens[-1].group().casefold() in INDEFINITE:
        tokens = tokens[-1:]  # "three and a" is no number
    for first in range(len(tokens)):
        if tokens[first].group().casefold() in joins:
            continue
        joined = all(
            _GAP.fullmatch(text, one.end(), other.start())
            for one, other in zip(tokens[first:], tokens[first + 1 :], strict=False)
        )
        start = tokens[first].start()
        value = value_of(text[start : tokens[-1].end()], language) if joined else None
        if value is not None and not text[max(0, start - 1) : start].strip(" -~(\"'*\n\t:,;."):
            if start and text[start - 1] in ".,/" and start > 1 and text[start - 2].isdigit():
                return None  # the end of a decimal
            return start, value
    return None


def _plus(added: str, number: Fraction, written: str, match: re.Match[str]) -> Fraction:
    del match
    return number + Fraction(added) * _scale_of(written)


def _joined(number: Fraction, written: str, match: re.Match[str]) -> Fraction | None:
    top, _, bottom = match["part"].partition("/")
    if not int(bottom) or int(top) >= int(bottom):
        return None
    return number + Fraction(int(top), int(bottom)) * _scale_of(written)


def _parted(bottom: int, number: Fraction, written: str, match: re.Match[str]) -> Fraction | None:
    del match
    # "48 halves" are as many things.
    return None if written[:1].isdigit() else number / bottom


def _dozens(number: Fraction, written: str, match: re.Match[str]) -> Fraction | None:
    del match
    return None if written[:1].isdigit() else number * DOZEN


def _scale_of(written: str) -> int:
    """What a half behind a number is half of: "two million and a half" is 2,500,000."""
    last = written.casefold().split()
    for language in _WORDS:
        scale = scale_words(language).get(last[-1].strip("-~ ")) if len(last) > 1 else None
        if scale is not None and scale >= _SCALE:
            return scale
    return 1


def _before_numbers(text: str, word: str, added: str, language: str) -> str:
    """Add what stands before a number: "साढ़े तीन" is three and a half."""
    parts, at = list[str](), 0
    for match in re.finditer(rf"(?<!\w){word}\s+", text):
        following = _SPACED.match(text, match.end())
        value = None if following is None else value_of(following.group(), language)
        if following is not None and value is not None:
            parts += [text[at : match.start()], written(value + Fraction(added))]
            at = following.end()
    return "".join((*parts, text[at:]))


def _with_decimals(text: str, point: str, language: str) -> str:
    """Read "three point one four": digits one by one, or all as one number."""
    parts, at = list[str](), 0
    for match in re.finditer(rf"(?<!\w)(?:{point})(?![\w\u0900-\u0963])", text, re.IGNORECASE):
        before = _number_before(text, at, match.start(), language)
        if before is None and not _MINUS_OR_NOTHING.fullmatch(text, at, match.start()):
            continue
        decimals = _decimals(text, match.end(), language)
        if decimals is None:
            continue
        start, whole = before or (match.start(), Fraction(0))
        digits, end = decimals
        parts += [text[at:start], written(whole + Fraction(int(digits), 10 ** len(digits)))]
        at = end
    return "".join((*parts, text[at:]))


_MINUS_OR_NOTHING: Final = re.compile(r"\s*(?:minus\s+)?")


def _decimals(text: str, start: int, language: str) -> tuple[str, int] | None:
    tokens = list(_SPACED.finditer(text, start, start + 80))[:_MOST_DECIMALS]
    digits, end = "", start
    for token in tokens:
        if _GAP.fullmatch(text, end, token.start()) is None:
            break
        value = value_of(token.group(), language) if token.group() not in INDEFINITE else None
        if value is None or (digits and not 0 <= value <= 9):
            break
        digits, end = digits + str(int(value)), token.end()
        if not 0 <= value <= 9:
            break
    return (digits, end) if digits else None
