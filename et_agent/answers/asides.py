"""Figures of a sentence that are not its answer: years, sources, what is denied, what else is counted.

"There were 42 students in 2019", "It is 6, not 5", "She has 6 apples in 3 boxes [1]".
"""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import re
from functools import lru_cache
from typing import Final

from et_agent.answers.language import language_of, small_words
from et_agent.answers.spelled_numbers import digits_for_words

__all__ = ["DENIED", "without_asides"]

_NUMBER: Final = r"[-+]?(?:US)?[$€£¥₹]?\d[\d.,]*(?<![.,])"
DENIED: Final = re.compile(
    rf"\b(?:not|(?:is|are|was|were)n['’]t|rather than|instead of|nicht|(?:an)?statt|pas|et non|"
    rf"au lieu de|no (?:son|es|hay|era)|en (?:vez|lugar) de|non(?: (?:è|sono|erano))?|invece di|"
    rf"(?:não|em vez de)(?: (?:é|são|eram))?|не|вместо)\s+(?:just |exactly |exactement )?{_NUMBER}"
    rf"|(?<=,) no\s+{_NUMBER}|(?:不是|并非|而非|而不是)\s*{_NUMBER}"
    rf"|{_NUMBER}\s*[^\s\d]{{0,3}}?\s?(?:(?:では|じゃ)(?:な|あ)|[이가] ?아[니닙닌])"
    rf"|(?:ليس(?:ت)?|لا)\s+{_NUMBER}|{_NUMBER} नहीं",
    re.IGNORECASE,
)
"""A number that a text says no to."""
_RANGE: Final = re.compile(
    r"\b(?:between|zwischen|entre|tra|fra|между)\s+[$€£]?\d[\d.,]*(?:\s[^\W\d_]+)?\s+"
    r"(?:and|und|et|y|e|и)\s+[$€£]?\d[\d.,]*(?<![.,])"
    r"|(?:在|介于)?\d[\d.,]*[^\W\d]{0,3}(?:和|到|与|と|から)\d[\d.,]*[^\W\d]{0,3}(?:之间|の間)"
    r"|\d[\d.,]*(?:와|과|에서) ?\d[\d.,]* ?사이"
    r"|بين \d[\d.,]* و ?\d[\d.,]*|\d[\d.,]* (?:और|से) \d[\d.,]* के बीच",
    re.IGNORECASE,
)
"""Neither end is the number that the sentence gives."""
_YEAR: Final = r"(?:1\d{3}|20\d\d)"
_AFTER_A_YEAR: Final = r"(?![\d/%:]|[.,-]\d|\s*[-+*/=×]|\s+[^\W\d_]{3,}s\b)"
"""What follows is neither more of a number nor what it counts, "in 2000 seconds"."""
_DAY: Final = (
    r"\b(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?\s+\d{1,2}(?:st|nd|rd|th)?\b"
)
_DATES: Final = re.compile(
    rf"\b(?:in|by|since|during|until|im|im jahr|seit|bis|en(?: l['’]an)?|depuis|desde|hasta|nel|dal|"
    rf"em|até|в|с|к)\s+(?:the year |año |anno |ano |году )?{_YEAR}{_AFTER_A_YEAR}(?:\s+(?:году|г\.))?"
    rf"|(?<![\d.,-]){_YEAR}\s?[年년](?!\d)(?:に|에|,)?"
    rf"|{_DAY}(?:,?\s+{_YEAR}\b)?",
    re.IGNORECASE,
)
_DAYS: Final = re.compile(_DAY + r",?(?=\s+\d{4}\b)", re.IGNORECASE)
_FURTHER: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # The same number twice, and where something is shown or told.
        r"(?<=\w) ?\[\d{1,3}\](?!\()|(?<=\w\.)\[\d{1,3}\](?!\()",
        r"(?<=[\w%]) ?\([^()]{0,80}\)(?=\W*$)",
        r"\(\s?(?:see|source|step|page|p\.|eq(?:uation|\.)?|section|fig(?:ure|\.)?|table|line|"
        r"ref\.?|passage|paragraph|quelle|seite|schritt|voir|étape|paso|passo|шаг)\b[^()]{0,40}\)",
        # Times of day.
        r"\b(?:at|by|until|till|from|before|after|um|bis|à|a las|alle|às|в)?\s*"
        r"\d{1,2}(?::\d\d)?\s?(?:[ap]\.?m\b\.?|o['’]clock|uhr\b)",
        # What it is compared with, or a part of.
        rf"\b(?:up|down|compared (?:to|with)|than)\s+(?:from\s+)?{_NUMBER}",
        rf"\bout of (?:the |a total of |all )?{_NUMBER}",
        rf"(?<=\d)%? of (?:the |all |these |those |her |his |their )?{_NUMBER}",
    )
)
_ASKED: Final = re.compile(
    r"\bhow many\s+(?P<en>(?:[^\W\d_]+\s+){1,4})|\b(?:wie ?viele|cuánt[ao]s|quant[ei]|quant[ao]s|"
    r"сколько)\s+(?P<next>[^\W\d_]{3,})|\bcombien (?:de |d['’])(?P<fr>[^\W\d_]{3,})",
    re.IGNORECASE,
)
_NOT_COUNTED_WORDS: Final = (
    "more left total all altogether remaining overall together each per times percent over away does "
    "did will would should could there been many much fewer less after before then mehr noch "
    "insgesamt übrig reste restants total más quedan totale restano mais restam всего осталось больше"
)
_NOT_COUNTED: Final = frozenset(_NOT_COUNTED_WORDS.split())
_COUNTS: Final = re.compile(rf"(?P<number>{_NUMBER})\s+(?P<words>[^\W\d_]+(?:\s+[^\W\d_]+)?)")
_LAST: Final = re.compile(rf"{_NUMBER}\s+(?P<word>[^\W\d_]{{3,}})(?=\D*$)")
_MONEY_ASKED: Final = re.compile(r"\bhow much\b|\b(?:cost|price|money)\b", re.IGNORECASE)
_MONEY: Final = re.compile(r"[$€£¥₹]\s?\d[\d.,]*(?<![.,])|\d[\d.,]*\s?(?:[€₽]|dollars?\b|euros?\b)")
_STEM: Final = 4


def without_asides(line: str, question: str, *, years: bool) -> str:
    """Blank out the figures of a sentence that are not what it answers.

    Ranges and what is denied go whatever is left; dates, sources and comparisons only if another
    number is.

    Args:
        line: The sentence.
        question: The question; of several counted things the one that it asks for is kept.
        years: Whether years and dates may be what is asked.
    """
    if not any(map(str.isdigit, line)):
        return line
    language = language_of(question or line)
    line = DENIED.sub(" ", _RANGE.sub(" ", line))
    for pattern in (*_FURTHER, _DAYS if years else _DATES):
        rest = pattern.sub(" ", line)
        if (rest != line and digits_for_words(rest, language) != rest) or any(
            map(str.isdigit, rest)
        ):
            line = rest
    if "=" in line or "**" in line:
        return line
    return _counting(line, question, language)


def _counting(line: str, question: str, language: str) -> str:
    """The last number that counts what is asked, where the line's last one counts something else."""
    last = _LAST.search(line)
    if last is None or _is_small(last["word"], language):
        return line
    asked = _asked(question)
    if asked:
        if last["word"].casefold().startswith(asked):
            return last.group()
        found = [one for one in _COUNTS.finditer(line) if _counts(one["words"], asked)]
        return found[-1].group() if found else line
    if _MONEY_ASKED.search(question) and not _MONEY.search(line, last.start()):
        amounts = _MONEY.findall(line)
        return amounts[-1] if amounts else line
    return line


def _is_small(word: str, language: str) -> bool:
    return word.casefold() in small_words(language) or word.casefold() in _NOT_COUNTED


def _counts(words: str, asked: str) -> bool:
    return any(word.startswith(asked) for word in words.casefold().split())


@lru_cache(maxsize=64)
def _asked(question: str) -> str:
    """The beginning of the noun whose number is asked for; "" where it cannot be told."""
    found = list(_ASKED.finditer(question[-2000:]))
    if not found:
        return ""
    last = found[-1]
    noun = last["next"] or last["fr"] or ""
    if last["en"]:
        for word in last["en"].casefold().split():
            if _is_small(word, "en"):
                if noun:
                    break
                continue
            noun = word
    noun = noun.casefold()
    return noun[: max(3, min(_STEM, len(noun) - 1))] if len(noun) > 2 else ""
