"""Signs that a text from outside speaks to the model: orders, fake turns and calls, a given answer.

Passages and results of tools are to inform. Small models also do what such a text tells them
(docs/reliability.md), and no confidence was fitted on that. The signs are therefore read off the texts.
They are a list of what is usual: an order in other words, or a false statement, has none.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from et_agent.answers.kinds import ANSWER_MARKER
from et_agent.results import SignKind, SteeringSign
from et_agent.templates.messages import Message

__all__ = ["steering_signs"]

_MOST_SIGNS: Final = 8
_SHOWN: Final = 80
"""Characters of a sign, with what stands around it."""
_ASIDE: Final = (
    r"previous|above|below|prior|earlier|preceding|rest|instructions?|rules|prompt|question|passages?"
    r"|context|everything"
)
_REPLY: Final = r"reply|respond|answer|output"
_WITHIN: Final = r"(?:[^.!?\n]|\n(?![ \t\r]*\n)){0,60}"
"""Up to so many characters of a sentence, over the end of a line too."""
_SIGNS: Final[tuple[tuple[SignKind, str], ...]] = (
    ("control", r"<\|[^|<>\n]{1,40}\|>|</?(?:start|end)_of_turn>|\[/?INST\]|<<SYS>>"),
    ("call", r"</?(?:tool_call|function_call|tool_response)>|\[TOOL_CALLS\]"),
    ("call", r"\"name\"\s*:\s*\"[^\"\n]{1,80}\"\s*,\s*\"(?:arguments|parameters)\"\s*:"),
    ("turn", r"^[ \t#*]*(?:system|user|assistant|human)[ \t*]*:\s"),
    ("answer", re.escape(ANSWER_MARKER)),
    ("order", rf"\b(?:ignore|disregard|forget|override)\b{_WITHIN}\b(?:{_ASIDE})\b"),
    ("order", rf"\b(?:you\s+must|you\s+should|always|instead,?|please|now)\s+(?:{_REPLY})\b"),
    ("order", rf"^\W*(?:{_REPLY})\s+(?:only|with|exactly)\b"),
    ("order", r"\b(?:the|your)\s+(?:only\s+|final\s+)?(?:correct|right)\s+answer\s+(?:is|to)\b"),
    ("order", r"\b(?:new|updated)\s+instructions?\s*:|\bsystem\s+prompt\b"),
    ("order", r"\byou\s+are\s+(?:now\s+)?an?\s+(?:ai|assistant)\b"),
    ("order", rf"\b(?:ignorier\w*|vergiss)\b{_WITHIN}\b(?:anweisung|obige|vorherige)\w*"),
    ("order", rf"\b(?:ignore[zr]|oublie[zr]?)\b{_WITHIN}\b(?:instructions?|précédent)"),
    ("order", rf"\b(?:ignora|olvida)\b{_WITHIN}\b(?:instrucciones|anterior)"),
    ("order", r"(?:忽略|无视|忘记)[^。!?]{0,20}(?:以上|之前|前面|所有|指令|指示)"),
)
_PATTERNS: Final = tuple(
    (kind, re.compile(pattern, re.IGNORECASE | re.MULTILINE)) for kind, pattern in _SIGNS
)


def steering_signs(
    passages: Sequence[str], messages: Sequence[Message]
) -> tuple[SteeringSign, ...]:
    """The first signs in passages and in results of tools, at most 8.

    Args:
        passages: Passages that a question is to be answered from.
        messages: A conversation; only what tools said is from outside.
    """
    told = [one["content"] for one in messages if one["role"] == "tool"]
    named = [
        *((f"passage {at}", text) for at, text in enumerate(passages, 1)),
        *((f"tool result {at}", text) for at, text in enumerate(told, 1)),
    ]
    found = (sign for where, text in named for sign in _signs_in(where, text))
    return tuple(islice(found, _MOST_SIGNS))


def _signs_in(where: str, text: str) -> Iterator[SteeringSign]:
    plain = _plain(text)
    for kind, pattern in _PATTERNS:
        for match in pattern.finditer(plain):
            middle = (match.start() + match.end()) // 2
            low = max(0, min(match.start(), middle - _SHOWN // 2))
            shown = " ".join(plain[low : low + _SHOWN].split())
            yield SteeringSign(where=where, kind=kind, text=shown)


def _plain(text: str) -> str:
    """A text without what hides words: other forms of letters, and characters of no width."""
    folded = unicodedata.normalize("NFKC", text)
    return "".join(one for one in folded if unicodedata.category(one) != "Cf")
