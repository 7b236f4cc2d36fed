r"""Numbers as models write them: "$1,200.50", "72.0", "2 1/2", "\frac{3}{4}", "1.2\times10^5"."""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import re
from collections.abc import Iterator
from fractions import Fraction

from et_agent.answers.arithmetic import evaluate
from et_agent.answers.characters import plain_characters
from et_agent.answers.latex import inline_fractions, strip_delimiters, strip_markdown, unwrap_text
from et_agent.answers.number_words import number_word_runs, parse_number_words
from et_agent.answers.numerals import ENGLISH, Convention, rewritten, with_scales
from et_agent.answers.spelled_numbers import digits_for_words, fractions_for_words, spelled_number

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
_REPLACEMENTS = (
    (re.compile("[−‒–—﹣－](?=\\s*[$€£¥₹\\d.(\\\\])"), "-"),
    (re.compile(r"\\(?:left|right|displaystyle|bigl?|bigr|phantom\{\})(?![A-Za-z])"), ""),
    (re.compile(r"\\\$"), "$"),
    (re.compile(r"\\%"), "%"),
    # A comma that LaTeX braces or spaces belongs to a thousands separator: 10,\!080 and 1{,}200.
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"(?<=\d),?\\[,!](?:\s*)(?=\d{3}(?!\d))"), ","),
    (re.compile(r"\\[,!:;> ]|~|\\q?quad(?![A-Za-z])|[\u00a0\u2009\u202f]"), " "),
    (re.compile(rf"(?<=\d)\s*(?:\\times|\\cdot|×|\*|x)\s*{_TEN_TO_THE}"), r"e\1\2"),
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
_LIST = re.compile(
    r"\d\s*(?:,|;|\b(?:and|or|und|oder|et|ou|y|o|e|ed|и|или|to|bis|bzw)\b|\\pm|±|和|或|と|から|"
    r"에서|到|至|و|और|से)"
    r"\s*-?[$€£]?\s?\d"
)
_NO_NUMBER = re.compile(
    r"\d\s?/\s?\d+\s?/\s?\d|(?<![eE])\d+\.\d+\.\d|\d[%°]?-[$€£]?\d(?!.*[=*/+^(])"
    r"|\b0[xX][0-9A-Fa-f]"
    r"|^\D{0,2}\d+(?:\.\d+)? (?:- |-)\D?\d+(?:\.\d+)?\s*[A-Za-z€%]"
    r"|^(?!\d{1,3}(?: \d{3})+$)\+?\(?\d+\)?(?: \d+)+$"
)
"""Dates, telephone numbers, scores, ranges, versions: signs between parts are no operators; 0x1F."""
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
    cleaned = _clean(fractions_for_words(unwrap_text(text)), convention, one_number=True)
    if _is_no_number(cleaned) or _gives_several(cleaned):
        return None
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
    spelled = spelled_number(cleaned, convention.language)
    return _last_words(cleaned, convention) if spelled is None else spelled


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
    words = fractions_for_words(unwrap_text(strip_markdown(line)))
    cleaned = _clean(words, convention, one_number=True)
    leading = _leading_number(cleaned) if prefer_first else None
    number = _bold_number(line, convention) if leading is None else leading
    if number is not None:
        return number
    after_equals = list(_numbers(_after_equals(cleaned)))
    if after_equals:
        return after_equals[0]
    numbers = list(_numbers(cleaned))
    if numbers:
        return numbers[0] if prefer_first else numbers[-1]
    spelled = spelled_number(cleaned, convention.language) if prefer_first else None
    found = _last_words(cleaned, convention) if spelled is None else spelled
    return None if found == 1 and not prefer_first else found


def prepared_number(text: str, convention: Convention = ENGLISH) -> str:
    """A string with its numbers in digits, with a point and without separators, LaTeX undone."""
    spelled = fractions_for_words(unwrap_text(text[:_MAX_CHARACTERS]))
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


def _last_words(cleaned: str, convention: Convention) -> Fraction | None:
    if convention.language != "en":
        digits = digits_for_words(cleaned, convention.language)
        return next(iter(list(_numbers(digits))[::-1]), None) if digits != cleaned else None
    values = [parse_number_words(run) for run in number_word_runs(cleaned)]
    spelled = [value for value in values if value is not None]
    return Fraction(spelled[-1]) if spelled else None
