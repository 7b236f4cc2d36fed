r"""From a leaf's text to its answer: find a string, read it as the kind says, compare it."""

from collections.abc import Hashable
from dataclasses import dataclass

from et_agent.answers.braces import boxes
from et_agent.answers.declining import DECLINED, NOT_THERE, declines
from et_agent.answers.finders import FINDERS, Found, FoundBy, find_marked
from et_agent.answers.guess import decide_kind
from et_agent.answers.kinds import KINDS, AnswerKind, require_decided

__all__ = ["Extracted", "extract", "read_value"]


@dataclass(frozen=True)
class Extracted:
    """The answer that one leaf gives."""

    raw: str
    """The string found, as the leaf has it."""

    value: str
    """The answer to show: "72", "\\frac{1}{2}", "B", "Paris"."""

    key: Hashable
    """Canonical form: equal keys are equal answers; for `math` alone the converse may fail."""

    found_by: FoundBy
    """Which finder saw it: "boxed", "answer is" or "last line"."""

    @property
    def declined(self) -> bool:
        """Whether it says that the given passages do not say it."""
        return self.key == DECLINED


def extract(
    text: str,
    kind: AnswerKind | str,
    *,
    question: str | None = None,
    finished: bool = True,
    declining: bool = False,
) -> Extracted | None:
    r"""Return the answer in a leaf's text, or None if it gives none.

    The last filled `\boxed{}` is asked first, then the last "answer is", "Answer:" or "####", then
    the last line. If there is a box that the kind cannot read, the last line is not asked: the leaf
    did give its answer, and it was another sort of thing.

    Args:
        text: what the model generated, any length.
        kind: how to read it; `auto` decides from the question and this text alone.
        question: for `choice`, maps an option's text to its letter; for `auto`, guides the guess.
        finished: False for a leaf that the token limit cut off. Then only a closed box or a marker
            whose line is complete counts, since the cut may have gone through the answer.
        declining: whether the model may say that the passages it was given do not say it. Whatever
            the kind, all such answers are one (`answers.declining`).

    Raises:
        SettingsError: if `kind` is unknown.
    """
    if kind == AnswerKind.AUTO:
        decided = decide_kind(question or "", [text]).kind
    else:
        decided = require_decided(kind)
    box_seen = False
    for found in _candidates(text, finished=finished):
        if found.found_by == "last line" and box_seen:
            return None
        if declining and declines(found.content):
            return Extracted(found.content, NOT_THERE, DECLINED, found.found_by)
        reading = KINDS[decided].read(found, question or "")
        if reading is not None:
            return Extracted(found.content, reading.value, reading.key, found.found_by)
        box_seen = box_seen or found.found_by == "boxed"
    return None


def read_value(
    text: str, kind: AnswerKind | str, *, question: str | None = None
) -> Extracted | None:
    """Return an answer that stands by itself, such as a data set's; None if `kind` cannot read it.

    Args:
        text: the answer, as it would stand in a box.
        kind: how to read it; not `auto`.
        question: for `choice`, maps an option's text to its letter.

    Raises:
        SettingsError: if `kind` is unknown or `auto`.
    """
    reading = KINDS[require_decided(kind)].read(Found(text, "boxed"), question or "")
    return None if reading is None else Extracted(text, reading.value, reading.key, "boxed")


def _candidates(text: str, *, finished: bool) -> list[Found]:
    if finished:
        found = [finder(text) for finder in FINDERS]
    else:
        closed = [box.content.strip() for box in boxes(text) if box.closed]
        boxed = [Found(content, "boxed") for content in closed if content]
        complete_lines = text.rpartition("\n")[0]
        found = [boxed[-1] if boxed else None, find_marked(complete_lines)]
    return [candidate for candidate in found if candidate is not None]
