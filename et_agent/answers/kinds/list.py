"""The kind `list`: several parts, in an order if the question asks for one, else a set."""

# Unicode look-alikes are what models write.

import re
from typing import Final

from et_agent.answers.finders import Found, find_boxed, find_last_line, find_marked
from et_agent.answers.kinds.base import Kind, Reading, Suggestion
from et_agent.answers.lists import (
    find_bullets,
    is_ordered,
    item_key,
    items_of,
    listed,
    without_lead,
)
from et_agent.answers.text import first_sentence

__all__ = ["LIST"]

_NUMBER_WORDS: Final = "two|three|four|five|six|seven|eight|nine|ten|2|3|4|5|6|7|8|9|10"
_ASKED: Final = re.compile(
    rf"\b(?:list|enumerate|name|give|mention)\s+(?:me\s+)?(?:a list of\s+)?(?:(?:the|all|any|some|"
    rf"at least)\s+){{0,2}}(?:first\s+)?(?:{_NUMBER_WORDS})\s+\w+"
    r"|^\W*(?:please\s+)?(?:list|enumerate|name all|name the|sort|arrange|rank|order)\b"
    rf"|\b(?:what|which) are (?:the )?(?:first |main |primary |all )*(?:{_NUMBER_WORDS}) \w+"
    r"|\bwhat are the (?:primary|three|main|different|names|members|states|colou?rs|planets|"
    r"elements|prime factors|factors of|divisors)\b"
    r"|\b(?:nenne|liste|zähle|sortiere|ordne)\b.{0,20}\b(?:alle|die|zwei|drei|vier|fünf|\d)\b|"
    r"\bwelche (?:drei|vier|fünf|zwei|farben|länder|planeten)\b"
    r"|\b(?:citez|nommez|énumérez|cite|donne|listez|triez|trie|quelles sont les|quels sont les)\b"
    r"|\b(?:nombra|enumera|menciona|lista|ordena|cuáles son (?:los|las))\b|\b(?:elenca|nomina|"
    r"ordina|quali sono (?:i|gli|le))\b"
    r"|\b(?:liste|cite|enumere|ordene|quais são (?:os|as))\b|\b(?:назови|назовите|перечисли|"
    r"перечислите|расположи|упорядочь)(?!\w)"
    r"|列出|列举|哪些|哪三|按.{0,10}(?:顺序|排列|排序)|挙げ|列挙|並べ(?!たら|ると|れば|た場合)|"
    r"나열|열거|말해 보세요|"
    r"나열하|اذكر|عدد\s|رتب|सूची|नाम बताइए|नाम बताओ|सूचीबद्ध",
    re.IGNORECASE,
)
_NOT_ASKED: Final = re.compile(
    r"\bhow (?:many|much)\b|\bfunction\b|\bjson\b|\bjava|python|\bname of\b|多少|一共",
    re.IGNORECASE,
)


class _List(Kind):
    instruction = "Think briefly, and put only the answers, separated by commas, in \\boxed{}."
    noun = "lists"
    finders = (find_boxed, find_marked, find_bullets, find_last_line)

    def suggestion(self, question: str) -> Suggestion | None:
        """Name three, list all, sort."""
        found = _ASKED.search(question)
        if found is None or _NOT_ASKED.search(question):
            return None
        return Suggestion(35, f'The question says "{found.group().strip()}".')

    def rank(self, content: str, question: str) -> int | None:
        """Several parts, where they are asked for."""
        if not _ASKED.search(question) or _NOT_ASKED.search(question):
            return None
        return 7 if len(items_of(content)) > 1 else None

    def read(self, found: Found, question: str) -> Reading | None:
        """The parts; in their order if the question asks for one."""
        content = found.content
        if found.found_by != "boxed" and "\n" not in content:
            content = without_lead(first_sentence(content))
        items = items_of(content)
        if not items:
            return None
        keys = [item_key(item, question) for item in items]
        if not is_ordered(question):
            keys = sorted(dict.fromkeys(keys), key=lambda key: (str(type(key)), str(key)))
        return Reading(listed(items), ("list", tuple(keys)))


LIST: Final = _List()
