"""Times of day in words, dates in Chinese figures and Japanese eras, written in digits.

"half past three", "halb vier", "las tres y media" and "3点半" become `3:30`; "下午" and "in the
afternoon" become `pm`; 令和6年 becomes 2024年. Which half of the day is meant is told only where the
text tells it.
"""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import functools
import re
from collections.abc import Mapping
from typing import Final

from et_agent.answers.spelled_numbers import spelled_number

__all__ = ["dates_in_digits"]

_WORD: Final = r"[^\W\d_]+(?:[\u0900-\u0963\u064b-\u0652]+[^\W\d_]*)*"
_HOUR: Final = rf"(?P<h>\d{{1,2}}|{_WORD})"
_MINUTE: Final = rf"(?P<m>\d{{1,2}}|{_WORD}(?:[ -]{_WORD})?)"
_EASTERN_FIGURES: Final = "〇零一二三四五六七八九十两兩"
_IN_CHARACTERS: Final = rf"(?:\d{{1,2}}|[{_EASTERN_FIGURES}]{{1,4}})"
_IN_HANGUL: Final = r"(?:\d{1,2}|[가-힣]{1,4}?)"

_HALF, _QUARTER = 30, 15
_TEMPLATES: Final[Mapping[str, tuple[tuple[str, int | None, int], ...]]] = {
    # What is said, minutes to add (None for those that are told), and hours.
    "en": (
        (r"half past {h}", _HALF, 0),
        (r"(?:a )?quarter (?:past|after) {h}", _QUARTER, 0),
        (r"(?:a )?quarter (?:to|before|till|of) {h}", -_QUARTER, 0),
        (r"{m}(?: minutes?)? (?:past|after) {h}", None, 0),
        (r"{m}(?: minutes?)? (?:to|before|till) {h}", None, -1),
        (r"{h} o['’]?clock|{h2}(?= (?:at night|in the (?:morning|afternoon|evening)))", 0, 0),
        (r"{h}[ -](?P<m>thirty(?:-five)?|fifteen|forty-five|twenty(?:-five)?|forty|fifty(?:-five)?)",
         None, 0),
    ),
    "de": (
        (r"(?P<m>fünf|zehn|5|10) nach halb {h}", _HALF, -60),
        (r"(?P<m>fünf|zehn|5|10) vor halb {h}", -_HALF, 0),
        (r"halb {h}", -_HALF, 0),
        (r"viertel nach {h}", _QUARTER, 0),
        (r"viertel vor {h}|dreiviertel {h2}", -_QUARTER, 0),
        (r"{m}(?: minuten?)? nach {h}", None, 0),
        (r"{m}(?: minuten?)? vor {h}", None, -1),
        (r"{h} uhr {m}", None, 0),
        (r"{h} uhr", 0, 0),
    ),
    "fr": (
        (r"{h} ?(?:heures?|h) (?:et )?demie?", _HALF, 0),
        (r"{h} ?(?:heures?|h) (?:et )?(?:un )?quart", _QUARTER, 0),
        (r"{h} ?(?:heures?|h) moins (?:le |un )?quart", -_QUARTER, 0),
        (r"{h} ?(?:heures?|h) moins {m}", None, -1),
        (r"{h} ?(?:heures?|h) {m}(?: minutes)?", None, 0),
        (r"{h} ?(?:heures?|h)(?: pile)?", 0, 0),
    ),
    "es": (
        (r"(?:a )?las? {h} y media", _HALF, 0),
        (r"(?:a )?las? {h} y cuarto", _QUARTER, 0),
        (r"(?:a )?las? {h} menos cuarto", -_QUARTER, 0),
        (r"(?:a )?las? {h} menos {m}", None, -1),
        (r"(?:a )?las? {h} y {m}(?: minutos)?", None, 0),
        (r"(?:a )?las? {h}(?: en punto| horas?)?(?= de la|\W*$)", 0, 0),
    ),
    "it": (
        (r"(?:al)?l(?:e |['’]){h} e mezz[oa]", _HALF, 0),
        (r"(?:al)?l(?:e |['’]){h} e un quarto", _QUARTER, 0),
        (r"(?:al)?l(?:e |['’]){h} e tre quarti", 45, 0),
        (r"(?:al)?l(?:e |['’]){h} meno un quarto", -_QUARTER, 0),
        (r"(?:al)?l(?:e |['’]){h} meno {m}", None, -1),
        (r"(?:al)?l(?:e |['’]){h} e {m}", None, 0),
        (r"(?:al)?l(?:e |['’]){h}(?: in punto)?(?= d[ie]|\W*$)", 0, 0),
    ),
    "pt": (
        (r"(?:[àa]s? )?{h}(?: horas?)? e meia", _HALF, 0),
        (r"(?:[àa]s? )?{h}(?: horas?)? e um quarto", _QUARTER, 0),
        (r"um quarto para as {h}|(?:[àa]s? )?{h2} menos um quarto", -_QUARTER, 0),
        (r"{m} para as {h}", None, -1),
        (r"[àa]s? {h}(?: horas?)? e {m}", None, 0),
        (r"(?:[àa]s? )?{h} ?(?:horas?|h)(?: em ponto)?", 0, 0),
    ),
    "ru": (
        (r"(?:в )?пол(?:овин[аеу] |-)?{h}", -_HALF, 0),
        (r"четверть {h}", _QUARTER, -60),
        (r"без четверти {h}", -_QUARTER, 0),
        (r"без {m}(?: минут)? {h}", None, -1),
        (r"(?:в )?{h} час(?:а|ов)? {m} минут[уы]?", None, 0),
        (r"(?:в )?{h} час(?:а|ов)?(?: ровно)?", 0, 0),
    ),
    "zh": (
        (r"{c}[点點时時]半", _HALF, 0),
        (r"{c}[点點时時]一刻", _QUARTER, 0),
        (r"{c}[点點时時]三刻", 45, 0),
        (r"差一刻{c}[点點]|{c2}[点點]差一刻", -_QUARTER, 0),
        (r"{c}[点點时時](?:过)?{d}分?", None, 0),
        (r"{c}[点點时時](?:整|钟)?", 0, 0),
    ),
    "ja": (
        (r"{c}時半", _HALF, 0),
        (r"{c}時{d}分前", None, -1),
        (r"{c}時{d}分", None, 0),
        (r"{c}時(?:ちょうど)?", 0, 0),
    ),
    "ko": (
        (r"{k} ?시 ?반", _HALF, 0),
        (r"{k} ?시 ?(?P<m>\d{{1,2}}|[가-힣]{{1,3}}) ?분", None, 0),
        (r"{k} ?시(?: 정각)?(?:(?![가-힣])|(?=에|부터|까지|이|입))", 0, 0),
    ),
    "ar": (
        (r"(?:الساعة )?{h} و ?النصف", _HALF, 0),
        (r"(?:الساعة )?{h} و ?الربع", _QUARTER, 0),
        (r"(?:الساعة )?{h} و ?الثلث", 20, 0),
        (r"(?:الساعة )?{h} [إا]لا (?:ال)?ربعا?", -_QUARTER, 0),
        (r"(?:الساعة )?{h} و{m}(?: دقيقة| دقائق)", None, 0),
        (r"الساعة {h}(?: تماما)?", 0, 0),
    ),
    "hi": (
        (r"साढ़े {h} बजे|साढ़े {h2} बजे", _HALF, 0),
        (r"सवा {h} बजे", _QUARTER, 0),
        (r"पौने {h} बजे", -_QUARTER, 0),
        (r"{h} बजकर {m} मिनट", None, 0),
        (r"{h} बजे", 0, 0),
    ),
}  # fmt: skip
_SIGNS: Final[Mapping[str, re.Pattern[str]]] = {
    name: re.compile(words)
    for name, words in {
        "en": "half|quarter|past|after|clock|thirty|fifteen|forty|twenty|fifty|minute|morning|evening|"
        "night| to | before | till |noon",
        "de": "halb|viertel|uhr|nach|vor|minute|morgen|mittag|abend|nacht",
        "fr": r"heure|\dh|midi|minuit|matin|soir|nuit",
        "es": "media|cuarto|las? |día|noche|mañana|tarde|madrugada",
        "it": "l(?:e |['’])|mezz|mattin|pomeriggio|sera|notte",
        "pt": r"meia|quarto|[àa]s |hora|\d ?h|meio|noite|tarde|manhã|madrugada",
        "ru": "пол|четверт|без|час|минут|утра|дня|вечера|ночи",
        "zh": "[点點时時]|[上下中]午|晚|早|晨|夜|正午|傍晚",
        "ja": "時|午|朝|夕|夜",
        "ko": "시|정오|자정|오[전후]|아침|저녁|새벽|밤",
        "ar": "الساعة|النصف|الربع|الثلث|ربع|ليل|صباح|مساء|ظهر",
        "hi": "बजे|बजकर|रात|सुबह|दोपहर|शाम",
    }.items()
}
"""What each template and name has a part of; most answers have none."""
_ORDINAL_HOURS: Final[Mapping[str, str]] = {
    "ru": "первого второго третьего четвертого пятого шестого седьмого восьмого девятого десятого "
    "одиннадцатого двенадцатого",
    "ar": "الواحدة الثانية الثالثة الرابعة الخامسة السادسة السابعة الثامنة التاسعة العاشرة "
    "الحادية_عشرة الثانية_عشرة",
}
_GENITIVES: Final = {"пяти": 5, "десяти": 10, "двадцати": 20, "двадцати пяти": 25}
_ONE: Final = frozenset({"ein", "eins", "une", "un", "una", "uma", "one", "час"})
_DAY: Final[Mapping[str, tuple[str, str]]] = {
    # Before noon, and after it; at night it depends on the hour.
    "en": ("in the morning", "in the (?:afternoon|evening)"),
    "de": (
        "morgens|am morgen|vormittags|am vormittag",
        "nachmittags|am nachmittag|abends|am abend",
    ),
    "fr": ("du matin", "de l['’]après-midi|du soir"),
    "es": ("de la (?:mañana|madrugada)", "de la tarde"),
    "it": ("di mattina|del mattino", "del pomeriggio|di sera"),
    "pt": ("da (?:manhã|madrugada)", "da tarde"),
    "ru": ("утра", "дня|вечера"),
    "zh": ("上午|早上|凌晨|清晨|早晨", "下午|晚上|傍晚|中午"),
    "ja": ("午前|朝の?", "午後|夕方の?|夜の?"),
    "ko": ("오전|아침|새벽", "오후|저녁|밤"),
    "ar": ("صباحا[ًً]?", "مساء[ًً]?|بعد الظهر|ظهرا"),
    "hi": ("सुबह", "दोपहर|शाम"),
}
_NIGHT: Final = (
    r"at night|nachts|in der nacht|de la nuit|de la noche|di notte|da noite|ночи|深夜|夜里|ليلا|रात"
)
_NOON_AND_MIDNIGHT: Final = (
    (r"mittags?|midi|mediodía|mezzogiorno|meio-dia|полдень|正午|정오|दोपहर 12 बजे", "12:00"),
    (r"mitternachts?|minuit|medianoche|mezzanotte|meia-noite|полночь|午夜|자정|منتصف الليل|"
     r"आधी रात", "00:00"),
)  # fmt: skip
_HALVES: Final = (
    re.compile(r"(?P<time>\d{1,2}:\d\d)(?: uhr)? ?(?P<half><[apn]>)"),
    re.compile(r"(?P<half><[apn]>) ?(?P<time>\d{1,2}:\d\d)"),
)
_DAWN, _NOON = 6, 12
_ERAS: Final = {
    "令和": (2018, 99), "平成": (1988, 31), "昭和": (1925, 64), "大正": (1911, 15),
    "明治": (1867, 45), "民国": (1911, 199), "民國": (1911, 199),
    "reiwa": (2018, 99), "heisei": (1988, 31), "showa": (1925, 64), "taisho": (1911, 15),
    "meiji": (1867, 45), "r": (2018, 99), "h": (1988, 31), "s": (1925, 64), "t": (1911, 15),
    "m": (1867, 45),
}  # fmt: skip
"""The year before an era's first, and its last; of 昭和 and its like there is no later one."""
_ERA_YEAR: Final = re.compile(
    rf"(?P<era>令和|平成|昭和|大正|明治|民国|民國)\s?(?P<year>元|\d{{1,3}}|[{_EASTERN_FIGURES}]{{1,4}})\s?年"
)
_ERA_IN_LATIN: Final = re.compile(
    r"\b(?P<era>reiwa|heisei|showa|taisho|meiji)\s(?P<year>\d{1,2})(?!\d)"
)
_ERA_LETTER: Final = re.compile(
    r"(?<!\w)(?P<era>[rhstm])\.?(?P<year>\d{1,2})(?=[./-]\d{1,2}[./-]\d)"
)
_FIGURES_OF_A_DATE: Final = re.compile(rf"[{_EASTERN_FIGURES}]{{1,4}}(?=\s?[年月日号號])")


def dates_in_digits(text: str, language: str) -> str:
    """Write what a text says of dates and times in digits.

    Args:
        text: In small letters, digits as 0 to 9.
        language: One of the twelve; English words count in each.
    """
    if language in ("zh", "ja") or not text.isascii():
        text = _eastern_dates(text)
    if language == "ja":
        text = _ERA_LETTER.sub(_era, text)
    text = _ERA_IN_LATIN.sub(_era, text)
    for one in dict.fromkeys((language, "en")):
        text = _with_times(text, one)
    return text


def _eastern_dates(text: str) -> str:
    text = _ERA_YEAR.sub(lambda match: _era(match) + "年", text)
    return _FIGURES_OF_A_DATE.sub(_figures, text)


def _era(match: re.Match[str]) -> str:
    first, most = _ERAS[match["era"]]
    year = 1 if match["year"] == "元" else _number(match["year"], "zh")
    if year is None or not 1 <= year <= most:
        return match.group().removesuffix("年")
    return str(first + year)


def _figures(match: re.Match[str]) -> str:
    value = spelled_number(match.group(), "zh")
    return match.group() if value is None else str(value)


def _with_times(text: str, language: str) -> str:
    if _SIGNS[language].search(text) is None:
        return text
    for pattern, minutes, turn in _patterns(language):
        text = pattern.sub(functools.partial(_time, language, minutes, turn), text)
    for sign, words in (("<a>", _DAY[language][0]), ("<p>", _DAY[language][1]), ("<n>", _NIGHT)):
        text = re.sub(
            rf"(?<![^\W\d_])(?:{words})(?![^\W\d_])|(?:{words})(?=\s?\d{{1,2}}:)", sign, text
        )
    for pattern, time in _named():
        text = pattern.sub(time, text)
    for halves in _HALVES:
        text = halves.sub(_in_half, text)
    return text


@functools.cache
def _patterns(language: str) -> tuple[tuple[re.Pattern[str], int | None, int], ...]:
    groups = {
        "h": _HOUR, "h2": _HOUR.replace("<h>", "<h2>"), "m": _MINUTE,
        "c": rf"(?P<h>{_IN_CHARACTERS})\s?", "c2": rf"(?P<h2>{_IN_CHARACTERS})\s?",
        "d": rf"\s?(?P<m>{_IN_CHARACTERS})\s?", "k": rf"(?P<h>{_IN_HANGUL})",
    }  # fmt: skip
    eastern = language in ("zh", "ja", "ko")
    return tuple(
        (
            re.compile(
                rf"(?<!\d)(?:{template.format(**groups)})(?![\d:])"
                if eastern
                else rf"(?<![\w:])(?<!\d[.,])(?:{template.format(**groups)})(?![\w:]|\.\d)"
            ),
            minutes,
            turn,
        )
        for template, minutes, turn in _TEMPLATES[language]
    )


@functools.cache
def _named() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple(
        (re.compile(rf"(?<![\w-])(?:{words})(?!\w)"), time) for words, time in _NOON_AND_MIDNIGHT
    )


def _time(language: str, minutes: int | None, turn: int, match: re.Match[str]) -> str:
    parts = match.groupdict()
    hour = _hour(parts.get("h") or parts.get("h2") or "", language)
    told = parts.get("m")
    spoken = 0 if told is None else _number(told, language)
    if hour is None or spoken is None or not 0 <= spoken < 60:
        return match.group()
    if turn == -1 and "minut" not in match.group():
        figures = told is not None and language in ("en", "de") and told.isdigit()
        if figures or spoken % 5:
            return match.group()  # "9 to 5" is no time
    if minutes is None:
        total = 60 * hour + (-spoken if turn == -1 else spoken)
    else:
        # "fünf nach halb vier" is of the half hour before.
        sign = 1 if turn == -60 and minutes > 0 else -1
        total = 60 * hour + minutes + (turn if turn == -60 else 0) + sign * spoken
    total %= 24 * 60
    if hour and hour <= _NOON and total < 60:
        total += _NOON * 60  # a quarter to one is 12:45
    return f"{total // 60}:{total % 60:02d}"


def _hour(word: str, language: str) -> int | None:
    ordinals = _ORDINAL_HOURS.get(language, "").split()
    named = word.replace("ё", "е").replace(" ", "_")
    if named in ordinals:
        return ordinals.index(named) + 1
    value = 1 if word in _ONE else _number(word, language)
    return value if value is not None and 0 <= value <= 24 else None


def _number(word: str, language: str) -> int | None:
    if word.isdigit():
        return int(word)
    if language == "ru" and word in _GENITIVES:
        return _GENITIVES[word]
    return spelled_number(word, language)


def _in_half(match: re.Match[str]) -> str:
    hour, _, minute = match["time"].partition(":")
    half, told = match["half"][1], int(hour)
    if told > _NOON or told == 0:
        return match["time"]
    if half == "n":
        half = "p" if _DAWN <= told < _NOON else "a"
    return f"{told}:{minute} {half}m "
