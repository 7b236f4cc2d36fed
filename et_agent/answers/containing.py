"""Whether an answer stands in a text: as words in normal form, as an equal number, as the same date."""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import re
from fractions import Fraction
from typing import Final

from et_agent.answers.number import plain_number
from et_agent.answers.number_words import number_word_runs, parse_number_words
from et_agent.answers.overlap import share_held, stems
from et_agent.answers.text import normalised

__all__ = ["contains", "numbers_in", "words_beside"]

_NUMERAL: Final = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*(?![\w]|[.,]\d)")
_MONTHS: Final = (
    "january february march april may june july august september october november december"
)
_MONTH: Final = rf"(?P<month>{'|'.join(f'{one[:3]}(?:{one[3:]})?' for one in _MONTHS.split())})"
_DAY: Final = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR: Final = r"(?: (?P<year>\d{4}))?"
_DATES: Final = tuple(
    re.compile(rf"\b{order}{_YEAR}\b")
    for order in (rf"{_DAY} (?:of )?{_MONTH}", rf"{_MONTH} {_DAY}")
)
_SENTENCE_END: Final = re.compile(r"(?<=[.!?;])\s+|(?<=[。！？])|\n+")
_LEAST_LETTERS: Final = 4
_POSSESSIVE: Final = re.compile(r"['’]s\b")
_Date = tuple[int, str, str | None]


def contains(text: str, answer: str) -> bool:
    """Whether a text holds an answer.

    It does if the answer's words stand in it one after the other, in SQuAD's normal form (`normalised`:
    case, punctuation and articles do not count). An answer that is a number, in digits or words, also
    counts if the text has an equal one (1,200 and 1200; twelve and 12), and an English date if the text
    has it in another order (May 5, 1789 and 5th of May 1789), with its year or without.

    Args:
        text: The text, of any length.
        answer: The answer as results show it.
    """
    wanted, held = (normalised(_POSSESSIVE.sub("", one)) for one in (answer, text))
    if not wanted:
        return False
    if f" {wanted} " in f" {held} " or (_is_unspaced(wanted) and wanted in held):
        return True
    number = _number(answer)
    if number is not None:
        return number in numbers_in(text)
    dates = _dates(wanted, whole=True)
    return bool(dates) and any(_same(dates[0], one) for one in _dates(held))


def words_beside(text: str, answer: str, question: str) -> float:
    """How much of what a question speaks of stands in the sentence of its answer, 0 to 1.

    Of the question's words that the text has, the share that stands in one sentence with the answer; of
    several such sentences the largest. Words of four letters or more and numbers count, by their first
    five letters. A name from elsewhere in the text tells that another question was asked.

    Args:
        text: The text, of any length.
        answer: The answer as results show it.
        question: The question.

    Returns:
        0 where the text does not hold the answer in one sentence; 1 where it does, and none of the
        question's words.
    """
    asked = stems(question, least=_LEAST_LETTERS) - stems(answer, least=_LEAST_LETTERS)
    sentences = _SENTENCE_END.split(text)
    told = asked & stems(text, least=_LEAST_LETTERS)
    holding = [one for one in sentences if contains(one, answer)]
    shares = (share_held(told, stems(one, least=_LEAST_LETTERS)) for one in holding)
    return max(shares, default=0.0)


def _is_unspaced(text: str) -> bool:
    """Whether it is of a script that writes no spaces between words: Chinese, Japanese, Thai."""
    return all("\u0e00" <= one <= "\u0e7f" or "\u3040" <= one <= "\u9fff" for one in text)


def _number(answer: str) -> Fraction | None:
    """The number that the whole of an answer is."""
    if any(map(str.isdigit, answer)):
        return plain_number(answer)
    words = list(number_word_runs(answer))
    if len(words) != 1 or words[0].strip().casefold() != answer.strip().casefold():
        return None
    value = parse_number_words(words[0])
    return None if value is None else Fraction(value)


def numbers_in(text: str) -> set[Fraction]:
    """The numbers that stand in a text, in digits or English words; "one" is left out."""
    numerals = (plain_number(one) for one in _NUMERAL.findall(text))
    words = (parse_number_words(one) for one in number_word_runs(text))
    # "one" is a pronoun more often than a number.
    spelled = (Fraction(one) for one in words if one is not None and one != 1)
    return {*spelled, *(one for one in numerals if one is not None)}


def _dates(text: str, *, whole: bool = False) -> list[_Date]:
    """Day, month and year of the dates of a text in normal form."""
    found = []
    for pattern in _DATES:
        matches = [pattern.fullmatch(text)] if whole else pattern.finditer(text)
        found += [
            (int(one["day"]), one["month"][:3], one["year"]) for one in matches if one is not None
        ]
    return found


def _same(one: _Date, other: _Date) -> bool:
    years = {one[2], other[2]} - {None}
    return one[:2] == other[:2] and len(years) < 2
