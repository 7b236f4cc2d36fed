"""Numbers as countries write them, rewritten as programs do: `1.234,56`, `9'500`, `3 Mio.`.

What a text cannot tell ("1,234" is a thousand in English and one and a bit in German) its question
does: by the numbers in it that leave no doubt, else by its language.
"""

# Unicode look-alikes are what models write.

import functools
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Final

from et_agent.answers.characters import plain_characters
from et_agent.answers.language import language_of
from et_agent.answers.locales import decimal_mark, scale_words

__all__ = ["ENGLISH", "Convention", "convention_of", "rewritten", "with_scales"]


@dataclass(frozen=True, slots=True)
class Convention:
    """How numbers are written around a question.

    Attributes:
        language: Its language, ISO 639.
        comma: Whether a comma is before the decimals.
        scale: What the answer is counted in: 12 for "How many dozen …?", else 1.
        names: Letters that stand for something in it: where there is a k, `3k` is no 3000.
    """

    language: str
    comma: bool
    scale: int = 1
    names: frozenset[str] = frozenset()


ENGLISH: Final = Convention("en", comma=False)

_SPACES: Final = "\u00a0\u2009\u202f"
_RUN: Final = re.compile(r"(?<![\w.,'])\d+(?:[.,']\d+)+(?!\d|[.,]\d)")
_SPACED: Final = re.compile(
    rf"(?<![\w.,])\d{{1,3}}(?:[{_SPACES}]\d{{3}})+(?:[.,]\d+)?(?![\d.,]\d|\d)"
    r"|(?<![\w.,])\d{1,3}(?: \d{3})+(?:,\d{1,2}(?!\d)|(?=\s?(?:€|₽|kr\b|zł)))"
)
_SPACED_AT_HOME: Final = re.compile(r"(?<![\w.,])\d{1,3}(?: \d{3})+(?:,\d+)?(?![\d,]\d|\d)")
_HOME_OF_SPACES: Final = frozenset({"fr", "ru"})
_SURELY_POINT: Final = re.compile(
    r"(?<![\w.,])\d{1,3}(?:,\d{3})+(?:\.\d|,\d)|\d,000\b|\$\d+\.\d\d\b"
)
_SURELY_COMMA: Final = re.compile(
    r"(?<![\w.,])(?:\d{1,3}(?:\.\d{3})+,\d|\d+,\d{1,2}(?![\d,.]\d|\d)|\d{1,3}\.000\b)"
)
_MOST_CHARACTERS: Final = 4000
_NUMBER: Final = r"(?:(?:\d+ (?=\d+/\d))?\d+(?:\.\d+)?(?:\s?/\s?\d+)?)"
"""Mixed numbers too: "4 1/2"."""
_INSIDE: Final = re.compile(r"[(\[{][\s$-]*$")
_UNIT_BEHIND: Final = re.compile(r"\s?(?:[^\W\d_]|[€$£%°₽])")
_UNIT_BEFORE: Final = re.compile(r"[€$£¥₹₽]\s?-?$")
_COMMA_MONEY: Final = re.compile(r"(?:R\$|₫|\bRp\.?|\bkr\.?|\b(?:BRL|IDR|VND))\s?-?$")
_COMMA_MONEY_BEHIND: Final = re.compile(r"\s?(?:€|₫|đ|kr\b|zł|EUR\b)(?!\s?/|\s+per\b)")
"""`1.200 €` is money, which has no three decimals."""
_SCALE_ASKED: Final = re.compile(
    r"\b(?:how many|in|wie ?viele|combien de|cuánt[ao]s|quant[ei]|quant[ao]s|сколько)\s+"
    r"((?:[^\W\d_]+ ){0,1}[^\W\d_]+)",
    re.IGNORECASE,
)
_NAME: Final = re.compile(r"(?<![A-Za-z0-9\\])[kKMB](?![A-Za-z])")
_SUFFIXES: Final = {"k": 10**3, "K": 10**3, "M": 10**6, "B": 10**9}
_MONEY_SUFFIXES: Final = {**_SUFFIXES, "m": 10**6, "b": 10**9, "T": 10**12, "t": 10**12}
_SUFFIX: Final = re.compile(rf"(?<![\w.^_\\])({_NUMBER})([kKMB])(?![\w°]|\s*[-+*/^=(·²³])")
_MONEY_SUFFIX: Final = re.compile(rf"(?<=[$€£¥₹₩₽])(\s?{_NUMBER})\s?([kKmMbBtT])(?![\w/^])")


@functools.lru_cache(maxsize=64)
def convention_of(question: str) -> Convention:
    """Tell how the numbers of a question, and so those of its answers, are written."""
    if not question:
        return ENGLISH
    beginning = plain_characters(question[:_MOST_CHARACTERS])
    language = language_of(beginning)
    point, comma = _SURELY_POINT.search(beginning), _SURELY_COMMA.search(beginning)
    if language == "en" or (point is None) == (comma is None):
        by_comma = decimal_mark(language) == ","
    else:
        by_comma = comma is not None
    return Convention(language, by_comma, _asked_scale(beginning, language), _names(beginning))


def _asked_scale(question: str, language: str) -> int:
    """The scale that a question wants its answer in ("how many dozen", "in millions"), else 1."""
    for match in _SCALE_ASKED.finditer(question):
        for word in match[1].casefold().split():
            for one in (word, word.removesuffix("s")):
                scale = scale_words(language).get(one) or scale_words("en").get(one)
                if scale is not None:
                    return scale
    return 1


def _names(text: str) -> frozenset[str]:
    return frozenset(_NAME.findall(text))


def rewritten(text: str, convention: Convention = ENGLISH, *, one_number: bool = False) -> str:
    """Write every number of a text with a decimal point and without separators of thousands.

    A comma before other than three digits is one before decimals if the convention says so, or
    `one_number`: the text is to hold a single number, so that "12,50" is not twelve and fifty.
    """
    if not any(one in text for one in ",.'") and not _has_spaced(text, convention):
        return text

    def canonical(match: re.Match[str]) -> str:
        start, end = match.span()
        before = text[max(0, start - 4) : start]
        inside = _INSIDE.search(before) is not None
        sure = _UNIT_BEFORE.search(before) is not None or _UNIT_BEHIND.match(text, end) is not None
        comma = convention.comma or _continental(text, start, end)
        return _canonical(match.group(), comma, inside, one_number, sure)

    def closed(match: re.Match[str]) -> str:
        return re.sub(rf"[{_SPACES} ]", "", match.group()).replace(",", ".")

    spaced = _SPACED.sub(closed, text)
    if convention.language in _HOME_OF_SPACES:
        spaced = _SPACED_AT_HOME.sub(closed, spaced)
    text = spaced
    return _RUN.sub(canonical, text)


def _continental(text: str, start: int, end: int) -> bool:
    """Whether the money beside a number is that of countries with a comma before the decimals."""
    behind = _COMMA_MONEY_BEHIND.match(text, end)
    return behind is not None or _COMMA_MONEY.search(text, max(0, start - 5), start) is not None


def _has_spaced(text: str, convention: Convention) -> bool:
    return any(one in text for one in _SPACES) or (
        convention.language in _HOME_OF_SPACES and " " in text
    )


def _canonical(token: str, comma: bool, inside: bool, one_number: bool, sure: bool) -> str:
    signs = re.findall(r"[.,']", token)
    groups = re.split(r"[.,']", token)
    if len(set(signs)) == 1 and len(signs) == 1:
        return _single(token, signs[0], groups, comma, inside, one_number, sure)
    last, others = signs[-1], set(signs[:-1])
    if len(others | {last}) == 1:
        return "".join(groups) if _are_thousands(groups, last) else token
    if len(others) == 1 and last != "'" and _are_thousands(groups[:-1], others.pop()):
        return "".join(groups[:-1]) + "." + groups[-1]
    return token


def _single(
    token: str,
    sign: str,
    groups: list[str],
    comma: bool,
    inside: bool,
    one_number: bool,
    sure: bool,
) -> str:
    whole, rest = groups
    could_group = len(rest) == 3 and len(whole) <= 3 and whole.lstrip("0") != ""
    if sign == "'":
        return whole + rest if could_group else token
    if sign == ".":
        return whole + rest if comma and could_group else token
    if could_group and not comma:
        return whole + rest
    # "(0,9)" is a pair, and "-2,1" two roots; "12,50" and "3,5 kg" are one number.
    loose = not inside and (whole == "0" or (one_number and (sure or len(rest) == 2)))
    return f"{whole}.{rest}" if comma or loose else token


def _are_thousands(groups: list[str], sign: str) -> bool:
    first, *middle, last = groups if len(groups) > 1 else (*groups, "000")
    if not 1 <= len(first) <= 3 or len(last) != 3:
        return False
    sizes = {len(one) for one in middle}
    # Lakhs and crores are set off by two digits: 12,34,567.
    return sizes <= {3} or (sign == "," and sizes == {2} and len(first) <= 2)


def with_scales(text: str, convention: Convention = ENGLISH, *, suffixes: bool = False) -> str:
    r"""Multiply out words such as "million" behind a number: `$3 billion` becomes `$3000000000`.

    Args:
        text: Numbers in it are `rewritten`.
        convention: Tells the language; English words count in every one.
        suffixes: Whether `3k`, `5M` and `$2.5B` are numbers, and not formulas.
    """
    if suffixes:
        names = convention.names | _names(text)
        text = _MONEY_SUFFIX.sub(lambda m: _product(m[1], _MONEY_SUFFIXES[m[2]]), text)
        text = _SUFFIX.sub(
            lambda m: m.group() if m[2] in names else _product(m[1], _SUFFIXES[m[2]]), text
        )
    languages = ("en",) if convention.language == "en" else (convention.language, "en")
    for language in languages:
        pattern, one_scale = _patterns(language)
        if pattern.search(text):
            text = pattern.sub(partial(_sum, one_scale, language, convention.scale), text)
    return text


@functools.cache
def _patterns(language: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    words = sorted(scale_words(language), key=len, reverse=True)
    chosen = "|".join(re.escape(word) for word in words if word != "mm")
    cjk = language in ("zh", "ja", "ko")
    scale = rf"(?:{chosen})" if cjk else rf"(?:{chosen})(?![\w-])\.?"
    text = rf"(?:\\(?:text|mbox|mathrm|textrm)\s*\{{\s*{scale}\s*\}}|{scale})"
    unit = rf"{_NUMBER}(?:[\s~-]|\\[ ,;])*{text}(?:\s+{text})*"
    tail = r"(?:\s*\d{1,4}(?![\d.]))?" if cjk else ""
    whole = rf"(?<![\w.^_\\]){unit}(?:(?:\s+|\s*(?:,|and)\s*)?{unit})*{tail}"
    parts = rf"({_NUMBER})((?:(?:[\s~-]|\\[ ,;])*{text})*)"
    return re.compile(whole, re.IGNORECASE), re.compile(parts, re.IGNORECASE)


def _sum(one_scale: re.Pattern[str], language: str, asked: int, match: re.Match[str]) -> str:
    values, total, last = scale_words(language), Fraction(0), None
    word = re.compile("|".join(sorted(map(re.escape, values), key=len, reverse=True)), re.I)
    for number, scales in one_scale.findall(match.group()):
        scale = 1
        for one in word.findall(scales):
            scale *= values[one.casefold()]
        # "3 million, 2 million" is a list of two.
        if last is not None and scale >= last:
            return match.group()
        last, total = scale, total + _fraction(number) * scale
    # "7 dozen" are 7 where dozens are asked for.
    return _written(total / asked if last == asked else total)


def _product(number: str, scale: int) -> str:
    return _written(_fraction(number) * scale)


def _fraction(number: str) -> Fraction:
    *whole, part = re.sub(r"\s?/\s?", "/", number.strip()).split()
    top, _, bottom = part.partition("/")
    return sum(map(Fraction, whole), Fraction(top) / (Fraction(bottom) if bottom.strip("0") else 1))


def _written(value: Fraction) -> str:
    if value.denominator == 1:
        return str(value.numerator)
    scaled = value * 10**12
    if scaled.denominator == 1:
        sign, digits = ("-" if value < 0 else ""), f"{abs(scaled.numerator):013d}"
        return f"{sign}{digits[:-12]}.{digits[-12:]}".rstrip("0")
    return f"{value.numerator}/{value.denominator}"
