"""Numbers in words, in twelve languages.

English is read by `number_words`; German, French, Spanish, Italian and Portuguese by text2num; Chinese
characters by the numbers that Unicode gives them. For Korean, Arabic, Hindi and Russian no library that
is kept, free and right was found: their words up to a hundred stand here, the larger ones in babel.
"""

import functools
import re
import unicodedata
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from et_agent.answers.locales import scale_words
from et_agent.answers.number_words import number_word_runs, parse_number_words

__all__ = ["digits_for_words", "spelled_number"]

_MOST_CHARACTERS: Final = 400
"""A line whose words hold a number is no longer."""
_NOBODY: Final = re.compile(r"\b(?:no|any|each|every|which|this|that) $", re.IGNORECASE)
_BY_TEXT2NUM: Final = frozenset({"de", "fr", "es", "it", "pt"})
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
_LAST_STEP: Final = re.compile(r"([^零〇]*)([百千万萬亿億])([一二三四五六七八九])")
_JAPANESE: Final = _listed(
    1, 1, "ひとつ ふたつ みっつ よっつ いつつ むっつ ななつ やっつ ここのつ とお"
)
_SURE_SIZE: Final = 2
"""A single character for one, two, three is part of other words: 一共, 三角."""
_LETTERS: Final = re.compile(r"[^\W\d_]+(?:[\u0300-\u036f\u0900-\u097f\u064b-\u0652]+[^\W\d_]*)*")


def spelled_number(text: str, language: str) -> int | None:
    """The whole number that a text spells, None if it is not one number in words."""
    words = " ".join(text.casefold().split()).strip(" .!,;")
    if not words or len(words) > _MOST_CHARACTERS or any(map(str.isdigit, words)):
        return None
    minus = _leading_minus(words)
    if minus and language != "en":
        value = spelled_number(words[minus:], language)
        return None if value is None else -value
    return _whole_number(words, language)


def _leading_minus(words: str) -> int:
    found = re.match(
        r"(?:minus|negative|menos|meno|moins|минус|سالب|ناقص|माइनस|ऋण)\s+|(?:负|負|マイナス|"
        r"마이너스)\s*",
        words,
    )
    return found.end() if found is not None else 0


def _whole_number(words: str, language: str) -> int | None:
    if language == "en":
        return parse_number_words(words)
    if language in _BY_TEXT2NUM:
        return _by_text2num(words, language)
    counter = _COUNTER.match(words)
    if language in ("zh", "ja"):
        counted = words if counter is None else counter[1]
        return _colloquial(counted) if language == "zh" else _JAPANESE.get(words, _eastern(counted))
    if language == "ko":
        return _korean(words) if counter is None else _korean(counter[1].strip())
    if language in ("ru", "ar", "hi"):
        return _added(_tokens(words, language), language)
    return None


def digits_for_words(line: str, language: str, *, ones: bool = False) -> str:
    """Write the numbers in words of a line without digits in digits.

    Args:
        line: The line.
        language: One of the twelve.
        ones: Whether an English "one" counts, which is a pronoun more often than a number.
    """
    if len(line) > _MOST_CHARACTERS or any(map(str.isdigit, line)):
        return line
    if language in ("zh", "ja"):
        return _EASTERN_RUN.sub(_sure_run, line)
    parts, at = list[str](), 0
    for start, end, value in _placed(line, language, ones=ones):
        parts += [line[at:start], str(value)]
        at = end
    return "".join((*parts, line[at:]))


def _placed(line: str, language: str, *, ones: bool) -> Iterator[tuple[int, int, int]]:
    """The numbers in words of a line: from where to where, and what they are."""
    if language == "en":
        for start, end, words in number_word_runs(line):
            value = parse_number_words(words)
            pronoun = value == 1 and (not ones or _NOBODY.search(line, 0, start))
            if value is not None and not pronoun:
                yield start, end, value
    elif language in _BY_TEXT2NUM:
        yield from _placed_by_text2num(line, language)
    elif language in ("ru", "ar", "hi"):
        yield from _runs(line, language)


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


def _placed_by_text2num(line: str, language: str) -> Iterator[tuple[int, int, int]]:
    """An ordinal is no number."""
    from text_to_num import find_numbers

    spans = [match.span() for match in re.finditer(r"[^\W\d_]+|[.,;:!?]", line)]
    words = [_Word(line[start:end]) for start, end in spans]
    for one in find_numbers(words, language, 0.0):
        if not one.is_ordinal and one.value > 1:
            yield spans[one.start][0], spans[one.end - 1][1], int(one.value)


def _sure_run(match: re.Match[str]) -> str:
    run = match.group()
    sure = len(run) >= _SURE_SIZE and (set(run) - set("〇零一二三四五六七八九两兩"))
    value = _eastern(run) if sure else None
    return run if value is None else f" {value} "


def _eastern(text: str) -> int | None:
    """A number of Chinese characters, as Chinese and Japanese write it."""
    if not text or _EASTERN_RUN.fullmatch(text) is None:
        return None
    digits = {one: int(unicodedata.numeric(one)) for one in text if one in "〇零一二三四五六七八九"}
    return _positional(text, {**digits, **dict.fromkeys("两兩", 2)})


def _colloquial(text: str) -> int | None:
    """Chinese numbers as spoken: 两百五 is 250, and 两三 two or three."""
    if len(text) == 2 and set(text) <= set("一二两三四五六七八九"):
        return None
    last = _LAST_STEP.fullmatch(text)
    if last is None:
        return _eastern(text)
    step = {**_SMALL_STEPS, **_MYRIADS}[last[2]]
    whole, part = _eastern(last[1] + last[2]), _eastern(last[3])
    return None if whole is None or part is None else whole + part * step // 10


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


def _runs(line: str, language: str) -> Iterator[tuple[int, int, int]]:
    run, start, end = list[str](), 0, 0
    for match in (*_LETTERS.finditer(line), None):
        word = None if match is None else _tokens(match.group().casefold(), language)
        if match is not None and word:
            start = start if run else match.start()
            run, end = run + word, match.end()
            continue
        value = _added(run, language) if run else None
        if value is not None and value != 1:
            yield start, end, value
        run = []


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
