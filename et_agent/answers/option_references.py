"""Options that speak of others, such as "both A and B": they hold in the order they were written in."""

# Unicode look-alikes are what this reads.
# ruff: noqa: RUF001

import re
from typing import Final

__all__ = ["speaks_of_others"]

_LETTER: Final = r"(?:[A-J]|(?-i:[АБВГДЕЖЗИК]|[アイウエオカキクケコ]|[가나다라마바사아자차]))"
_NO_WORD: Final = "[A-Za-z0-9_À-ɏЀ-ӿァ-ヶ]"
_AND: Final = (
    r"(?:\s*(?:,|&|、|和|与|或|と|か|와|과|및)\s*"
    r"|\s+(?:and|or|nor|as well as|und|oder|noch|als auch|et|ou|ni|ainsi que"
    r"|y|o|e|en|of|и|или|또는|और|या)\s+"
    r"|,?\s+ни\s+)"
)
_LETTERS: Final = re.compile(
    rf"(?<!{_NO_WORD}){_LETTER}\)?{_AND}\(?{_LETTER}(?!{_NO_WORD})", re.IGNORECASE
)
_WITH_A_WORD: Final = re.compile(
    # Not I and J: "I only" is the first of three statements.
    r"(?:only|not|neither|same as|nur|nicht|seulement|solo|только)\s+\(?[A-H]\)?\W*"
    r"|\(?[A-H]\)?\s+(?:only|alone|allein|seulement|solamente|soltanto)\W*",
    re.IGNORECASE,
)
_WHOLE: Final = re.compile(
    r"(?:all(?:\s+(?:three|four|five))?|both|neither|beide[sr]?|ambos|ambas|entrambi|entrambe"
    r"|les deux|ninguno|ninguna|оба|обе"
    r"|두 개 모두|둘 다|모두|両方|どちらも|すべて|全て|كلاهما|दोनों)\W*",
    re.IGNORECASE,
)
_WORDS: Final = re.compile(
    r"\b(?:"
    r"(?:all|none|both|any|neither|each|some)\s+(?:of\s+)?(?:the|these|those)"
    r"|(?:all|none|both|neither|either)\s+of\s+them"
    r"|above|below|preceding|following|(?:option|choice|answer)s?\s+\(?[A-J]"
    r"|(?:oben|vorher|vor|zuvor)\s*(?:ig|stehend|genannt|erwähnt)\w*|obig\w*"
    r"|(?:keine|alle)[rs]?\s+(?:davon|(?:der\s+)?genannten)"
    r"|(?:alle|beide|keine)[rs]?\s+(?:der\s+)?Antworten"
    r"|ci-dessus|ci-dessous|précédente?s|(?:toutes|aucune)\s+(?:des|les|de\s+ces)\s+réponses"
    r"|(?:la|el|lo)\s+anterior|anteriores|tod[ao]s\s+ellas|ningun[ao]\s+de\s+(?:ell|l)[ao]s"
    r"|precedenti|nessuna\s+delle|tutte\s+le\s+risposte|acima|nenhuma\s+das"
    r"|bovenstaande\w*|alle\s+genoemde|geen\s+van\s+(?:de|deze)"
    r"|вышеперечисленн\w*|перечисленн\w*|вышеуказанн\w*|ничего\s+из|ни\s+один\s+из|все\s+ответы"
    r")(?!\w)"
    # Not "18岁以上", a number and more.
    r"|(?<![\d０-９%％万千百十岁歳人個个年月日度元円回点分件本名倍])以上"
    r"|上述|都(?:不?对|不?是|正确)|皆[是非对错]|上記|いずれも|위의|상기|ما سبق|उपरोक्त|उपर्युक्त",
    re.IGNORECASE,
)


def speaks_of_others(option: str) -> bool:
    """Whether an option says something of other options, by their letters or as "all of the above".

    Args:
        option: What it says.
    """
    said = option.strip()
    alone = any(pattern.fullmatch(said) for pattern in (_WITH_A_WORD, _WHOLE))
    return alone or any(pattern.search(said) for pattern in (_LETTERS, _WORDS))
