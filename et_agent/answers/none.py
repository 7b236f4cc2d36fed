"""Answers that say "none" where a number is asked for: "no apples left", "keine", "没有"."""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import re
import unicodedata
from typing import Final

from et_agent.answers.latex import strip_delimiters, strip_markdown, unwrap_text

__all__ = ["says_none"]

_MOST_CHARACTERS: Final = 200
_ALONE: Final = (
    r"none|nothing|nil|nobody|no one|not (?:a single one|any(?:thing)?)"
    r"|(?:gar )?keine[rs]?|kein einzige[rs]|nichts|niemand"
    r"|aucune?|rien|personne|ningun[oa]|ningún|nada|nadie|nessun[oa]?|niente|nulla"
    r"|nenhuma?|nenhum|ninguém|ни одного|ни одной|ни один|нисколько|ничего|нисколько|никого|нет"
    r"|لا شيء|لا يوجد|لا أحد|ولا واحدة?|कोई नहीं|कुछ नहीं|एक भी नहीं"
)
_AFTER: Final = (
    r"(?:\s+(?:of (?:them|it|these|those)(?! above)|at all|is|are|was|were|remains?|remain(?:ed|ing)|"
    r"left(?: over)?|mehr|übrig|davon|plus|du tout|più|mais|больше|осталось|не осталось))*"
)
_WHOLE: Final = re.compile(rf"(?:there (?:is|are|was|were) )?(?:{_ALONE}){_AFTER}", re.IGNORECASE)
_EASTERN: Final = re.compile(
    r"(?:一[个個只本条件]?(?:也|都)?)?(?:没有|沒有|无|無)(?:了|剩下?|剩余)?|ゼロ|れい|"
    r"(?:[一１1]?[つ個本枚人匹]も)?(?:なし|ない|ありません|いません|残っていません|残っていない)|"
    r"(?:하나도 |한 개도 )?(?:없음|없다|없습니다|없어요|남지 않았습니다)"
)
_NO: Final = re.compile(
    r"\b(?:no(?: more)?|not any|kein(?:e[nrsm]?)?|(?:plus )?aucune?|ningun[oa]?|ningún|nessun[oa]?|"
    r"nenhum[a]?|ни одно(?:го|й)|ни одну)\s+(?P<noun>[^\W\d_]{3,})|没有(?P<noun2>[^\W\d_]{1,4})",
    re.IGNORECASE,
)
"""What there is none of."""
_NONE_IS_LEFT: Final = re.compile(
    r"\bnone\b(?! of (?:your|my|our|his|her|their)\b)(?: of the (?P<noun>[^\W\d_]{3,}))?",
    re.IGNORECASE,
)
_NOT_TOLD: Final = re.compile(
    r"\b(?:knows?|says?|tells?|cannot|can['’]t|mentioned|given|stated|specified|told|unclear|unknown)\b",
    re.IGNORECASE,
)
"""What there is none of is then a number, or somebody who knows it."""
_WORD: Final = re.compile(r"[^\W\d_]+")
_STEM: Final = 4
"""Letters by which words are compared, one less than short ones have: "mela" is in "mele"."""


def says_none(text: str, question: str, *, whole: bool) -> bool:
    """Whether a text says that there is none of what a question asks the number of.

    "No apples" does where the question speaks of apples; "no solution" and "no" do not.

    Args:
        text: A box's content or a sentence, without figures.
        question: The question, which asks how many.
        whole: Whether the text is to be the answer and nothing else.
    """
    if len(text) > _MOST_CHARACTERS:
        return False
    said = strip_delimiters(unwrap_text(strip_delimiters(strip_markdown(text))))
    said = " ".join(said.split()).strip(" .!,;:。！\"'“”")
    if any(map(str.isdigit, said)):
        return False
    if _WHOLE.fullmatch(said) or _EASTERN.fullmatch(said):
        return True
    if _NOT_TOLD.search(said):
        return False
    asked = _plain(question)
    words = _WORD.findall(asked)
    for found in _NO.finditer(said):
        noun = _plain(found["noun"] or found["noun2"])
        if found["noun2"] is not None and any(noun[:size] in asked for size in (1, 2)):
            return True
        if found["noun"] is not None and any(word.startswith(_stem(noun)) for word in words):
            return True
    left = None if whole else _NONE_IS_LEFT.search(said)
    if left is None or left["noun"] is None:
        return left is not None
    return any(word.startswith(_stem(_plain(left["noun"]))) for word in words)


def _stem(word: str) -> str:
    return word[: max(3, min(_STEM, len(word) - 1))]


def _plain(text: str) -> str:
    """Small letters without signs above and below them: "Apfel" is in "Äpfel"."""
    parts = unicodedata.normalize("NFD", text.casefold())
    return "".join(one for one in parts if not unicodedata.combining(one))
