"""Answers that say the same in other words become one class; two that differ are never in one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

import numpy as np

from et_agent.answers.declining import NOT_THERE
from et_agent.answers.equivalence import AnswerClasses
from et_agent.answers.kinds import AnswerKind
from et_agent.answers.meaning import same_meaning
from et_agent.arrays import Doubles

__all__ = ["JOINED_KINDS", "JUDGED_KIND", "Equivalence", "Joined", "cliques", "join_classes"]

Pair = tuple[str, str]
"""Two answers, as results show them, the heavier first."""

JUDGED_KIND: Final = AnswerKind.TEXT
"""Where a judge has a say; parts of lists and of dates are compared exactly."""
JOINED_KINDS: Final = frozenset(
    {AnswerKind.TEXT, AnswerKind.DATE, AnswerKind.LIST, AnswerKind.YES_NO}
)
"""Kinds whose answers may say the same in other words; those of the others are compared by value."""
_MOST_CLASSES: Final = 48
"""The heaviest are compared with each other; lighter ones stay as they are."""
_SAME: Final = 0.5


@runtime_checkable
class Equivalence(Protocol):
    """Judges whether two answers to a question say the same, in place of the model that gave them.

    A natural-language-inference model is one: the probability is that of entailment in both directions
    (`examples/nli_equivalence.py`).
    """

    @property
    def name(self) -> str:
        """What results and calibrators know it by."""
        ...

    def same(self, question: str, pairs: Sequence[Pair]) -> Sequence[float]:
        """Judge pairs of answers.

        It is called from the thread that waits for the result.

        Args:
            question: What all of them answer.
            pairs: At most 24 pairs of answers, of 160 characters each at most.

        Returns:
            For each pair the probability that both say the same, 0 to 1; from 0.5 on they do.
        """
        ...


@dataclass(frozen=True, slots=True)
class Joined:
    """Answer classes, those that say the same as one.

    Attributes:
        classes: The classes.
        undecided: Pairs of answers whose words do not tell, the heaviest first.
    """

    classes: AnswerClasses
    undecided: tuple[Pair, ...] = ()


def join_classes(
    classes: AnswerClasses,
    weights: Sequence[float],
    question: str,
    kind: AnswerKind,
    judged: Mapping[Pair, float] | None = None,
) -> Joined:
    """Join the classes of answers that say the same.

    The clustering of semantic entropy (Farquhar et al. 2024) asks for the first member of a class
    only, so that a vague answer joins two that differ. Here an answer joins a class if it says the same
    as each of its members, and of several such classes the one that it is closest to.

    Args:
        classes: Classes of answers that are equal word by word.
        weights: Path weight of each leaf, `[leaves]`.
        question: What they answer.
        kind: The answer kind; of kinds whose answers are compared by value nothing is joined.
        judged: What a judge says of pairs of labels, as probabilities.

    Returns:
        The classes, in the order of the leaves. Of at most 48, the heaviest, pairs are compared.
    """
    count = len(classes.labels)
    if kind not in JOINED_KINDS or count < 2:
        return Joined(classes)
    heavy = np.zeros(count)
    for member, weight in zip(classes.index_of_leaf, weights, strict=True):
        if member is not None:
            heavy[member] += weight
    order = sorted(range(count), key=lambda one: (-round(float(heavy[one]), 9), one))
    order = [one for one in order if classes.labels[one] != NOT_THERE]
    compared, given = order[:_MOST_CLASSES], judged or {}
    labels = [classes.labels[one] for one in compared]
    links = np.full((len(compared), len(compared)), np.nan)
    undecided = list[Pair]()
    for second in range(len(compared)):
        for first in range(second):
            pair = labels[first], labels[second]
            told = same_meaning(*pair, question)
            if told is None and kind is JUDGED_KIND:
                undecided.append(pair)
            link = given.get(pair, np.nan) if told is None else float(told)
            links[first, second] = links[second, first] = link
    found = cliques(links)
    head = {one: compared[at] for one, at in zip(compared, found, strict=True)}
    rank = {label: at for at, label in enumerate(labels)}
    undecided.sort(key=lambda pair: rank[pair[0]] + rank[pair[1]])
    return Joined(_merged(classes, head), tuple(undecided))


def cliques(links: Doubles) -> list[int]:
    """Put items into classes within which all pairs are linked, the first items first.

    Args:
        links: Probability that two items are the same, symmetric float64 `[items, items]`; NaN where it
            is not known, which does not link.

    Returns:
        For each item the first one of its class, `[items]`.
    """
    classes: list[list[int]] = []
    for item in range(len(links)):
        near = [min(_known(links[item, one]) for one in members) for members in classes]
        best = max(range(len(near)), key=near.__getitem__, default=-1)
        if best >= 0 and near[best] >= _SAME:
            classes[best].append(item)
        else:
            classes.append([item])
    head = {item: members[0] for members in classes for item in members}
    return [head[item] for item in range(len(links))]


def _known(link: float) -> float:
    return -1.0 if np.isnan(link) else float(link)


def _merged(classes: AnswerClasses, head: Mapping[int, int]) -> AnswerClasses:
    """The classes with some in place of others, in the order of the leaves.

    A class shows the words of most of its leaves, of equals the shortest, then the first by alphabet.
    """
    if all(one == other for one, other in head.items()):
        return classes
    heads = [None if one is None else head.get(one, one) for one in classes.index_of_leaf]
    number = {
        one: at for at, one in enumerate(dict.fromkeys(one for one in heads if one is not None))
    }
    leaves = [0] * len(classes.labels)
    for member in classes.index_of_leaf:
        if member is not None:
            leaves[member] += 1
    labels = dict[int, str]()
    for member in sorted(
        range(len(classes.labels)),
        key=lambda one: (-leaves[one], len(classes.labels[one]), classes.labels[one]),
    ):
        labels.setdefault(head.get(member, member), classes.labels[member])
    return AnswerClasses(
        tuple(labels[one] for one in number),
        tuple(None if one is None else number[one] for one in heads),
    )
