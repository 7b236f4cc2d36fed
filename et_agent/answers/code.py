"""Code as an answer: where it stands in a leaf, and when two programs are the same text.

Python is compared by its own tokens, other languages by tokens that most of them share. Comments,
spacing and the kind of quotation marks do not count; names do.
"""

import io
import re
import tokenize
from typing import Final

from et_agent.answers.finders import Found
from et_agent.answers.own_words import code_blocks

__all__ = ["code_key", "find_code", "looks_like_code"]

_MOST_CHARACTERS: Final = 20_000
_MOST_BY_TOKENIZE: Final = 4000
"""tokenize takes about a millisecond for so much."""
_TOKEN: Final = re.compile(
    r"(?P<comment>//[^\n]*|/\*.*?\*/|(?<!\S)#(?!include|define|!)[^\n]*|(?<!\S)--\s[^\n]*)"
    r"|(?P<string>\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`)"
    r"|(?P<word>[^\W\d]\w*|\d[\w.]*)|(?P<sign>[^\w\s])",
    re.DOTALL,
)
_SQL: Final = re.compile(
    r"\s*(?:select|insert|update|delete|create|alter|drop|with)\b", re.IGNORECASE
)
_PYTHON: Final = frozenset({"", "python", "py", "python3"})
_SKIPPED: Final = frozenset(
    {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER, tokenize.TYPE_COMMENT}
)
_LAYOUT: Final = {tokenize.NEWLINE: "\n", tokenize.INDENT: "\t", tokenize.DEDENT: "\b"}
_CODE_SIGNS: Final = re.compile(
    r"\b(?:def|return|lambda|import|function|const|let|var|public|class|select .* from|"
    r"print)\b.*[(;:=*]"
    r"|=>|::|\w\(.*\)\s*[;{]|\w\[[^\]]*:[^\]]*\]|^\s*(?:SELECT|INSERT|UPDATE|DELETE)\s",
    re.IGNORECASE,
)


def find_code(text: str) -> Found | None:
    """Find the last block of code."""
    blocks = [block for block in code_blocks(text) if block.code.strip()]
    return Found(blocks[-1].code.strip("\n"), "code") if blocks else None


def looks_like_code(text: str) -> bool:
    """Whether a string has the signs of a program."""
    return len(text) <= _MOST_CHARACTERS and _CODE_SIGNS.search(text) is not None


def code_key(code: str) -> str | None:
    """What is equal for programs with the same tokens; None for a text that is too long or empty."""
    if len(code) > _MOST_CHARACTERS or not code.strip():
        return None
    if _SQL.match(code):
        return " ".join(_tokens(code, fold=True)).rstrip("; ")
    python = _python_tokens(code) if len(code) <= _MOST_BY_TOKENIZE else None
    tokens = _tokens(code, fold=False) if python is None else python
    return " ".join(tokens) or None


def _python_tokens(code: str) -> list[str] | None:
    """The tokens of a Python program, None if it is none."""
    found = list[str]()
    try:
        for token in tokenize.generate_tokens(io.StringIO(f"{code.strip()}\n").readline):
            if token.type == tokenize.ERRORTOKEN and token.string.strip():
                return None
            if token.type not in _SKIPPED:
                found.append(_LAYOUT.get(token.type) or _same_quotes(token.string))
    except (tokenize.TokenError, SyntaxError, ValueError):
        return None
    while found and found[-1] in "\n\b\t":
        found.pop()
    return found


def _same_quotes(token: str) -> str:
    plain = len(token) > 1 and token[0] == token[-1] == "'" and not set(token[1:-1]) & set("\"'\\")
    return f'"{token[1:-1]}"' if plain else token


def _tokens(code: str, *, fold: bool) -> list[str]:
    found = list[str]()
    for match in _TOKEN.finditer(code):
        if match.lastgroup == "string":
            found.append(_same_quotes(match.group()))
        elif match.lastgroup != "comment":
            found.append(match.group().casefold() if fold else match.group())
    return found
