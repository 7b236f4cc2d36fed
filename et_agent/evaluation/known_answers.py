"""Known answers beside results, by which these are labelled instead of by a person."""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from et_agent.answers import AnswerKind
from et_agent.errors import DataError
from et_agent.evaluation.datasets import load_items
from et_agent.evaluation.datasets.own import accepted
from et_agent.evaluation.grading import is_right
from et_agent.evaluation.items import Item

__all__ = ["KnownAnswers"]

_FIELDS: Final = ("expected", "gold")
"""Where a result may have its known answer: fields that results of `ask` have not."""


@dataclass(frozen=True, slots=True)
class KnownAnswers:
    """Accepted answers of questions.

    Attributes:
        items: What is known of each question.
        contradicted: Questions that have different answers in different places; none is taken.
    """

    items: Mapping[str, Item] = field(default_factory=dict)
    contradicted: frozenset[str] = frozenset()

    @classmethod
    def of(cls, spec: str) -> Self:
        """Those of a data set or a file (`load_items`).

        Raises:
            DataError: It cannot be read.
        """
        items: dict[str, Item] = {}
        contradicted = set()
        for item in load_items(spec):
            question = item.question.strip()
            first = items.setdefault(question, item)
            if not (_accepts(first, item.golds) and _accepts(item, first.golds)):
                contradicted.add(question)
        known = {question: item for question, item in items.items() if question not in contradicted}
        return cls(known, frozenset(contradicted))

    def expected(self, result: Mapping[str, Any]) -> tuple[str, ...]:
        """The accepted answers to the question of a result, given as plain data; empty if unknown."""
        item = self._item(result)
        return () if item is None else item.golds

    def grade(self, result: Mapping[str, Any]) -> bool | None:
        """Whether its answer is one of them (`is_right`); None if they are not known.

        It is read as the result's kind, or as that of the known answer where this cannot be. Of long
        answers and tool calls only a person can tell: they may be right in other words.
        """
        item = self._item(result)
        if item is None:
            return None
        answer, kind = str(result["answer"]), result.get("kind", item.kind)
        if kind == AnswerKind.LONG or kind not in tuple(AnswerKind):
            return None
        try:
            return is_right(answer, replace(item, kind=AnswerKind(kind)))
        except DataError:
            return is_right(answer, item)

    def _item(self, result: Mapping[str, Any]) -> Item | None:
        question = str(result["question"]).strip()
        beside = (accepted(result.get(name)) for name in _FIELDS)
        golds = next(filter(None, beside), None)
        if golds is None:
            return self.items.get(question)
        return Item(id=question, question=question, kind=AnswerKind.TEXT, golds=golds)


def _accepts(item: Item, answers: Iterable[str]) -> bool:
    """Whether all of these are answers that it accepts, as they are written or as they are read."""
    with contextlib.suppress(DataError):  # none of its own can be read
        return all(one in item.golds or is_right(one, item) for one in answers)
    return False
