"""Short free-text answers: readable when shown, SQuAD-normalised when compared."""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import re
import unicodedata

from et_agent.answers.latex import strip_delimiters, strip_markdown, unwrap_text

__all__ = ["MAX_ANSWER_CHARACTERS", "first_sentence", "normalised", "readable"]

MAX_ANSWER_CHARACTERS = 160
"""A longer line is reasoning, not an answer of a few words."""

_ARTICLES = re.compile("\\b(?:a|an|the)\\b(?![\ue000-\ue007])")
_AS_ASCII = re.compile("[‐‑‒–—−﹣－](?=\\s?[$€£¥]?\\d)")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_MEANING = re.compile(
    r"(?<=\d)[.,:/-](?=\d)|(?:(?<=[\s(\[^{])|^)-(?=[$€£]?\.?\d)|(?<![^\W_])\.(?=\d)"
    r"|(?<=[^\W_])\^(?=[\w({-])|(?<=\b[A-Za-z])(?:\#|\+{1,2}|-(?=[\s.,;]|$))|(?<=\bAB)-(?=\W|$)"
)
_MARKED = str.maketrans(".,:/-#+^", "\ue000\ue001\ue002\ue003\ue004\ue005\ue006\ue007")
"""Private characters, which are no punctuation, for signs that stay."""
_UNMARKED = str.maketrans("\ue000\ue001\ue002\ue003\ue004\ue005\ue006\ue007", ".,:/-#+^")
_LATEX_SPACES = re.compile(r"\\[,;:!> ]|~")
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

    NFKC, casefold, punctuation and articles removed, white space collapsed. Unlike there, signs that
    carry meaning stay: a minus before a number, points, colons, slashes and hyphens between digits,
    `^` before an exponent, `#`, `+` and `-` behind a letter that stands alone ("C#", "A+", blood group
    "O-"). A text of nothing but articles or punctuation keeps its casefolded characters, so that it
    still equals itself.
    """
    text = text if text.isascii() else _AS_ASCII.sub("-", text)
    marked = _MEANING.sub(_kept_sign, _THOUSANDS.sub("", text))
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", marked).casefold())
    kept = "".join(character for character in folded if not _is_punctuation(character))
    without_articles = " ".join(_ARTICLES.sub(" ", kept).split()).translate(_UNMARKED)
    return without_articles or " ".join(folded.split()).translate(_UNMARKED)


def _kept_sign(match: re.Match[str]) -> str:
    return match.group().translate(_MARKED)


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
