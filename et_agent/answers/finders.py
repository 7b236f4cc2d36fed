r"""Where in a leaf the answer stands: in a box, behind a marker, or on the last line."""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from et_agent.answers.braces import Group, boxes
from et_agent.arguments import checks_arguments

__all__ = [
    "FINDERS",
    "Finder",
    "Found",
    "FoundBy",
    "find_all",
    "find_boxed",
    "find_denial",
    "find_first_line",
    "find_last_line",
    "find_marked",
    "join_boxes",
]

FoundBy = Literal[
    "boxed", "answer is", "last line", "first line", "code", "json", "tool call", "all"
]
"""Name of the finder that a string came from; the last one for structured replies."""

_MARKER = re.compile(
    r"(?:\b(?:answer|the answers|(?:correct|right|best|final) (?:options?|choices?|answers))|"
    r"(?<![^\n])[*# \t]*answers(?=[* \t]*:))\b"
    r"(?:[ \t]+(?:to|for|choice|option)\b[^.:\n]{0,80}?)?[*_ \t]*"
    r"(?::|=|(?:is|was|are)(?=n['’]t\b)|(?:is|was|are|will be|would be|must be|should be)\b"
    r"(?:[ \t]*(?:therefore|thus|then)\b,?)?[ \t]*:?)"
    # German, French, Spanish, Italian, Portuguese, Russian
    r"|\b(?:antwort|lösung|ergebnis|réponse|respuesta|risposta|resposta|ответ|(?:richtigen|korrekten) "
    r"antworten|bonnes réponses|respuestas correctas|risposte corrette|respostas corretas|"
    r"правильные ответы)\b"
    r"(?:[ \t]+(?:auf|à|a la|alla|à|correcte?|correcta|corretta|correta|final|finale|на|est donc)"
    r"\b[^.:\n]{0,60}?)?[*_ \t]*"
    r"(?::|=|[—–-](?=\s)|(?:ist|sind|laute[tn]|wäre|beträgt|est|sont|es|son|è|sono|é|são|será|sera|"
    r"равен|"
    r"равно)(?![\w'’])[ \t]*:?)"
    # Chinese, Japanese, Korean
    r"|(?:答案|正确选项|正確答案)[*_ ]*(?:是|为|為|[:：])[:： ]*|(?:^|(?<=\n))答[:：]"
    r"|(?:答え|正解|回答)[*_ ]*(?:は|[:：])[:：、 ]*|(?:정답|답|대답)[*_ ]*(?:은|는|[:：])[:： ]*"
    # Arabic, Hindi
    r"|(?:الإجابة|الاجابة|الجواب)(?: (?:الصحيحة|النهائية|الصحيح|النهائي))?[*_ ]*(?:هي|هو|"
    r"[:：])[: ]*"
    r"|(?:उत्तर|जवाब)[*_ ]*(?:[:：]|(?=[^\n।]{1,60} (?:है|हैं|होगा)))[: ]*",
    re.IGNORECASE,
)
_NOT_BUT = re.compile(
    r"^(?:n['’]t|not|nicht|pas|no|non|não|не|不是|ليست?)\b[^.\n]{1,80}?,?\s*\b(?:but|rather|it['’]s|"
    r"it is|sondern|mais|sino|ma|bensì|mas|а|而是|بل)\b"
    # What is denied stands first there.
    r"|^[^.。\n]{1,80}?(?:(?:では|じゃ)なくて?[、,]?|[이가]?\s*아니라|नहीं,?\s*बल्कि)\s*",
    re.IGNORECASE,
)
_NEGATED = re.compile(
    r"^(?:n['’]t|not|nicht|pas|n'est pas|no es|non è|não|не|不是|ليست?)(?!\w)(?!\s+(?:only|nur|"
    r"just|nec|enough|possible|known|defined|"
    r"given|a\b|an\b|applicable|available|sure|guilty))(?!(?-i:(?<=Not) [A-Z][a-z]))"
    r"|^[^.。\n]{1,80}?(?:(?:では|じゃ)(?:ない|ありません)(?:です)?|[이가]\s*아(?:니|닙)[^\s.]{0,3}|"
    r"नहीं है)[.。।\s]*$",
    re.IGNORECASE,
)
"""A denial, and no title such as "Not Fade Away"."""
_COPULA = re.compile(
    r"(?<=[\u3040-\u9fff\uac00-\ud7af%])(?:です|でした|である|입니다|이다|이에요|예요)[。.！!]*$"
)
"""What Japanese and Korean sentences end in: "答えはキャンベラです"."""
_HEADING = re.compile(r"^[#* \t]*(?:the )?final answer[*: \t]*$", re.IGNORECASE | re.MULTILINE)
_HASHES = re.compile(r"^[ \t]*####[ \t]*(\S.*)")
_DECORATION = " \t\r\f\v$*_`:"
_CHAT_CLOSING = re.compile(
    r"^(?:i hope|hope (?:this|that)|let me know|please let me|if you have|is there anything else|"
    r"feel free|do you (?:need|want) (?:any|me|more)|would you like me)\b",
    re.I,
)
_MAX_LINES_AFTER_MARKER = 4
_MOST_CHARACTERS = 20_000
_NAME_WIDTH = 40
_WIDEST_GAP = 48
_NAME = re.compile(r"([A-Za-z](?:_\{?\w+\}?)?|\\[a-z]+)\s*=\s*[$\s\\(\[]*$")
_BETWEEN_BOXES = re.compile(
    r"[\s$*]*(?:\\[\])])?[\s$*]*(?:[,;、،，&]|\\\\|\\quad|\\text\s*\{\s*(?:and|or)\s*\}|"
    r"\b(?:and|or|und|oder|et|ou|y|e|o|и|или)\b|和|或|と|그리고|و|और|,\s*and\b)?"
    r"[\s$*]*(?:\\[\[(])?[\s$*]*(?:(?:[A-Za-z](?:_\{?\w+\}?)?|\\[a-z]+)\s*=)?\s*"
)
"""What stands between two boxes of one answer."""


@dataclass(frozen=True)
class Found:
    """A string that may be the answer, and the finder that saw it."""

    content: str
    """The string as the leaf has it, white space at the ends removed."""

    found_by: FoundBy
    """Which finder."""

    raw: str = ""
    """The leaf's text from the first to the last sign of it, where that is more than the content."""


Finder = Callable[[str], Found | None]
"""Looks for an answer in a leaf's text; None if its pattern does not occur."""


@checks_arguments
def find_boxed(text: str) -> Found | None:
    r"""Find the content of the last box that holds anything: `\boxed{}`, `\fbox{}`, `\boxed 5`.

    Boxes with nothing but commas, "and" or names such as `x =` between them are one answer of several
    parts: `x=\boxed{3}, y=\boxed{5}` gives `x = 3, y = 5`. Boxes with the same content are one.
    """
    filled = [box for box in boxes(text) if box.content.strip()]
    return join_boxes(text, filled)


def join_boxes(text: str, filled: Sequence[Group]) -> Found | None:
    """The last box, with those before it that belong to the same answer.

    Args:
        text: The leaf.
        filled: Its boxes with content, first to last.
    """
    if not filled:
        return None
    first = len(filled) - 1
    while first and _belong_together(text, filled[first - 1].end, filled[first].command):
        first -= 1
    parts = [box.content.strip() for box in filled[first:]]
    if len(set(parts)) == 1:
        return Found(parts[-1], "boxed")
    # A name stands before each of several boxes, or says nothing.
    starts = [text[max(0, box.command - _NAME_WIDTH) : box.command] for box in filled[first:]]
    names = [_NAME.search(start) for start in starts]
    if all(names):
        parts = [f"{name[1]} = {part}" for name, part in zip(names, parts, strict=True) if name]
    raw = text[filled[first].start : filled[-1].start + len(filled[-1].content)]
    return Found(", ".join(parts), "boxed", raw)


def _belong_together(text: str, start: int, end: int) -> bool:
    near = end - start <= _WIDEST_GAP
    return near and _BETWEEN_BOXES.fullmatch(text, start, end) is not None


@checks_arguments
def find_marked(text: str) -> Found | None:
    """Find what follows the last "answer is", "Answer:" or a closing "####" line (GSM8K).

    That is the rest of the marker's line, or the next line with content if the rest is empty.
    """
    lines = _lines(text)
    hashes = _HASHES.match(lines[-1]) if lines else None
    if hashes is not None:
        return Found(hashes[1].rstrip(), "answer is")
    ends = sorted(match.end() for match in (*_MARKER.finditer(text), *_HEADING.finditer(text)))
    for end in reversed(ends):
        content = _first_content(text[end : end + _MOST_CHARACTERS])
        if content is not None:
            told = _NOT_BUT.sub("", content).strip()
            # "The answer is not 5" gives none.
            if told and not _NEGATED.match(told):
                return Found(_COPULA.sub("", told), "answer is")
    return None


def find_denial(text: str) -> Found | None:
    """Find what the last marker denies: "not in the text" of "the answer is not in the text"."""
    last = max(_MARKER.finditer(text), key=lambda match: match.end(), default=None)
    content = None if last is None else _first_content(text[last.end() :][:_MOST_CHARACTERS])
    return Found(content, "answer is") if content and _NEGATED.match(content) else None


def find_first_line(text: str) -> Found | None:
    """Find the first line with content: a reply may say "Yes" and then why."""
    for line in text[:_MOST_CHARACTERS].splitlines():
        if _has_content(line):
            return None if _denies(line) else Found(line.strip(), "first line")
    return None


@checks_arguments
def find_last_line(text: str) -> Found | None:
    """Find the last line with content, closing courtesies such as "I hope this helps" aside."""
    for line in reversed(_lines(text)):
        if _denies(line):
            return None
        if not _CHAT_CLOSING.match(line.strip()):
            return Found(line.strip(), "last line")
    return None


def find_all(text: str) -> Found | None:
    """The whole text, where it has any content."""
    return Found(text.strip(), "all") if _has_content(text) else None


FINDERS: tuple[Finder, ...] = (find_boxed, find_marked, find_last_line)
"""The finders in the order in which they are asked."""


def _denies(line: str) -> bool:
    """Whether a line says what the answer is not, and not what it is."""
    for match in _MARKER.finditer(line[:_MOST_CHARACTERS]):
        content = line[match.end() :].strip()
        if _NEGATED.match(content) and not _NOT_BUT.match(content):
            return True
    return False


def _lines(text: str) -> list[str]:
    return [line for line in text[-_MOST_CHARACTERS:].splitlines() if _has_content(line)]


def _has_content(line: str) -> bool:
    # A line of nothing but emphasis or the brackets of a displayed formula says nothing.
    return line.strip(_DECORATION) not in ("", "\\[", "\\]", "\\(", "\\)")


def _first_content(rest: str) -> str | None:
    for line in rest.splitlines()[:_MAX_LINES_AFTER_MARKER]:
        if _has_content(line):
            return line.strip().lstrip("*_: \t").strip() or None
    return None
