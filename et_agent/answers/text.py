"""Short free-text answers: readable when shown, SQuAD-normalised when compared."""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import re
import unicodedata

from et_agent.answers.latex import strip_delimiters, strip_markdown, unwrap_text

__all__ = ["MAX_ANSWER_CHARACTERS", "first_sentence", "normalised", "readable"]

MAX_ANSWER_CHARACTERS = 160
"""A longer line is reasoning, not an answer of a few words."""

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_LATEX_SPACES = re.compile(r"\\[,;:!> ]|~")
_QUOTES = "\"'“”‘’«»"
_LEAD = re.compile(r"^(?:(?:final )?answer\s*(?:is|:)\s*:?\s*)", re.IGNORECASE)
# A full stop after an initial or a short capitalised word ends no sentence: "Dr. No", "J. K."
_SENTENCE_END = re.compile(r"(?:(?<=[a-z]{3})|(?<=\d)|(?<=[)\"”]))[.!?](?=\s+[A-Z(\"“])")


def normalised(text: str) -> str:
    """Return the SQuAD exact-match form of `text` (Rajpurkar et al. 2016), for comparison only.

    NFKC, casefold, punctuation and articles removed, white space collapsed. A text of nothing but
    articles or punctuation keeps its casefolded characters, so that it still equals itself.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    kept = "".join(character for character in folded if not _is_punctuation(character))
    without_articles = " ".join(_ARTICLES.sub(" ", kept).split())
    return without_articles or " ".join(folded.split())


def readable(text: str) -> str:
    """Return `text` on one line without markdown, LaTeX wrapping, outer quotes or final stop."""
    one_line = " ".join(_LATEX_SPACES.sub(" ", unwrap_text(text)).split())
    previous = None
    while previous != one_line:
        previous = one_line
        one_line = _LEAD.sub("", strip_markdown(strip_delimiters(one_line))).strip()
        if len(one_line) > 1 and one_line[0] in _QUOTES and one_line[-1] in _QUOTES:
            one_line = one_line[1:-1].strip()
        if one_line.endswith((".", ",", ";", ":")) and not re.search(r"\b[A-Z]\.$", one_line):
            one_line = one_line[:-1].rstrip()
    return one_line


def first_sentence(text: str) -> str:
    """Return `text` up to the end of its first sentence, without the closing mark."""
    end = _SENTENCE_END.search(text)
    return text if end is None else text[: end.start()]


def _is_punctuation(character: str) -> bool:
    # "$" and "%" carry meaning in an answer such as "$5" only through the digits beside them.
    return unicodedata.category(character).startswith("P") or character in "$^`~|"
