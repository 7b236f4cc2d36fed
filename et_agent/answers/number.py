r"""Numbers as models write them: "$1,200.50", "72.0", "2 1/2", "\frac{3}{4}", "1.2\times10^5"."""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Final

from et_agent.answers.arithmetic import evaluate
from et_agent.answers.asides import DENIED
from et_agent.answers.characters import plain_characters
from et_agent.answers.latex import inline_fractions, strip_delimiters, strip_markdown, unwrap_text
from et_agent.answers.numerals import ENGLISH, Convention, rewritten, with_scales
from et_agent.answers.spelled_numbers import digits_for_words, spelled_number
from et_agent.answers.spelled_parts import parts_in_digits

__all__ = [
    "display_number",
    "number_in_prose",
    "number_in_value",
    "plain_number",
    "prepared_number",
]

_CURRENCY = "$€£¥₹₽₩"
_MAX_CHARACTERS = 2000
"""Longer strings hold no answer; the bound keeps every pattern below fast."""

_TEN_TO_THE = r"10\s*\^\s*(?:\{\s*([-+]?\d+)\s*\}|([-+]?\d+))"


def _without_underscores(match: re.Match[str]) -> str:
    return match.group().replace("_", "")


_REPLACEMENTS: Final[tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]] = (
    (re.compile("[−‒–—﹣－](?=\\s*[$€£¥₹\\d.(\\\\])"), "-"),
    (re.compile(r"\\(?:left|right|displaystyle|bigl?|bigr|phantom\{\})(?![A-Za-z])"), ""),
    (re.compile(r"\\\$"), "$"),
    (re.compile(r"\\%"), "%"),
    # A comma that LaTeX braces or spaces belongs to a thousands separator: 10,\!080 and 1{,}200.
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"(?<=\d),?\\[,!](?:\s*)(?=\d{3}(?!\d))"), ","),
    (re.compile(r"\\[,!:;> ]|~|\\q?quad(?![A-Za-z])|[\u00a0\u2009\u202f]"), " "),
    (re.compile(r"(?<=\d)\*\*(?=\d)"), "^"),
    (re.compile(r"(?<![\w.])\d{1,3}(?:_\d{3})+(?!\w)"), _without_underscores),
    (re.compile(rf"(?<=\d)\s*(?:\\times|\\cdot|[×·⋅]|\*|x)\s*{_TEN_TO_THE}"), r"e\1\2"),
    (re.compile(rf"(?<![\d.,^]){_TEN_TO_THE}"), r"1e\1\2"),
    # Powers of numbers lose their braces, so that fractions may hold them.
    (re.compile(r"\^\s*\{\s*([-+]?\d+)\s*\}"), r"^(\1)"),
    (re.compile(r"\\times(?![A-Za-z])|\\cdot(?![A-Za-z])|[×·⋅]"), "*"),
    (re.compile(r"\\div(?![A-Za-z])|÷"), "/"),
    (re.compile(r"\\(?:approx|simeq|equiv)(?![A-Za-z])|[≈≅]"), "="),
    (re.compile(r"\^\s*\{?\s*\\circ\s*\}?|\\degree(?![A-Za-z])|°"), " degrees"),
)
_SPACED_THOUSANDS = re.compile(r"(?<![\d.,])(\d{1,3}(?: \d{3})+)(?!\d)")
_SPACED_MONEY = re.compile(rf"(?<=[{_CURRENCY}])(\d{{1,3}}(?: \d{{3}})+)(?!\d)")
_LITERAL = r"(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?"
_NUMBER = re.compile(
    rf"(?<![\w.^_])(?<!\d:)(?<!\d-)-?(?:[{_CURRENCY}]\s?)?-?"
    rf"(?:\d+\s+\(?\d+\)?/\(?\d+\)?(?![\d/])"
    rf"|\(?-?{_LITERAL}\)?\s?/\s?\(?{_LITERAL}\)?(?!\d)"
    rf"|{_LITERAL})(?!\d|\.\d|:\d|-\d)"
)
# Possessive: without it a long run of letters is split in billions of ways.
_UNIT = r"(?![eE][-+]?\d)(?:[A-Za-z°%µ][\w²³./%°^{}()-]*+\s*+){1,5}+"
_TRAILING_UNIT = re.compile(rf"(?<=[\d.)\s])\s*{_UNIT}$")
_LATEX_UNIT = re.compile(
    r"(?<=[\d}\s.])\\(?:text|mbox|mathrm|textrm|textbf)\s*\{[^{}]*[A-Za-z][^{}]*\}"
    r"(?:\^\s*\{?\d\}?)?"
)
_COMMON_UNIT = re.compile(
    r"(?<=[\d)\s])(?:square |cubic |sq\.? )?(?:dollars?|cents?|units?|inch(?:es)?|f(?:ee|oo)t|"
    r"[cmk]?m|(?:centi|kilo)?meters?|miles?|degrees|hours?|minutes?|seconds?)(?:\^\(?\d\)?)?$"
    r"|(?<=[\d)])(?:\s+[A-Za-z]{3,})(?:\s+[A-Za-z]{2,})*$"
)
_ASSIGNMENT = re.compile(r"^\s*\(?[A-Za-z][A-Za-z_]*\)?\s*=\s*")
_AND = (
    r"(?:,|;|(?:,\s*)?\b(?:and|or|und|oder|et|ou|y|o|e|ed|и|или)\b|和|或|と|または|과|와|그리고|또는|"
    r"و|أو|और|या)"
)
_LIST = re.compile(
    rf"\d\s*(?:{_AND}|\b(?:to|bis|bzw)\b|\\pm|±|から|에서|到|至|से)\s*-?[$€£]?\s?\d"
    rf"|\d\s+[^\W\d_]+(?:\s[^\W\d_]+)?\s*{_AND}\s*[$€£]?\d"
)
"""Several numbers, and what they count: "3 apples and 5 pears"."""
_LEADING_LIST = re.compile(
    r"(?:either |entweder |soit |sia |либо )?[$€£]?-?\d[\d.]*(?:\s[^\W\d_]+)?\s*"
    rf"{_AND}\s*(?:{_AND}\s*)?[$€£]?-?\d"
)
_CLOSING_VALUES = re.compile(
    rf"(?<![\w.])(?P<name>[A-Za-z]\w{{0,2}})\s*=\s*-?\d[\d.]*\s*{_AND}\s*"
    r"(?:(?P=name)\s*=\s*)?-?\d[\d.]*\W*$"
)
_CLOSING_LIST = re.compile(
    rf"(?<![\w.=*/+-])[$€£]?-?\d[\d.]*(?:\s[^\W\d_]+)?\s*(?:{_AND}|\b(?:in|per|to)\b)\s*"
    r"[$€£]?-?\d[\d.]*(?:\s[^\W\d_]+|\s*(?:です|입니다|है|हैं))?\W*$"
)
"""A sentence that ends in several: "The roots are 2 and -2", "3 apples and 5 pears"."""
_NO_NUMBER = re.compile(
    r"\d\s?/\s?\d+\s?/\s?\d|(?<![eE])\d+\.\d+\.\d|\d[%°]?-[$€£]?\d(?!.*[=*/+^(])"
    r"|\b0[xX][0-9A-Fa-f]"
    r"|^\D{0,2}\d+(?:\.\d+)? (?:- |-)\D?\d+(?:\.\d+)?\s*[A-Za-z€%]"
    r"|^(?!\d{1,3}(?: \d{3})+$)\+?\(?\d+\)?(?: \d+)+$"
)
"""Dates, telephone numbers, scores, ranges, versions: signs between parts are no operators; 0x1F."""
_OTHER_SENSE = re.compile(
    # Bounds without the number itself, ratios, and what is only near.
    r"^\W{0,3}(?:[<>]|\\[lg]t\b|(?:more|less|fewer|greater|larger|smaller|lower|higher) than|over|"
    r"under|mehr als|weniger als|(?:plus|moins) de|(?:más|menos) de|(?:più|meno) di|mais de|больше|"
    r"меньше|более|менее|多于|少于|超过|超過|低于|대략)\s*[$€£]?\d|^\W{0,3}±|\d\+$"
    r"|\b(?:\d+|one|einer?|un[oa]?|um|один|واحد|एक)\s+"
    r"(?:in|out of|of|von|sur|su|(?:de|em) cada|из|من)\s+\d+\W*$|\d\s*(?:比|対|대)\s*\d|\d\s*[割成折‰]"
    # Decades, centuries, times, angles, places, sizes.
    r"|\b(?:1\d|20)\d0['’]?s\b|\d(?:st|nd|rd|th)\s+century|\d\s*B\.?C\.?\b|\d\s?[ap]\.?m\b"
    r"|\d\s*o['’]clock|\d{4}-?W\d\d|degrees\s*\d+\s*['’′]|(?:degrees\s*|\d\s)[NSEW]\b,?\s.*\d"
    r"|\d\s*[^\W\d_]{0,3}\s*x\s*\d(?!.*=)|\d\s+by\s+\d"
    # Other bases, unknowns, and sums in words.
    r"|\b0[bo][0-7]|\bbase\s?\d|\d\s?(?:\\pi\b|π)|\d[xyzijn]\b(?!\s*=)|\b[xyz]\s*[-+*/^]\s*\d"
    r"|[-+*/^]\s*\d*[xyzij]\b|\d\s+(?:squared|cubed|to the)\b|\broot of\b"
)
"""What holds a number and is another."""
_SPOKEN = (
    (re.compile(r"(?<=\d) plus (?=\d)"), " + "),
    (re.compile(r"(?<=\d) (?:times|multiplied by) (?=\d)"), " * "),
    (re.compile(r"(?<=\d) divided by (?=\d)"), " / "),
)
_BOLD = re.compile(r"\*\*([^*]{1,60})\*\*")
_SYMBOLIC = re.compile(r"\\[A-Za-z]|[\^_√∛]|\d\.\(\d")
"""Formulas and repeating decimals, whose first digits are not their value."""
_NAMED_VALUE = re.compile(
    r"(?:^|[,;]|\b(?:and|or|und|oder|et|ou|y|o|e|ed|и|или)\b)\s*[A-Za-z]\w{0,8}\s*="
)
_INLINE_MATH = re.compile(r"(?<![\\\w])\$(?![\s$])([^$]{1,60})(?<![\s\\])\$(?![\d$])")
"""Dollars about a formula, not before an amount: `$2k$`, but not `$28 + $10`."""
_ASCENDING = re.compile(r"(\d+(?:\.\d+)?)\s*-\s*\D?(\d+(?:\.\d+)?)")
_OPERATOR_AHEAD = re.compile(r"\s*[-+*/=^](?!\s*$)")


def plain_number(latex: str, convention: Convention = ENGLISH) -> Fraction | None:
    r"""Return the exact value if the whole of `latex` is one number, else None.

    Currency, percent and degree signs, units, thousands separators, a leading `x =` and words
    after it are ignored; a bare letter is not, since `2k` is an expression. Words such as "million"
    count. Dates, scores and ranges are no numbers.

    Args:
        latex: What may be a number.
        convention: How numbers are written around it.
    """
    if len(latex) > _MAX_CHARACTERS:
        return None
    scaled = with_scales(rewritten(plain_characters(latex), convention), convention)
    cleaned = _clean(unwrap_text(_LATEX_UNIT.sub("", scaled)), convention)
    cleaned = _COMMON_UNIT.sub("", _ASSIGNMENT.sub("", cleaned))
    # "(5,100)" is a point, not five thousand one hundred.
    if ("," in latex and cleaned.startswith("(")) or _is_no_number(cleaned):
        return None
    return evaluate(_bare(cleaned))


def number_in_value(text: str, convention: Convention = ENGLISH) -> Fraction | None:
    """Return the number that a short string such as a box's content names, else None.

    Whole numbers and arithmetic come first, then a number with its unit, then number words. Several
    numbers in a list name none, nor does a formula such as a root, a date, a score or a range.

    Args:
        text: The string.
        convention: How numbers are written around it.
    """
    if len(text) > _MAX_CHARACTERS:
        return None
    words = parts_in_digits(unwrap_text(text), convention.language)
    cleaned = _clean(words, convention, one_number=True)
    if _is_no_number(cleaned) or _gives_several(cleaned) or DENIED.search(cleaned):
        return None
    if _OTHER_SENSE.search(cleaned):
        return None
    for pattern, sign in _SPOKEN:
        cleaned = pattern.sub(sign, cleaned)
    for candidate in (cleaned, _TRAILING_UNIT.sub("", cleaned), _after_equals(cleaned)):
        value = evaluate(_bare(_ASSIGNMENT.sub("", candidate)))
        if value is not None:
            return value
    tail = _after_equals(cleaned) or cleaned
    if _LIST.search(cleaned) or _SYMBOLIC.search(tail):
        return None
    numbers = list(_numbers(tail))
    if numbers:
        return numbers[0]
    return _spelled(cleaned, convention, first=True, several=False)


def number_in_prose(
    line: str, *, prefer_first: bool = False, convention: Convention = ENGLISH
) -> Fraction | None:
    """Return the number that a sentence gives as its answer, else None.

    In order: with `prefer_first` (after "the answer is") a number that the line begins with; what
    stands in bold; what follows the last equals sign; the last number of the line, or with
    `prefer_first` the first. Words count if there are no digits, but a lone "one" only after a
    marker: it is a pronoun more often than a number.

    Args:
        line: The sentence.
        prefer_first: Whether it follows a marker such as "the answer is".
        convention: How numbers are written around it.
    """
    if len(line) > _MAX_CHARACTERS:
        line = line[:_MAX_CHARACTERS] if prefer_first else line[-_MAX_CHARACTERS:]
    words = parts_in_digits(unwrap_text(strip_markdown(line)), convention.language)
    cleaned = _clean(words, convention, one_number=True)
    if (_LEADING_LIST.match if prefer_first else _CLOSING_VALUES.search)(cleaned):
        return None
    leading = _leading_number(cleaned) if prefer_first else None
    number = _bold_number(line, convention) if leading is None else leading
    if number is not None:
        return number
    after_equals = list(_numbers(_after_equals(cleaned)))
    if after_equals:
        return after_equals[0]
    if not prefer_first and _CLOSING_LIST.search(cleaned):
        return None
    numbers = list(_numbers(cleaned))
    if numbers:
        return numbers[0] if prefer_first else numbers[-1]
    spelled = _spelled(cleaned, convention, first=prefer_first, several=True)
    return None if spelled == 1 and not prefer_first else spelled


def prepared_number(text: str, convention: Convention = ENGLISH) -> str:
    """A string with its numbers in digits, with a point and without separators, LaTeX undone."""
    spelled = parts_in_digits(unwrap_text(text[:_MAX_CHARACTERS]), convention.language)
    return _clean(spelled, convention, one_number=True)


def display_number(value: Fraction) -> str:
    """Write `value` as an integer, as a decimal if it ends within six places, else as `p/q`."""
    if value.denominator == 1:
        return str(value.numerator)
    millionths = value * 10**6
    if millionths.denominator != 1:
        return f"{value.numerator}/{value.denominator}"
    sign = "-" if value < 0 else ""
    whole, fraction = divmod(abs(millionths.numerator), 10**6)
    return f"{sign}{whole}." + f"{fraction:06d}".rstrip("0")


def _clean(text: str, convention: Convention, *, one_number: bool = False) -> str:
    cleaned = _INLINE_MATH.sub(r"\1", strip_delimiters(plain_characters(text)))
    for pattern, replacement in _REPLACEMENTS:
        cleaned = pattern.sub(replacement, cleaned)
    cleaned = inline_fractions(cleaned).replace("{", "(").replace("}", ")")
    cleaned = rewritten(cleaned, convention, one_number=one_number)
    cleaned = with_scales(cleaned, convention, suffixes=one_number)
    cleaned = _SPACED_MONEY.sub(_without_spaces, cleaned)
    return cleaned.strip().rstrip(".").strip()


def _without_spaces(match: re.Match[str]) -> str:
    return match.group(1).replace(" ", "")


def _gives_several(cleaned: str) -> bool:
    """Whether it gives several values to names: `x = 3, y = 5`, `x = 2 or x = -2`."""
    return len(_NAMED_VALUE.findall(cleaned)) > 1


def _is_no_number(cleaned: str) -> bool:
    found = _NO_NUMBER.search(cleaned)
    if found is None:
        return False
    spaced = _ASCENDING.match(found.group().strip("$€£ "))
    # "76 - 25 dollars" is a difference, "5 - 10 dollars" from five to ten.
    return spaced is None or " " not in spaced.group() or Fraction(spaced[1]) < Fraction(spaced[2])


def _bare(cleaned: str) -> str:
    bare = re.sub(rf"[{_CURRENCY}]", "", cleaned).replace("%", "").strip().rstrip(".")
    return _SPACED_THOUSANDS.sub(_without_spaces, bare) if "/" not in bare else bare


def _after_equals(cleaned: str) -> str:
    return cleaned.rpartition("=")[2] if "=" in cleaned else ""


def _numbers(cleaned: str) -> Iterator[Fraction]:
    for match in _NUMBER.finditer(cleaned):
        # Brackets in a match only set off top and bottom, and may have lost their partner.
        value = evaluate(re.sub(rf"[{_CURRENCY}()]", "", match.group()))
        if value is not None:
            yield value


def _leading_number(cleaned: str) -> Fraction | None:
    match = _NUMBER.match(cleaned)
    if match is None or _OPERATOR_AHEAD.match(cleaned, match.end()):
        return None
    return next(_numbers(match.group()), None)


def _bold_number(line: str, convention: Convention) -> Fraction | None:
    bold = [text for text in _BOLD.findall(line) if re.search(r"\d", text)]
    return number_in_value(bold[-1], convention) if bold else None


def _spelled(
    cleaned: str, convention: Convention, *, first: bool, several: bool
) -> Fraction | None:
    """A number in words: all of the text, or the first or last of those in it.

    Args:
        cleaned: A text without figures.
        convention: Tells the language.
        first: Whether the first one counts.
        several: Whether there may be others.
    """
    whole = spelled_number(cleaned, convention.language) if first else None
    if whole is not None:
        return Fraction(whole)
    digits = _clean(digits_for_words(cleaned, convention.language, ones=first), convention)
    numbers = list(_numbers(digits))
    if not numbers or (not several and (len(numbers) > 1 or _OTHER_SENSE.search(digits))):
        return None
    return numbers[0] if first else numbers[-1]
