"""Whether two answers to a question say the same: tests of words decide what they safely can.

What a test leaves open is for a judge (`et_agent.asking.meaning`). Dates and numbers are compared
by what the question asks for, yes and no by their sense, lists without their order, and sentences
by what they say beyond the question: of "The capital of Australia is Canberra" only "Canberra" is
left.
"""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from et_agent.answers.containing import numbers_in
from et_agent.answers.dates import Moment, date_in_prose
from et_agent.answers.finders import Found
from et_agent.answers.kinds import KINDS, AnswerKind
from et_agent.answers.language import language_of, small_words
from et_agent.answers.lists import is_ordered, item_key, items_of, without_lead
from et_agent.answers.text import normalised
from et_agent.answers.yes_no import asks_yes_or_no, yes_or_no

__all__ = ["same_meaning", "tells_all_of"]


def _words_in(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MOST_CHARACTERS: Final = 2000
"""Of an answer and of a question; what is longer is compared by its normal form only."""
_MOST_WORDS: Final = 60
_STEM: Final = 5
_SHORT: Final = 5
"""Words of an answer that names something; a longer one describes, and may do so in other words."""
_NEGATIONS: Final = _words_in(
    "not never no none nor neither without cannot cant isnt arent wasnt werent doesnt dont "
    "didnt wont nicht kein keine nie ne pas jamais nunca não nao non mai не нет никогда"
)
_LIGHT: Final = _words_in(
    "also be been being but called does it its known located located likely made named she "
    "simply so such than their them then there these they thing this those to very were which "
    "with would your will would may just like or s named referred considered typically "
    "originally currently"
)
_ROLES: Final = _words_in(
    "actor actress artist author band british american english french german italian spanish "
    "russian canadian australian composer director emperor famous group king mathematician "
    "musician painter philosopher physicist player poet politician president prime minister "
    "producer queen scientist singer singersongwriter songwriter writer legendary man woman "
    "person song movie film show book character"
)
_TITLES: Final = _words_in(
    "mr mrs ms miss dr prof professor sir lord lady dame general gen captain capt lieutenant "
    "lieut lt colonel col major king queen prince princess pope saint st president senator "
    "herr frau señor"
)
_WHO: Final = re.compile(
    r"^(?:(?!\b(?:what|which|when|where|how|why|if|do|does|is|are)\b).)*\b(?:who|whom|whose|whos)\b"
    r"|\b(?:wer|wen|wem|qui|quién|quien|chi|quem)\b|кто|谁|誰|누구|من |किस",
    re.IGNORECASE,
)
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
_ADVERBIAL: Final = re.compile(
    r",?\s*\b(?:in|since|from|around|on|during|by)\s+(?:the year\s+)?"
    r"(?:(?:january|february|march|april|may|june|july|august|september|october|november|december)\s+)?"
    r"(?:\d{1,2}(?:st|nd|rd|th)?,?\s+)?(?:1[0-9]|20)\d\d\b",
    re.IGNORECASE,
)
"""When something was, where that is not asked."""
_PASSIVE: Final = re.compile(
    r"\b(?:is|are|was|were|been|be)\s+(?:\w+ly\s+)?([a-z]+)\s+(?=by\b)", re.IGNORECASE
)
_VAGUE: Final = re.compile(
    r"\d0['’]?s\b|\b(?:early|mid|late|before|after|since|until|spring|summer|autumn|fall|winter|seasons?|"
    r"century|centuries|about|around|circa)\b|\bca?\.",
    re.IGNORECASE,
)
"""What is near a date, or beside it."""
_WHEN: Final = re.compile(r"\b(?:when|(?:what|which) (?:year|date|day|month))\b", re.IGNORECASE)
_OPPOSED: Final = _words_in("beaten defeated followed killed lost preceded replaced succeeded won")
"""Of these, who does it and whom it happens to are different answers."""
_SCALE: Final = re.compile(
    r"\b(?:hundred|thousand|dozen|percent|\w*illions?|k|m|bn)\b|[%°$€£]|\d(?:k|m|bn)\b",
    re.IGNORECASE,
)
_PLACE: Final = re.compile(r"(?:[A-ZÀ-Þ][\w.'-]*)(?: (?:of |the )?[A-ZÀ-Þ][\w.'-]*){0,3}")
_ROMAN: Final = re.compile(r"[ivx]+|jr|sr")
_ALTERNATIVES: Final = re.compile(
    r"\b(?:or|oder|ou|o|или|versus|vs)\b|还是|それとも|아니면", re.IGNORECASE
)
_SEVERAL: Final = re.compile(r"[,;&/]|\b(?:and|und|et|y|e|or|oder|ou|o)\b", re.IGNORECASE)
_PARTICLES: Final = _words_in("al bin da de del della der di du ibn la le van von zu")
_POSSESSIVE: Final = re.compile(r"['’]s\b")
_NAME: Final = re.compile(r"(?<![\w.])[A-ZÀ-Þ][\w']*(?: [A-ZÀ-Þ][\w']*)+")
_WORD: Final = re.compile(r"[^\W_]+(?:[.:/]\d+)*")


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
    if _asks_for(AnswerKind.DATE, question):
        given, wanted = _date(answer, question), _date(accepted, question)
        if given is not None and wanted is not None:
            return given == wanted
    if min(len(_parts(answer)), len(_parts(accepted))) > 1 or _asks_yes_or_no(question):
        return True
    if _by_number(answer, accepted, question):
        return True
    first, second = _told(answer, question), _told(accepted, question)
    if _WHERE.search(question) and len(_parts(answer)) > 1:
        return set(second.words) <= set(first.words)
    return _joined(first) == _joined(second)


@lru_cache(256)
def _asks_for(kind: AnswerKind, question: str) -> bool:
    return KINDS[kind].suggestion(question) is not None


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
    said = yes_or_no(answer)
    if said is not None:
        return said[0]
    told = _told(answer, question)
    return None if told.words else not told.negated


def _by_date(one: str, other: str, question: str) -> bool | None:
    """Dates, where the question asks for one: equal in all asked parts that both tell."""
    if not _asks_for(AnswerKind.DATE, question):
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
    if _VAGUE.search(answer):
        return None
    first = date_in_prose(answer, question, prefer_first=True)
    return first if first == date_in_prose(answer, question) else None


def _by_number(one: str, other: str, question: str) -> bool | None:
    """Numbers, where the question asks how many."""
    counted = _asks_for(AnswerKind.NUMBER, question)
    if not counted and not _asks_for(AnswerKind.QUANTITY, question):
        return None
    if _SCALE.search(one) or _SCALE.search(other):
        kind = KINDS[AnswerKind.NUMBER if counted else AnswerKind.QUANTITY]
        read = [kind.read(Found(text, "last line"), question) for text in (one, other)]
        if read[0] is None or read[1] is None:
            return None
        return read[0].key == read[1].key
    asked = _numbers(question)
    first, second = _numbers(one) - asked, _numbers(other) - asked
    if len(first) != 1 or len(second) != 1:
        return None
    if first != second:
        return False
    units = [
        {w for w in _told(text, question).words if not w[0].isdigit()} for text in (one, other)
    ]
    return True if units[0] <= units[1] or units[1] <= units[0] else None


def _by_list(one: str, other: str, question: str) -> bool | None:
    """The same parts in another order, and a place with what it lies in."""
    first, second = _parts(one), _parts(other)
    if len(first) > 1 and len(second) > 1:
        keys = [{item_key(item, question) for item in items} for items in (first, second)]
        return True if keys[0] == keys[1] and not is_ordered(question) else None
    if _WHERE.search(question) and (len(first) > 1 or len(second) > 1):
        heads = [_told(items[0], question).words if items else () for items in (first, second)]
        places = all(_PLACE.fullmatch(item) for items in (first, second) for item in items[1:])
        return True if places and heads[0] and heads[0] == heads[1] else None
    return None


@lru_cache(1024)
def _parts(text: str) -> list[str]:
    return items_of(without_lead(text)) if "," in text or " and " in text else [text]


@dataclass(frozen=True, slots=True)
class _Told:
    """What an answer says beyond its question.

    Attributes:
        words: Its words in normal form, without the question's and those that say nothing.
        repeated: The question's words among those that say something, by their beginnings.
        kept: Both, in their order.
        mixed: Names that have words of both.
        names: Those of `words` that begin with a capital.
        negated: Whether it denies something that the question does not.
        several: Whether it may name several.
    """

    words: tuple[str, ...]
    repeated: frozenset[str]
    kept: tuple[str, ...]
    mixed: tuple[str, ...]
    names: frozenset[str]
    negated: bool
    several: bool


@lru_cache(1024)
def _told(answer: str, question: str) -> _Told:
    asked = {_stem(word) for word in _words(question)}
    if _ALTERNATIVES.search(question):
        asked = set()
    when = _WHEN.search(question) or _asks_for(AnswerKind.DATE, question)
    # Not where nothing else is left.
    shorter = answer if when else _ADVERBIAL.sub("", answer)
    text = shorter if _words(shorter) else answer
    for verb in {*_PASSIVE.findall(text)} - _OPPOSED:
        text = re.sub(rf"\b{re.escape(verb)}(?=\s+by\b)", " ", text)
    empty = (_LIGHT | small_words("en") | small_words(language_of(question or answer))) - {"i"}
    said = _words(text)[:_MOST_WORDS]
    negations = {word for word in said if word in _NEGATIONS and _stem(word) not in asked}
    kept = [word for word in said if word not in empty and word not in _NEGATIONS]
    words = [word for word in kept if _stem(word) not in asked]
    if _WHO.search(question):
        words = _without_roles(words)
    capitals = {normalised(word) for word in _WORD.findall(text) if word[:1].isupper()}
    return _Told(
        words=tuple(words),
        repeated=frozenset(_stem(word) for word in kept if _stem(word) in asked),
        kept=tuple(kept),
        mixed=tuple(_mixed(text, set(words), set(kept) - set(words))),
        names=frozenset(words) & capitals,
        negated=bool(negations),
        several=_SEVERAL.search(text) is not None,
    )


def _without_roles(words: list[str]) -> list[str]:
    """Names without "the American composer" and titles before them, where names are left."""
    left = [word for word in words if word not in _ROLES and word not in _TITLES]
    return left or words


def _mixed(text: str, own: set[str], repeated: set[str]) -> list[str]:
    """Runs of capitalised words of which some are an answer's own and some the question's."""
    runs = (_words(run) for run in _NAME.findall(text))
    return [" ".join(run) for run in runs if own.intersection(run) and repeated.intersection(run)]


def _words(text: str) -> list[str]:
    """Words in normal form; initials that stand one after the other are one: "E. L. James"."""
    words = _WORD.findall(normalised(_POSSESSIVE.sub("", text.replace("-", " "))))
    found: list[str] = []
    for word in words:
        if len(word) == 1 and word.isalpha() and found and _is_initials(found[-1], words):
            found[-1] += word
        else:
            found.append(word)
    return found


def _is_initials(word: str, words: list[str]) -> bool:
    return len(word) < 3 and word.isalpha() and word not in words


def _joined(told: _Told) -> str:
    return "".join(map(_singular, told.words))


def _singular(word: str) -> str:
    """A word without the "s" of a plural; "1980s" is no plural of 1980."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word[0].isdigit() else word


def _stem(word: str) -> str:
    return _singular(word)[:_STEM]


def _by_words(one: str, other: str, question: str) -> bool | None:
    """What both say beyond the question."""
    first, second = _told(one, question), _told(other, question)
    if not first.words or not second.words:
        return None
    if _joined(first) == _joined(second) or _is_name_of(first, second, question):
        if first.negated != second.negated:
            return False
        return True if _may_leave_out(first, second, question) else None
    if first.negated or second.negated:
        return None
    return False if _are_short(first, second) and not _are_alike(first, second) else None


def _may_leave_out(first: _Told, second: _Told, question: str) -> bool:
    """Whether what they repeat of the question tells nothing apart; "Ali won", "Frazier won" do.

    A name with a word of the question in it must be the other's as well: "Indian Association".
    """
    for told, beside in ((first, second), (second, first)):
        within = f" {' '.join(beside.kept)} "
        if any(f" {name} " not in within for name in told.mixed):
            return False
    left, right = first.repeated, second.repeated
    return left <= right or right <= left or not _ALTERNATIVES.search(question)


def _is_name_of(first: _Told, second: _Told, question: str) -> bool:
    """Whether one is the other's first or last name."""
    short, long = sorted((first, second), key=lambda told: len(told.words))
    if not _WHO.search(question) or len(short.words) != 1 or not 1 < len(long.words) <= 4:
        return False
    name = short.words[0]
    if len(name) < 3 or long.several or not short.names or _ROMAN.fullmatch(long.words[-1]):
        return False
    return set(long.words) <= long.names | _PARTICLES and name in (long.words[0], long.words[-1])


def _are_alike(first: _Told, second: _Told) -> bool:
    """Whether they share a word, or one may stand for the other's initials."""
    left, right = ({_stem(word) for word in told.words} for told in (first, second))
    if left & right:
        return True
    initials = ["".join(word[0] for word in told.words) for told in (first, second)]
    return initials[0] in second.words or initials[1] in first.words


def _are_short(first: _Told, second: _Told) -> bool:
    return max(len(first.words), len(second.words)) <= _SHORT


_TESTS: Final[tuple[Callable[[str, str, str], bool | None], ...]] = (
    _by_sense,
    _by_date,
    _by_number,
    _by_list,
    _by_words,
)
