"""What an answer says beyond its question: "Canberra" in "The capital of Australia is Canberra"."""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

from et_agent.answers.kinds import KINDS, AnswerKind
from et_agent.answers.language import language_of, small_words
from et_agent.answers.text import normalised
from et_agent.answers.turning import NEGATIONS, offers_several

__all__ = ["Told", "asks_for", "asks_who", "in_order", "singular", "stem", "told_by", "words_of"]


def _words_in(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MOST_WORDS: Final = 60
_STEM: Final = 5
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
_OPPOSED: Final = _words_in("beaten defeated followed killed lost preceded replaced succeeded won")
"""Of these, who does it and whom it happens to are different answers."""
_WHEN: Final = re.compile(r"\b(?:when|(?:what|which) (?:year|date|day|month))\b", re.IGNORECASE)
_SEVERAL: Final = re.compile(r"[,;&/]|\b(?:and|und|et|y|e|or|oder|ou|o)\b", re.IGNORECASE)
_POSSESSIVE: Final = re.compile(r"['’]s\b")
_NAME: Final = re.compile(r"(?<![\w.])[A-ZÀ-Þ][\w']*(?: [A-ZÀ-Þ][\w']*)+")
_GAP: Final = re.compile(r"(?<!\d) | (?!\d)")
_WORD: Final = re.compile(r"[^\W_]+(?:[.:/]\d+)*")


_SOME_YEAR: Final = re.compile(r"\b(?:1[0-9]|20)\d\d\b")
_RELATIONS: Final = _words_in("of before after to than behind")
_WHO: Final = re.compile(
    r"^(?:(?!\b(?:what|which|when|where|how|why|if|do|does|is|are)\b).)*\b(?:who|whom|whose|whos)\b"
    r"|\b(?:wer|wen|wem|qui|quién|quien|chi|quem)\b|кто|谁|誰|누구|من |किस",
    re.IGNORECASE,
)


@lru_cache(256)
def asks_for(kind: AnswerKind, question: str) -> bool:
    """Whether a question asks for answers of a kind."""
    return KINDS[kind].suggestion(question) is not None


def asks_who(question: str) -> bool:
    """Whether a question asks for a person."""
    return _WHO.search(question) is not None


def in_order(words: Sequence[str], stems: Set[str]) -> list[str]:
    """Beginnings of words in the order in which they come first."""
    return [one for one in dict.fromkeys(map(stem, words)) if one in stems]


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer says beyond its question.

    Attributes:
        words: Its words in normal form, without the question's and those that say nothing.
        repeated: The question's words among those that say something, by their beginnings.
        kept: Both, in their order.
        mixed: Names that have words of both.
        names: Those of `words` that begin with a capital.
        negated: Whether it denies something that the question does not.
        several: Whether it may name several.
        small: Its other words.
        turned: Whether it says to whom something was done first, and then by whom.
        related: Those of `words` that something is told by: Socrates in "the teacher of Socrates",
            where the question has "teacher of".
        years: Years that it names.
    """

    words: tuple[str, ...]
    repeated: frozenset[str]
    kept: tuple[str, ...]
    mixed: tuple[str, ...]
    names: frozenset[str]
    negated: bool
    several: bool
    small: frozenset[str]
    turned: bool
    related: frozenset[str]
    years: frozenset[str]

    @property
    def joined(self) -> str:
        """Its words as one: "rear view" is "rearview", but "1 5" is not 15."""
        return _GAP.sub("", " ".join(map(singular, self.words)))


@lru_cache(1024)
def told_by(answer: str, question: str) -> Told:
    """What an answer says beyond its question; cached."""
    asked = {stem(word) for word in words_of(question)}
    if offers_several(question):
        asked = set()
    when = _WHEN.search(question) or asks_for(AnswerKind.DATE, question)
    # Not where nothing else is left.
    shorter = answer if when else _ADVERBIAL.sub("", answer)
    text = shorter if words_of(shorter) else answer
    passive = {*_PASSIVE.findall(text)}
    for verb in passive - _OPPOSED:
        text = re.sub(rf"\b{re.escape(verb)}(?=\s+by\b)", " ", text)
    empty = (_LIGHT | small_words("en") | small_words(language_of(question or answer))) - {"i"}
    said = words_of(text)[:_MOST_WORDS]
    negations = {word for word in said if word in NEGATIONS and stem(word) not in asked}
    kept = [word for word in said if word not in empty and word not in NEGATIONS]
    words = [word for word in kept if stem(word) not in asked]
    if asks_who(question):
        words = _without_roles(words)
    capitals = {normalised(word) for word in _WORD.findall(text) if word[:1].isupper()}
    return Told(
        words=tuple(words),
        repeated=frozenset(stem(word) for word in kept if stem(word) in asked),
        kept=tuple(kept),
        mixed=tuple(_mixed(text, set(words), set(kept) - set(words))),
        names=frozenset(words) & capitals,
        negated=bool(negations),
        several=_SEVERAL.search(text) is not None,
        small=frozenset(said).difference(kept),
        turned=not passive.isdisjoint(_OPPOSED),
        related=_related(said, question).intersection(words),
        years=frozenset(_SOME_YEAR.findall(answer)),
    )


def _related(said: Sequence[str], question: str) -> frozenset[str]:
    """Words that stand behind what the question asks for: "capital of" and then another country."""
    asked = words_of(question)
    # Not a question's last words: "What is it made of?"
    pairs = {(stem(one), other) for one, other in pairwise(asked[:-1])}
    behind = zip(said, said[1:], said[2:], strict=False)
    return frozenset(
        word for one, link, word in behind if link in _RELATIONS and (stem(one), link) in pairs
    )


def _without_roles(words: list[str]) -> list[str]:
    """Names without "the American composer" and titles before them, where names are left."""
    left = [word for word in words if word not in _ROLES and word not in _TITLES]
    return left or words


def _mixed(text: str, own: set[str], repeated: set[str]) -> list[str]:
    """Runs of capitalised words of which some are an answer's own and some the question's."""
    runs = (words_of(run) for run in _NAME.findall(text))
    return [" ".join(run) for run in runs if own.intersection(run) and repeated.intersection(run)]


def words_of(text: str) -> list[str]:
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


def singular(word: str) -> str:
    """A word without the "s" of a plural; "1980s" is no plural of 1980."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word[0].isdigit() else word


def stem(word: str) -> str:
    """The beginning by which words are compared."""
    return singular(word)[:_STEM]
