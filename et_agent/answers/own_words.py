r"""What of a leaf is its own: not code that it shows, and not the question's words that it repeats.

A passage or the result of a tool may say "the answer is \boxed{7}"; a leaf that quotes it has not
answered.
"""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import re
from dataclasses import dataclass
from typing import Final

from et_agent.answers.braces import boxes

__all__ = ["CodeBlock", "code_blocks", "own_words"]

_FENCE: Final = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([\w+#-]*)[^\n`]*(?:\n|\Z)", re.MULTILINE)

_SAYS: Final = re.compile(
    r"\\(?:boxed|fbox|framebox)\b|\b(?:answer|antwort|réponse|respuesta|risposta|resposta|ответ)\b"
    r"|答案|答え|정답|الإجابة|उत्तर|####",
    re.IGNORECASE,
)
"""What a finder would take for the place of an answer."""
_ONLY_A_BOX: Final = re.compile(r"\s*(?:\$+|\\\[|\\\()?\s*\\boxed\b[^\n]*\s*")
_AROUND_A_BOX: Final = re.compile(r"[\s$.]*")
_PROSE_FENCES: Final = frozenset({"", "latex", "tex", "math", "markdown", "md", "text", "txt"})
_QUOTED_LINE: Final = re.compile(r"^[ \t]*>.*$", re.MULTILINE)
_NOT_A_NEWLINE: Final = re.compile(r"[^\n]")
_LEAST_QUOTE: Final = 12
"""Characters about a box or a marker that make a copy of the question's a quotation."""
_SENTENCE: Final = re.compile(r"[^\n.!?。！？]*(?:[.!?。！？](?=\S)[^\n.!?。！？]*)*[.!?。！？]?")
_IN_QUOTES: Final = re.compile(r"[\"“„«「]([^\"“”„«»「」\n]{12,600})[\"”“»」]")
_AFTER_SAYING: Final = re.compile(
    r"(?:\b(?:sa(?:ys|id)|reads?|states?|wr(?:ites|ote|itten)|told|tells|quotes?|sagt|steht|schreibt|lautet|"
    r"dit|dice|diz|говорит|написано|сказано)\b|说|写|書|言|라고|يقول|कहता)(?:[^:：\n]{0,40}[:：]\s*|\s+(?:that\s+)?)([^\n]{12,600})",
    re.IGNORECASE,
)
_MOST_IN_A_BOX: Final = 2000
_MOST_CHARACTERS: Final = 200_000
_KEPT_CHARACTERS: Final = 100_000


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """A block between fences.

    Attributes:
        language: As the fence names it, in small letters; "" for none.
        code: The lines between the fences.
        start, end: Where the block, fences included, stands in the text.
    """

    language: str
    code: str
    start: int
    end: int


def code_blocks(text: str) -> list[CodeBlock]:
    """The blocks of code of a text, first to last; one that is not closed is none."""
    found: list[CodeBlock] = []
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opened is None:
            opened = fence
        elif fence[1].startswith(opened[1]) and not fence[2]:
            code = text[opened.end() : fence.start()]
            found.append(CodeBlock(opened[2].casefold(), code, opened.start(), fence.end()))
            opened = None
    return found


def own_words(text: str, question: str = "", *, code: bool = False) -> str:
    """Blank out what looks like an answer in code, in quoted lines and in copies of what was given.

    Args:
        text: A leaf.
        question: The question, and whatever else the leaf may quote.
        code: Whether blocks of code stay as they are, for kinds that read them.

    The text keeps its length. A block of code counts where it has no programming language and holds
    no box, or nothing but one: that is the leaf's own way of setting it off. Of a text beyond 200,000
    characters, which no model writes for an answer, only the end is kept.
    """
    if len(text) > _MOST_CHARACTERS:
        text = text[-_KEPT_CHARACTERS:]
    if "```" in text or "~~~" in text:
        if code:
            return _beside_code(text, question)
        text = _without_code(text)
    if _SAYS.search(text) is None:
        return text
    if ">" in text:
        text = _QUOTED_LINE.sub(_blanked, text)
    if question and _SAYS.search(question) is not None:
        text = _without_quotations(text, question)
    return text


def _beside_code(text: str, question: str) -> str:
    """Own words with the blocks of code as they are."""
    parts, at = list[str](), 0
    blocks = code_blocks(text)
    for block in blocks:
        parts += [text[at : block.start], _NOT_A_NEWLINE.sub(" ", text[block.start : block.end])]
        at = block.end
    own = own_words("".join((*parts, text[at:])).replace("`", " ").replace("~", " "), question)
    asked = " ".join(question.split())
    for block in blocks:
        if _SAYS.search(block.code) and " ".join(block.code.split()) in asked:
            continue  # a quotation
        own = own[: block.start] + text[block.start : block.end] + own[block.end :]
    return own


def _without_code(text: str) -> str:
    parts, at = list[str](), 0
    for block in code_blocks(text):
        prose = block.language in _PROSE_FENCES
        if prose and (_SAYS.search(block.code) is None or _ONLY_A_BOX.fullmatch(block.code)):
            continue
        parts += [text[at : block.start], _NOT_A_NEWLINE.sub(" ", text[block.start : block.end])]
        at = block.end
    return "".join((*parts, text[at:]))


def _blank(text: str) -> str:
    return _SAYS.sub(lambda found: " " * len(found.group()), text)


def _blanked(match: re.Match[str]) -> str:
    return _blank(match.group())


def _without_quotations(text: str, question: str) -> str:
    if _is_only_a_box(text):
        return text  # as it was told to: "reply \\boxed{true} or \\boxed{false}"
    asked = " ".join(question.split())
    for quoted in (_IN_QUOTES, _AFTER_SAYING):
        text = quoted.sub(lambda found: _without_quoted(found, asked), text)
    parts, at = list[str](), 0
    for match in _SENTENCE.finditer(text):
        if match.start() < at or not _SAYS.search(match.group()):
            continue
        words = " ".join(match.group().split()).strip("\"'“”‘’«»*_` ")
        if len(words) >= _LEAST_QUOTE and words in asked:
            parts += [text[at : match.start()], _NOT_A_NEWLINE.sub(" ", match.group())]
            at = match.end()
        else:
            parts.append(text[at : match.start()])
            parts.append(_without_copies(match.group(), asked))
            at = match.end()
    return "".join((*parts, text[at:]))


def _is_only_a_box(text: str) -> bool:
    found = list(boxes(text[:_MOST_IN_A_BOX])) if len(text) <= _MOST_IN_A_BOX else []
    if len(found) != 1:
        return False
    around = text[: found[0].command], text[found[0].end :]
    return all(_AROUND_A_BOX.fullmatch(one) for one in around)


def _without_copies(sentence: str, asked: str) -> str:
    """Blank out a box or marker whose words before and after it are the question's as well."""
    boxed = [(one.command, one.end) for one in boxes(sentence)]
    said = [found.span() for found in _SAYS.finditer(sentence)]
    for start, end in (*boxed, *said):
        if _is_copied(sentence, start, end, asked):
            sentence = f"{sentence[:start]}{' ' * (end - start)}{sentence[end:]}"
    return sentence


def _is_copied(sentence: str, start: int, end: int, asked: str) -> bool:
    before = " ".join(sentence[max(0, start - 40) : start].split())[-_LEAST_QUOTE:]
    after = " ".join(sentence[start : end + 8].split())
    return len(before) >= _LEAST_QUOTE and f"{before} {after}" in asked


def _without_quoted(match: re.Match[str], asked: str) -> str:
    """Blank out as much of a quotation, from its beginning on, as was given, if it says an answer."""
    quoted = match[1]
    low, high = 0, len(quoted)
    while low < high:  # a beginning of what was given was given too
        middle = (low + high + 1) // 2
        given = " ".join(quoted[:middle].split()) in asked
        low, high = (middle, high) if given else (low, middle - 1)
    if low < _LEAST_QUOTE or _SAYS.search(quoted[:low]) is None:
        return match.group()
    start = match.start(1) - match.start()
    whole = match.group()
    return f"{whole[:start]}{' ' * low}{whole[start + low :]}"
