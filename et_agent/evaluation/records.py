"""What is kept of a decoded question: leaf statistics, answers, costs.

Everything that estimators and metrics need is here, so that neither texts nor logits are read again.
"""

import dataclasses
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from et_agent.arrays import Bools, Doubles, Ints
from et_agent.calibration.features import FeatureValues, features_of
from et_agent.calibration.labels import checked_label
from et_agent.errors import DataError, InputError
from et_agent.uncertainty.leaf_table import LeafTable

__all__ = ["QuestionRecord"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QuestionRecord:
    """One question of a run.

    Attributes:
        item: Id of the question.
        question: The item's fingerprint, which tells whether it is still the same question.
        kind: Answer kind that was read.
        subject: As the data set has it.
        answers: Answer of each class, as results show it.
        right: Whether each class is a right answer.
        leaves: Leaf statistics.
        prompt_tokens: Tokens of the prompt.
        tokens_decoded: Generated tokens, shared ones once.
        tokens_as_chains: Tokens that as many separate chains would have needed.
        seconds: Time of its share of all decode steps that it took part in.
        extras: Values of estimators that need the model, by name.
        answerable: Probability that the question can be answered, as the model says; None if it was
            not asked.
    """

    item: str
    question: str
    kind: str
    subject: str
    answers: tuple[str, ...]
    right: tuple[bool, ...]
    leaves: LeafTable
    prompt_tokens: int
    tokens_decoded: int
    tokens_as_chains: int
    seconds: float
    extras: Mapping[str, Any]
    answerable: float | None = None

    @property
    def features(self) -> FeatureValues:
        """Features of the tree by name.

        Raises:
            CalibrationError: No leaf gave an answer.
        """
        return features_of(self.leaves, answerable=self.answerable)

    @property
    def correct(self) -> bool:
        """Whether the weighted vote is right; no answer is wrong."""
        top = self.leaves.top
        return top is not None and self.right[top]

    @property
    def leaf_right(self) -> Bools:
        """Whether each leaf is right, bool [leaves]."""
        return np.array([*self.right, False])[self.leaves.answer]

    def part(self, leaves: Ints, weight: Doubles) -> Self:
        """The record as it would be if only these of its leaves had been decoded.

        Args:
            leaves: Their indices.
            weight: Their path weights, float64 [leaves].
        """
        return self._with_leaves(self.leaves, leaves, weight=weight)

    def capped(self, leaves: int, shift: float | None = None) -> Self:
        """The record of the tree with at most so many leaves, as `LeafTable.capped` has it.

        It is the same one where there are no more.

        Args:
            leaves: 1 or more.
            shift: Where the choice of codes begins, in [0, 1); None draws it, always the same for one
                question.
        """
        if 0 < self.leaves.count.sum() <= leaves:
            return self
        if shift is None:
            shift = random.Random(self.item).random()
        return self._with_leaves(self.leaves.capped(leaves, shift), slice(None))

    def _with_leaves(self, table: LeafTable, leaves: Ints | slice, **changed: NDArray[Any]) -> Self:
        """The record with some leaves of a table that has this record's answer classes.

        Answer classes are numbered anew by their first leaf, since ties that nothing else breaks go to
        the lowest number: other leaves of the whole tree have no say in that. Seconds go with the
        tokens.
        `extras` describe the whole tree and go.
        """
        given = table.answer[leaves].tolist()
        known = [one for one in dict.fromkeys(given) if one >= 0]
        if known != list(range(len(known))):
            number = {-1: -1, **{one: at for at, one in enumerate(known)}}
            changed["answer"] = np.array([number[one] for one in given], np.int64)
        some = table.part(leaves, **changed)
        decoded = some.tokens_decoded
        return dataclasses.replace(
            self,
            answers=tuple(self.answers[one] for one in known),
            right=tuple(self.right[one] for one in known),
            leaves=some,
            tokens_decoded=decoded,
            tokens_as_chains=int((some.tokens * some.count).sum()),
            seconds=self.seconds * decoded / max(1, self.tokens_decoded),
            extras={},
        )

    def as_json(self) -> dict[str, Any]:
        """Plain types; `extras` are kept apart."""
        return {
            "item": self.item,
            "question": self.question,
            "kind": self.kind,
            "subject": self.subject,
            "answers": list(self.answers),
            "right": list(self.right),
            "leaves": self.leaves.as_lists(),
            "prompt_tokens": self.prompt_tokens,
            "tokens_decoded": self.tokens_decoded,
            "tokens_as_chains": self.tokens_as_chains,
            "seconds": round(self.seconds, 4),
            "answerable": None if self.answerable is None else round(self.answerable, 6),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any], extras: Mapping[str, Any]) -> Self:
        """The inverse of `as_json`.

        Raises:
            DataError: A field is missing or too many, or a label is none.
        """
        try:
            return cls(
                **{
                    **values,
                    "answers": tuple(values["answers"]),
                    "right": tuple(map(checked_label, values["right"])),
                    "leaves": LeafTable.from_lists(values["leaves"]),
                },
                extras=extras,
            )
        except (KeyError, TypeError, InputError) as error:
            raise DataError(f"a stored question cannot be read: {error}") from error
