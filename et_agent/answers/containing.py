"""Whether an answer stands in a text: as words in normal form, as an equal number, as the same date."""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import re
from fractions import Fraction
from functools import lru_cache
from typing import Final

from et_agent.answers.dates import Moment, date_in_value, dates_in
from et_agent.answers.number import plain_number
from et_agent.answers.number_words import number_word_runs, parse_number_words
from et_agent.answers.overlap import share_held, stems
from et_agent.answers.text import normalised

__all__ = ["contains", "numbers_in", "sentences_with", "words_beside"]

_NUMERAL: Final = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*(?![\w]|[.,]\d)")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?;])\s+|(?<=[。！？])|\n+")
_LEAST_LETTERS: Final = 4
_POSSESSIVE: Final = re.compile(r"['’]s\b")


def contains(text: str, answer: str) -> bool:
    """Whether a text holds an answer.

    It does if the answer's words stand in it one after the other, in SQuAD's normal form (`normalised`:
    case, punctuation and articles do not count). An answer that is a number, in digits or words, also
    counts if the text has an equal one (1,200 and 1200; twelve and 12), and a date if the text has it
    as it is written elsewhere (1789-05-05, May 5, 1789 and 5. Mai 1789), with its year or without.

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
    date = _date(answer)
    return date is not None and _is_in(date, text)


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
    told = asked & stems(text, least=_LEAST_LETTERS)
    holding = sentences_with(text, answer)
    shares = (share_held(told, stems(one, least=_LEAST_LETTERS)) for one in holding)
    return max(shares, default=0.0)


def sentences_with(text: str, answer: str) -> list[str]:
    """The sentences of a text that hold an answer.

    Args:
        text: The text, of any length.
        answer: The answer as results show it.
    """
    return [one for one in _SENTENCE_END.split(text) if contains(one, answer)]


def _is_unspaced(text: str) -> bool:
    """Whether it is of a script that writes no spaces between words: Chinese, Japanese, Thai."""
    return all("\u0e00" <= one <= "\u0e7f" or "\u3040" <= one <= "\u9fff" for one in text)


def _number(answer: str) -> Fraction | None:
    """The number that the whole of an answer is."""
    if any(map(str.isdigit, answer)):
        return plain_number(answer)
    value = parse_number_words(answer) if answer.isascii() else None
    return None if value is None else Fraction(value)


def numbers_in(text: str) -> set[Fraction]:
    """The numbers that stand in a text, in digits or English words; "one" is left out."""
    numerals = (plain_number(one) for one in _NUMERAL.findall(text))
    words = (parse_number_words(one) for _, _, one in number_word_runs(text))
    # "one" is a pronoun more often than a number.
    spelled = (Fraction(one) for one in words if one is not None and one != 1)
    return {*spelled, *(one for one in numerals if one is not None)}


_date: Final = lru_cache(256)(date_in_value)


def _is_in(date: Moment, text: str) -> bool:
    """Whether a text has a date: its month, with its day or its year, and no other year."""
    if date.month is None or (date.day is None and date.year is None):
        return False
    return any(
        one.month == date.month
        and date.day in (None, one.day)
        and (one.year == date.year or (date.day is not None and None in (one.year, date.year)))
        for one in dates_in(text)
    )
