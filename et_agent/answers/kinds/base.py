"""What an answer kind has to say: its instruction, how it reads, suggests itself and compares."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from et_agent.answers.finders import FINDERS, Finder, Found
from et_agent.answers.worker import MathWorker

__all__ = ["ANSWER_MARKER", "Kind", "Reading", "Suggestion"]

ANSWER_MARKER: Final = "\\boxed{"
"""What the answer follows, as every kind's instruction asks."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A string read as an answer of some kind."""

    value: str
    """The answer to show."""

    key: Hashable
    """Canonical form, a pair of tag and form: equal keys are equal answers."""


@dataclass(frozen=True, slots=True, order=True)
class Suggestion:
    """Why a question asks for a kind; of several kinds the one with the lowest rank is taken."""

    rank: int
    reason: str
    """One sentence for a person."""


class Kind(ABC):
    """A kind of answer."""

    instruction: ClassVar[str]
    """One sentence for the system prompt."""
    noun: ClassVar[str]
    """What such answers are called, in the plural."""
    overruled: ClassVar[bool] = True
    """Whether leaves that answer in another kind overrule a question that suggests this one."""
    finders: ClassVar[tuple[Finder, ...]] = FINDERS
    """Where in a leaf the answer is looked for, in this order."""
    reads_code: ClassVar[bool] = False
    """Whether blocks of code are looked at; for other kinds they are no part of what a leaf says."""
    reads_unfinished: ClassVar[bool] = False
    """Whether a leaf that was cut off is read as far as it goes; others then need a closed box."""

    voted: ClassVar[bool] = True
    """Whether leaves vote for the answer, and what they quote is none. Else there is no right one that
    others could be graded by."""

    @abstractmethod
    def suggestion(self, question: str) -> Suggestion | None:
        """Why the question asks for this kind; None if nothing in it does."""

    @abstractmethod
    def rank(self, content: str, question: str) -> int | None:
        """How firmly a box's content is of this kind, 0 the firmest; None if it is not.

        Args:
            content: What stands in the box, or behind a marker.
            question: The question, "" when it is not known.
        """

    @abstractmethod
    def read(self, found: Found, question: str) -> Reading | None:
        """Read a string that a finder saw; None if it is not an answer of this kind.

        Args:
            found: The string.
            question: The question, "" when it is not known.
        """

    def representatives(
        self, keys: Sequence[Hashable], worker: MathWorker | None, seconds: float
    ) -> dict[Hashable, Hashable]:
        """Map each key to the key that stands for its class; by default each is its own.

        Args:
            keys: Distinct keys, in the order of the leaves.
            worker: Compares expressions; the process-wide one if None.
            seconds: Time for all comparisons together; what is left over then counts as unequal.
        """
        del worker, seconds
        return {key: key for key in keys}
