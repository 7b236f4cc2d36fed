"""The kind `number`: one exact number, in digits, as a fraction or in words."""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from et_agent.answers.asides import without_asides
from et_agent.answers.dates import date_in_value
from et_agent.answers.finders import Found
from et_agent.answers.kinds.base import Kind, Reading, Suggestion
from et_agent.answers.none import says_none
from et_agent.answers.number import (
    display_number,
    number_in_prose,
    number_in_value,
    plain_number,
)
from et_agent.answers.numerals import convention_of
from et_agent.answers.quantity import asked_unit, endings, number_in_unit, quantity_in_value
from et_agent.answers.text import first_sentence

__all__ = ["NUMBER", "asks_for_number"]

_QUANTITY_WORDS = re.compile(
    r"\b(?:how (?:many|much|old|far|long|tall|fast|heavy|big|large|high|wide|deep)|"
    r"what (?:is|was|are) the (?:total|sum|average|mean|number|amount|cost|price|difference|"
    r"percentage|probability|product|remaining|value|area|perimeter|volume|speed|distance)|"
    r"what (?:percentage|percent|fraction|number|year)|"
    r"calculate|compute|find the (?:total|number|sum|value|average|cost|area|volume)|"
    r"wie (?:oft|alt|lange?|weit|hoch|schwer|schnell|groß)|quel (?:âge|(?:est|serait|"
    r"sera) .{0,20}(?:prix|montant|total))|"
    r"(?:was|welche[nrs]?) .{0,40}(?:summe|gesamt\\w*|anzahl|durchschnitt\\w*)|"
    r"quel(?:le)?s? (?:est|sont|était|sera(?:it)?|quantité|nombre|somme)|"
    r"как(?:ов[аоы]?|ая|ой|ое|ую) .{0,20}(?:сумма|количеств\\w*|цена|стоимость|число)|"
    r"(?:calcule[rz]?|calcula|calcola|berechnen?|(?:рас|под|по)считайте|вычислите|найдите)|насколько|"
    r"как (?:долго|далеко|часто))\b"
    r"|多[长远旧大高重少久]|能.{0,2}几|[^\s]几[个只包本条岁次天年]|计算|何[^\s]{1,2}(?:必要|"
    r"でしょう|です|あり|かか)|計算|求め|얼마나|احسب",
    re.IGNORECASE,
)
_ASKED = re.compile(
    r"\b(?:what|find|calculate|how|wie|welche[rsnm]?|berechne|quel(?:le)?s?|calcule[rz]?|qué|"
    r"cuál|cuáles|calcula|"
    r"qual[ei]?|che|calcola|qual|que|каков[аоы]?|как(?:ой|ая|ое|ие|ую)?|найдите?|вычислите?)\b"
    r"|多|计算|求|何|いくら|求め|どれ|얼마|몇|구하|كم|ما |احسب|क्या|कितन|ज्ञात",
    re.IGNORECASE,
)
_AMOUNT_WORDS = re.compile(
    r"\b(?:total|combined|average|sum|number of|amount|price|cost|salary|age|measure of|"
    r"gesamt\w*|summe|anzahl|preis|kosten|betrag|alter|somme|quantité|nombre|prix|coût|âge|bénéfice|"
    r"probabilité|suma|número|cantidad|precio|coste|edad|somma|numero|quantità|prezzo|costo|età|soma|"
    r"quantidade|preço|custo|idade|сумма|количество|число|цена|стоимость|возраст)\b",
    re.IGNORECASE,
)
_FIGURES_OF_A_WORD_PROBLEM = 2
_COUNT_WORDS = re.compile(
    r"\bhow (?:many|much)\b|\b(?:wie ?viele?n?(?! uhr)|wie oft|combien|cu[aá]nt[oa]s?|"
    r"quant[oiae](?! (?:è|sono) (?:alt|lung|pesant|lontan|profond))|quant[oa]s|"
    r"сколько|скольки)\b|多少|几[个只本条岁次天年人块元]|幾|いくつ|いくら|"
    r"どれ(?:だけ|くらい|ぐらい|ほど)|何(?:フィート|メートル|キロ|ドル|インチ|リットル|ポンド|グラム|セント)|"
    r"何[個人本枚回匹円歳日分]|何パーセント|"
    r"몇(?! ?시(?:에|입|인|[?？]))|얼마|كم\s|कितन[ेाी]",
    re.IGNORECASE,
)
_SUM = re.compile(r"\d\s*[-+*/×÷^]\s*\(?\d")
_DIGITS = re.compile(r"\d+(?:[.,:]\d+)*")
_WORDS_ASKED = re.compile(
    r"\b(?:who|whom|whose|where|which (?:person|country|city)|what (?:is|was) the name|wer|wem|"
    r"wessen|wo|qui|où|"
    r"quién|dónde|chi|dove|quem|onde|кто|где)\b|谁|哪里|哪儿|哪个|誰|どこ|누구|어디|أين|कौन|कहाँ",
    re.IGNORECASE,
)
_WORD = re.compile(r"(?<!\\)[A-Za-z]{2,}")
_MOST_WORDS_BESIDE: Final = 3
_MOST_CHARACTERS: Final = 200
_NONE: Final = Fraction(0, 1)
"""Stands for "names no one number"; told from a zero by its identity."""
_MOST_CHARACTERS_OF_PROSE: Final = 2000
_RATIO: Final = re.compile(r"\d+\s?/\s?\d+")
_CODE: Final = re.compile(r"0\d+|\+\d+")
_LETTERS: Final = re.compile(r"[^\W\d_]|\d\s?['’′]")
"""Of a word, or the sign of a unit behind a number."""
_DATED: Final = re.compile(r"\d[^\d]{0,12}[^\W\d_]{3,}|[^\W\d_]{3,}\.?,?\s+\d|[年月년월]")
_COMPOUND: Final = re.compile(
    r"\d\s*[^\W\d_]+\D{1,6}\d+\.?\d*\s*[^\W\d_]|\d\s?['’′]\s?\d+\.?\d*\s?[\"”″'’′]"
)
_YEAR_ASKED: Final = re.compile(
    r"\b(?:year|jahr|année|año|anno|ano|году?)\b|年|년|عام|سنة|वर्ष|साल", re.IGNORECASE
)


class _Number(Kind):
    instruction = "Reason step by step, and put the final number in \\boxed{}."
    noun = "numbers"

    def suggestion(self, question: str) -> Suggestion | None:
        """The words "how many" decide; else a quantity, calculation or amount, with figures about."""
        if _COUNT_WORDS.search(question):
            return Suggestion(20, "The question asks how many or how much.")
        figures = len(_DIGITS.findall(question))
        quantity = _QUANTITY_WORDS.search(question)
        if quantity is not None and figures:
            return Suggestion(40, f'The question says "{quantity.group()}" and gives figures.')
        if _WORDS_ASKED.search(question):
            return None
        if asked_unit(question) is not None and _ASKED.search(question):
            return Suggestion(45, "The question names the unit of its answer.")
        if _SUM.search(question):
            return Suggestion(50, "The question is a calculation with figures.")
        asked = _ASKED.search(question)
        needed = 1 if _AMOUNT_WORDS.search(question) else _FIGURES_OF_A_WORD_PROBLEM
        if asked is None or figures < needed:
            return None
        return Suggestion(60, f'The question asks "{asked.group()}" and gives figures.')

    def rank(self, content: str, question: str) -> int | None:
        """A bare number is one; "12 apples" too, but "14 December 1972" and "Apollo 11" are words.

        "120/80" is two numbers where the question asks for none, and so do the signs of "02134", "+33".
        """
        if _CODE.fullmatch(content.strip(" \t.*")) and not asks_for_number(question):
            return None
        convention = convention_of(question or content)
        if plain_number(content, convention) is not None:
            said = _RATIO.fullmatch(content.strip()) is None or asks_for_number(question)
            return 10 if said else None
        if number_in_value(content, convention) is None:
            return None
        digits = len(re.findall(r"\d+(?:[.,]\d+)*", content))
        leads = re.match(r"[^\w]*\d", content) is not None
        few_words = len(_WORD.findall(content)) <= _MOST_WORDS_BESIDE
        return 20 if digits == 0 or (digits == 1 and leads and few_words) else None

    def read(self, found: Found, question: str) -> Reading | None:
        """The number of a box, or of a sentence.

        Units are ignored, except that of a compound amount such as "3 hours 20 minutes", which is a
        number in the unit that the question asks for, and of a date, which is one in its year.
        """
        number = _several_parts(found, question)
        if number is None:
            convention = convention_of(question or found.content)
            if found.found_by == "boxed":
                number = number_in_value(found.content, convention)
            else:
                first = found.found_by == "answer is"
                most = _MOST_CHARACTERS_OF_PROSE
                line = found.content[:most] if first else found.content[-most:]
                years = _YEAR_ASKED.search(question) is not None
                told = without_asides(line, question, years=years)
                number = number_in_prose(told, prefer_first=first, convention=convention)
        if number is None and _COUNT_WORDS.search(question):
            whole = found.found_by == "boxed"
            content = found.content if whole else first_sentence(found.content)
            number = Fraction(0) if says_none(content, question, whole=whole) else None
        if number is None or number is _NONE:
            return None
        return Reading(display_number(number), ("number", number))


def asks_for_number(question: str) -> bool:
    """Whether a question asks for a number or calculation in so many words."""
    return not question or NUMBER.suggestion(question) is not None


def _several_parts(found: Found, question: str) -> Fraction | None:
    """The number of an amount of several units, or of a date; `_NONE` if the question takes none."""
    content = found.content
    if len(content) > _MOST_CHARACTERS or not _LETTERS.search(content):
        return None
    dated = _DATED.search(content)
    if dated is not None:
        moment = date_in_value(content, question)
        if moment is not None and moment.month is not None:
            asked = _YEAR_ASKED.search(question)
            return Fraction(moment.year) if asked and moment.year is not None else _NONE
    if _COMPOUND.search(content):
        for amount in _amounts(found):
            told = quantity_in_value(amount, question)
            if told is not None and told.is_compound:
                number = number_in_unit(amount, question)
                return _NONE if number is None else number
    return None


def _amounts(found: Found) -> Iterator[str]:
    """What may be an amount: all of it, and the end of a sentence from each of its last numbers on."""
    yield found.content
    if found.found_by == "last line":
        yield from endings(found.content)


NUMBER: Final = _Number()
