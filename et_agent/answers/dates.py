"""Dates and times of day as people write them in twelve languages, read into ISO 8601.

Month and weekday names are CLDR's, by way of babel. `03/04/2025` is the third of April or March the
fourth: the question tells by its language, by a format that it names or by a date in it that leaves no
doubt. Where it does not, the date stays as it is written and equals neither.
"""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import calendar
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from et_agent.answers.characters import plain_characters
from et_agent.answers.latex import strip_delimiters, strip_markdown, unwrap_text
from et_agent.answers.locales import month_names, weekday_names
from et_agent.answers.numerals import convention_of
from et_agent.answers.spelled_dates import dates_in_digits

__all__ = ["Moment", "date_in_prose", "date_in_value", "dates_in", "written_date"]

_MOST_CHARACTERS: Final = 400
_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_NOON: Final = 12
_SHORT_YEAR: Final = 2
_LATIN: Final = ("en", "de", "fr", "es", "it", "pt")
_TO_TWENTY: Final = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
    "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)
_ORDINALS: Final = {
    **{word: at for at, word in enumerate(_TO_TWENTY.split(), 1)},
    **{f"twenty-{word}": 20 + at for at, word in enumerate(_TO_TWENTY.split()[:9], 1)},
    "thirtieth": 30,
    "thirty-first": 31,
}
_ORDINAL: Final = "|".join(sorted(_ORDINALS, key=len, reverse=True))
_DAY: Final = rf"(?P<day>\d{{1,2}}|{_ORDINAL})(?:st|nd|rd|th|er|º|ª|°|-го)?\.?"
_OF: Final = r"(?:\s*(?:of|de|del|do|d'|den|из)\s+|\s*,\s*|\s+|(?<=\.)|\s*-\s*)"
_YEAR: Final = (
    r"(?P<year>\d{1,4})(?!\d)(?P<era>\s*(?:b\.?\s?c\.?(?:\s?e\.?)?|a\.?\s?d\.?|c\.?\s?e\.?|"
    r"v\. ?chr\.?|av\. ?j\.?-?c\.?|a\. ?c\.?|d\. ?c\.?|n\. ?chr\.?|г(?:\.|ода?|оду)?|"
    r"до н\. ?э\.)(?!\w))?"
)
_EASTERN: Final = re.compile(
    r"(?:(?P<bc>公元前|紀元前|기원전)\s*)?(?:(?P<year>\d{1,4})\s*(?:年|"
    r"년))\s*(?:(?P<month>\d{1,2})\s*(?:月|월)\s*"
    r"(?:(?P<day>\d{1,2})\s*(?:日|号|號|일))?)?"
    r"|(?P<month2>\d{1,2})\s*(?:月|월)(?:\s*(?P<day2>\d{1,2})\s*(?:日|号|號|일))?(?!\s*\d)"
)
_ISO: Final = re.compile(
    r"(?<![\d/.-])(?P<year>\d{4})\s?(?P<sign>[-/.])\s?(?P<month>\d{1,2})(?:\s?(?P=sign)\s?(?P<day>\d{1,2}))?\.?(?![\d/-])"
)
_NUMERIC: Final = re.compile(
    r"(?<![\d/.-])(?P<first>\d{1,2})\s?(?P<sign>[-/.])\s?(?P<second>\d{1,2})\s?(?P=sign)\s?(?P<year>\d{4}|\d{2})(?![\d/-])"
)
_SHORT: Final = re.compile(
    r"(?<![\d/.-])(?P<first>\d{1,2})(?P<sign>/)(?P<second>\d{1,2})(?![\d/.-])"
)
_YEAR_OF_OUR_LORD: Final = re.compile(r"\b(?:ad|a\.d\.|ce)\s+(?P<year>\d{1,4})(?!\d)")
_LONE_YEAR: Final = re.compile(rf"(?<![\w/.,:-]){_YEAR}(?![\w/:]|[.,-]\d)", re.IGNORECASE)
_TIME: Final = re.compile(
    r"(?<![\d:.,/-])(?P<hour>[01]?\d|"
    r"2[0-4])(?:\s?[:h]\s?(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d))?"
    r"|\s?(?:uhr|o'clock|heures?|時|点|點|시)(?:\s?(?P<minute2>[0-5]?\d)\s?(?:分|분)?)?|"
    r"(?=\s?[ap]\.?\s?m)|\.(?P<minute3>[0-5]\d)(?=\s?(?:uhr|[ap]\.?\s?m)))"
    r"\s?(?:uhr|h\b|hrs?\b|hours\b)?\s?(?P<half>[ap]\.?\s?m\b\.?)?(?![\d:])",
    re.IGNORECASE,
)
_NAMED_TIMES: Final = {"noon": "12:00", "midnight": "00:00", "midday": "12:00"}
_NAMED_TIME: Final = re.compile(rf"\b(?:{'|'.join(_NAMED_TIMES)})\b")
_FILLER: Final = re.compile(
    r"\b(?:on|in|at|the|of|am|im|um|le|en|el|il|em|a las|à|alle|às|den|der|year|year of|jahr|año|"
    r"anno|ano|année|ad|ce|"
    r"about|circa|ca|c|around|from|since|by|utc|gmt|local time|в|году|года|год|г|は|です|是|为|在|于|"
    r"عام|سنة|في|को|में|सन|"
    r"day|date|it|was|is|the date is|t|z|and|и|و)\b|[\s,.()\"'$*:;]+",
    re.IGNORECASE,
)
_DAY_FIRST_SAID: Final = re.compile(
    r"\bdd[/.-]mm|\bday/month|\bday first\b|\b(?:european|british|uk|australian|indian) (?:date|"
    r"format|style)|"
    r"\bin (?:the uk|britain|europe|germany|france|australia|india)\b",
    re.IGNORECASE,
)
_MONTH_FIRST_SAID: Final = re.compile(
    r"\bmm[/.-]dd|\bmonth/day|\bmonth first\b|\b(?:american|us|u\.s\.) (?:date|format|style|"
    r"notation)|"
    r"\bin (?:the us|the usa|america|the united states)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Moment:
    """A date or a time of day; parts that are not told are None.

    Attributes:
        year: Before Christ it is 0 or less, as in ISO 8601: 44 BC is -43.
        month, day: From 1.
        time: As `hh:mm` or `hh:mm:ss`.
        unclear: A date whose day and month cannot be told apart, as written.
    """

    year: int | None = None
    month: int | None = None
    day: int | None = None
    time: str | None = None
    unclear: str | None = None

    @property
    def iso(self) -> str:
        """The date as ISO 8601 writes it; without a year as `--07-20`, which people do not write."""
        if self.unclear is not None:
            parts = [self.unclear]
        elif self.month is None and self.year is None:
            parts = []
        else:
            year = "-" if self.year is None else _spelled_year(self.year)
            rest = [f"{one:02d}" for one in (self.month, self.day) if one is not None]
            parts = ["-".join([year, *rest])]
        return "T".join([*parts, *([self.time] if self.time else [])])


def _spelled_year(year: int) -> str:
    return f"{year:04d}" if year >= 0 else f"-{-year:04d}"


def date_in_value(text: str, question: str = "") -> Moment | None:
    """Return the date that a short string is, small words and weekdays aside; None if it is none."""
    cleaned = _clean(text)
    if len(cleaned) > _MOST_CHARACTERS:
        return None
    own = convention_of(question or text).language
    # Without a question nothing but the month may tell the language.
    for language in (own,) if question else dict.fromkeys((own, *_LATIN)):
        digits = dates_in_digits(cleaned, language)
        found = _first_moment(digits, question, language, last=False)
        if found is not None and _is_filler(found[1], language):
            return found[0]
    return None


def _is_filler(rest: str, language: str) -> bool:
    names = {**weekday_names("en"), **weekday_names(language)}
    words = [word for word in re.split(r"[\s,.()]+", _FILLER.sub(" ", rest)) if word]
    return all(word in names for word in words)


def date_in_prose(text: str, question: str = "", *, prefer_first: bool = False) -> Moment | None:
    """Return the date that a sentence gives: the last one, or with `prefer_first` the first."""
    cleaned = _clean(text)
    part = cleaned[:_MOST_CHARACTERS] if prefer_first else cleaned[-_MOST_CHARACTERS:]
    language = convention_of(question or text).language
    digits = dates_in_digits(part, language)
    found = _first_moment(digits, question, language, last=not prefer_first)
    return None if found is None else found[0]


def dates_in(text: str) -> list[Moment]:
    """All dates of a text, first to last; lone years and what may be two dates are such too."""
    cleaned = _clean(text, most=len(text))
    language = convention_of(text).language
    return [moment for _, _, moment in _dates(dates_in_digits(cleaned, language), "", language)]


def written_date(text: str, question: str = "", *, prefer_first: bool = False) -> str | None:
    """The words of the date that `date_in_prose` reads; None where they cannot be told."""
    cleaned = _clean(text)
    part = cleaned[:_MOST_CHARACTERS] if prefer_first else cleaned[-_MOST_CHARACTERS:]
    dates = list(_dates(part, question, convention_of(question or text).language))
    if not dates:
        return None
    start, end, _ = dates[0 if prefer_first else -1]
    words = r"\s+".join(map(re.escape, part[start:end].split()))
    found = re.search(words, text[: 10 * _MOST_CHARACTERS], re.IGNORECASE)
    return None if found is None else found.group().strip(" ,.")


def _clean(text: str, most: int = 10 * _MOST_CHARACTERS) -> str:
    shortened = text[:most]
    plain = plain_characters(unwrap_text(strip_delimiters(strip_markdown(shortened))))
    plain = re.sub(r"\\[,;:! ]|~|[\u00a0\u2009\u202f]", " ", plain)
    return " ".join(re.sub(r"[‒–—]", "-", plain).casefold().split()).strip(" .!")


def _first_moment(
    text: str, question: str, language: str, *, last: bool
) -> tuple[Moment, str] | None:
    """A date with the time beside it, and the text without them."""
    dates = list(_dates(text, question, language))
    times = list(_times(text))
    if not dates:
        if not times:
            return None
        start, end, time = times[-1 if last else 0]
        return Moment(time=time), f"{text[:start]} {text[end:]}"
    start, end, moment = dates[-1 if last else 0]
    rest = f"{text[:start]} {text[end:]}"
    if len(times) == 1 and moment.unclear is None:
        outside = times[0][1] <= start or times[0][0] >= end
        if outside:
            spoken = text[times[0][0] : times[0][1]]
            moment = Moment(moment.year, moment.month, moment.day, times[0][2])
            rest = rest.replace(spoken, " ", 1)
    return moment, rest


Span = tuple[int, int, Moment]


def _dates(text: str, question: str, language: str) -> Iterator[Span]:
    """The dates of a text, first to last, none within another."""
    if not any(map(str.isdigit, text)) and not _has_month(text, language):
        return
    found: list[Span] = []
    taken = bytearray(len(text))
    for pattern in (
        _EASTERN,
        _ISO,
        _NUMERIC,
        *_with_names(language),
        _SHORT,
        _YEAR_OF_OUR_LORD,
        _LONE_YEAR,
    ):
        for match in pattern.finditer(text):
            start, end = match.span()
            if any(taken[start:end]):
                continue
            moment = _moment(match, pattern, question, language)
            if moment is not None:
                found.append((start, end, moment))
                taken[start:end] = b"\1" * (end - start)
    yield from sorted(found, key=lambda one: one[0])


def _moment(
    match: re.Match[str], pattern: re.Pattern[str], question: str, language: str
) -> Moment | None:
    parts, year = match.groupdict(), _number(match.groupdict().get("year"))
    if pattern in (_NUMERIC, _SHORT):
        return _numeric(match, question)
    if pattern is _YEAR_OF_OUR_LORD:
        return Moment(year)
    if pattern is _LONE_YEAR:
        told = year is not None and (parts["era"] is not None or 1000 <= year <= 2999)
        return Moment(_of_era(year, parts["era"])) if told else None
    if pattern is _EASTERN:
        if parts["bc"] and year is not None:
            year = 1 - year
        month, day = parts["month"] or parts["month2"], parts["day"] or parts["day2"]
        return _checked(year, _number(month), _number(day))
    if pattern is _ISO:
        return _checked(year, int(parts["month"]), _number(parts["day"]))
    names = {**month_names("en"), **month_names(language)}
    month_number = names[parts["month"].rstrip(".")]
    if year is not None and len(parts["year"]) == _SHORT_YEAR and parts.get("era") is None:
        year = _in_full(year)
    year = _of_era(year, parts.get("era"))
    return _checked(year, month_number, _number(parts.get("day")))


def _in_full(year: int) -> int:
    """A year of two figures, as POSIX reads it: from 1969 to 2068."""
    return year + (1900 if year > 68 else 2000)


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    return int(text) if text.isdigit() else _ORDINALS[text]


def _of_era(year: int | None, era: str | None) -> int | None:
    letters = re.sub(r"[\W\d_]", "", era or "")
    before = letters in ("bc", "bce", "vchr", "avjc", "ac", "донэ")
    return 1 - year if before and year is not None else year


def _checked(year: int | None, month: int | None, day: int | None) -> Moment | None:
    if month is not None and not 1 <= month <= len(_DAYS):
        return None
    if day is not None and (month is None or not 1 <= day <= _DAYS[month - 1]):
        return None
    if (month, day) == (2, 29) and year is not None and not calendar.isleap(year):
        return None
    return Moment(year, month, day)


def _numeric(match: re.Match[str], question: str) -> Moment | None:
    first, second = int(match["first"]), int(match["second"])
    written = match.groupdict().get("year")
    year = None if written is None else int(written)
    if written is not None and len(written) == _SHORT_YEAR and year is not None:
        year = _in_full(year)
    both_ways = _checked(year, first, second), _checked(year, second, first)
    if both_ways[0] == both_ways[1] or None in both_ways:
        return both_ways[0] or both_ways[1]
    if match["sign"] == ".":
        return both_ways[1]
    day_first = _is_day_first(question)
    if day_first is None:
        return Moment(unclear=match.group().replace(" ", ""))
    return both_ways[1] if day_first else both_ways[0]


@functools.lru_cache(maxsize=64)
def _is_day_first(question: str) -> bool | None:
    """Whether a question writes the day before the month; None if it does not tell."""
    if _DAY_FIRST_SAID.search(question):
        return True
    if _MONTH_FIRST_SAID.search(question):
        return False
    for match in _NUMERIC.finditer(plain_characters(question[: 10 * _MOST_CHARACTERS])):
        first, second = int(match["first"]), int(match["second"])
        if (first > len(_DAYS)) != (second > len(_DAYS)):
            return first > len(_DAYS)
    language = convention_of(question).language
    # Chinese, Japanese and Korean write the year first; a date that does not follows no rule.
    return None if language in ("en", "zh", "ja", "ko") else True


@functools.cache
def _with_names(language: str) -> tuple[re.Pattern[str], ...]:
    names = sorted({*month_names("en"), *month_names(language)}, key=len, reverse=True)
    chosen = "|".join(re.escape(name) for name in names if not name[0].isdigit())
    month = rf"(?P<month>{chosen})\.?(?!\w)"
    return tuple(
        re.compile(pattern, re.IGNORECASE)
        for pattern in (
            rf"(?<![\w.])(?P<year>[12]\d{{3}}){_OF}{month}{_OF}{_DAY}(?![\d:])(?!{_OF}\d{{4}})",
            rf"(?<!\w){_DAY}{_OF}{month}(?:{_OF}(?:the year )?{_YEAR})?",
            rf"(?<!\w){month}{_OF}(?:the\s+)?{_DAY}(?![\d:])(?:\s*,?\s+(?:of\s+)?{_YEAR}(?!:))?",
            rf"(?<!\w){month}{_OF}{_YEAR}",
            rf"(?<!\w){month}(?!\s*\d)",
        )
    )


def _has_month(text: str, language: str) -> bool:
    return any(pattern.search(text) for pattern in _with_names(language)[-1:])


def _times(text: str) -> Iterator[tuple[int, int, str]]:
    for named in _NAMED_TIME.finditer(text):
        yield named.start(), named.end(), _NAMED_TIMES[named.group()]
    for match in _TIME.finditer(text):
        hour = int(match["hour"])
        minute = int(match["minute"] or match["minute2"] or match["minute3"] or 0)
        half = (match["half"] or "").replace(".", "").replace(" ", "")
        if half and not 1 <= hour <= _NOON:
            continue
        if half:
            hour = hour % _NOON + (_NOON if half == "pm" else 0)
        seconds = f":{match['second']}" if match["second"] and match["second"] != "00" else ""
        yield match.start(), match.end(), f"{hour % 24:02d}:{minute:02d}{seconds}"
