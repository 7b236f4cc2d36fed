"""Answers that say that the given passages do not say it, in every sensible wording.

Wordings are matched in their normal form (`normalised`: no case, punctuation, articles), in English,
German, French, Spanish, Italian, Portuguese, Chinese, Japanese, Korean and Russian. A wording must be
the whole answer, or a sentence about what the passages do not say. "Unknown" declines too, although a
passage may have said "unknown": the mistake to make here is to say too little.
"""

# Unicode look-alikes are what models write.

import re
from collections.abc import Hashable
from typing import Final

from et_agent.answers.text import MAX_ANSWER_CHARACTERS, normalised, readable

__all__ = ["DECLINED", "NOT_THERE", "declines"]

NOT_THERE: Final = "not in the passages"
"""What the instruction asks for where the passages do not say it, and how results show it."""
DECLINED: Final[Hashable] = ("declined", "")
"""Key of all answers that decline."""

_SOURCE: Final = (
    r"(?:given |provided |above |following |any of |these |those |this |that |any )*"
    r"(?:passage|text|context|article|excerpt|paragraph|document|source|information|material)s?"
    r"(?: (?:above|given|provided|itself|themselves|alone|\d{1,3}))*"
)
_SAID: Final = (
    r"(?:say|says|said|state|stated|give|given|mention|mentioned|specify|specified|provide|provided|"
    r"contain|contained|include|included|answer|answered|tell|told|indicate|indicated|describe|"
    r"described|discuss|discussed|address|addressed|find|found|know|known|determine|determined|"
    r"disclose|disclosed|identify|identified|name|named|list|listed|show|shown|have|available|there|"
    r"present|clear|answerable|applicable|possible|enough)"
)
_SPEAKS: Final = (
    rf"(?:\w+ ){{0,3}}(?:{_SAID}|speak|cover|covered|talk|refer|help|define|explain|explained|reveal|"
    r"suggest|support|clarify|report|record|detail|offer|supply|touch|elaborate|note|make|deal|allow|"
    r"concern|relate|write|go|express|hold)"
)
"""What passages do, by which they are told from documents and articles that a question is about."""
_HOW: Final = r"(?:explicitly |directly |specifically |clearly |actually |in fact |even )*"
_NEGATED: Final = (
    r"(?:do|does|did|is|are|was|were|has|have|can|could)(?:nt| not| never)|cant|cannot|never"
)
_WHERE: Final = rf"(?: (?:in|by|from|within|based on|according to) (?:any of )?{_SOURCE})?"
_WHOLE: Final = re.compile(
    "|".join(
        (
            rf"(?:(?:answer|information|it) (?:is )?)?not {_HOW}{_SAID}{_WHERE}",
            r"unable to (?:determine|answer|find|tell|say)(?: .*)?",
            rf"no [\w ]{{1,40}} (?:is|are|was|were) (?:mentioned|given|stated|named|specified){_WHERE}",
            rf"(?:it |they |this |that |answer |information )?(?:{_NEGATED}) {_HOW}(?:be )?{_SAID}"
            rf"{_WHERE}",
            rf"(?:answer (?:is )?|it is |this is |information is )?not (?:in|within|part of) {_SOURCE}",
            r"(?:answer (?:is )?)?(?:unknown|unanswerable|unspecified|undetermined|unstated|unclear)"
            rf"{_WHERE}",
            rf"(?:there is )?no (?:answer|information|mention|data)(?: (?:is )?{_SAID})?{_WHERE}",
            rf"(?:not enough|insufficient) (?:information|context|data)(?: {_SAID})?{_WHERE}",
            r"(?:sorry )?i (?:do not|dont|cannot|cant|can not) (?:know|tell|say|answer|determine).*",
            rf"none of (?:these )?{_SOURCE} {_SPEAKS}s?(?: .*)?",
            rf"(?:sorry )?{_SOURCE} (?:{_NEGATED}) {_SPEAKS}(?: .*)?",
            rf"{_SOURCE} (?:lacks?|says? nothing|makes? no mention).*",
            rf"there is no (?:answer|information|mention|indication|evidence) .*{_SOURCE}.*",
            # German
            r"(?:das |es |die |antwort |steht |ist |wird )*nicht (?:im text|in (?:den|der|dem) "
            r"(?:texten?|passagen?|abschnitt(?:en)?|kontext))(?: \w+)?",
            r"(?:das |es |wird |ist )*nicht (?:angegeben|erwähnt|genannt|enthalten|bekannt)"
            r"(?: \w+){0,3}",
            r"keine (?:angaben?|antwort|information(?:en)?)(?: .*)?",
            r"unbekannt",
            r"(?:der text|die passagen?|die texte|der abschnitt|die abschnitte) (?:sagt|sagen|nennt|"
            r"nennen|erwähnt|erwähnen|enthält|enthalten)\b.*\b(?:nicht|keine?)\b.*",
            # French
            r"(?:(?:ce|cela|il|elle|la réponse) )?(?:nest |ne sont |nétait )?(?:pas|non) "
            r"(?:explicitement |clairement )?"
            r"(?:précisé|mentionné|indiqué|spécifié|dit|donné)e?s?(?: dans .*)?",
            r"(?:la )?(?:réponse |elle )?(?:nest |ne figure |ne se trouve )?pas dans (?:le|les|ce|ces) "
            r"(?:textes?|passages?)",
            r"(?:inconnue?|sans réponse|aucune (?:information|réponse|mention)(?: .*)?)",
            r"(?:le texte|le passage|les passages|les textes) ne (?:le |la |les |nous )?(?:dit|disent|"
            r"(?:mentionne|précise|indique|spécifie|donne)(?:nt)?|contient|contiennent|"
            r"répond(?:ent)?) pas\b.*",
            # Spanish
            r"no (?:se )?(?:menciona|especifica|indica|dice|sabe|proporciona)(?: .*)?",
            r"(?:la )?(?:respuesta )?no (?:está|aparece|figura|se encuentra) en (?:el|los) "
            r"(?:textos?|pasajes?)",
            r"(?:desconocid[oa]|sin respuesta|no hay (?:información|respuesta)(?: .*)?)",
            r"(?:el texto|el pasaje|los pasajes|los textos) no (?:lo |la |se |nos )?(?:dicen?|"
            r"(?:menciona|especifica|indica|proporciona|informa|aclara)n?|contienen?|responden?|dan?)"
            r"(?: .*)?",
            # Italian and Portuguese
            r"(?:la )?(?:risposta )?non (?:è|si trova|compare) (?:nel|nei) (?:testo|testi|brano|brani|"
            r"passaggio|passaggi)",
            r"(?:resposta )?não (?:está|consta|aparece|se encontra) (?:no|nos|na|nas) (?:textos?|"
            r"passagem|passagens|trechos?)",
            r"non (?:è |viene )?(?:specificato|menzionato|indicato|detto|presente)(?: .*)?",
            r"(?:sconosciut[oa]|nessuna (?:informazione|risposta)(?: .*)?)",
            r"(?:il testo|il brano|i brani|i testi) non (?:lo |la |ci )?(?:dice|dicono|"
            r"(?:menziona|specifica|indica|riporta)(?:no)?|fornisce|forniscono|contiene|contengono|"
            r"risponde|rispondono)(?: .*)?",
            r"não (?:é |está |foi )?(?:mencionad|especificad|indicad|informad|dit)[oa](?: .*)?",
            r"(?:desconhecid[oa]|sem resposta|não há (?:informação|resposta)(?: .*)?)",
            r"(?:o texto|os textos|a passagem|as passagens|o trecho|os trechos) não (?:o |a |se |nos )?"
            r"(?:diz|dizem|(?:menciona|especifica|indica|informa)m?|contém|contêm|fornecem?|respondem?)"
            r"(?: .*)?",
            # Russian, Korean
            r"(?:ответ |это )?(?:в (?:тексте|текстах|отрывке|отрывках) )?не (?:указано?|упомянуто?|"
            r"упоминается|сказано|говорится)(?: в (?:тексте|текстах|отрывке|отрывках))?",
            r"(?:ответа )?нет в (?:тексте|текстах|отрывке|отрывках)|неизвестно",
            r"нет (?:ответа|информации)",
            r"(?:답은 |정답은 )?(?:본문|지문|글|문서)에(?:는)? (?:없습니다|없음|없다|나오지 않습니다|"
            r"언급되지 않았습니다)|알 수 없(?:음|습니다|다)",
            # Chinese and Japanese
            r"(?:答案)?(?:不在|没有在|沒有在)(?:文中|文章中?|段落中?|原文中?|上文中?)",
            r"(?:答えは)?(?:文中|本文|文章|パッセージ)に(?:は)?(?:ありません|ない|ないです|"
            r"含まれていません)",
            r"(?:(?:文中|文章|段落|原文|短文|上文)(?:中|里)?)?(?:未|没有|沒有|并未|並未)"
            r"(?:明确|明確)?(?:提及|提到|说明|說明|给出|給出|指出)(?:答案|信息)?",
            r"未知|不知道|无法(?:确定|回答|得知)|無法(?:確定|回答|得知)|没有答案|沒有答案",
            r"(?:文章|本文|文中|パッセージ)?(?:に|には)?(?:は)?(?:記載(?:が|は)?(?:なし|ない|ありません|されていない|"
            r"されていません)|書かれていない|書かれていません)|不明(?:です)?|わからない|わかりません",
        )
    )
)
_BRIEF: Final = re.compile(r"\s*n\s*/\s*a\.?\s*", re.IGNORECASE)
"""Before punctuation goes: "NA" alone may be sodium."""


def declines(text: str) -> bool:
    """Whether an answer says that the passages do not say it.

    Args:
        text: The answer as a finder saw it; one of more than a line's length is none.
    """
    if len(text) > 2 * MAX_ANSWER_CHARACTERS:
        return False
    if _BRIEF.fullmatch(text):
        return True
    return _WHOLE.fullmatch(normalised(readable(text))) is not None
