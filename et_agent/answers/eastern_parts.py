"""Fractions, halves and decimals in Chinese, Japanese and Korean words, written as `n/m`."""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import re
from collections.abc import Mapping
from fractions import Fraction
from functools import partial
from typing import Final

from et_agent.answers.spelled_numbers import spelled_number

__all__ = ["DOZEN", "EASTERN", "INDEFINITE", "eastern_parts", "ratio", "value_of", "written"]

EASTERN: Final = ("zh", "ja", "ko")
"""Languages that name the denominator first."""
DOZEN: Final = 12
INDEFINITE: Final = frozenset({"a", "an", "eine", "einen", "einem", "ein", "un", "une", "una",
                                "um", "uma"})  # fmt: skip
_EASTERN: Final = "0-9〇零一二三四五六七八九十百千万两兩"
_EASTERN_NUMBER: Final = rf"(?:\d+|[{_EASTERN}]+)"
_COUNTERS: Final = "个|個|つ|年|天|日|小时|時間|公里|公斤|倍|개|시간|년|배|살"
_OF_PARTS: Final = re.compile(
    rf"(?P<bottom>{_EASTERN_NUMBER})\s*分\s*(?:之|の)\s*(?P<top>{_EASTERN_NUMBER})"
)
_OF_PARTS_IN_KOREAN: Final = re.compile(
    r"(?P<bottom>\d+|[일이삼사오육칠팔구십백천]+)\s?분의\s?(?P<top>\d+|[일이삼사오육칠팔구십백천]+?)"
    r"(?![가-힣]*[일이삼사오육칠팔구십백천](?!입|이))"
)
_HUNDREDTHS: Final = re.compile(rf"百\s*分\s*之\s*(?={_EASTERN_NUMBER})(?P<top>{_EASTERN_NUMBER})")
_AND_A_HALF: Final = re.compile(rf"(?P<whole>{_EASTERN_NUMBER})\s?(?:{_COUNTERS})?半(?!分|年|天)")
_AND_A_HALF_IN_KOREAN: Final = re.compile(
    rf"(?P<whole>\d+|[일이삼사오육칠팔구십한두세네]+|다섯|여섯|일곱|여덟|아홉|열)\s?(?:{_COUNTERS})?\s반(?![가-힣]*의)"
)
_EASTERN_DOZENS: Final = re.compile(
    rf"(?P<whole>{_EASTERN_NUMBER}|[한두세네])\s?(?:打|ダース|다스)"
)
_A_HALF: Final[Mapping[str, str]] = {"zh": "一半|半个|半数|^半$", "ja": "半分", "ko": "절반"}
_EASTERN_POINT: Final = re.compile(
    r"(?P<whole>[〇零一二三四五六七八九十百千]+)点(?P<part>[〇零一二三四五六七八九]+)(?![十百分半時时])"
)
_KOREAN_POINT: Final = re.compile(
    r"(?P<whole>[영공일이삼사오육칠팔구십백천]+)\s?점\s?(?P<part>[영공일이삼사오육칠팔구]+)(?![가-힣]*수)"
)
_EASTERN_MIXED: Final = re.compile(
    rf"(?P<whole>{_EASTERN_NUMBER})\s?(?:又|と|과|와)\s?(?P<part>\d+/\d+)"
)


def eastern_parts(text: str, language: str) -> str:
    """Chinese, Japanese and Korean name the denominator first: 四分之三."""
    if text.isascii():
        return text
    if language == "ko":
        text = _OF_PARTS_IN_KOREAN.sub(partial(ratio, language), text)
        text = _KOREAN_POINT.sub(partial(_pointed, language), text)
        text = _AND_A_HALF_IN_KOREAN.sub(partial(_and_a_half, language), text)
    else:
        text = _HUNDREDTHS.sub(partial(_percent, language), text)
        text = _OF_PARTS.sub(partial(ratio, language), text)
        text = _EASTERN_POINT.sub(partial(_pointed, language), text)
        text = re.sub(_A_HALF[language], " 1/2 ", text)
        text = _AND_A_HALF.sub(partial(_and_a_half, language), text)
    text = _EASTERN_DOZENS.sub(partial(_dozen, language), text)
    text = _EASTERN_MIXED.sub(partial(_mixed, language), text)
    return re.sub(_A_HALF[language], " 1/2 ", text)


def value_of(words: str, language: str) -> Fraction | None:
    """The value of a number in words or digits; a lone article counts one."""
    if words.isdigit() and words.isascii():
        return Fraction(int(words)) if len(words) <= 18 else None
    if words.casefold() in INDEFINITE:
        return Fraction(1)
    found = spelled_number(words, language)
    return None if found is None else Fraction(found)


def ratio(language: str, match: re.Match[str]) -> str:
    """Write the groups `top` and `bottom` of a match as a fraction, unless they are no numbers."""
    top, bottom = value_of(match["top"], language), value_of(match["bottom"], language)
    return match.group() if top is None or not bottom else f" {written(top / bottom)} "


def _percent(language: str, match: re.Match[str]) -> str:
    value = value_of(match["top"], language)
    return match.group() if value is None else f" {value}% "


def _pointed(language: str, match: re.Match[str]) -> str:
    whole = value_of(match["whole"], language)
    digits = [value_of(one, language) for one in match["part"]]
    if whole is None or None in digits:
        return match.group()
    part = "".join(str(one) for one in digits)
    return f" {written(whole + Fraction(int(part), 10 ** len(part)))} "


def _and_a_half(language: str, match: re.Match[str]) -> str:
    whole = value_of(match["whole"], language)
    return match.group() if whole is None else f" {written(whole + Fraction(1, 2))} "


def _dozen(language: str, match: re.Match[str]) -> str:
    whole = value_of(match["whole"], language)
    return match.group() if whole is None else f" {whole * DOZEN} "


def _mixed(language: str, match: re.Match[str]) -> str:
    whole, (top, _, bottom) = value_of(match["whole"], language), match["part"].partition("/")
    if whole is None or not int(bottom) or int(top) >= int(bottom):
        return match.group()
    return written(whole + Fraction(int(top), int(bottom)))


def written(value: Fraction) -> str:
    """Write a value as an integer or as `n/m`."""
    return (
        str(value.numerator) if value.denominator == 1 else f"{value.numerator}/{value.denominator}"
    )
