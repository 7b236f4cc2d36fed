"""English number words: "twelve", "twenty-five", "one hundred and five thousand", "a dozen"."""

import re
from collections.abc import Iterator

__all__ = ["number_word_runs", "parse_number_words"]

# fmt: off
_UNITS_IN_ORDER = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen", "twenty",
)
_TENS_IN_ORDER = ("thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
# fmt: on
_UNITS = {word: value for value, word in enumerate(_UNITS_IN_ORDER)}
_TENS = {word: 10 * (at + 3) for at, word in enumerate(_TENS_IN_ORDER)}
_SMALL = {**_UNITS, **_TENS}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
_WORDS = {*_SMALL, *_SCALES, "hundred", "dozen"}

_WORD = "|".join(sorted(_WORDS, key=len, reverse=True))
_RUN = re.compile(
    rf"(?<![\w-])(?:minus\s+|negative\s+)?(?:a\s+(?=hundred|thousand|million|dozen))?"
    rf"(?:{_WORD})(?:(?:[\s-]+|\s+and\s+)(?:{_WORD}))*(?![\w-])",
    re.IGNORECASE,
)


def number_word_runs(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield each longest run of number words in `text`, first to last: where it stands, and it."""
    for match in _RUN.finditer(text):
        yield match.start(), match.end(), match.group()


def parse_number_words(words: str) -> int | None:
    """Return the integer that `words` spell, or None if they are not one number."""
    tokens = re.findall(r"[a-z]+", words.casefold())
    negative = bool(tokens) and tokens[0] in ("minus", "negative")
    tokens = [token for token in tokens[negative:] if token not in ("and", "a")]
    if not tokens or any(token not in _WORDS for token in tokens):
        return None
    value = _value_of(tokens)
    return None if value is None else -value if negative else value


def _value_of(tokens: list[str]) -> int | None:
    total = current = 0
    last_scale = 10**12
    previous = ""
    for token in tokens:
        if token in _SMALL:
            # "five six" is two numbers; "twenty five" and "hundred five" are one.
            small = _SMALL[token]
            after_tens = previous in _TENS or previous == "twenty"
            if previous in _SMALL and not (after_tens and 0 < small < 10):
                return None
            current += small
        elif token in ("hundred", "dozen"):
            if current >= 100:
                return None
            current = max(current, 1) * (100 if token == "hundred" else 12)
        else:
            scale = _SCALES[token]
            if scale >= last_scale:
                return None
            total += max(current, 1) * scale
            current, last_scale = 0, scale
        previous = token
    return total + current
