"""Fields of a structured answer: what the leaves say of each, as a tree of its own.

A field is judged as an answer is. The leaves of the same tree are put into classes by the value that
each gives the field, and the tokens whose probability counts are those of the field. What follows from
leaves, features and confidence, holds for a field as for a whole answer.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from et_agent.answers.field_paths import Step, spell_path
from et_agent.answers.fields import ABSENT, field_key, fields_of, spans_of, value_at
from et_agent.arrays import Doubles
from et_agent.asking.reading import TreeReading
from et_agent.decoding.tree import Tree
from et_agent.results import FieldShare
from et_agent.uncertainty.leaf_table import LeafTable
from et_agent.uncertainty.measuring import span_statistics

__all__ = ["MOST_FIELDS", "AnswerField", "FieldReading", "read_fields"]

MOST_FIELDS: Final = 256
"""Fields of an answer that are reported; a longer answer is a document rather than a record."""
_Steps = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class AnswerField:
    """A field of the answer, and what the leaves say of it.

    Attributes:
        path: Its path.
        value: Its value in the answer.
        leaves: The leaves in classes by their value; `top` is that of the answer.
        alternatives: What other leaves say, the heaviest first.
    """

    path: str
    value: Any
    leaves: LeafTable
    alternatives: tuple[FieldShare, ...]

    @property
    def share(self) -> float:
        """Weight of the leaves that agree with the answer."""
        return self.leaves.checked.shares[self.leaves.top]


@dataclass(frozen=True, slots=True)
class FieldReading:
    """The fields of an answer.

    Attributes:
        fields: Those that are reported, in the order in which the answer has them.
        left_out: How many more the answer has.
    """

    fields: tuple[AnswerField, ...] = ()
    left_out: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know about them."""
        if not self.left_out:
            return ()
        return (
            f"the answer has {len(self.fields) + self.left_out} fields: the first {MOST_FIELDS} have a "
            "confidence of their own; ask for smaller parts if you need that of the others",
        )


def read_fields(
    tree: Tree, reading: TreeReading, leaves: LeafTable, token_bytes: Callable[[int], bytes]
) -> FieldReading:
    """The fields of the answer of a tree; none for an answer in words.

    Args:
        tree: The finished tree.
        reading: What its leaves say.
        leaves: Their statistics.
        token_bytes: The bytes a token stands for.
    """
    member = None if leaves.top is None else int(np.argmax(leaves.answer == leaves.top))
    answer = None if member is None else reading.bodies[member]
    if member is None or answer is None:
        return FieldReading()
    found = list(fields_of(answer.whole))
    wanted = [steps for steps, _ in found[:MOST_FIELDS]]
    # A reply may be null, which is a value.
    said = [ABSENT if body is None else body.whole for body in reading.bodies]
    log_probs, margins = _statistics(tree, reading, wanted, token_bytes)
    fields = []
    for at, steps in enumerate(wanted):
        values = [value_at(one, steps) for one in said]
        table = _classed(leaves, values, member, log_probs[:, at], margins[:, at])
        others = _alternatives(table, values)
        fields.append(AnswerField(spell_path(steps), values[member], table, others))
    return FieldReading(tuple(fields), len(found) - len(fields))


def _classed(
    leaves: LeafTable, values: Sequence[Any], member: int, log_probs: Doubles, margins: Doubles
) -> LeafTable:
    """The leaves in classes by a field's value; `top` is the class of the leaf `member`."""
    classes: dict[Hashable, int] = {}
    index = [
        # A leaf without an answer lies in no class; one whose answer lacks the field in one.
        classes.setdefault(one if one is ABSENT else field_key(one), len(classes))
        if answer >= 0
        else -1
        for one, answer in zip(values, leaves.answer.tolist(), strict=True)
    ]
    return leaves.about(
        index[member],
        answer=np.array(index, dtype=np.int64),
        answer_log_prob=log_probs,
        answer_margin=margins,
    )


def _alternatives(table: LeafTable, values: Sequence[Any]) -> tuple[FieldShare, ...]:
    """What leaves that do not agree say; null, a missing field and no answer are one alternative."""
    said: dict[int | None, Any] = {}
    for leaf in np.argsort(-table.weight, kind="stable").tolist():
        said.setdefault(table.checked.index[leaf], None if values[leaf] is ABSENT else values[leaf])
    others = {one: share for one, share in table.checked.shares.items() if one != table.top}
    nothing = [share for one, share in others.items() if said[one] is None]
    shares = [
        FieldShare(value=said[one], share=share)
        for one, share in others.items()
        if said[one] is not None
    ]
    if nothing:
        shares.append(FieldShare(value=None, share=min(1.0, math.fsum(nothing))))
    return tuple(sorted(shares, key=lambda one: -one.share))


def _statistics(
    tree: Tree, reading: TreeReading, wanted: Sequence[_Steps], token_bytes: Callable[[int], bytes]
) -> tuple[Doubles, Doubles]:
    """Log-probability and margin of fields' tokens, [leaves, fields] each; NaN where unknown."""
    log_probs = np.full((len(reading.bodies), len(wanted)), np.nan)
    margins = log_probs.copy()
    replies = zip(reading.bodies, reading.texts, reading.offsets, strict=True)
    for leaf, (body, text, offset) in enumerate(replies):
        # Bytes that are no text stand there as another number of bytes.
        if body is None or offset is None or "\ufffd" in text:
            continue
        spans = spans_of(body, text)
        known = [at for at, steps in enumerate(wanted) if steps in spans]
        if known:
            places = np.array([spans[wanted[at]] for at in known], dtype=np.int64) + offset
            log_probs[leaf, known], margins[leaf, known] = span_statistics(
                tree, leaf, places, token_bytes
            )
    return log_probs, margins
