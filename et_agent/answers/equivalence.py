"""When two leaves say the same: equivalence classes of answers."""

import time
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from et_agent.answers.base_numerals import same_numeral
from et_agent.answers.extraction import Extracted
from et_agent.answers.kinds import AnswerKind, require_decided
from et_agent.answers.worker import MathWorker, shared_worker
from et_agent.errors import SettingsError

__all__ = ["AnswerClasses", "answer_classes", "equivalence_classes"]


@dataclass(frozen=True)
class AnswerClasses:
    """The distinct answers that a set of leaves gives."""

    labels: tuple[str, ...]
    """One string a class to show: its most common `value`, then its shortest, then the first in
    alphabetical order. Classes stand in the order in which leaves first give them."""

    index_of_leaf: tuple[int | None, ...]
    """For each leaf the index of its class in `labels`, None if it gave no answer."""


def answer_classes(
    answers: Sequence[Extracted | None],
    kind: AnswerKind | str,
    *,
    worker: MathWorker | None = None,
    total_seconds: float = 20.0,
) -> AnswerClasses:
    """Sort the answers of leaves into classes of equal answers.

    Equal keys are equal answers. For `math`, keys that differ are compared further: exact numbers
    by value, words as words, all else by math-verify in a subprocess. math-verify's equality is not
    transitive, so each key, shortest first, joins the first class whose representative, its
    shortest key, it equals: a partition that does not depend on the order of the leaves. Two
    expressions that cannot be compared within the limits are equal only if their normal forms are.

    Args:
        answers: one a leaf, in leaf order, all extracted with the same kind.
        kind: that kind; not `auto`.
        worker: compares expressions; the process-wide one if not given.
        total_seconds: time for all comparisons together; what is left over then counts as unequal.

    Raises:
        SettingsError: if `kind` is unknown or `auto`, or `total_seconds` is not positive.
    """
    decided = require_decided(kind)
    if not total_seconds > 0:
        raise SettingsError(f"total_seconds must be positive, not {total_seconds!r}")
    given = [answer for answer in answers if answer is not None]
    representative: dict[Hashable, Hashable] = {answer.key: answer.key for answer in given}
    if decided is AnswerKind.MATH and len(representative) > 1:
        comparer = _Comparer(worker, time.monotonic() + total_seconds)
        representative = _representatives(sorted(representative, key=_key_order), comparer)
    order = dict.fromkeys(representative[answer.key] for answer in given)
    class_of = {key: index for index, key in enumerate(order)}
    index_of_leaf = tuple(
        None if answer is None else class_of[representative[answer.key]] for answer in answers
    )
    values: list[list[str]] = [[] for _ in class_of]
    for answer in given:
        values[class_of[representative[answer.key]]].append(answer.value)
    return AnswerClasses(tuple(_label(members) for members in values), index_of_leaf)


def equivalence_classes(
    answers: Sequence[Extracted | None], kind: AnswerKind | str
) -> list[int | None]:
    """Return only the class index of each leaf; see `answer_classes`, whose errors it raises."""
    return list(answer_classes(answers, kind).index_of_leaf)


class _Comparer:
    """Equality of two keys of kind `math`, cheapest way first."""

    def __init__(self, worker: MathWorker | None, deadline: float) -> None:
        self._worker = worker
        self._deadline = deadline

    def equal(self, left: Hashable, right: Hashable) -> bool:
        (left_tag, left_form), (right_tag, right_form) = _parts(left), _parts(right)
        # Two numbers, or two words, are equal only if their keys are.
        if left_tag == right_tag != "math" or "text" in (left_tag, right_tag):
            return False
        left_latex, right_latex = _latex(left_form), _latex(right_form)
        numeral = same_numeral(left_latex, right_latex)
        if numeral is not None:
            return numeral
        if time.monotonic() >= self._deadline:
            return False
        worker = shared_worker() if self._worker is None else self._worker
        return worker.equal(left_latex, right_latex) is True


def _representatives(keys: Sequence[Hashable], comparer: _Comparer) -> dict[Hashable, Hashable]:
    classes: list[Hashable] = []
    representative: dict[Hashable, Hashable] = {}
    for key in keys:
        found = next((known for known in classes if comparer.equal(known, key)), None)
        if found is None:
            classes.append(key)
        representative[key] = key if found is None else found
    return representative


def _parts(key: Hashable) -> tuple[str, str | Fraction]:
    assert isinstance(key, tuple)
    tag, form = key
    return tag, form


def _key_order(key: Hashable) -> tuple[int, str, str]:
    tag, form = _parts(key)
    return len(str(form)), str(form), tag


def _latex(form: str | Fraction) -> str:
    if isinstance(form, str):
        return form
    if form.denominator == 1:
        return str(form.numerator)
    sign = "-" if form < 0 else ""
    return rf"{sign}\frac{{{abs(form.numerator)}}}{{{form.denominator}}}"


def _label(values: Sequence[str]) -> str:
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], len(value), value))
