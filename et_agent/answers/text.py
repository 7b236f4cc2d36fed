"""Short free-text answers: readable when shown, SQuAD-normalised when compared."""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import re
import unicodedata

from et_agent.answers.latex import strip_delimiters, strip_markdown, unwrap_text
from et_agent.answers.marking import ARTICLES, marked_text, unmarked

__all__ = ["MAX_ANSWER_CHARACTERS", "first_sentence", "normalised", "readable"]

MAX_ANSWER_CHARACTERS = 160
"""A longer line is reasoning, not an answer of a few words."""

_LATEX_SPACES = re.compile(r"\\[,;:!> ]|(?<=\w)~(?=\w)")
_QUOTES = "\"'“”‘’«»"
_LEAD = re.compile(r"^(?:(?:final )?answer\s*(?:is|:)\s*:?\s*)", re.IGNORECASE)
# A full stop after an initial or a short capitalised word ends no sentence: "Dr. No", "J. K."
_SENTENCE_END = re.compile(
    r"(?:(?<=[a-zà-ÿа-я]{3})|(?<=\d)|(?<=[)\"”]))[.!?](?=\s+[A-ZÀ-ÞА-Я(\"“])|[。！？।](?=.)"
)
_ORDINAL = re.compile(
    r"(?:^|\s)(?:der|die|das|dem|den|am|im|vom|zum|zur|beim)\s+\d{1,3}$", re.IGNORECASE
)
_GERMAN_MONTH = re.compile(
    r"\s+(?:Januar|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember)\b"
    r"(?!\s+[a-z])"
)


def normalised(text: str) -> str:
    """Return the SQuAD exact-match form of `text` (Rajpurkar et al. 2016), for comparison only.

    NFKC, casefold, punctuation and articles removed, white space collapsed. Unlike there, signs and
    capitals that carry meaning stay (`et_agent.answers.marking`). A text of nothing but articles or
    punctuation keeps its casefolded characters, so that it still equals itself.
    """
    marked, formula = marked_text(text)
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", marked).casefold())
    kept = "".join(character for character in folded if not _is_punctuation(character))
    words = kept if formula else ARTICLES.sub(" ", kept)
    return unmarked(" ".join(words.split()) or " ".join(folded.split()))


def readable(text: str) -> str:
    """Return `text` on one line without markdown, LaTeX wrapping, outer quotes or final stop."""
    one_line = " ".join(_LATEX_SPACES.sub(" ", unwrap_text(text)).split())
    previous = None
    while previous != one_line:
        previous = one_line
        one_line = _LEAD.sub("", strip_markdown(strip_delimiters(one_line))).strip()
        if len(one_line) > 1 and one_line[0] in _QUOTES and one_line[-1] in _QUOTES:
            one_line = one_line[1:-1].strip()
        if one_line.endswith((".", ",", ";", ":", "。", "，", "、", "।")) and not re.search(
            r"[^°º]\b[A-Z]\.$", one_line
        ):
            one_line = one_line[:-1].rstrip()
    return one_line


def first_sentence(text: str) -> str:
    """Return `text` up to the end of its first sentence, without the closing mark.

    The full stop of a German ordinal ends none: "8. Mai", "im 18. Jahrhundert".
    """
    for end in _SENTENCE_END.finditer(text):
        number = end.group() == "." and end.start() > 0 and text[end.start() - 1].isdigit()
        month = number and _GERMAN_MONTH.match(text, end.end())
        if not month and not (number and _ORDINAL.search(text[: end.start()])):
            return text[: end.start()]
    return text


def _is_punctuation(character: str) -> bool:
    # Signs of no width (Cf) are not seen.
    # "$" and "%" carry meaning in an answer such as "$5" only through the digits beside them.
    category = unicodedata.category(character)
    return category.startswith("P") or category == "Cf" or character in "$^`~|"
