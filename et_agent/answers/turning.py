"""Signs and words that make another answer of the same words: "+", "not", "before", "more than"."""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import re
from typing import Final

from et_agent.answers.text import normalised

__all__ = ["NEGATIONS", "directions", "is_vague", "limits", "offers_several", "signs", "unit_signs"]


def _words_in(text: str) -> frozenset[str]:
    return frozenset(text.split())


NEGATIONS: Final = _words_in(
    "not never no none nor neither without cannot cant isnt arent wasnt werent doesnt dont "
    "didnt wont nicht kein keine nie ne pas jamais nunca não nao non mai не нет никогда"
)
"""Words that deny, in normal form."""
_SIGN: Final = re.compile(r"[^\w\s.,:/]")
_VAGUE: Final = re.compile(
    r"\d0['’]?s\b|\b(?:early|mid|late|before|after|since|until|spring|summer|autumn|fall|winter|seasons?|"
    r"century|centuries|about|around|circa"
    r"|vor|nach|seit|bis|um|etwa|anfang|mitte|ende|frühe[rns]?|späte[rns]?|frühjahr|frühling|sommer|"
    r"herbst|jahrhunderts?"
    r"|avant|après|depuis|jusqu\w*|vers|environ|début|fin|siècle|printemps|été|automne|hiver"
    r"|antes|después|desde|hasta|hacia|alrededor|principios|mediados|finales|siglo|primavera|verano|"
    r"otoño|invierno"
    r"|prima|dopo|fino|verso|circa|inizio|metà|secolo|estate|autunno|inverno"
    r"|depois|até|cerca|início|meados|final|século"
    r"|до|после|около|начал\w*|середин\w*|кон(?:ец|це)|век\w*)\b|\bca?\."
    r"|[以之]前|[以之]后|[以之]後|以降|前后|前後|左右|年代|世纪|世紀|初期?|末期?|中期|頃|ごろ|年前"
    r"|이전|이후|초반|중반|후반|세기|경에?$|قبل|بعد|حوالي|से पहले|के बाद|लगभग",
    re.IGNORECASE,
)
_NEGATED: Final = re.compile(
    rf"\b(?:{'|'.join(sorted(NEGATIONS))})\b|n['’]t\b|不是|并非|ではな|ではあり|아니|ليس|नहीं",
    re.IGNORECASE,
)
_LIMITS: Final = _words_in(
    "more less fewer over under above below least most minus negative exceeding beyond maximum "
    "minimum half quarter third double twice pair couple nearly almost up time "
    "mehr weniger über unter mindestens höchstens maximal minimal fast knapp halb "
    "plus moins dessus dessous presque más menos sobre bajo casi più meno oltre sotto quasi "
    "mais acima abaixo quase более менее больше меньше свыше минус почти "
    "अधिक कम ज्यादा أكثر أقل 이상 이하"
)
_MINUS: Final = re.compile(r"(?:^|(?<=[\s(\[$€£^]))-(?=[$€£]?\.?\d)")
_UNIT_SIGNS: Final = {
    "$": "dollar", "€": "euro", "£": "pound", "¥": "yen", "₹": "rupee", "%": "percent", "°": "degree"
}  # fmt: skip
_ALTERNATIVES: Final = re.compile(
    r"\b(?:or|oder|ou|o|или|versus|vs)\b|还是|それとも|아니면", re.IGNORECASE
)
_DIRECTIONS: Final = ({"from", "to"}, {"von", "zu"}, {"von", "nach"}, {"de", "à"}, {"de", "a"})


def signs(text: str) -> list[str]:
    """The signs of a text that are no punctuation: the plus of "C++", "=" and "<", "♯"."""
    return sorted(_SIGN.findall(normalised(text)))


def is_vague(text: str) -> bool:
    """Whether a date in a text is denied, or no more than near what is meant: "before 1990"."""
    return _VAGUE.search(text) is not None or _NEGATED.search(text) is not None


def limits(text: str, question: str = "") -> frozenset[str]:
    """What keeps a number from being the number itself: "more than", "at least", "minus", "not".

    Args:
        text: An answer with a number.
        question: What it answers; what stands in there keeps nothing from it.
    """
    plain = normalised(text)
    words = {word.removesuffix("s") for word in plain.split()}
    found = words & {word.removesuffix("s") for word in _LIMITS}
    # "-5" and "minus 5" are one.
    minus = {"minus"} if _MINUS.search(plain) or found & {"minu", "negative"} else set()
    denied = {"not"} if _NEGATED.search(text) else set()
    found -= {word.removesuffix("s") for word in normalised(question).split()}
    return frozenset((found - {"minu", "negative"}) | minus | denied)


def unit_signs(text: str) -> frozenset[str]:
    """The units that signs stand for: "dollar" for "$"."""
    return frozenset(word for sign, word in _UNIT_SIGNS.items() if sign in text)


def offers_several(text: str) -> bool:
    """Whether a text leaves a choice: "Canberra or Sydney"."""
    return _ALTERNATIVES.search(text) is not None


def directions(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether the words of one text lead away from what those of another lead to."""
    return any(
        len(one & pair) == len(other & pair) == 1 and one & pair != other & pair
        for pair in _DIRECTIONS
    )
