"""Whether an answer is right, by the rules of its data set."""

from collections.abc import Hashable
from fractions import Fraction

from et_agent.answers import AnswerKind, Extracted, answer_classes, read_value
from et_agent.answers.meaning import tells_all_of
from et_agent.errors import DataError
from et_agent.evaluation.items import Item

__all__ = ["gold_answers", "is_right"]


def gold_answers(item: Item) -> list[Extracted]:
    """The accepted answers, read as a leaf's answer would be.

    Raises:
        DataError: None can be read as the item's kind.
    """
    found = [read_value(gold, item.kind, question=item.question) for gold in item.golds]
    golds = [gold for gold in found if gold is not None]
    if not golds:
        raise DataError(
            f"{item.id}: no accepted answer can be read as {item.kind} ({item.golds[0]!r:.80}): "
            "correct the row"
        )
    return golds


def is_right(answer: str | None, item: Item) -> bool:
    """Whether an answer, as results show it, is one of the accepted ones.

    Numbers: equal, or within the item's relative tolerance of the accepted one. Mathematics: equal
    by math-verify within its limits. Quantities: the same amount in base units. Choices: the same
    letter. Text: SQuAD exact match with any accepted answer (Rajpurkar et al. 2016), or a sentence that
    says no more than one of them besides the question (`et_agent.answers.meaning.tells_all_of`).
    """
    if answer is None:
        return False
    given = read_value(answer, item.kind, question=item.question)
    if given is None:
        return False
    return any(_same(given, gold, item) for gold in gold_answers(item))


def _same(given: Extracted, gold: Extracted, item: Item) -> bool:
    if given.key == gold.key:
        return True
    if item.kind is AnswerKind.NUMBER and item.tolerance:
        return _close(given.key, gold.key, item.tolerance)
    if item.kind in (AnswerKind.MATH, AnswerKind.QUANTITY):
        index = answer_classes([given, gold], item.kind).index_of_leaf
        return index[0] == index[1]
    if item.kind is AnswerKind.TEXT:
        return tells_all_of(given.value, gold.value, item.question)
    return False


def _close(given: Hashable, gold: Hashable, tolerance: float) -> bool:
    match given, gold:
        case (("number", Fraction() as one), ("number", Fraction() as other)):
            # As `math.isclose` has it: relative to the larger of the two.
            return abs(one - other) <= Fraction(str(tolerance)) * max(abs(one), abs(other))
    return False
