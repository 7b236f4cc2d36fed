"""From kept questions to rows of features with labels."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.retrieval.keeping import Kept
from et_agent.answers.declining import NOT_THERE
from et_agent.answers.text import normalised
from et_agent.arrays import Bools, Doubles, Ints
from et_agent.calibration.features import feature_row, features_of
from et_agent.calibration.grounds import Grounds
from et_agent.evaluation.records import QuestionRecord

LENIENT = 0.5
"""Least overlap with an accepted answer of one that counts as right (token F1 of SQuAD)."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree with an answer that does not decline.

    Attributes:
        features: Its features.
        right: Whether the passage holds an answer to the question, and this is it.
        share: Share of the answer.
    """

    features: Mapping[str, float | None]
    right: bool
    share: float

    @property
    def row(self) -> Doubles:
        """As maps read it."""
        return feature_row(self.features, "text")


def f1(answer: str, gold: str) -> float:
    """Overlap of words, as SQuAD has it (Rajpurkar et al. 2016)."""
    ours, theirs = normalised(answer).split(), normalised(gold).split()
    common = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * common / (len(ours) + len(theirs)) if common else 0.0


def is_right(answer: str, kept: Kept) -> bool:
    """Whether an answer is right: of more than half of an accepted one's words and hardly others."""
    return kept.answerable and max(f1(answer, gold) for gold in kept.golds) > LENIENT


def tree_of(kept: Kept, record: QuestionRecord | None = None) -> Tree | None:
    """A kept question's tree, or that of a part of it; None if it gives no answer, or declines."""
    record = kept.record if record is None else record
    leaves = record.leaves
    if leaves.top is None:
        return None
    answer = record.answers[leaves.top]
    if answer == NOT_THERE:
        return None
    beside = dict(zip(kept.record.answers, kept.beside, strict=True))
    shares = dict(zip(record.answers, leaves.shares.tolist(), strict=True))
    read = kept.grounding or {}
    same = bool(read) and normalised(read["answer"]) == normalised(answer)
    grounds = Grounds(beside[answer])
    if same:
        stated = read["stated"]
        grounds = replace(
            grounds,
            chosen=tuple(read["chosen"]),
            stated=math.nan if stated is None else stated,
            asked=tuple(read["asked"]),
        )
    features = features_of(leaves, answerable=record.answerable, beside=grounds.features())
    return Tree(features, is_right(answer, kept), shares[answer])


def sizes(kept: Kept, caps: Sequence[int]) -> Iterator[Tree]:
    """The tree of a question, and smaller ones that are parts of it."""
    found = {int(kept.record.leaves.count.sum()): kept.record}
    for cap in caps:
        part = kept.record.capped(cap)
        found.setdefault(int(part.leaves.count.sum()), part)
    for record in found.values():
        if (tree := tree_of(kept, record)) is not None:
            yield tree


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Trees as arrays.

    Attributes:
        rows: Features, float64 [n, columns].
        right: Whether each is right, bool [n].
        share: Share of the answer, [n].
        groups: Number of the question, [n]; of its trees the largest comes first.
    """

    rows: Doubles
    right: Bools
    share: Doubles
    groups: Ints

    @classmethod
    def of(cls, questions: Sequence[Kept], caps: Sequence[int] = ()) -> "Rows":
        """Those of questions, at their whole size and at smaller ones."""
        numbered = [(at, tree) for at, one in enumerate(questions) for tree in sizes(one, caps)]
        return cls(
            rows=np.array([tree.row for _, tree in numbered]),
            right=np.array([tree.right for _, tree in numbered]),
            share=np.array([tree.share for _, tree in numbered]),
            groups=np.array([at for at, _ in numbered], dtype=np.int64),
        )

    @property
    def weights(self) -> Doubles:
        """How much each row counts: those of a question together 1, [n]."""
        counts = np.bincount(self.groups)
        found: Doubles = 1.0 / counts[self.groups]
        return found
