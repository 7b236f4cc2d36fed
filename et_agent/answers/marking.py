"""Signs and capitals that carry meaning in short answers, marked so that a normal form keeps them.

Everywhere: a minus before a number, points, colons, slashes and hyphens between digits, `^` before an
exponent, `#`, `+`, `-` and `*` behind a letter that stands alone ("C#", "A+", "A*", blood group
"O-"), and the `!` of `!=`.

In formulas, which are numbers, letters that stand alone, functions and signs: every sign that computes
("4!", "x*2", "x/2", "a | b", "f'(x)"), and the brackets of half-open intervals.

Capitals of chemical symbols that are two other elements in capitals ("Co" and "CO"), of genotypes ("Aa"
and "aa"), of mega ("5 MW" and "5 mW") and of bits ("5 Mb" and "5 MB").
"""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import re
from typing import Final

__all__ = ["ARTICLES", "is_formula", "marked_text", "unmarked"]

_KEPT: Final = ".,:/-#+^!*%&|~'[]"
_MARKS: Final = {ord(sign): 0xE000 + at for at, sign in enumerate(_KEPT)} | {
    capital: 0xE100 + capital for capital in range(ord("A"), ord("Z") + 1)
}
"""Private characters, which are neither punctuation nor folded, for signs and capitals that stay."""
_OVER: Final = 0xE000 + len(_KEPT)
"""The slash of a quotient, which is no part of a word as that of 24/7 is."""
_SHOWN: Final = {mark: sign for sign, mark in _MARKS.items()} | {_OVER: ord("÷")}

ARTICLES: Final = re.compile("(?<![\ue000-\ue1ff])\\b(?:a|an|the)\\b(?![\ue000-\ue1ff])")
"""Articles in a marked text; the "a" of "a^2" is none."""
_AS_ASCII: Final = re.compile("[‐‑‒–—−﹣－](?=\\s?[$€£¥]?\\d)")
_THOUSANDS: Final = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_EVERYWHERE: Final = re.compile(
    r"""
    (?<=\d)[.,:/-](?=\d)                                   # 3.5, 24/7
    | (?:(?<=[\s(\[^{])|^)-(?=[$€£]?\.?\d)                  # -5
    | (?<![^\W_])\.(?=\d)                                  # .5
    | (?<=[^\W_])\^(?=[\w({-])                             # x^2
    | !(?==)                                               # x != 3
    | (?<=\b[A-Za-z])(?:\#|\+{1,2}|-(?=[\s.,;]|$))         # C#, C++, O-
    | (?<=(?<!\*)\b[A-Za-z])\*(?=[\s.,;]|$)                # A*
    | (?<=\bAB)-(?=\W|$)
    """,
    re.VERBOSE,
)

_LONGEST_FORMULA: Final = 80
_FORMULA: Final = re.compile(
    r"""(?:
    \d
    | (?<![^\W\d_])[^\W\d_](?![^\W\d_])                    # a letter that stands alone
    | \b(?:a?(?:sin|cos|tan)|log|ln|exp|sqrt|pi|mod|max|min)\b
    | [\s.,()\[\]{}+*/%&|~!^=<>≤≥≠·×÷√π∞'"-]
    )+""",
    re.VERBOSE,
)
_COMPUTES: Final = re.compile(r"[\da-zα-ω*|%~^=<>]")
_OPERATOR: Final = re.compile(
    r"""
    (?<=[\w)\]}'!])\s*(?:[*%&|]+|(?<!\d)/+|/+(?!\d))\s*(?=[\w(\[{~!-])   # x * 2, x/2
    | (?<=[a-z)\]}!])\s*-\s*(?=[\w({\[])                 # x-2, but not B-52
    | (?<=[\w)\]}])\s*-\s*(?=[a-z({\[])
    | (?<=\w)\s+-\s+(?=\w)
    | (?:(?<=[({\[=&|<>*/+,-])|(?<=[=&|<>*/+,-]\s)|^)[-~!](?=[a-z(])    # -x, !p
    | (?<=[\w)\]}])!+(?=[\W\d]|$)                         # 4!
    | (?<=[a-z])'+(?=\W|$)                                 # f'
    """,
    re.VERBOSE,
)
_TIMES: Final = str.maketrans("·×", "**")
_HALF_OPEN: Final = re.compile(r"[(\]][^\[\]()]*,[^\[\]()]*\]|\[[^\[\]()]*,[^\[\]()]*[)\[]")

_COMPOUND: Final = re.compile(
    r"(?:(?:A[cglmrstu]|B[aehikr]?|C[adeflmnorsu]?|D[bsy]|E[rsu]|F[elmr]?|G[ade]|H[efgos]?|I[nr]?|Kr?"
    r"|L[airuv]|M[cdgnot]|N[abdehiop]?|O[gs]?|P[abdmortu]?|R[abefghnu]|S[bcegimnr]?|T[abcehilms]|U|V|W"
    r"|Xe|Yb?|Z[nr])\d*|[()\[\]]\d*)+[+-]?"
)
_ALSO_TWO_ELEMENTS: Final = re.compile(r"B[hik]|C[fnosu]|H[fos]|In|N[bhiop]|Os|P[bou]|S[bcin]|Yb")
_WORDS: Final = frozenset({"No", "In"})
_GENOTYPE: Final = re.compile(r"(?:([A-Za-z])(?i:\1)){1,4}")
_CAPITAL_UNIT: Final = re.compile(
    r"(?<=\d)\s?(?:M(?=(?:Wh?|Hz|V|A|Pa|J|N|g|m|s|l|L|eV|Ω|b|bit)\b)|[GT](?=b(?:it)?\b))"
)


def marked_text(text: str) -> tuple[str, bool]:
    """A text with its meaningful signs and capitals marked, and whether it is a formula."""
    text = text if text.isascii() else _AS_ASCII.sub("-", text)
    marked = _EVERYWHERE.sub(_marked, _THOUSANDS.sub("", _with_capitals(text)))
    return (_computed(marked), True) if is_formula(text) else (marked, False)


def is_formula(text: str) -> bool:
    """Whether a text is numbers, single letters, functions and signs."""
    return (
        len(text) <= _LONGEST_FORMULA
        and _FORMULA.fullmatch(text) is not None
        and _COMPUTES.search(text) is not None
    )


def unmarked(text: str) -> str:
    """A marked text as normal forms show it."""
    return text.translate(_SHOWN)


def _marked(match: re.Match[str]) -> str:
    return match.group().translate(_MARKS)


def _with_capitals(text: str) -> str:
    """The text with those capitals marked that would say something else as small letters."""
    bare = text.strip()
    if _GENOTYPE.fullmatch(bare):
        return text.translate(_MARKS)
    if bare not in _WORDS and _COMPOUND.fullmatch(bare):
        return _ALSO_TWO_ELEMENTS.sub(_marked, text)
    return _CAPITAL_UNIT.sub(_marked, text)


def _computed(text: str) -> str:
    """A formula with the signs marked that compute, and without spaces around signs."""
    text = _OPERATOR.sub(_operator, text.translate(_TIMES))
    if _HALF_OPEN.fullmatch(text.strip()):
        text = re.sub(r"[\[\]]", _marked, text)
    return re.sub(r"(?<=[^\w\s])\s+|\s+(?=[^\w\s])", "", text)


def _operator(match: re.Match[str]) -> str:
    before, after = match.string[: match.start()][-1:], match.string[match.end() :][:1]
    if before.isupper() and after.isupper() and match.group() in "/&":
        return match.group()  # F/A-18, A&W
    return "".join(match.group().split()).replace("/", chr(_OVER)).translate(_MARKS)
