"""Whether two answers to a question say the same: tests of words decide what they safely can.

What a test leaves open is for a judge (`et_agent.asking.meaning`). Dates and numbers are compared
by what the question asks for, yes and no by their sense, lists without their order, and sentences
by what they say beyond the question: of "The capital of Australia is Canberra" only "Canberra" is
left.
"""

# Unicode look-alikes are what models write.

import re
from collections.abc import Callable, Set
from functools import lru_cache
from typing import Final

from et_agent.answers.containing import numbers_in
from et_agent.answers.dates import Moment, date_in_prose
from et_agent.answers.finders import Found
from et_agent.answers.kinds import KINDS, AnswerKind
from et_agent.answers.language import language_of
from et_agent.answers.lists import is_ordered, item_key, items_of, without_lead
from et_agent.answers.marking import is_formula
from et_agent.answers.number_words import parse_number_words
from et_agent.answers.text import normalised
from et_agent.answers.told import (
    Told,
    asks_for,
    asks_who,
    in_order,
    singular,
    stem,
    told_by,
    words_of,
)
from et_agent.answers.turning import (
    directions,
    is_vague,
    limits,
    offers_several,
    signs,
    unit_signs,
)
from et_agent.answers.units import unit_called
from et_agent.answers.yes_no import asks_yes_or_no, yes_or_no

__all__ = ["same_meaning", "tells_all_of"]


def _words_in(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MOST_CHARACTERS: Final = 2000
"""Of an answer and of a question; what is longer is compared by its normal form only."""
_SHORT: Final = 5
"""Words of an answer that names something; a longer one describes, and may do so in other words."""
_WHERE: Final = re.compile(
    r"\b(?:where|wheres|(?:which|what) (?:city|town|place|village)|wo|où|dónde|dove|onde)\b"
    r"|где|哪里|どこ|어디",
    re.IGNORECASE,
)
_YEAR: Final = re.compile(
    r"\b(?:what|which) year\b|welchem jahr|quelle année|qué año|(?:che|quale) anno|que ano|каком году"
    r"|哪一?年|何年|몇 년",
    re.IGNORECASE,
)
_HAVING: Final = _words_in("has have had")
_SCALE: Final = re.compile(
    r"\b(?:hundred|thousand|dozen|percent|\w*illions?|k|m|bn)\b|[%°$€£]|\d(?:k|m|bn)\b",
    re.IGNORECASE,
)
_SCALES: Final = _words_in("hundred thousand million billion trillion dozen k m bn")
_PLACE: Final = re.compile(r"(?:[A-ZÀ-Þ][\w.'-]*)(?: (?:of |the )?[A-ZÀ-Þ][\w.'-]*){0,3}")
_ROMAN: Final = re.compile(r"[ivx]+|jr|sr")
_PARTICLES: Final = _words_in("al bin da de del della der di du ibn la le van von zu")


@lru_cache(16384)
def same_meaning(one: str, other: str, question: str) -> bool | None:
    """Whether two answers to a question say the same, as far as their words tell.

    Args:
        one: An answer, as results show it.
        other: Another one.
        question: What both are answers to; "" if it is not known.

    Returns:
        None where words do not tell, and for what is too long to be worth the work.
    """
    if max(len(one), len(other), len(question)) > _MOST_CHARACTERS:
        return True if one == other else None
    if _normal(one) == _normal(other):
        return True
    for test in _TESTS:
        found = test(one, other, question)
        if found is not None:
            return found
    return None


def tells_all_of(answer: str, accepted: str, question: str) -> bool:
    """Whether an answer says the same as an accepted one and nothing less.

    Of a name or a date, what the accepted answer tells of it must be there, and no more: neither
    "Albert" nor "Albert Einstein Jr." is "Albert Einstein", and neither 1945 nor May 1945 is May
    8, 1945, since what one of them tells beyond the other may be wrong.

    Args:
        answer: The answer, as results show it.
        accepted: An answer that is known to be right.
        question: What both are answers to.
    """
    if same_meaning(answer, accepted, question) is not True:
        return False
    if _normal(answer) == _normal(accepted):
        return True
    if asks_for(AnswerKind.DATE, question):
        given, wanted = _date(answer, question), _date(accepted, question)
        if given is not None and wanted is not None:
            return given == wanted
    if min(len(_parts(answer)), len(_parts(accepted))) > 1 or _asks_yes_or_no(question):
        return True
    if _by_number(answer, accepted, question):
        return True
    first, second = told_by(answer, question), told_by(accepted, question)
    if _WHERE.search(question) and len(_parts(answer)) > 1:
        return set(second.words) <= set(first.words)
    return first.joined == second.joined


_asks_yes_or_no: Final = lru_cache(256)(asks_yes_or_no)
_normal: Final = lru_cache(1024)(normalised)
_numbers: Final = lru_cache(1024)(numbers_in)


def _by_sense(one: str, other: str, question: str) -> bool | None:
    """Yes and no, and what restates the question or denies it."""
    if not _asks_yes_or_no(question):
        return None
    senses = _sense(one, question), _sense(other, question)
    return None if None in senses else senses[0] == senses[1]


@lru_cache(1024)
def _sense(answer: str, question: str) -> bool | None:
    leading = yes_or_no(answer)
    if leading is not None:
        return leading[0]
    told, asked = told_by(answer, question), words_of(question)
    said = words_of(answer)
    has = _HAVING.intersection(said) and not _HAVING.intersection(asked)
    if told.words or has or ("by" in said) != ("by" in asked):
        return None
    if in_order(told.kept, told.repeated) != in_order(asked, told.repeated):
        return None
    return not told.negated


def _by_date(one: str, other: str, question: str) -> bool | None:
    """Dates, where the question asks for one: equal in all asked parts that both tell."""
    if not asks_for(AnswerKind.DATE, question):
        return None
    first, second = _date(one, question), _date(other, question)
    if first is None or second is None:
        return None
    if first.unclear or second.unclear:
        return first == second or None
    names = ("year",) if _YEAR.search(question) else ("year", "month", "day", "time")
    pairs = [(getattr(first, name), getattr(second, name)) for name in names]
    told = [pair for pair in pairs if None not in pair]
    return bool(told) and all(left == right for left, right in told)


@lru_cache(1024)
def _date(answer: str, question: str) -> Moment | None:
    """The one date of an answer; None for several, and for what is no more than near one."""
    if is_vague(answer):
        return None
    first = date_in_prose(answer, question, prefer_first=True)
    return first if first == date_in_prose(answer, question) else None


def _by_number(one: str, other: str, question: str) -> bool | None:
    """Numbers, where the question asks how many."""
    counted = asks_for(AnswerKind.NUMBER, question)
    if not counted and not asks_for(AnswerKind.QUANTITY, question):
        return None
    if limits(one, question) != limits(other, question):
        return None
    units = _units(one, question), _units(other, question)
    same = True if _go_together(*units, question) else None
    if _SCALE.search(one) or _SCALE.search(other):
        kind = KINDS[AnswerKind.NUMBER if counted else AnswerKind.QUANTITY]
        read = [kind.read(Found(text, "last line"), question) for text in (one, other)]
        if read[0] is None or read[1] is None:
            return None
        return same if read[0].key == read[1].key else False
    asked = _numbers(question)
    first, second = _numbers(one) - asked, _numbers(other) - asked
    if len(first) != 1 or len(second) != 1:
        return None
    return same if first == second else False


def _go_together(one: Set[str], other: Set[str], question: str) -> bool:
    """Whether the words beside two numbers are those of one thing; days are no weeks."""
    if not (one <= other or other <= one):
        return False
    language, asked = language_of(question), set(map(singular, words_of(question)))
    return not any(unit_called(word, language) for word in (one ^ other) - asked)


def _units(answer: str, question: str) -> frozenset[str]:
    """The words beside a number, and what signs beside it stand for."""
    words = frozenset(
        singular(word)
        for word in told_by(answer, question).kept
        if not word[0].isdigit() and parse_number_words(word) is None
    )
    return words - _SCALES | unit_signs(answer)


def _by_list(one: str, other: str, question: str) -> bool | None:
    """The same parts in another order, and a place with what it lies in."""
    first, second = _parts(one), _parts(other)
    if len(first) > 1 and len(second) > 1:
        if is_ordered(question) or offers_several(one) != offers_several(other):
            return None
        # Coordinates and intervals have an order.
        if not all(any(map(str.isalpha, item)) for item in (*first, *second)):
            return None
        keys = [{item_key(item, question) for item in items} for items in (first, second)]
        return True if keys[0] == keys[1] else None
    if _WHERE.search(question) and (len(first) > 1 or len(second) > 1):
        heads = [told_by(items[0], question).words if items else () for items in (first, second)]
        places = all(_PLACE.fullmatch(item) for items in (first, second) for item in items[1:])
        return True if places and heads[0] and heads[0] == heads[1] else None
    return None


@lru_cache(1024)
def _parts(text: str) -> list[str]:
    return items_of(without_lead(text)) if "," in text or " and " in text else [text]


def _by_words(one: str, other: str, question: str) -> bool | None:
    """What both say beyond the question."""
    if is_formula(one) and is_formula(other) and signs(one) and signs(other):
        return None  # "a" is no article there, and no test of words computes
    first, second = told_by(one, question), told_by(other, question)
    if not first.words or not second.words:
        return None
    if first.joined == second.joined or _is_name_of(first, second, question):
        if first.negated != second.negated:
            return False
        if any(map(str.isdigit, first.joined)) and limits(one, question) != limits(other, question):
            return None
        if signs(one) != signs(other) or offers_several(one) != offers_several(other):
            return None
        if first.related != second.related or _years_differ(first, second):
            return None
        if directions(first.small, second.small) or _are_turned(first, second):
            return None
        return True if _may_leave_out(first, second, question) else None
    if first.negated or second.negated:
        return None
    return False if _are_short(first, second) and not _are_alike(first, second) else None


def _may_leave_out(first: Told, second: Told, question: str) -> bool:
    """Whether what they repeat of the question tells nothing apart; "Ali won", "Frazier won" do.

    A name with a word of the question in it must be the other's as well: "Indian Association".
    """
    for told, beside in ((first, second), (second, first)):
        within = f" {' '.join(beside.kept)} "
        if any(f" {name} " not in within for name in told.mixed):
            return False
    left, right = first.repeated, second.repeated
    if left <= right or right <= left:
        return True
    # Without a name of their own, that of the question which they repeat is the answer.
    own = all(told.names or any(map(str.isdigit, told.joined)) for told in (first, second))
    return own and not offers_several(question)


def _years_differ(first: Told, second: Told) -> bool:
    return bool(first.years and second.years) and first.years.isdisjoint(second.years)


def _are_turned(first: Told, second: Told) -> bool:
    """Whether who does something in one is whom it is done to in the other: "Cain killed Abel"."""
    if first.kept == second.kept:
        return first.turned != second.turned
    both = first.repeated & second.repeated
    if len(both) < 2 or (first.names and second.names):
        return False
    flipped = in_order(first.kept, both) != in_order(second.kept, both)
    return flipped != (first.turned != second.turned)


def _is_name_of(first: Told, second: Told, question: str) -> bool:
    """Whether one is the other's first or last name."""
    short, long = sorted((first, second), key=lambda told: len(told.words))
    if not asks_who(question) or len(short.words) != 1 or not 1 < len(long.words) <= 4:
        return False
    name = short.words[0]
    if len(name) < 3 or long.several or not short.names or _ROMAN.fullmatch(long.words[-1]):
        return False
    return set(long.words) <= long.names | _PARTICLES and name in (long.words[0], long.words[-1])


def _are_alike(first: Told, second: Told) -> bool:
    """Whether they share a word, or one may stand for the other's initials."""
    left, right = ({stem(word) for word in told.words} for told in (first, second))
    if left & right:
        return True
    initials = ["".join(word[0] for word in told.words) for told in (first, second)]
    return initials[0] in second.words or initials[1] in first.words


def _are_short(first: Told, second: Told) -> bool:
    return max(len(first.words), len(second.words)) <= _SHORT


_TESTS: Final[tuple[Callable[[str, str, str], bool | None], ...]] = (
    _by_sense,
    _by_date,
    _by_number,
    _by_list,
    _by_words,
)
