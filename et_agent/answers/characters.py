"""One spelling for characters that many keyboards and scripts have: digits, fractions, signs."""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import re
import unicodedata
from functools import lru_cache
from typing import Final

__all__ = ["is_cjk", "plain_characters"]

_SUPERSCRIPTS: Final = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻"
_RAISED: Final = str.maketrans(_SUPERSCRIPTS, "0123456789+-")
_POWER: Final = re.compile(rf"(?<=[0-9A-Za-zµΩ)°])[{_SUPERSCRIPTS}]+")
_STACKED: Final = re.compile(r"([⁰¹²³⁴-⁹]+)[⁄/]([₀-₉]+)")
_LEVEL: Final = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉", "01234567890123456789")
_SIGNS: Final = str.maketrans(
    {
        "⁄": "/", "∕": "/", "٫": ".", "٬": ",", "٪": "%", "。": ". ", "，": ", ", "、": ", ",
        "：": ": ", "；": "; ", "（": "(", "）": ")", "．": ". ", "！": "! ", "？": "? ", "،": ", ",
        "؛": "; ", "।": ". ", "「": '"', "」": '"', "『": '"', "』": '"', "【": "[", "】": "]",
        "\u200e": "", "\u200f": "", "\u2066": "", "\u2067": "", "\u2069": "", "\u00ad": "",
        "～": "~", "〜": "~", "￥": "¥", "＄": "$", "％": "%", "−": "-", "﹣": "-", "－": "-",
        "'": "'", "’": "'", "＋": "+", "／": "/", "＝": "=", "＊": "*",
    }
)  # fmt: skip
"""Full-width and Arabic signs; marks that only set the direction of writing go."""
_CJK: Final = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_DIGIT_POINT: Final = re.compile(r"(?<=\d)．(?=\d)")
_DIGIT_COMMA: Final = re.compile(r"(?<=\d)，(?=\d{3})")
_BETWEEN_SCRIPTS: Final = re.compile(
    rf"(?<=[{_CJK}])(?=[-+]?[0-9A-Za-z$€£¥₩\\(\[{{\"])|(?<=[0-9A-Za-z%°)\]}}\"])(?=[{_CJK}])"
)


def is_cjk(character: str) -> bool:
    """Whether a character is of a script that is written without spaces, or of Hangul."""
    return "\u3040" <= character <= "\u30ff" or (
        "\u3400" <= character <= "\u9fff" or "\uac00" <= character <= "\ud7af"
    )


@lru_cache(maxsize=256)
def plain_characters(text: str) -> str:
    """Write digits of all scripts as 0 to 9, and fractions and powers as `1/2` and `^2`.

    Full-width forms become ASCII, Arabic and Chinese punctuation becomes European, and where a script
    without spaces meets Latin letters or digits a space is put. Letters stay as they are.
    """
    if text.isascii():
        return text
    text = _DIGIT_COMMA.sub(",", _DIGIT_POINT.sub(".", text))
    text = _STACKED.sub(lambda match: f" {match.group().translate(_LEVEL)}", text)
    found = _POWER.sub(_raised, text)
    found = "".join(_plain(one) for one in found) if _has_others(found) else found
    found = found.translate(_SIGNS)
    return _BETWEEN_SCRIPTS.sub(" ", found)


def _raised(match: re.Match[str]) -> str:
    return f"^{match.group().translate(_RAISED)}"


def _has_others(text: str) -> bool:
    return any(
        (ord(one) > 0x7F and (one.isdigit() or one.isnumeric())) or 0xFF01 <= ord(one) <= 0xFF5E
        for one in text
    )


def _plain(character: str) -> str:
    if character.isascii():
        return character
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(int(digit))
    if unicodedata.category(character) == "No":
        fraction = unicodedata.normalize("NFKC", character)
        # "2½" is a mixed number: two and a half.
        return f" {fraction}" if "⁄" in fraction else character
    if 0xFF21 <= ord(character) <= 0xFF5A:
        return unicodedata.normalize("NFKC", character)
    return character
