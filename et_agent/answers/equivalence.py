"""When two leaves say the same: equivalence classes of answers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from et_agent.answers.declining import DECLINED
from et_agent.answers.extraction import Extracted
from et_agent.answers.kinds import KINDS, AnswerKind, require_decided
from et_agent.answers.worker import MathWorker
from et_agent.arguments import checks_arguments
from et_agent.errors import SettingsError
from et_agent.validation import shown

__all__ = ["AnswerClasses", "answer_classes", "equivalence_classes"]


@dataclass(frozen=True)
class AnswerClasses:
    """The distinct answers that a set of leaves gives."""

    labels: tuple[str, ...]
    """One string per class to show: its most common `value`, then its shortest, then the first in
    alphabetical order. Classes stand in the order in which leaves first give them."""

    index_of_leaf: tuple[int | None, ...]
    """For each leaf the index of its class in `labels`, None if it gave no answer."""


@checks_arguments
def answer_classes(
    answers: Sequence[Extracted | None],
    kind: AnswerKind | str,
    *,
    worker: MathWorker | None = None,
    total_seconds: float = 20.0,
) -> AnswerClasses:
    """Sort the answers of leaves into classes of equal answers.

    Equal keys are equal answers. For `math` and `quantity`, keys that differ are compared further
    (`Kind.representatives`).

    Args:
        answers: one per leaf, in leaf order, all extracted with the same kind.
        kind: that kind; not `auto`.
        worker: compares expressions; the process-wide one if not given.
        total_seconds: time for all comparisons together; what is left over then counts as unequal.

    Raises:
        SettingsError: if `kind` is unknown or `auto`, or `total_seconds` is not positive.
    """
    decided = require_decided(kind)
    if not total_seconds > 0:
        raise SettingsError(f"total_seconds must be positive, not {shown(total_seconds)}")
    given = [answer for answer in answers if answer is not None]
    keys = list(dict.fromkeys(answer.key for answer in given))
    read = [key for key in keys if key != DECLINED]
    representative = {
        **KINDS[decided].representatives(read, worker, total_seconds),
        DECLINED: DECLINED,
    }
    order = dict.fromkeys(representative[answer.key] for answer in given)
    class_of = {key: index for index, key in enumerate(order)}
    index_of_leaf = tuple(
        None if answer is None else class_of[representative[answer.key]] for answer in answers
    )
    values: list[list[str]] = [[] for _ in class_of]
    for answer in given:
        values[class_of[representative[answer.key]]].append(answer.value)
    return AnswerClasses(tuple(_label(members) for members in values), index_of_leaf)


@checks_arguments
def equivalence_classes(
    answers: Sequence[Extracted | None], kind: AnswerKind | str
) -> list[int | None]:
    """Return only the class index of each leaf; see `answer_classes`, whose errors it raises."""
    return list(answer_classes(answers, kind).index_of_leaf)


def _label(values: Sequence[str]) -> str:
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], len(value), value))
