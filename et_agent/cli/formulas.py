r"""A model's formulas in a terminal's characters: `\( \frac{3}{4} \times 8 = 6 \)` as `3/4 × 8 = 6`.

What cannot be written so without a change of its meaning stays as the model wrote it.
"""

# Mathematical signs are what this writes.
# ruff: noqa: RUF001, RUF002

import re
from typing import Final

from et_agent.answers.latex import unwrap_text

__all__ = ["plain_formulas"]

_UP_TO: Final = "{1,1000}"
"""Characters of a formula."""
_FORMULA: Final = re.compile(
    rf"(?<!\\)(?:\\\((?P<round>.{_UP_TO}?)\\\)|\\\[(?P<square>.{_UP_TO}?)\\\])|\$\$(?P<dollars>.{_UP_TO}?)\$\$"
    # Between single dollars only what has a sign of formulas: "$5 and $6" are prices.
    r"|(?<![\\$\w])\$(?=\S)(?P<dollar>[^$\n]{0,200}?[\\^_=][^$\n]{0,200}?)(?<=\S)\$(?![\w$])"
    r"|(?P<box>\\boxed\{(?:[^{}\n]|\{(?:[^{}\n]|\{[^{}\n]*\})*\})*\})",
    re.DOTALL,
)
_MOST_PASSES: Final = 8
"""Nested commands are undone from the inside."""

_NEW_LINE: Final = re.compile(r"\\\\(?:\[-?[\d.]+ ?(?:pt|em|ex|mm|cm)\])?")
_NOTHING: Final = re.compile(
    r"\\(?:left|right)\s*\.|\\(?:left|right|[bB]igg?|displaystyle|limits)(?![A-Za-z])"
    r"|\\(?:begin|end)\{(?:align|aligned|equation|gather|gathered|split)\*?\}|&"
)
_SPACE: Final = re.compile(r"\\(?:[,;:> ]|q?quad(?![A-Za-z]))|~")
_NARROWER: Final = r"\!"
_WORDS: Final = re.compile(r"(?=\\(?:text|mbox|mathrm|operatorname)(?![A-Za-z]))")
_AS_WORDS: Final = "\ue000"
"""Stands before words, by which nothing is multiplied."""
_FRACTION: Final = re.compile(
    r"\\[dtc]?frac\s*(?:\{([^{}\\]*)\}|([\dA-Za-z]))\s*(?:\{([^{}\\]*)\}|([\dA-Za-z]))"
)
_QUOTIENT: Final = re.compile("\ue001([^\ue001-\ue004]*)\ue002")
"""A fraction, whose bounds become brackets where its neighbours would be read as part of it."""
_RADICAL: Final = re.compile("\ue003([^\ue001-\ue004]*)\ue004")
_MARKS: Final = re.compile("[\ue000-\ue004]")
_TIMES_BEFORE: Final = re.compile("[A-Za-zα-ω)\ue002\ue004]$")
_DIVIDED_BEFORE: Final = re.compile(r"(?:[÷/^√∛∜]|\d\s*:)\s*$")
_FACTOR_AFTER: Final = re.compile("[ \t]*[\\w([√∛∜∑^\ue001\ue003]|!")
_CLOSE_AFTER: Final = re.compile("[\\w(√∛∜^⁻!\ue001\ue003]")
_ROOT: Final = re.compile(r"\\sqrt\s*(?:\[([234])\])?\s*(?:\{([^{}\\]*)\}|(\w))")
_ROOTS: Final = {None: "√", "2": "√", "3": "∛", "4": "∜"}
_DEGREES: Final = re.compile(r"\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![A-Za-z]))|\\degree(?![A-Za-z])")
_SCRIPT: Final = re.compile(r"([\^_])\s*\{([^{}\\]*)\}")
_RAISED: Final = re.compile(r"\^(-?\d+)(?!\d|\.\d)")
_INTEGER: Final = re.compile(r"-?[0-9]+")
_SUPERSCRIPTS: Final = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_COMMAND: Final = re.compile(r"\\([A-Za-z]+)|\\([%$#&_])")
_GROUP: Final = re.compile(r"(?<![\w\\}^])\{([^{}\\]*)\}")
_ATOM: Final = re.compile(r"\d+(?:[.,]\d+)*|\w?")
"""What needs no brackets as a part of something."""
_SIGNS: Final = {
    "×": ("times",),
    "·": ("cdot",),
    "÷": ("div",),
    "±": ("pm",),
    "≤": ("le", "leq", "leqslant"),
    "≥": ("ge", "geq", "geqslant"),
    "<": ("lt",),
    ">": ("gt",),
    "≠": ("ne", "neq"),
    "≈": ("approx",),
    "≡": ("equiv",),
    "∈": ("in",),
    "∪": ("cup",),
    "∩": ("cap",),
    "→": ("to", "rightarrow", "longrightarrow"),
    "⇒": ("implies", "Rightarrow", "Longrightarrow"),
    "⇔": ("iff", "Leftrightarrow"),
    "∴": ("therefore",),
    "∞": ("infty",),
    "∑": ("sum",),
    "∠": ("angle",),
    "…": ("ldots", "dots", "cdots"),
    "°": ("circ",),
    "α": ("alpha",),
    "β": ("beta",),
    "γ": ("gamma",),
    "δ": ("delta",),
    "Δ": ("Delta",),
    "ε": ("epsilon", "varepsilon"),
    "θ": ("theta",),
    "λ": ("lambda",),
    "μ": ("mu",),
    "π": ("pi",),
    "ρ": ("rho",),
    "σ": ("sigma",),
    "φ": ("phi", "varphi"),
    "ω": ("omega",),
    "Ω": ("Omega",),
}
_SIGN_OF: Final = {name: sign for sign, names in _SIGNS.items() for name in names}


def plain_formulas(text: str) -> str:
    r"""Write LaTeX formulas with characters of their own: `x^2 \le \frac{1}{2}` as `x² ≤ 1/2`.

    Args:
        text: Words with formulas between `\( \)`, `\[ \]`, `$ $` or `$$ $$`, or in a `\boxed{}`.
    """
    return _FORMULA.sub(_written, text)


def _written(match: re.Match[str]) -> str:
    plain = _plain(match[match.lastgroup or 0])
    return match[0] if plain is None else plain


def _plain(latex: str) -> str | None:
    """A formula without LaTeX; None where some is left."""
    if _MARKS.search(latex):
        return None
    left = _NEW_LINE.sub("\n", latex.replace("{,}", ",").replace(_NARROWER, ""))
    left = _DEGREES.sub("°", _SPACE.sub(" ", _NOTHING.sub("", left)))
    left = _WORDS.sub(_AS_WORDS, left)
    for _ in range(_MOST_PASSES):
        before = left
        left = _SCRIPT.sub(_script, _FRACTION.sub(_fraction, unwrap_text(left)))
        left = _GROUP.sub(r"\1", _COMMAND.sub(_sign, _ROOT.sub(_root, left)))
        if left == before:
            break
    if "\\" in left.replace(r"\$", "") or "{" in left or "}" in left:
        return None
    left = _RAISED.sub(lambda found: found[1].translate(_SUPERSCRIPTS), _bracketed(left))
    lines = (re.sub(r"(?<=\() | (?=\))", "", " ".join(line.split())) for line in left.split("\n"))
    return "\n".join(line for line in lines if line).replace(r"\$", "$")


def _bracketed(formula: str) -> str:
    """A formula whose fractions and roots have brackets where they would be read as others."""
    left = formula
    for _ in range(_MOST_PASSES):
        before = left
        left = _RADICAL.sub(_radical, _QUOTIENT.sub(_quotient, left))
        if left == before:
            break
    return _MARKS.sub("", left)


def _quotient(match: re.Match[str]) -> str:
    before, after = match.string[: match.start()], match.string[match.end() :]
    if _TIMES_BEFORE.search(before) or _DIVIDED_BEFORE.search(before) or _FACTOR_AFTER.match(after):
        return f"({match[1]})"
    # Behind a number it is a mixed one: 2 1/2.
    return f" {match[1]}" if before[-1:].isdigit() else match[1]


def _radical(match: re.Match[str]) -> str:
    closely = _CLOSE_AFTER.match(match.string[match.end() :])
    return f"({match[1]})" if closely else match[1]


def _fraction(match: re.Match[str]) -> str:
    top = match[1] if match[1] is not None else match[2]
    bottom = match[3] if match[3] is not None else match[4]
    return f"\ue001{_part(top)}/{_part(bottom)}\ue002"


def _part(formula: str) -> str:
    """A formula in brackets, unless it needs none."""
    part = formula.strip()
    return part if _ATOM.fullmatch(part) else f"({part})"


def _sign(match: re.Match[str]) -> str:
    if match[2] is not None:
        return match[0] if match[2] == "$" else match[2]
    return _SIGN_OF.get(match[1], match[0])


def _root(match: re.Match[str]) -> str:
    under = match[2] if match[2] is not None else match[3]
    return f"\ue003{_ROOTS[match[1]]}{_part(under)}\ue004"


def _script(match: re.Match[str]) -> str:
    script, index = match[2].replace(_AS_WORDS, "").strip(), match[1] == "_"
    if not index and _INTEGER.fullmatch(script):
        return script.translate(_SUPERSCRIPTS)
    # What follows would be read as a part of it.
    ends = not match.string[match.end() : match.end() + 1].isalnum()
    bare = ends and (script.isalnum() if index else _ATOM.fullmatch(script))
    return match[1] + (script if bare else f"({script})")
