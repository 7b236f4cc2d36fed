"""Numbers in words, in twelve languages.

English is read by `number_words`; German, French, Spanish, Italian and Portuguese by text2num; Chinese
characters by the numbers that Unicode gives them. For Korean, Arabic, Hindi and Russian no library that
is kept, free and right was found: their words up to a hundred stand here, the larger ones in babel.
"""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import functools
import re
import unicodedata
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from et_agent.answers.locales import scale_words
from et_agent.answers.number_words import parse_number_words

__all__ = ["digits_for_words", "fractions_for_words", "spelled_number"]

_MOST_CHARACTERS: Final = 400
"""A line whose words hold a number is no longer."""
_BY_TEXT2NUM: Final = frozenset({"de", "fr", "es", "it", "pt"})
_MINUS: Final = re.compile(
    r"(?<!\w)(?:minus|negative|menos|meno|moins|минус|سالب|ناقص|माइनस|ऋण)\s+(?=\d|[$€£]\d)"
    r"|(?:负|負|マイナス|마이너스)\s*(?=\d)",
    re.IGNORECASE,
)

_PARTS: Final = {
    "half": 2, "halves": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6,
    "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10, "twelfth": 12, "sixteenth": 16,
    "twentieth": 20, "hundredth": 100, "thousandth": 1000,
}  # fmt: skip
_COUNTED: Final = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fifteen|nineteen"
)
_PART_NAMES: Final = "|".join(sorted(_PARTS, key=len, reverse=True))
_FRACTION: Final = re.compile(
    rf"(?<![\w-])(?:(?P<whole>\d+|{_COUNTED})\s+and\s+)?(?P<top>{_COUNTED}|an?(?=\s+half))"
    rf"[\s-]+(?!halves)(?P<bottom>{_PART_NAMES})s?(?![\w-])",
    re.IGNORECASE,
)
_HALF_A: Final = re.compile(
    r"\bhalf an? (?=(?:million|billion|trillion|thousand|dozen|hundred)\b)", re.I
)
_MIXED: Final = re.compile(r"(\d) and (?=\d+/\d)")
_WHOLE_PART: Final = re.compile(rf"(?:an?\s+)?({_PART_NAMES})", re.IGNORECASE)
_PARTS_ELSEWHERE: Final[Mapping[str, Mapping[str, str]]] = {
    "de": {
        "einhalb": "1/2", "ein halb": "1/2", "die hälfte": "1/2", "ein halbes": "1/2",
        "ein drittel": "1/3", "zwei drittel": "2/3", "ein viertel": "1/4",
        "drei viertel": "3/4", "dreiviertel": "3/4", "anderthalb": "3/2", "eineinhalb": "3/2",
    },
    "fr": {
        "un demi": "1/2", "une demie": "1/2", "la moitié": "1/2", "un tiers": "1/3",
        "deux tiers": "2/3", "un quart": "1/4", "trois quarts": "3/4",
    },
    "es": {
        "un medio": "1/2", "la mitad": "1/2", "un tercio": "1/3", "dos tercios": "2/3",
        "un cuarto": "1/4", "tres cuartos": "3/4",
    },
    "it": {
        "un mezzo": "1/2", "la metà": "1/2", "un terzo": "1/3", "due terzi": "2/3",
        "un quarto": "1/4", "tre quarti": "3/4",
    },
    "pt": {
        "meio": "1/2", "um meio": "1/2", "a metade": "1/2", "um terço": "1/3",
        "dois terços": "2/3", "um quarto": "1/4", "três quartos": "3/4",
    },
    "zh": {"一半": "1/2"},
    "ja": {"半分": "1/2"},
    "ko": {"절반": "1/2"},
    "ru": {
        "половина": "1/2", "одна вторая": "1/2", "треть": "1/3", "одна треть": "1/3",
        "две трети": "2/3", "четверть": "1/4", "одна четверть": "1/4", "три четверти": "3/4",
    },
    "ar": {"نصف": "1/2", "ثلث": "1/3", "ربع": "1/4", "ثلاثة أرباع": "3/4", "ثلثان": "2/3"},
    "hi": {"आधा": "1/2", "एक चौथाई": "1/4", "तीन चौथाई": "3/4", "एक तिहाई": "1/3"},
}  # fmt: skip
_OF_PARTS: Final = re.compile(r"^([0-9〇零一二三四五六七八九十百]+)\s*分\s*(?:之|の)\s*(.+)$")

_HUNDREDS_FORM: Final = "NFC"


def _listed(start: int, step: int, words: str) -> dict[str, int]:
    """Words in the order of their numbers; a slash sets apart words of the same number."""
    found: dict[str, int] = {}
    for at, alike in enumerate(words.split()):
        found.update(dict.fromkeys(alike.split("/"), start + at * step))
    return found


_RUSSIAN: Final = {
    **_listed(
        0,
        1,
        "ноль/нуль один/одна/одно два/две три четыре пять шесть семь восемь девять десять "
        "одиннадцать двенадцать тринадцать четырнадцать пятнадцать шестнадцать семнадцать "
        "восемнадцать девятнадцать",
    ),
    **_listed(
        20, 10, "двадцать тридцать сорок пятьдесят шестьдесят семьдесят восемьдесят девяносто"
    ),
    **_listed(100, 100, "сто двести триста четыреста пятьсот шестьсот семьсот восемьсот девятьсот"),
}
_ARABIC: Final = {
    **_listed(
        0,
        1,
        "صفر واحد/واحدة اثنان/اثنين/اثنتان/اثنتين ثلاثة/ثلاث اربعة/اربع خمسة/خمس ستة/ست سبعة/سبع "
        "ثمانية/ثماني/ثمان تسعة/تسع عشرة/عشر",
    ),
    **_listed(20, 10, "عشرون/عشرين ثلاثون/ثلاثين اربعون/اربعين خمسون/خمسين ستون/ستين سبعون/سبعين "
              "ثمانون/ثمانين تسعون/تسعين"),
    **_listed(100, 100, "مائة/مئة مائتان/مئتان/مائتين/مئتين ثلاثمائة/ثلاثمئة اربعمائة/اربعمئة "
              "خمسمائة/خمسمئة ستمائة/ستمئة سبعمائة/سبعمئة ثمانمائة/ثمانمئة تسعمائة/تسعمئة"),
    "الفان": 2000, "الفين": 2000, "احد": 1, "احدى": 1, "اثنا": 2, "اثني": 2,
}  # fmt: skip
_HINDI: Final = _listed(
    0,
    1,
    "शून्य एक दो तीन चार पांच/पाँच छह/छः/छ सात आठ नौ दस ग्यारह बारह तेरह चौदह पंद्रह/पन्द्रह सोलह सत्रह "
    "अठारह उन्नीस बीस इक्कीस बाईस/बाइस तेईस/तेइस चौबीस पच्चीस छब्बीस सत्ताईस/सत्ताइस अट्ठाईस/अठाईस "
    "उनतीस तीस "
    "इकतीस/इकत्तीस बत्तीस तैंतीस/तेंतीस चौंतीस पैंतीस छत्तीस सैंतीस अड़तीस उनतालीस चालीस इकतालीस "
    "बयालीस तैंतालीस "
    "चौवालीस/चवालीस पैंतालीस छियालीस सैंतालीस अड़तालीस उनचास पचास इक्यावन बावन तिरपन चौवन/चौअन "
    "पचपन छप्पन "
    "सत्तावन अट्ठावन/अठावन उनसठ साठ इकसठ बासठ तिरसठ चौंसठ/चौसठ पैंसठ छियासठ सड़सठ अड़सठ उनहत्तर सत्तर "
    "इकहत्तर "
    "बहत्तर तिहत्तर चौहत्तर पचहत्तर छिहत्तर सतहत्तर अठहत्तर उन्यासी/उनासी अस्सी इक्यासी बयासी तिरासी "
    "चौरासी पचासी "
    "छियासी सत्तासी अट्ठासी/अठासी नवासी नब्बे इक्यानवे/इक्यानबे बानवे/बानबे तिरानवे चौरानवे "
    "पचानवे/पंचानबे छियानवे "
    "सत्तानवे अट्ठानवे/अठानवे निन्यानवे",
)
_KOREAN_NATIVE: Final = {
    **_listed(1, 1, "하나/한 둘/두 셋/세 넷/네 다섯 여섯 일곱 여덟 아홉"),
    **_listed(10, 10, "열 스물/스무 서른 마흔 쉰 예순 일흔 여든 아흔"),
}
_KOREAN_DIGITS: Final = {"영": 0, "공": 0, **_listed(1, 1, "일 이 삼 사 오 육 칠 팔 구")}
_MYRIADS: Final = {
    **dict.fromkeys("万萬만", 10**4),
    **dict.fromkeys("亿億억", 10**8),
    **dict.fromkeys("兆조", 10**12),
}
_SMALL_STEPS: Final = {**dict.fromkeys("十십拾", 10), **dict.fromkeys("百백", 100),
                       **dict.fromkeys("千천", 1000)}  # fmt: skip
_EASTERN: Final = "〇零一二三四五六七八九两兩十百千万萬亿億兆"
_EASTERN_RUN: Final = re.compile(rf"[{_EASTERN}]+")
_COUNTER: Final = re.compile(
    r"^(.{1,12}?)\s?(?:개|명|살|시간|분|원|마리|권|번|個|人|つ|円|歳|年|本|枚|个|只|元|岁|条)$"
)
_SURE_SIZE: Final = 2
"""A single character for one, two, three is part of other words: 一共, 三角."""
_LETTERS: Final = re.compile(r"[^\W\d_]+(?:[\u0300-\u036f\u0900-\u097f\u064b-\u0652]+[^\W\d_]*)*")


def fractions_for_words(text: str) -> str:
    """Write English fractions in words as `n/m`: "three quarters", "two and a half"."""
    if len(text) > 10 * _MOST_CHARACTERS:
        return text
    text = _HALF_A.sub("1/2 ", _MIXED.sub(r"\1 ", text))
    return _MINUS.sub("-", _FRACTION.sub(_in_digits, text))


def _in_digits(match: re.Match[str]) -> str:
    bottom = match["bottom"].casefold()
    size = _PARTS.get(bottom) or _PARTS[bottom.rstrip("s")]
    whole = _count(match["whole"]) if match["whole"] else 0
    top = _count(match["top"])
    return f"{whole} {top}/{size}" if whole else f"{top}/{size}"


def _count(word: str) -> int:
    if word.isdigit():
        return int(word[:18])
    return 1 if word.casefold() in ("a", "an") else parse_number_words(word) or 0


def spelled_number(text: str, language: str) -> Fraction | None:
    """The number that a whole text spells, None if it is not one number in words."""
    words = " ".join(text.casefold().split()).strip(" .!,;")
    if not words or len(words) > _MOST_CHARACTERS or any(map(str.isdigit, words)):
        return _of_parts(words)
    part = _WHOLE_PART.fullmatch(words)
    if part is not None:
        return Fraction(1, _PARTS.get(part[1]) or _PARTS[part[1].rstrip("s")])
    known = _PARTS_ELSEWHERE.get(language, {}).get(words)
    if known is not None:
        return Fraction(known)
    parts = _of_parts(words)
    if parts is not None:
        return parts
    minus = _leading_minus(words)
    if minus:
        value = spelled_number(words[minus:], language)
        return None if value is None else -value
    whole = _whole_number(words, language)
    return None if whole is None else Fraction(whole)


def _leading_minus(words: str) -> int:
    found = re.match(
        r"(?:minus|negative|menos|meno|moins|минус|سالب|ناقص|माइनस|ऋण)\s+|(?:负|負|マイナス|"
        r"마이너스)\s*",
        words,
    )
    return found.end() if found is not None else 0


def _of_parts(words: str) -> Fraction | None:
    """Chinese and Japanese name the denominator first: 四分之三."""
    found = _OF_PARTS.match(words)
    if found is None:
        return None
    bottom, top = (
        int(one) if one.isdigit() and len(one) < 19 else _eastern(one)
        for one in (found[1], found[2].strip())
    )
    return None if top is None or not bottom else Fraction(top, bottom)


def _whole_number(words: str, language: str) -> int | None:
    if language in _BY_TEXT2NUM:
        return _by_text2num(words, language)
    counter = _COUNTER.match(words)
    if language in ("zh", "ja"):
        return _eastern(words) if counter is None else _eastern(counter[1])
    if language == "ko":
        return _korean(words) if counter is None else _korean(counter[1].strip())
    if language in ("ru", "ar", "hi"):
        return _added(_tokens(words, language), language)
    return None


def digits_for_words(line: str, language: str) -> str:
    """Write the numbers in words of a line without digits in digits; English is left alone."""
    if language == "en" or len(line) > _MOST_CHARACTERS or any(map(str.isdigit, line)):
        return line
    if language in _BY_TEXT2NUM:
        return _last_by_text2num(line, language)
    if language in ("zh", "ja"):
        return _EASTERN_RUN.sub(_sure_run, line)
    if language in ("ru", "ar", "hi"):
        runs = _runs(line, language)
        return line if not runs else runs[-1]
    return line


def _by_text2num(words: str, language: str) -> int | None:
    from text_to_num import text2num

    try:
        return int(text2num(words.replace("-", " ") if language == "de" else words, language))
    except ValueError:
        return None


class _Word:
    """A word as text2num wants it."""

    def __init__(self, word: str) -> None:
        self._word = word

    def text(self) -> str:
        return self._word

    def nt_separated(self, previous: "_Word") -> bool:
        del previous
        return False

    def not_a_number_part(self) -> bool:
        return False


def _last_by_text2num(line: str, language: str) -> str:
    """The last number that a line spells; a lone "one" is an article, and an ordinal is no number."""
    from text_to_num import find_numbers

    words = [_Word(one) for one in re.findall(r"[^\W\d_]+|[.,;:!?]", line)]
    found = [one for one in find_numbers(words, language, 0.0) if not one.is_ordinal]
    values = [int(one.value) for one in found if one.value > 1]
    return str(values[-1]) if values else line


def _sure_run(match: re.Match[str]) -> str:
    run = match.group()
    sure = len(run) >= _SURE_SIZE and (set(run) - set("〇零一二三四五六七八九"))
    value = _eastern(run) if sure else None
    return run if value is None else f" {value} "


def _eastern(text: str) -> int | None:
    """A number of Chinese characters, as Chinese and Japanese write it."""
    if not text or _EASTERN_RUN.fullmatch(text) is None:
        return None
    digits = {one: int(unicodedata.numeric(one)) for one in text if one in "〇零一二三四五六七八九"}
    return _positional(text, {**digits, **dict.fromkeys("两兩", 2)})


def _korean(text: str) -> int | None:
    tokens = "".join(text.split())
    sino = _positional(tokens, _KOREAN_DIGITS)
    return sino if sino is not None else _native_korean(tokens)


def _native_korean(text: str) -> int | None:
    tens = next((word for word in _KOREAN_NATIVE if _KOREAN_NATIVE[word] >= 10
                 and text.startswith(word)), "")  # fmt: skip
    rest = text[len(tens) :]
    unit = 0 if tens and not rest else _KOREAN_NATIVE.get(rest, 10)
    return None if unit >= 10 else (_KOREAN_NATIVE[tens] if tens else 0) + unit


def _positional(text: str, digits: Mapping[str, int]) -> int | None:
    """Digits, tens to thousands, and myriads: 三百四十五万."""
    if all(one in digits for one in text):
        return int("".join(str(digits[one]) for one in text)) if len(text) <= 18 else None
    total = section = pending = 0
    for one in text:
        if one in digits:
            pending = digits[one]
        elif one in _SMALL_STEPS:
            section += (pending or 1) * _SMALL_STEPS[one]
            pending = 0
        elif one in _MYRIADS:
            total += ((section + pending) or 1) * _MYRIADS[one]
            section = pending = 0
        else:
            return None
    return total + section + pending


@functools.cache
def _vocabulary(language: str) -> Mapping[str, int]:
    small = {"ru": _RUSSIAN, "ar": _ARABIC, "hi": {**_HINDI, "सौ": 100}}[language]
    large = {_folded(word, language): value for word, value in scale_words(language).items()}
    folded = {_folded(word, language): value for word, value in small.items()}
    return MappingProxyType({**large, **folded})


def _folded(word: str, language: str) -> str:
    if language != "ar":
        return unicodedata.normalize(_HUNDREDS_FORM, word)
    without_marks = re.sub("[\u064b-\u0652\u0640]", "", word)
    return without_marks.translate(str.maketrans("أإآى", "اااي"))


def _tokens(words: str, language: str) -> list[str] | None:
    """The number words of a text, None if it has others."""
    vocabulary, found = _vocabulary(language), list[str]()
    for token in words.replace("-", " ").split():
        word = _folded(token, language)
        if word not in vocabulary and language == "ar" and word.startswith("و"):
            word = word[1:]
        if word in vocabulary:
            found.append(word)
        elif word:
            return None
    return found


def _runs(line: str, language: str) -> list[str]:
    """The numbers of a line in digits, first to last; a lone "one" is none."""
    found, run = list[str](), list[str]()
    for token in (*(match.group() for match in _LETTERS.finditer(line)), ""):
        word = _tokens(token.casefold(), language) if token else None
        if word:
            run += word
            continue
        value = _added(run, language) if run else None
        if value is not None and value != 1:
            found.append(str(value))
        run = []
    return found


def _added(tokens: list[str] | None, language: str) -> int | None:
    """Units, tens and hundreds added, thousands and more multiplied."""
    if not tokens:
        return None
    vocabulary, total, section = _vocabulary(language), 0, 0
    for token in tokens:
        value = vocabulary[token]
        if value >= 1000 and value != 2000:
            total += (section or 1) * value
            section = 0
        elif value == 100 and language == "hi":
            section = (section or 1) * 100
        elif language == "ar" and token in ("عشر", "عشرة") and 0 < section % 100 < 10:
            section += 10
        else:
            section += value
    return total + section
