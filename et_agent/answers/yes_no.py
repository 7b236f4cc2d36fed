"""Yes and no in twelve languages."""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import re
from typing import Final

from et_agent.answers.characters import plain_characters
from et_agent.answers.latex import strip_delimiters, strip_markdown, unwrap_text

__all__ = ["asks_yes_or_no", "yes_or_no"]

_YES: Final = (
    "(?:certainly|definitely|absolutely|of course|surely|it (?:is|does|was|can)(?=\\W*$)|natürlich|"
    "selbstverständlich|"
    "bien sûr|certainement|claro|por supuesto|certamente|com certeza|конечно|разумеется|بالتأكيد|"
    "बिल्कुल|बेशक)(?!,? *(?:n['’]t|not|nicht|pas|non|no|que no|não|нет|не|لا|नहीं)(?!\\w))|"
    "yes|yeah|yep|yup|true|correct|right|indeed|affirmative|ja|jawohl|doch|wahr|richtig|stimmt|oui|"
    "vrai|sí|si|cierto|"
    "verdadero|correcto|sì|vero|sim|verdadeiro|certo|да|верно|правда|نعم|أجل|صحيح|हाँ|हां|जी हाँ|"
    "सही|सच"
)
_NO: Final = (
    "it (?:is|does|was|can) not(?=\\W*$)|"
    "(?:certainly|definitely|absolutely|of course|natürlich|certainement|"
    "claro que|assolutamente|конечно|बिल्कुल),? *(?:not|nicht|pas|no|non|нет|не|नहीं)|"
    "(?:it )?(?:isn|doesn|wasn|can)['’]t(?=\\W*$)|untrue|pas du tout|de jeito nenhum|"
    "no|nope|nah|not true|not correct|false|incorrect|wrong|negative|nein|falsch|unwahr|non|faux|"
    "falso|incorrecto|não|nao|"
    "нет|неверно|неправда|ложь|لا|كلا|خطأ|غير صحيح|नहीं|जी नहीं|गलत|असत्य"
)
_YES_EASTERN: Final = (
    "当然(?!不)|もちろん|물론|당연|是的|是|对的|对|正确|没错|可以|会|有|はい|そうです|正しい|ええ|"
    "네|예|맞습니다|맞다|참|그렇습니다"
)
_NO_EASTERN: Final = (
    "当然不|并非|違う|아닙니다|不是|不对|不正确|错误|错|否|不|没有|不会|いいえ|違います|正しくない|いや|"
    "아니요|아니오|아니|거짓|틀립니다|틀렸습니다"
)
_LEADING: Final = re.compile(
    rf"^[\"'“”‘’«»(*_\s¡]*(?:the answer is\s+|answer:\s*|it is\s+|that is\s+|that's\s+)?"
    rf"(?:(?P<no>(?:{_NO})(?![\w-])|(?:{_NO_EASTERN}))|(?P<yes>(?:{_YES})(?![\w-])|"
    rf"(?:{_YES_EASTERN})))"
    rf"(?P<rest>.*)$",
    re.IGNORECASE | re.DOTALL,
)
_ANYWHERE: Final = re.compile(
    r"(?<![\w'’])(?:(?P<no>no|false|nein|falsch|non|não|нет|لا|नहीं)|(?P<yes>yes|true|ja|oui|sí|"
    r"sì|sim|да|نعم|हाँ))"
    r"(?=[\s*_\"'”’.!,;:)]*$)",
    re.IGNORECASE,
)
_BOTH: Final = re.compile(
    r"\W*(?:yes and no|ja und nein|jein|oui et non|sí y no|sì e no|sim e não|(?:и )?да и нет)\b",
    re.IGNORECASE,
)
_OFFERED: Final = re.compile(
    r"^\W*(?:(?:yes|true|right|correct)\s*(?:or|/)\s*(?:no|false|wrong|incorrect)"
    r"|(?:no|false|wrong|incorrect)\s*(?:or|/)\s*(?:yes|true|right|correct)"
    r"|ja\s*(?:oder|/)\s*nein|wahr\s*(?:oder|/)\s*falsch|oui\s*(?:ou|/)\s*non|vrai\s*(?:ou|/)\s*faux"
    r"|sí\s*(?:o|/)\s*no|sì\s*(?:o|/)\s*no|sim\s*(?:ou|/)\s*não|да\s*(?:или|/)\s*нет)\b\W*",
    re.IGNORECASE,
)
"""The choice itself, repeated before the answer or in place of one."""
_NOT_AN_ANSWER: Final = re.compile(
    r"^\s*(?:one|answer|idea|way|solution|information|and no\b|or no\b|number|more|longer|such|"
    r"matter|doubt|"
    r"problem|question|/|und nein|oder nein|y no|o no|et non|ou non|angles?|triangle|now|side|hand|"
    r"up\b|"
    r"away\b)",
    re.IGNORECASE,
)
_MOST_CHARACTERS: Final = 400
_MOST_ASKED: Final = 1500
_WHAT_IN_GERMAN: Final = re.compile(
    r"was (?:ist|sind|war|waren|kostet|kosten|sagt|macht|hat|bedeutet|passiert|für)\b",
    re.IGNORECASE,
)
_OPEN_CLAUSE: Final = re.compile(
    r",\s*(?:then\s+)?(?:how|what|which|who|when|where|why|wie|welche|combien|quel|cuánt|qué|"
    r"quant|qual|сколько)",
    re.IGNORECASE,
)
_BY_ITS_VERB: Final = re.compile(
    r"[\"“]?(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should|ist|sind|war|"
    r"hat|kann|est-ce)\b",
    re.IGNORECASE,
)
"""The verb in front makes it a question of yes and no, whatever clauses follow."""
_ASKS: Final = re.compile(
    r"^[\"“¿¡\s]*(?:(?:true or false|yes or no|yes/no|wahr oder falsch|ja oder nein|vrai ou faux|"
    r"oui ou non|"
    r"verdadero o falso|sí o no|vero o falso|sì o no|verdadeiro ou falso|sim ou não|верно ли|"
    r"правда ли)\b"
    r"|(?:is|are|am|was|were|do|does|did|has|have|had|can|could|will|would|should|may|might|must|"
    r"isn't|aren't|doesn't|"
    r"don't|didn't|won't|can't)\s+(?!(?:you|we) (?:please )?(?:tell|give|list|name|write|explain|"
    r"show|help|find|solve|translate|convert|calculate|compute|describe|recommend|suggest|"
    r"summari[sz]e|(?:happen to )?(?:know|remember|recall) (?:what|which|who|whom|whose|when|"
    r"where|why|how))\b)"
    r"|(?:ist|sind|war|waren|hat|haben|hatte|kann|können|darf|soll|wird|werden|gibt es|gilt|"
    r"stimmt es|liegt|lebt|"
    r"gehört|gehören)\s|est-ce qu['’e]|est-il\b|y a-t-il|peut-on|a-t-il|est-elle|sont-ils|"
    r"(?:le |la |les |l'|un |une |\d+ )[^?]{0,120}-(?:t-)?(?:il|elle|ils|elles|on)\b"
    r"|(?:è|sono|era|erano|ha|hanno|può|possono|c'è|ci sono|esiste)\s|(?:es|son|está|están|fue|"
    r"tiene|tienen|"
    r"puede|pueden|hay|existe)\s|(?:é|são|está|estão|foi|tem|têm|pode|podem|há|existe)\s"
    r"|(?:является ли|есть ли|может ли|можно ли|[^?]{1,60} ли )|هل\s|क्या\s.*(?:है|हैं|था|थी|"
    r"थे)\s*\??\s*$)"
    r"|(?:sim ou não|sí o no|oui ou non|ja oder nein|yes or no|true or false)\s*\?"
    r"|吗[?？]?\s*$|是不是|是否|有没有"
    r"|(?:です|ます|でした|ました|ません)か[?？。]?\s*$|(?:입니까|습니까|나요|인가요|"
    r"까요)[?？]?\s*$",
    re.IGNORECASE,
)
_STATED: Final = re.compile(
    r"\W*(?:true or false|wahr oder falsch|vrai ou faux|verdadero o falso|vero o falso|"
    r"verdadeiro ou falso)\s*:",
    re.IGNORECASE,
)
"""What introduces a statement to judge; it ends in no question mark."""
_SENTENCE: Final = re.compile(r"(?<=[.!?。！？])\s+|(?<=[。！？])|\n+")
_ASKING: Final = re.compile(r"[?？؟]\s*[\"”’)]*$")
_ALTERNATIVE: Final = re.compile(
    r"\b(?:or|oder|ou|o|или)\s+(?!(?:no|not|nein|nicht|non|não|falso|falsch|false|faux|"
    r"нет|more|less|fewer|so|mehr|weniger|plus|moins|más|menos|più|meno|mais)\b)\w+[^?]*\?"
    r"|还是|أم |それとも|아니면",
    re.IGNORECASE,
)
_OPEN: Final = re.compile(
    r"\b(?:what|which|who|whom|whose|when|where|why|how|wie|was|wer|wann|wo|welche[rsnm]?|warum|"
    r"qué|cuál|quién|"
    r"cuándo|dónde|cómo|cuántos?|cuántas?|quel(?:le)?s?|qui|quand|où|comment|combien|che cosa|"
    r"quale|quali|chi|quando|"
    r"quanto|quanti|quante|dove|qual|quais|quem|onde|quantos|quantas)\b"
    r"|什么|哪|谁|多少|几|何時|何|誰|どこ|いつ|どれ|どの|いくつ|幾つ|いくら|무엇|누구|언제|어디|몇|"
    r"얼마|어느|كم|ما هو|ما هي|متى|أين|कौन|कब|कहाँ|कितन|"
    r"сколько|кто|когда|где|какой|какая|какие|что",
    re.IGNORECASE,
)


def asks_yes_or_no(question: str) -> bool:
    """Whether a question can be answered with yes or no, and offers no other alternative."""
    sentences = [one.strip() for one in _SENTENCE.split(question[-_MOST_ASKED:]) if one.strip()]
    asking = [one for one in sentences if _ASKING.search(one)] or sentences[-1:]
    if not asking or len(asking[-1]) > _MOST_CHARACTERS:
        return False
    asked = asking[-1]
    ends = _ASKING.search(asked) or _STATED.match(asked) or not asked.isascii()
    if not ends or _ASKS.search(asked) is None or _ALTERNATIVE.search(asked):
        return False
    # "Was ist …?" asks what in German and "Was it …?" whether in English.
    if _WHAT_IN_GERMAN.match(asked) or _OPEN_CLAUSE.search(asked):
        return False
    return _OPEN.search(asked) is None or _BY_ITS_VERB.match(asked) is not None


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
    cleaned = _OFFERED.sub("", cleaned)
    if _BOTH.match(cleaned):
        return None
    found = _LEADING.match(cleaned)
    if found is not None and _NOT_AN_ANSWER.match(found["rest"].lstrip(" ,")):
        found = None
    if found is None and at_end:
        found = _ANYWHERE.search(cleaned)
    if found is None:
        return None
    word = found["yes"] or found["no"]
    return found["yes"] is not None, word[0].upper() + word[1:]
