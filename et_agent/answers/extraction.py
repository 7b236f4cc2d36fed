r"""From a leaf's text to its answer: find a string, read it as the kind says, compare it."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Final

from et_agent.answers.braces import boxes
from et_agent.answers.declining import DECLINED, NOT_THERE, declines
from et_agent.answers.finders import Found, FoundBy, find_denial, find_marked, join_boxes
from et_agent.answers.guess import decide_kind
from et_agent.answers.kinds import KINDS, AnswerKind, require_decided
from et_agent.answers.kinds.base import Kind, Reading
from et_agent.answers.own_words import own_words
from et_agent.arguments import checks_arguments

__all__ = ["Extracted", "extract", "read_value"]


_MOST_CODE: Final = 100_000


@dataclass(frozen=True)
class Extracted:
    """The answer that one leaf gives."""

    raw: str
    """The string found, as the leaf has it."""

    value: str
    """The answer to show: "72", "\\frac{1}{2}", "B", "Paris"."""

    key: Hashable
    """Canonical form: equal keys are equal answers; for `math` and `quantity` the converse may fail."""

    found_by: FoundBy
    """Which finder saw it (`FoundBy`)."""

    @property
    def declined(self) -> bool:
        """Whether it says that the given passages do not say it."""
        return self.key == DECLINED


@checks_arguments
def extract(
    text: str,
    kind: AnswerKind | str,
    *,
    question: str | None = None,
    finished: bool = True,
    declining: bool = False,
    given: str = "",
) -> Extracted | None:
    r"""Return the answer in a leaf's text, or None if it gives none.

    The last filled `\boxed{}` is asked first, then the last "answer is", "Answer:" or "####", then
    the last line; some kinds look elsewhere too (`Kind.finders`). Code and quotations of the question
    are no part of what the leaf says (`et_agent.answers.own_words`). If there is a box that the kind
    cannot read, the last line is not asked: the leaf did give its answer, and it was another sort of
    thing.

    Args:
        text: what the model generated, any length.
        kind: how to read it; `auto` decides from the question and this text alone.
        question: maps an option's text to its letter, tells how its language writes numbers and dates,
            which unit and which order are asked for, and guides the guess of `auto`.
        finished: False for a leaf that the token limit cut off. Then only a closed box or a marker
            whose line is complete counts, since the cut may have gone through the answer.
        declining: whether the model may say that the passages it was given do not say it. Whatever
            the kind, all such answers are one (`answers.declining`).
        given: what else the leaf may quote: passages, results of tools, earlier messages.

    Raises:
        SettingsError: if `kind` is unknown.
    """
    if kind == AnswerKind.AUTO:
        decided = decide_kind(question or "", [text], given=given).kind
    else:
        decided = require_decided(kind)
    box_seen, reader = False, KINDS[decided]
    quotable = f"{given}\n{question or ''}"
    refused = _refusal(_told(text, quotable, finished=finished)) if declining else None
    for found in _candidates(text, quotable, reader, finished=finished):
        if found.found_by in ("last line", "first line") and box_seen:
            return None
        if refused is not None and found.found_by != "boxed":
            return refused
        if declining and declines(found.content):
            return Extracted(found.content, NOT_THERE, DECLINED, found.found_by)
        reading = reader.read(found, question or "")
        if reading is not None and not (_is_words(reading) and _is_cut(found, text)):
            return Extracted(found.raw or found.content, reading.value, reading.key, found.found_by)
        box_seen = box_seen or found.found_by == "boxed"
    if refused is not None:
        return refused
    if declining and decided is not AnswerKind.TEXT:
        # Words that decline are no candidate of a kind that looks for JSON or code.
        words = extract(
            text, AnswerKind.TEXT, question=question, finished=finished, declining=True, given=given
        )
        return words if words is not None and words.declined else None
    return None


@checks_arguments
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


def _refusal(own: str) -> Extracted | None:
    """What "the answer is not in the passages" says; finders take it for no answer."""
    denied = find_denial(own)
    if denied is None or not declines(denied.content):
        return None
    return Extracted(denied.content, NOT_THERE, DECLINED, denied.found_by)


def _told(text: str, quotable: str, *, finished: bool) -> str:
    """A leaf's own words in lines that are complete."""
    return own_words(text if finished else text.rpartition("\n")[0], quotable)


def _is_words(reading: Reading) -> bool:
    """Whether any words would give such a reading."""
    return isinstance(reading.key, tuple) and reading.key[0] in ("text", "list")


def _is_cut(found: Found, text: str) -> bool:
    """Whether a line had parts that are not the leaf's own; what is left of it are no words to read."""
    return found.found_by in ("last line", "first line") and found.content not in text


def _candidates(text: str, quotable: str, kind: Kind, *, finished: bool) -> Iterator[Found]:
    # Where there is no vote, nothing may pose as an answer.
    own = own_words(text, quotable, code=kind.reads_code) if kind.voted else text[-_MOST_CODE:]
    if finished or kind.reads_unfinished:
        for finder in kind.finders:
            found = finder(own)
            if found is not None:
                yield found
        return
    # A box is closed as long as its leaf, a marker's line only when the next one has begun.
    closed = [box for box in boxes(own) if box.closed and box.content.strip()]
    boxed, marked = join_boxes(own, closed), find_marked(_told(text, quotable, finished=False))
    yield from (found for found in (boxed, marked) if found is not None)
