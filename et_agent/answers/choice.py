"""Lettered options: those a question offers, and the one that a leaf picks."""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from et_agent.answers.characters import is_cjk, plain_characters
from et_agent.answers.latex import strip_delimiters, strip_markdown, unwrap_text
from et_agent.answers.option_letters import (
    LATIN,
    alphabet_of,
    alphabets_in,
    in_alphabet,
    in_latin,
)
from et_agent.answers.option_references import speaks_of_others
from et_agent.answers.text import normalised

__all__ = [
    "Option",
    "letter_in_prose",
    "letter_in_value",
    "options_of",
    "placed_options",
    "rotations_of",
]

_MAX_CHARACTERS = 4000
_MOST_IN_SEVERAL = 60
_MIN_OPTIONS_IN_A_ROW = 3
_AFTER_QUESTION = re.compile(r"[?:？：]\s*[(（]?[A-Ja-jＡ-Ｊ][).:．、：）]\s*$")
_OR = r"(?:or|oder|ou|o|u|of|или|veya)"
_LAST_OR = re.compile(
    rf"[\s,;，；、]+{_OR}\s*$|(?:それとも|または|还是|或者|或)\s*$", re.IGNORECASE
)
_LINE_OPTION = re.compile(
    r"^[ \t\u3000]*(?:[-*] )?[(（]?\**([A-Ja-jＡ-Ｊ])\**(?:[).:][ \t]+|"
    r"[．、：）。][ \t\u3000]*)(\S.*)$",
    re.MULTILINE,
)
_INLINE_OPTION = re.compile(
    r"(?<![A-Za-z0-9_(（])[(（]?([A-JＡ-Ｊ])(?:\)\s*|[．、：）]\s*)|(?<![\w.])([A-J])[.:]\s+|"
    r"\(([a-j])\)\s*"
)
_EXACT = re.compile(r"[\[(]?\s*([A-Ja-j])\s*[\])]?[.):,;!]*")
_WITH_TEXT = re.compile(
    r"\(\s*([A-Ja-j])\s*\)|([A-J])\s*[).:](?=\s|$)|([a-j])\)(?=\s)|([A-J])\s+[-–—]\s"
    r"|[Oo]ption\s+\(?([A-J]\b|[a-j](?=\W*$))"
)
_NAMED = re.compile(
    r"\b(?:option|choice|letter|answer|statement)\s+(?:is\s+)?\(?([A-J])\b", re.IGNORECASE
)
_PARENTHESISED = re.compile(r"\(([A-J])\)")
_LABELLED = re.compile(r"(?<![\w'])([A-J])[).:](?=\s|$)")
_LETTER_LIST = (
    r"\(?[A-J]\)?(?:\s*(?:,|/|or|and|nor|oder|und|noch|ou|et|ni|o|y|e|или|и|、|和|或)+"
    r"\s*\(?[A-J]\)?){0,12}"
)
"""Bounded: a leaf may say letters a thousand times."""
_SEVERAL = re.compile(
    r"\(?[A-J]\)?[.]?(?:\s*(?:,|;|&|/|\+|、)\s*(?:and\s+)?|\s*(?:and|und|et|y|e|и|和|と|와|및|و|"
    r"और)\s*|\s+)"
    r"(?:\(?[A-J]\)?(?:\s*(?:,|;|&|/|\+|、)\s*(?:and\s+)?|\s*(?:and|und|et|y|e|и|和|と|와|및|و|"
    r"और)\s*|\s+)?)*"
    r"(?<=[A-J)])[.]?"
)
_NEGATED = re.compile(
    r"(?:\b(?:cannot|can't|can not|could not|couldn't|isn't|is not|are not|aren't|not|neither|"
    r"[Nn]one of|rules? out|ruled out|ruling out|"
    r"eliminates?|eliminated|eliminating|excludes?|excluded|excluding|nicht|weder|"
    r"kein(?:e[rsnm]?)?|pas|ni|"
    r"n'est pas|no es|no puede ser|no|non è|non|não é|não|не|ни)|不是|不可能是|不选|排除|"
    r"ليس(?:ت)?)"
    r"\s*(?:be|option|options|choice|choices|answer|answers|the|is|either|sein|Antwort|die|der|"
    r"être|la|ser|"
    r"respuesta|essere|:|\s)*\s*(?!only)" + _LETTER_LIST + r"(?![\w'])"
    r"|(?<![\w'])"
    + _LETTER_LIST
    + r"[.:]?\s*(?:\s+(?:is|are|was|were|can be|seems?|ist|sind|est|sont|es|son|è|é)\s+"
    r"(?:also\s+|both\s+|all\s+|therefore\s+|clearly\s+)?(?:not(?!\s+only)|n't|incorrect|wrong|"
    r"false|ruled out|eliminated|"
    r"excluded|impossible|falsch|faux|fausse|incorrecte|incorrecta|falsa|sbagliata|errada)|"
    r"\s+(?:isn't|aren't|can't be|cannot be|"
    r"ne (?:peut|sont|est) pas|no es|non è|não é|не подходит|неверно|неверен)|\s*(?:不对|不正确|"
    r"错误|是错|は正しくない|は間違い|(?:では|じゃ)(?:な|あ)|[이가은는] ?(?:아니|아닙)|는 틀))"
)
"""Letters that a sentence says no to."""
_ALL_OF = re.compile(
    rf"(?<![\w'])(?:both\s+)?({_LETTER_LIST})(?![\w'])\s+(?:(?:are|sind|sont|son|sono|são|estão)\s+"
    r"(?:both\s+|all\s+|beide\s+|alle\s+)?)?(?:the\s+)?(?:correct|right|true|richtig|korrekt|"
    r"correct[ae]s|justes|vraies|corrett[ei]|giust[ei]|corret[ao]s|верны|правильны)\b",
    re.IGNORECASE,
)
"""Letters that a sentence says yes to together."""
_LONE = re.compile(r"(?<![\w'])[A-J](?![\w'])")
_STANDALONE = re.compile(
    r"(?<![\w'’.-])([B-HJ])(?![\w'’-])|(?<![\w'’.-])([AI])(?=[\s*]*[.!]?[\s*]*$)"
)


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a question.

    Attributes:
        letter: Its letter, a capital.
        text: What it says.
        start, end: Where the text stands in the question.
    """

    letter: str
    text: str
    start: int
    end: int


def options_of(question: str) -> Mapping[str, str]:
    """Return the options of `question` by letter, in order; empty if it offers none.

    Options stand one per line ("A) Paris", "(B) Rome", "C. Oslo"), at least two, or in a row, and
    their letters run from A without a gap. Two in a row follow a question, or have "or" between them.
    """
    return MappingProxyType({one.letter: one.text for one in placed_options(question)})


def placed_options(question: str) -> Sequence[Option]:
    """The options of a question with their places, as `options_of` finds them."""
    found = _placed(question, question)
    for alphabet in () if found else alphabets_in(question):
        placed = _placed(in_latin(question, alphabet), question)
        if placed:
            return [replace(one, letter=in_alphabet(one.letter, alphabet)) for one in placed]
    return found


def _placed(latin: str, question: str) -> Sequence[Option]:
    """Options by the letters of `latin`, with the texts that stand there in the question."""
    on_lines = _consecutive(
        [
            _option(question, _capital(match[1]), match.start(2), match.end(2))
            for match in _LINE_OPTION.finditer(latin)
        ]
    )
    if on_lines:
        return on_lines
    in_a_row = _consecutive(_inline_options(latin, question))
    if len(in_a_row) >= _MIN_OPTIONS_IN_A_ROW or _are_offered(latin, in_a_row):
        return in_a_row
    return ()


def _are_offered(latin: str, two: Sequence[Option]) -> bool:
    """Whether two in a row follow a question, or an "or" is between them.

    Points A and B of a drawing look like two options too.
    """
    if not all(one.text for one in two) or not two:
        return False
    first, second = two
    between = latin[first.end : second.start].rpartition("(")[0]
    return bool(_AFTER_QUESTION.search(latin[: first.start]) or _LAST_OR.search(f" {between}"))


def rotations_of(question: str) -> list[tuple[str, tuple[str, ...]]]:
    """The question with its options in every cyclic order: each option is once under each letter.

    A question whose options speak of one another ("both A and B", "all of the above") has only its own
    order.

    Returns:
        Each text, with the letters that its options, in the order shown, have in the question. The
        question itself comes first; nothing for a question without options.
    """
    options = placed_options(question)
    letters = [one.letter for one in options]
    if any(speaks_of_others(one.text) for one in options):
        return [(question, tuple(letters))]
    found = []
    for turn in range(len(options)):
        text, at = [], 0
        for place, one in enumerate(options):
            text += [question[at : one.start], options[(place + turn) % len(options)].text]
            at = one.end
        text.append(question[at:])
        found.append(("".join(text), tuple(letters[turn:] + letters[:turn])))
    return found


def letter_in_value(text: str, options: Mapping[str, str]) -> str | None:
    """Return the letter that a short string such as a box's content gives, else None.

    Understood are "B", "(b)", "B) Paris", "B. Paris" and, if the question's options are known, the
    text of exactly one of them; "B and C" gives "B, C". A letter that is not among the options is not
    an answer.
    """
    return _in_letters(_value, text, options)


def _in_letters(
    read: Callable[[str, Mapping[str, str]], str | None], text: str, options: Mapping[str, str]
) -> str | None:
    """Read a text whose options have letters of another alphabet as if they were Latin ones."""
    alphabet = alphabet_of(options)
    if alphabet == LATIN:
        return read(text, options)
    latin = dict(zip(LATIN, options.values(), strict=False))
    letters = read(in_latin(text, alphabet), latin)
    if letters is None:  # the text of an option may hold such letters itself
        letters = _letter_of_text(_clean(text), latin)
    return None if letters is None else in_alphabet(letters, alphabet)


def _value(text: str, options: Mapping[str, str]) -> str | None:
    cleaned = _clean(text)
    several = _several(cleaned, options)
    if several is not None:
        return several or None
    exact = _EXACT.fullmatch(cleaned)
    if exact is not None:
        letter = _among(exact[1], options)
        # "i" may be the text of an option: the imaginary unit.
        return _letter_of_text(cleaned, options) if letter is None else letter
    spelled_out = _letter_of_text(cleaned, options)
    if spelled_out is not None:
        return spelled_out
    labelled = _WITH_TEXT.match(cleaned)
    if labelled is not None:
        return _among(next(filter(None, labelled.groups())), options)
    return None


def letter_in_prose(line: str, options: Mapping[str, str]) -> str | None:
    """Return the letter that a sentence settles on, else None.

    In order: the whole line as a value, "option B", the last "(B)", the last "B." or "B)", a
    capital that stands alone ("A" and "I" only at the end), the one option whose text occurs. Letters
    that the sentence says no to do not count.
    """
    return _in_letters(_prose, line, options)


def _prose(line: str, options: Mapping[str, str]) -> str | None:
    cleaned = _clean(line)
    whole = _value(cleaned, options)
    if whole is not None:
        return whole
    together = [_several(one, options) for one in _ALL_OF.findall(_NEGATED.sub(" ", cleaned))]
    if together and together[-1]:
        return together[-1]
    denied = {one for found in _NEGATED.finditer(cleaned) for one in _LONE.findall(found.group())}
    cleaned = _NEGATED.sub(" ", cleaned)
    for pattern in (_NAMED, _PARENTHESISED, _LABELLED, _STANDALONE):
        letters = [next(filter(None, match.groups())) for match in pattern.finditer(cleaned)]
        among = (_among(found, options) for found in letters)
        known = [letter for letter in among if letter and letter not in denied]
        if known:
            return known[-1]
    return _letter_of_mention(cleaned, options)


def _clean(text: str) -> str:
    shortened = text[:_MAX_CHARACTERS]
    cleaned = strip_markdown(strip_delimiters(unwrap_text(strip_delimiters(shortened))))
    cleaned = plain_characters(cleaned)
    return re.sub(r"\\[,;:! ]|[{}]", " ", cleaned).strip()


def _several(text: str, options: Mapping[str, str]) -> str | None:
    """Several letters as "B, C"; "" if one is not an option's; None if it is not several letters."""
    if len(text) > _MOST_IN_SEVERAL or _SEVERAL.fullmatch(text) is None:
        return None
    letters = sorted(set(re.findall(r"[A-J]", text)))
    if len(letters) < 2 or _letter_of_text(text, options) is not None:
        return None
    return ", ".join(letters) if all(_among(one, options) for one in letters) else ""


def _among(letter: str, options: Mapping[str, str]) -> str | None:
    capital = letter.upper()
    return capital if not options or capital in options else None


def _letter_of_text(text: str, options: Mapping[str, str]) -> str | None:
    # Signs and points matter first ("-1" and "1", "3.6" and "36" or "Bb" and "bb").
    for form in (_spelled, _folded, normalised):
        wanted = form(text)
        letters = [letter for letter, option in options.items() if form(option) == wanted]
        if letters:
            return letters[0] if len(letters) == 1 else None
    return None


def _spelled(text: str) -> str:
    return " ".join(_clean(text).split()).rstrip(".")


def _folded(text: str) -> str:
    return _spelled(text).casefold()


def _letter_of_mention(text: str, options: Mapping[str, str]) -> str | None:
    words = f" {normalised(text)} "
    mentioned = {
        letter: normalised(option)
        for letter, option in options.items()
        if _is_mentioned(normalised(option), words)
    }
    # "III only" also mentions "I only"; an option inside another mentioned one does not count.
    outermost = [
        letter
        for letter, option in mentioned.items()
        if not any(option != other and option in other for other in mentioned.values())
    ]
    return outermost[0] if len(outermost) == 1 else None


def _is_mentioned(option: str, words: str) -> bool:
    # Chinese and Japanese set no spaces between words.
    return f" {option} " in words or (len(option) > 1 and is_cjk(option[0]) and option in words)


def _inline_options(latin: str, question: str) -> list[Option]:
    starts = list(_INLINE_OPTION.finditer(latin))
    ends = [*(match.start() for match in starts), len(question)][1:]
    return [
        _option(
            question,
            _capital(next(filter(None, match.groups()))),
            match.end(),
            end,
            in_a_row=True,
        )
        for match, end in zip(starts, ends, strict=True)
    ]


def _capital(letter: str) -> str:
    return plain_characters(letter).upper()


def _option(question: str, letter: str, start: int, end: int, *, in_a_row: bool = False) -> Option:
    """An option without the spaces around its text, and in a row without what parts it from others."""
    said = question[start:end]
    text = _LAST_OR.sub("", said).strip().rstrip(",;，；?？").strip() if in_a_row else said.strip()
    start += said.find(text) if text else 0
    return Option(letter, text, start, start + len(text))


def _consecutive(found: list[Option]) -> list[Option]:
    # The last "A" opens the list of options: an earlier one belongs to the question's own words.
    first = max((at for at, one in enumerate(found) if one.letter == "A"), default=len(found))
    options: list[Option] = []
    for one in found[first:]:
        if len(options) == len(LATIN) or one.letter != LATIN[len(options)]:
            break
        options.append(one)
    return options if len(options) >= 2 else []
