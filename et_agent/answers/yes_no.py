"""Yes and no in twelve languages."""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import re
from typing import Final

from et_agent.answers.characters import plain_characters
from et_agent.answers.latex import strip_delimiters, strip_markdown, unwrap_text

__all__ = ["asks_yes_or_no", "yes_or_no"]

_YES: Final = (
    "yes|yeah|yep|true|correct|right|indeed|affirmative|ja|jawohl|doch|wahr|richtig|stimmt|oui|vrai|sí|si|cierto|"
    "verdadero|correcto|sì|vero|sim|verdadeiro|certo|да|верно|правда|نعم|أجل|صحيح|हाँ|हां|जी हाँ|सही|सच"
)
_NO: Final = (
    "no|nope|not true|not correct|false|incorrect|wrong|negative|nein|falsch|unwahr|non|faux|falso|incorrecto|não|nao|"
    "нет|неверно|неправда|ложь|لا|كلا|خطأ|غير صحيح|नहीं|जी नहीं|गलत|असत्य"
)
_YES_EASTERN: Final = "是的|是|对的|对|正确|没错|可以|会|有|はい|そうです|正しい|ええ|네|예|맞습니다|맞다|참|그렇습니다"
_NO_EASTERN: Final = "不是|不对|不正确|错误|错|否|不|没有|不会|いいえ|違います|正しくない|いや|아니요|아니오|아니|거짓|틀립니다|틀렸습니다"
_LEADING: Final = re.compile(
    rf"^[\"'“”‘’«»(*_\s¡]*(?:the answer is\s+|answer:\s*|it is\s+|that is\s+|that's\s+)?"
    rf"(?:(?P<no>(?:{_NO})(?![\w-])|(?:{_NO_EASTERN}))|(?P<yes>(?:{_YES})(?![\w-])|(?:{_YES_EASTERN})))"
    rf"(?P<rest>.*)$",
    re.IGNORECASE | re.DOTALL,
)
_ANYWHERE: Final = re.compile(
    r"(?<![\w'’])(?:(?P<no>no|false|nein|falsch|non|não|нет|لا|नहीं)|(?P<yes>yes|true|ja|oui|sí|sì|sim|да|نعم|हाँ))"
    r"(?=[\s*_\"'”’.!,;:)]*$)",
    re.IGNORECASE,
)
_NOT_AN_ANSWER: Final = re.compile(
    r"^\s*(?:one|answer|idea|way|solution|information|and no\b|or no\b|number|more|longer|such|matter|doubt|"
    r"problem|/|und nein|oder nein|y no|o no|et non|ou non|angles?|triangle|now|side|hand|up\b|away\b)",
    re.IGNORECASE,
)
_MOST_CHARACTERS: Final = 400
_ASKS: Final = re.compile(
    r"(?:^|[.!?\n]\s*)[\"“¿¡]?(?:(?:true or false|yes or no|yes/no|wahr oder falsch|ja oder nein|vrai ou faux|oui ou non|"
    r"verdadero o falso|sí o no|vero o falso|sì o no|verdadeiro ou falso|sim ou não|верно ли|правда ли)\b"
    r"|(?:is|are|am|was|were|do|does|did|has|have|had|can|could|will|would|should|may|might|must|isn't|aren't|doesn't|"
    r"don't|didn't|won't|can't)\s+(?!(?:you|we) (?:please )?(?:tell|give|list|name|write|explain|show|help|find|solve))"
    r"[^?\n]{1,300}\?"
    r"|(?:ist|sind|war|waren|hat|haben|hatte|kann|können|darf|soll|wird|werden|gibt es|gilt|stimmt es|liegt|lebt|"
    r"gehört|gehören)\s+[^?\n]{1,300}\?"
    r"|est-ce qu['’e][^?\n]{1,300}\?"
    r"|(?:est-il|y a-t-il|peut-on|a-t-il|est-elle|sont-ils|le |la |les |l')[^?\n]{0,200}"
    r"(?:-t-(?:il|elle|on|ils)|-(?:il|elle|ils|elles|on)\b|que\b|qu')[^?\n]{0,200}\?"
    r"|(?:è|sono|era|erano|ha|hanno|può|possono|c'è|ci sono|esiste)\s+[^?\n]{1,300}\?"
    r"|(?:es|son|está|están|fue|era|tiene|tienen|puede|pueden|hay|existe)\s+[^?\n]{1,300}\?"
    r"|(?:é|são|está|estão|foi|tem|têm|pode|podem|há|existe)\s+[^?\n]{1,300}\?"
    r"|(?:является ли|есть ли|может ли|можно ли|[^?\n]{1,60} ли )[^?\n]{0,300}\?"
    r"|هل\s[^?؟\n]{1,300}|क्या\s[^?।\n]{1,200}\s(?:है|हैं|था|थी|थे|सकता है|सकते हैं)\s*\??\s*$)"
    r"|吗[?？]?\s*$|是不是|是否|有没有"
    r"|(?:です|ます|でした|ました|ません)か[?？。]?\s*$|(?:입니까|습니까|나요|인가요|까요)[?？]?\s*$",
    re.IGNORECASE,
)
_ALTERNATIVE: Final = re.compile(
    r"\b(?:or|oder|ou|o|или)\s+(?!(?:no|not|nein|nicht|non|não|falso|falsch|false|faux|нет)\b)\w+[^?]*\?|还是|أم |それとも|아니면",
    re.IGNORECASE,
)
_OPEN: Final = re.compile(
    r"\b(?:what|which|who|whom|whose|when|where|why|how|wie|was|wer|wann|wo|welche[rsnm]?|warum|qué|cuál|quién|"
    r"cuándo|dónde|cómo|cuántos?|cuántas?|quel(?:le)?s?|qui|quand|où|comment|combien|che cosa|quale|quali|chi|quando|"
    r"quanto|quanti|quante|dove|qual|quais|quem|onde|quantos|quantas)\b"
    r"|什么|哪|谁|多少|几|何時|何|誰|どこ|いつ|どれ|どの|いくつ|いくら|무엇|누구|언제|어디|몇|얼마|어느|كم|ما هو|ما هي|متى|أين|कौन|कब|कहाँ|कितन|"
    r"сколько|кто|когда|где|какой|какая|какие|что",
    re.IGNORECASE,
)


def asks_yes_or_no(question: str) -> bool:
    """Whether a question can be answered with yes or no, and offers no other alternative."""
    asked = question[-_MOST_CHARACTERS * 2 :]
    found = _ASKS.search(asked)
    if found is None:
        return False
    # "Was" is German for "what", and "Was ist …?" begins like "Was it …?".
    sentence = found.group()
    opening = re.split(r"[\s,]+", sentence.strip(" .!?\n\"“¿"), maxsplit=3)
    head = " ".join(opening[1:3]) if len(opening) > 1 else ""
    german_what = opening[:1] and opening[0].casefold() == "was" and re.match(r"(?:ist|sind|war|kostet|sagt|macht)\b", head)
    if german_what or _ALTERNATIVE.search(asked):
        return False
    eastern = not sentence.isascii() and re.search(r"[\u0600-\u06ff\u0900-\u097f\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]", sentence)
    return not (eastern and _OPEN.search(asked))


def yes_or_no(text: str, *, at_end: bool = False) -> tuple[bool, str] | None:
    """Return whether a string says yes or no, and the word it says it with; None if neither.

    Args:
        text: The string; the word must lead, as in "No, 7 is not even".
        at_end: Whether the word may also end it, as in "So the answer is yes."
    """
    if len(text) > 10 * _MOST_CHARACTERS:
        return None
    cleaned = strip_markdown(strip_delimiters(unwrap_text(strip_delimiters(text))))
    cleaned = plain_characters(cleaned)[:_MOST_CHARACTERS].strip()
    found = _LEADING.match(cleaned)
    if found is not None and _NOT_AN_ANSWER.match(found["rest"].lstrip(" ,")):
        found = None
    if found is None and at_end:
        found = _ANYWHERE.search(cleaned)
    if found is None:
        return None
    word = found["yes"] or found["no"]
    return found["yes"] is not None, word[0].upper() + word[1:]
