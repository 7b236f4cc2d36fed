"""A question with its accepted answers, whatever data set it is from."""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

from et_agent.answers import AnswerKind
from et_agent.arguments import checks_arguments
from et_agent.errors import SettingsError

__all__ = ["Item", "sample"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A question with its accepted answers.

    Attributes:
        id: Unique in its data set, the same on every machine.
        question: The question as it is asked, choices included.
        kind: How answers are read and compared.
        golds: Accepted answers, at least one, as the data set writes them.
        tolerance: Largest accepted relative difference of a number; 0 for equality.
        subject: Subject, textbook or level; empty when the data set has none.
    """

    id: str
    question: str
    kind: AnswerKind
    golds: tuple[str, ...]
    tolerance: float = 0.0
    subject: str = ""

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits of what is asked and accepted."""
        parts = [self.question, self.kind.value, *self.golds, str(self.tolerance)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


@checks_arguments
def sample(items: Sequence[Item], count: int | None, *, seed: int = 0) -> list[Item]:
    """The first `count` items of a seeded shuffle, the same whatever order the file has them in.

    A smaller sample is the beginning of a larger one, so a run can be extended.

    Raises:
        SettingsError: `count` is below 1 or more than there are.
    """
    if count is not None and not 1 <= count <= len(items):
        raise SettingsError(f"{count} questions were requested: choose 1 to {len(items)}")
    shuffled = sorted(items, key=lambda item: item.id)
    random.Random(seed).shuffle(shuffled)
    return shuffled[:count]
