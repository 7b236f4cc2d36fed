r"""LaTeX to plainer LaTeX: what a model writes around an answer and means nothing by."""

import re

__all__ = ["inline_fractions", "strip_delimiters", "strip_markdown", "unwrap_text"]

_DELIMITERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))
_TEXT_COMMANDS = (
    "text|textbf|textit|textrm|texttt|textsf|mbox|hbox|mathrm|mathbf|mathit|mathsf|mathtt|"
    "boldsymbol|bm|emph|underline|operatorname|boxed|fbox|framebox"
)
_TEXT = re.compile(rf"\\(?:{_TEXT_COMMANDS})\s*\{{([^{{}}]*)\}}")
_BOLD = re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1")
_LINE_PREFIX = re.compile(r"^\s*(?:#{1,6}\s+|>\s+|[-*+]\s+(?=\S))")
_FRACTION = re.compile(
    r"\\[dtc]?frac\s*(?:\{([^{}]*)\}|([\dA-Za-z]))\s*(?:\{([^{}]*)\}|([\dA-Za-z]))"
)
_MAX_PASSES = 8
"""Nested commands are undone from the inside; deeper nests than this stay as they are."""


def strip_delimiters(text: str) -> str:
    r"""Remove one or more layers of `$...$`, `$$...$$`, `\(...\)`, `\[...\]` around `text`."""
    stripped = text.strip()
    for _ in range(_MAX_PASSES):
        for left, right in _DELIMITERS:
            long_enough = len(stripped) >= len(left) + len(right)
            if long_enough and stripped.startswith(left) and stripped.endswith(right):
                inner = stripped[len(left) : -len(right)].strip()
                # "$3$ and $5$" is two formulas, not one wrapped in dollars; "\$" is money.
                if left in inner or inner.endswith("\\"):
                    continue
                stripped = inner
                break
        else:
            return stripped
    return stripped


def strip_markdown(line: str) -> str:
    """Remove the marks of a heading, quotation or list item, emphasis and code from one line."""
    stripped = _LINE_PREFIX.sub("", line)
    stripped = _BOLD.sub(r"\2", stripped)
    return stripped.replace("**", "").replace("`", "").strip()


def unwrap_text(latex: str) -> str:
    r"""Replace `\text{...}`, `\mathrm{...}` and their like by their content."""
    unwrapped = latex
    for _ in range(_MAX_PASSES):
        previous, unwrapped = unwrapped, _TEXT.sub(r"\1", unwrapped)
        if unwrapped == previous:
            break
    return unwrapped


def inline_fractions(latex: str) -> str:
    r"""Write `\frac{a}{b}` and `\frac12` as ` (a)/(b)`, with bare numbers unbracketed."""
    inlined = latex
    for _ in range(_MAX_PASSES):
        previous, inlined = inlined, _FRACTION.sub(_inline_fraction, inlined)
        if inlined == previous:
            break
    return inlined


def _inline_fraction(match: re.Match[str]) -> str:
    top = match.group(1) if match.group(1) is not None else match.group(2)
    bottom = match.group(3) if match.group(3) is not None else match.group(4)
    stripped = (top.strip(), bottom.strip())
    parts = [part if part.isdigit() else f"({part})" for part in stripped]
    return " " + "/".join(parts)
