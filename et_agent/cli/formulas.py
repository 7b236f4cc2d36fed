r"""A model's formulas in a terminal's characters: `\( \frac{3}{4} \times 8 = 6 \)` as `3/4 × 8 = 6`.

What cannot be written so without a change of its meaning stays as the model wrote it.
"""

# Mathematical signs are what this writes.
# ruff: noqa: RUF001, RUF002

import re
from typing import Final

from et_agent.answers.latex import inline_fractions, unwrap_text

__all__ = ["plain_formulas"]

_UP_TO: Final = "{1,1000}"
"""Characters of a formula."""
_FORMULA: Final = re.compile(
    rf"\\\((?P<round>.{_UP_TO}?)\\\)|\\\[(?P<square>.{_UP_TO}?)\\\]|\$\$(?P<dollars>.{_UP_TO}?)\$\$"
    # Between single dollars only what has a sign of formulas: "$5 and $6" are prices.
    r"|(?<![\\$\w])\$(?=\S)(?P<dollar>[^$\n]{0,200}?[\\^_=][^$\n]{0,200}?)(?<=\S)\$(?![\w$])"
    r"|(?P<box>\\boxed\{(?:[^{}\n]|\{(?:[^{}\n]|\{[^{}\n]*\})*\})*\})",
    re.DOTALL,
)
_MOST_PASSES: Final = 8
"""Nested commands are undone from the inside."""

_NOTHING: Final = re.compile(
    r"\\(?:left|right|[bB]igg?|displaystyle|limits)(?![A-Za-z])"
    r"|\\(?:begin|end)\{(?:align|aligned|equation|gather|gathered|split)\*?\}|&"
)
_SPACE: Final = re.compile(r"\\(?:[,;:> ]|q?quad(?![A-Za-z]))|~")
_NARROWER: Final = r"\!"
_FACTOR: Final = re.compile(
    r"(?<!\d)\\[dtc]?frac\s*(?:\{\d+\}\s*\{\d+\}|\d\d)(?=\s*(?:[A-Za-z(]|\\(?:pi|sqrt|left|theta|alpha|beta)))"
)
"""A fraction of numbers and what it is multiplied by: bare, 1/2x could be 1/(2x)."""
_ROOT: Final = re.compile(r"\\sqrt\s*(?:\[([234])\])?\s*(?:\{([^{}\\]*)\}|(\w))")
_ROOTS: Final = {None: "√", "2": "√", "3": "∛", "4": "∜"}
_DEGREES: Final = re.compile(r"\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![A-Za-z]))|\\degree(?![A-Za-z])")
_SCRIPT: Final = re.compile(r"([\^_])\s*\{([^{}\\]*)\}")
_RAISED: Final = re.compile(r"\^(?:(-?\d+)(?![\w.])|\((-?\d+)\))")
_SUPERSCRIPTS: Final = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_COMMAND: Final = re.compile(r"\\([A-Za-z]+)|\\([%$#&_])")
_GROUP: Final = re.compile(r"(?<![\w\\}])\{([^{}\\]*)\}")
_SIMPLE: Final = re.compile(r"\w*|-?\d+")
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
    left = _FACTOR.sub(r"(\g<0>)", latex.replace("\\\\", "\n").replace("{,}", ","))
    left = _SPACE.sub(" ", _NOTHING.sub("", left.replace(_NARROWER, "")))
    left = _DEGREES.sub("°", left)
    for _ in range(_MOST_PASSES):
        before = left
        left = _SCRIPT.sub(_script, inline_fractions(unwrap_text(left)))
        left = _GROUP.sub(r"\1", _COMMAND.sub(_sign, _ROOT.sub(_root, left)))
        if left == before:
            break
    if "\\" in left.replace(r"\$", "") or "{" in left or "}" in left:
        return None
    left = _RAISED.sub(lambda found: (found[1] or found[2]).translate(_SUPERSCRIPTS), left)
    lines = (re.sub(r"(?<=\() | (?=\))", "", " ".join(line.split())) for line in left.split("\n"))
    return "\n".join(line for line in lines if line).replace(r"\$", "$")


def _sign(match: re.Match[str]) -> str:
    if match[2] is not None:
        return match[0] if match[2] == "$" else match[2]
    return _SIGN_OF.get(match[1], match[0])


def _root(match: re.Match[str]) -> str:
    under = (match[2] if match[2] is not None else match[3]).strip()
    return _ROOTS[match[1]] + (under if _SIMPLE.fullmatch(under) else f"({under})")


def _script(match: re.Match[str]) -> str:
    script = match[2].strip()
    return match[1] + (script if _SIMPLE.fullmatch(script) else f"({script})")
