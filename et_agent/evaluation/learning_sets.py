"""Questions with known answers that a calibrator of a model can be learnt from."""

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from et_agent.answers import AnswerKind
from et_agent.answers.kinds import KINDS
from et_agent.arguments import checks_arguments
from et_agent.errors import DataError, SettingsError
from et_agent.evaluation.datasets import load_items
from et_agent.evaluation.items import Item, sample

__all__ = ["LearningSet", "chosen_kinds", "interleaved", "own_sets", "public_sets"]

_PUBLIC: Final = {
    AnswerKind.NUMBER: ("gsm8k:train", "svamp:train"),
    AnswerKind.CHOICE: ("mmlu:val",),
    AnswerKind.TEXT: ("nq-open:train",),
}
"""Not the test splits, on which results are reported."""
_SAMPLES: Final = {
    AnswerKind.NUMBER: "svamp-sample",
    AnswerKind.CHOICE: "choice-sample",
    AnswerKind.TEXT: "text-sample",
}


@dataclass(frozen=True, slots=True)
class LearningSet:
    """Questions of one kind out of one data set.

    Attributes:
        data: The data set and split, or the file.
        kind: Their kind.
        items: The questions, shuffled.
    """

    data: str
    kind: AnswerKind
    items: tuple[Item, ...]


def chosen_kinds(names: str) -> tuple[AnswerKind, ...]:
    """The answer kinds of a list with commas.

    Raises:
        SettingsError: One is unknown or "auto", or there is none.
    """
    known = [kind for kind, reader in KINDS.items() if reader.voted]
    given = [name.strip().lower() for name in names.split(",") if name.strip()]
    if unknown := [name for name in given if name not in known]:
        raise SettingsError(
            f"there is no answer kind {unknown[0]!r}: choose from {', '.join(known)}"
        )
    if not given:
        raise SettingsError(f"no answer kind is given: choose from {', '.join(known)}")
    return tuple(AnswerKind(name) for name in dict.fromkeys(given))


@checks_arguments
def public_sets(
    kinds: Sequence[AnswerKind], *, seed: int = 0, tell: Callable[[str], None]
) -> list[LearningSet]:
    """Public questions of these kinds; the samples of the package for those that cannot be had.

    Args:
        kinds: Answer kinds.
        seed: Of the shuffle.
        tell: Called with a line about each set that cannot be had.

    Raises:
        SettingsError: There are no public questions of a kind.
    """
    found = []
    for kind in kinds:
        if kind not in _PUBLIC:
            raise SettingsError(
                f"there are no public questions of the kind {kind}: choose from "
                f"{', '.join(_PUBLIC)}, or give questions of your own with --data"
            )
        sets = [_public(name, kind, seed, tell) for name in _PUBLIC[kind]]
        had = [one for one in sets if one is not None]
        if not had:
            tell(f"the questions of {_SAMPLES[kind]} are used")
        found += had or [_set(_SAMPLES[kind], kind, load_items(_SAMPLES[kind]), seed)]
    return found


def _public(
    name: str, kind: AnswerKind, seed: int, tell: Callable[[str], None]
) -> LearningSet | None:
    try:
        items = load_items(name)
    except DataError as error:
        tell(f"{name} is left out: {str(error).splitlines()[0].rstrip(':')}")
        return None
    return _set(name, kind, items, seed)


@checks_arguments
def own_sets(
    specs: Sequence[str], kinds: Collection[AnswerKind] | None = None, *, seed: int = 0
) -> list[LearningSet]:
    """Questions of data sets that were named, a set for each kind of theirs.

    Args:
        specs: Names of data sets, or files.
        kinds: Kinds to take; None for all.
        seed: Of the shuffle.

    Raises:
        DataError: One cannot be read.
        SettingsError: There is no question of a kind that is wanted.
    """
    found = []
    for spec in dict.fromkeys(specs):
        items = load_items(spec)
        for kind in dict.fromkeys(item.kind for item in items):
            if kinds is None or kind in kinds:
                found.append(_set(spec, kind, items, seed))
    missing = [kind for kind in kinds or () if kind not in {one.kind for one in found}]
    if missing:
        raise SettingsError(
            f"{', '.join(specs)}: no question is of the kind {missing[0]}: leave this kind out"
        )
    return found


def _set(data: str, kind: AnswerKind, items: Iterable[Item], seed: int) -> LearningSet:
    some = [item for item in items if item.kind is kind]
    return LearningSet(data, kind, tuple(sample(some, None, seed=seed)))


def interleaved(sets: Iterable[LearningSet]) -> Iterator[tuple[LearningSet, Item]]:
    """The questions of several sets in turn, until each has ended."""
    rows = itertools.zip_longest(*([(one, item) for item in one.items] for one in sets))
    return (pair for row in rows for pair in row if pair is not None)
