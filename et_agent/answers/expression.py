r"""Mathematical answers as strings: one normal form for what LaTeX can write in many ways."""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import re
from itertools import pairwise

from et_agent.answers.latex import strip_delimiters, strip_markdown, unwrap_text

__all__ = ["expression_in_prose", "normal_form", "readable_expression", "word_of"]

_MAX_CHARACTERS = 1000
"""Longer expressions are compared as they stand; none that is an answer is so long."""

_UNICODE = str.maketrans(
    {
        "−": "-", "–": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": "/",
        "π": r"\pi ", "θ": r"\theta ", "∞": r"\infty ", "∪": r"\cup ", "∩": r"\cap ",
        "∈": r"\in ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "±": r"\pm ", "√": r"\sqrt ",
        "²": "^2", "³": "^3", "°": r"^\circ ", "∅": r"\emptyset ", "½": r"\frac{1}{2}",
    }
)  # fmt: skip
_REPLACEMENTS = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\(?:left|right|bigl?|bigr|Bigl?|Bigr|displaystyle|limits)(?![A-Za-z])\.?", ""),
        (r"(?<!\\)\\[,!;:> ]|~|\\q?quad(?![A-Za-z])", " "),
        (r"\\(?:text|mbox|mathrm)\s*\{\s*,?\s*(?:or|and)\s*,?\s*\}", ","),
        (r"(?<=[^A-Za-z\\])(?:or|and)(?=[^A-Za-z])", ","),
        (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        (r"\\frac\s*([0-9A-Za-z])\s*([0-9A-Za-z])", r"\\frac{\1}{\2}"),
        (r"\\frac\s*([0-9A-Za-z])\s*\{", r"\\frac{\1}{"),
        (r"(\\frac\s*\{[^{}]*\})\s*([0-9A-Za-z])", r"\1{\2}"),
        (r"\\sqrt\s*([0-9A-Za-z])", r"\\sqrt{\1}"),
        (r"\\?\bsqrt\s*\(([^()]*)\)", r"\\sqrt{\1}"),
        (r"(?<![\\A-Za-z])(pi|infty|theta|sin|cos|tan|ln|log)(?![A-Za-z])", r"\\\1 "),
        (r"(?<![\\A-Za-z])(?:infinity|inf|oo)(?![A-Za-z])", r"\\infty "),
        (r"\\(l|g|n)eq(?![A-Za-z])", r"\\\1e"),
        (r"<=", r"\\le "),
        (r">=", r"\\ge "),
        (r"\*\*", "^"),
        (r"\\(?:b|v|V|B|small)matrix|\{[bvVB]matrix\}", "{pmatrix}"),
        (r"\^\s*\{?\s*\\circ\s*\}?|\\degree(?![A-Za-z])", ""),
        (r"\\?[$%]", ""),
        (r"^\s*[A-Za-z]\s*\\in(?![A-Za-z])", ""),
    )
)
_SPACE_NEEDED = re.compile(r"(\\[A-Za-z]+) +(?=[A-Za-z])")
_WHOLE_TEXT = re.compile(r"\\(?:text|mbox|mathrm|textbf|textit)\s*\{([^{}]*[A-Za-z][^{}]*)\}\.?")
_BARE_WORDS = re.compile(
    r"(?:[A-Za-z]{4,}(?:[ -][A-Za-z]+)*|(?!(?:sin|cos|tan|log|ln|exp|sec|csc|cot|max|min|gcd|lcm|"
    r"pi)\b)"
    r"[A-Za-z]+(?: [A-Za-z]+)* [A-Za-z]{4,}(?: [A-Za-z]+)*|Yes|No|Odd|All|None)\.?"
)
_SINGLE_LETTER = re.compile(r"\(?([A-Za-z])\)?")
_DELIMITED = re.compile(r"\$\$(.+?)\$\$|(?<!\\)\$(.+?)(?<!\\)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]")
_COPULA = re.compile(r"(?:^|(?<=\s))(?:is|are|be|equals?)(?=\s)|:")
_CONNECTED = re.compile(r"[\s,;.*]*(?:(?:and|or)[\s,;.*]*)*")


def readable_expression(text: str) -> str:
    r"""Return `text` as one line of LaTeX without the dollars or stops around it, to be shown."""
    one_line = " ".join(text.split())
    previous = None
    while previous != one_line:
        previous = one_line
        one_line = strip_delimiters(_without_bold(one_line))
        if one_line.endswith((".", ",", ";")) and not one_line.endswith("\\,"):
            one_line = one_line[:-1].rstrip()
    return one_line


def _without_bold(text: str) -> str:
    # Only around the whole: inside an expression two stars are a power.
    bold = len(text) > 4 and text.startswith("**") and text.endswith("**")
    return text[2:-2].strip() if bold else text


def normal_form(text: str) -> str:
    r"""Return a spelling in which trivially equal expressions are equal strings.

    Spacing, `\left`, `\dfrac`, degree signs, unicode operators, `sqrt(3)`, `x \in` and the kind of
    matrix brackets are made alike; no algebra is done.
    """
    expression = readable_expression(text)
    if len(expression) > _MAX_CHARACTERS:
        return expression
    expression = expression.translate(_UNICODE)
    for pattern, replacement in _REPLACEMENTS:
        expression = pattern.sub(replacement, expression)
    marked = _SPACE_NEEDED.sub(r"\1" + "\0", " ".join(expression.split()))
    return marked.replace(" ", "").replace("\0", " ").strip().rstrip(".,;")


def word_of(text: str) -> str | None:
    r"""Return the words if the expression is words, such as `\text{Evelyn}` or "east", else None.

    A single letter, bare, in brackets or in `\text{}`, counts as a word too: `\text{(C)}` is "C".
    """
    expression = readable_expression(text)
    if len(expression) > _MAX_CHARACTERS:
        return None
    whole = _WHOLE_TEXT.fullmatch(expression)
    words = whole[1].strip() if whole is not None else expression
    letter = _SINGLE_LETTER.fullmatch(words)
    if letter is not None:
        return letter[1]
    return words if whole is not None or _BARE_WORDS.fullmatch(words) else None


def expression_in_prose(segment: str, *, prefer_first: bool) -> str | None:
    """Return the expression that a sentence gives, else None.

    Formulas between dollars come first: all of them if nothing but "and" or "or" stands between,
    else the first after a marker and the last on a last line. Without dollars, a short segment
    is an expression itself; else what follows its last equals sign or "is" may be.
    """
    formulas = list(_DELIMITED.finditer(segment))
    if formulas:
        contents = [str(next(filter(None, match.groups()))) for match in formulas]
        between = [segment[left.end() : right.start()] for left, right in pairwise(formulas)]
        if between and all(_CONNECTED.fullmatch(gap) for gap in between):
            return ", ".join(contents)
        return contents[0] if prefer_first else contents[-1]
    bare = readable_expression(strip_markdown(unwrap_text(segment)))
    for candidate in (bare, bare.rpartition("=")[2], _COPULA.split(bare)[-1]):
        if candidate.strip() and not _is_prose(candidate):
            return candidate.strip()
    return None


def _is_prose(text: str) -> bool:
    words = re.findall(r"(?<![\\A-Za-z])[A-Za-z]{2,}", text)
    return len(words) > 2 or len(text) > 200
