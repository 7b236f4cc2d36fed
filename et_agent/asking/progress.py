"""The progress of a question, as callers are told of it."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from et_agent.decoding.request import Request
from et_agent.uncertainty.leaves import SHARE_DIGITS

__all__ = ["Progress", "ProgressCallback", "ProgressTeller"]

_LEADING: Final = 5
_PAUSE: Final = 0.1
"""Seconds between two tellings of a question's progress at least."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a question.

    Attributes:
        tokens: Tokens generated so far.
        leaves_done: Finished leaves; a leaf counts once per code that ended in it.
        leaves: Leaves known so far, counted in the same way.
        leading: (answer, share of the weight so far) over finished leaves, largest share first.
        seconds: Wall time so far.
    """

    tokens: int
    leaves_done: int
    leaves: int
    leading: tuple[tuple[str, float], ...]
    seconds: float


ProgressCallback = Callable[[Progress], None]


class ProgressTeller:
    """Tells of a question's progress, not more than ten times per second."""

    def __init__(self, on_progress: ProgressCallback, answer: Callable[[int], str | None]) -> None:
        self._on_progress, self._answer = on_progress, answer
        self._told = -math.inf

    def __call__(self, request: Request) -> None:
        """Tell, if the last time is long enough ago."""
        now = time.perf_counter()
        if now - self._told < _PAUSE and not request.run.finished:
            return
        self._told = now
        tree = request.run.tree
        shares = tree.shares(self._answer)
        leading = [(answer, share.weight) for answer, share in shares.items() if answer is not None]
        leading.sort(key=lambda one: -round(one[1], SHARE_DIGITS))
        self._on_progress(
            Progress(
                tokens=tree.tokens_decoded,
                leaves_done=sum(share.leaves for share in shares.values()),
                leaves=tree.leaf_count(),
                leading=tuple(leading[:_LEADING]),
                seconds=request.seconds,
            )
        )
