"""The kind `date`: a date, a time of day or both, shown as ISO 8601."""

import re
from typing import Final

from et_agent.answers.dates import date_in_prose, date_in_value, written_date
from et_agent.answers.finders import Found
from et_agent.answers.kinds.base import Kind, Reading, Suggestion
from et_agent.answers.kinds.text import read_words
from et_agent.answers.text import readable

__all__ = ["DATE"]

_ASKED: Final = re.compile(
    r"^\W*(?:(?:on|in|at) )?(?:when (?:did|was|were|is|will|does|do)|(?:what|which) (?:date|day|"
    r"year|time|month)\b(?! of the week)|what (?:is|was) the (?:exact )?(?:date|time|birthday)|"
    r"(?:on|at|in) (?:what|which) (?:date|day|year|time|month))\b"
    r"|\b(?:on (?:what|which) (?:date|day)|(?:what|which) date|give the date|repeat the date|"
    r"what time|date of birth)\b"
    r"|^\W*(?:wann|an welchem (?:tag|datum)|in welchem jahr|um wie viel uhr|wie spät)\b"
    r"|^\W*(?:quand|à quelle (?:date|heure)|en quelle année|quel jour|quelle (?:heure|date))\b"
    r"|^\W*(?:cuándo|en qué (?:año|fecha|día)|a qué hora|qué (?:fecha|hora|día))\b"
    r"|^\W*(?:quando|in (?:che|quale) (?:anno|data|giorno)|a che ora|che ora)\b"
    r"|^\W*(?:em que (?:ano|data|dia)|a que horas|que horas)\b"
    r"|^\W*(?:когда|в каком году|какого числа|в котором часу|который час)(?!\w)"
    r"|什么时候|何时|哪一年|哪年|哪一天|几月几日|几点|いつ|何年(?![かも前目間])|何月何日|何日|"
    r"何時に|언제|몇 년도?에|몇 월 며칠|몇 시에"
    r"|متى|في أي (?:عام|سنة|تاريخ|يوم)|कब\b|किस (?:वर्ष|साल|तारीख|दिन)",
    re.IGNORECASE,
)
_LONG: Final = re.compile(r"\b(?:how (?:long|many|old)|duration)\b|什么时候才", re.IGNORECASE)


class _Date(Kind):
    instruction = "Think briefly, and put only the date or time in \\boxed{}."
    noun = "dates"

    def suggestion(self, question: str) -> Suggestion | None:
        """When, what date, what year."""
        found = _ASKED.search(question)
        if found is None or _LONG.search(question):
            return None
        return Suggestion(30, f'The question asks "{found.group().strip()}".')

    def rank(self, content: str, question: str) -> int | None:
        """A date with a month or a time; a lone year is a number unless a date is asked for."""
        moment = date_in_value(content, question)
        if moment is None:
            return None
        asked = _ASKED.search(question) is not None
        lone = moment.year is not None and moment.month is None and moment.time is None
        if moment.unclear is not None and moment.unclear.count("/") == 1:
            return 5 if asked else None
        return 5 if asked or not lone else None

    def read(self, found: Found, question: str) -> Reading | None:
        """The date of a box or of a sentence; other words, such as "in the sixties", as text."""
        if found.found_by == "boxed":
            moment = date_in_value(found.content, question)
        else:
            first = found.found_by == "answer is"
            moment = date_in_prose(found.content, question, prefer_first=first)
        if moment is None:
            return read_words(found)
        shown = moment.iso
        if moment.month is not None and moment.year is None:
            shown = _without_year(found, question) or shown
        return Reading(shown, ("date", moment.iso))


def _without_year(found: Found, question: str) -> str | None:
    """A date without a year as the leaf has it."""
    if found.found_by == "boxed":
        return readable(found.content)
    first = found.found_by == "answer is"
    return written_date(readable(found.content), question, prefer_first=first)


DATE: Final = _Date()
