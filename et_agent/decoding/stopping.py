"""Stopping early: what a run would still decode, and who says whether that can matter."""

from dataclasses import dataclass
from typing import Final, Literal, Protocol

from et_agent.decoding.tree import Tree

__all__ = ["FEWEST", "Stop", "StoppingRule", "ToCome", "batch_sizes"]

Stop = Literal["above", "below", "decided"]
"""Why a run stopped: the leading answer's share was large, or small, or all is decided."""
FEWEST: Final = 3
"""Leaves before which no run stops because all is decided: of two leaves that agree, maps are too sure
(docs/experiments.md)."""
_PAIRS: Final = 2
"""Leaves at a time where that is not set: nearly as few tokens as one at a time takes, in half the
batches (docs/experiments.md)."""


@dataclass(frozen=True, slots=True)
class ToCome:
    """What a run would still decode, at most.

    Attributes:
        leaves: New leaves, drawn like those that there are.
        forks: Forks of leaves, those that are to come included.
    """

    leaves: int
    forks: int = 0


class StoppingRule(Protocol):
    """Knows what is decided from a tree: its answer, or what a gate does with it."""

    def __call__(self, tree: Tree, to_come: ToCome) -> float:
        """Risk that what is decided at the end differs from what is decided now, 0 to 1.

        Args:
            tree: A tree of which no branch runs.
            to_come: What would still be decoded, at most.

        Returns:
            0 only where nothing that is to come can change it.
        """
        ...


def batch_sizes(leaves: int, batch: int | None = None, *, fewest: int = FEWEST) -> list[int]:
    """How many of so many leaves there are after each batch of a run that may stop early.

    Args:
        leaves: All leaves, 1 or more.
        batch: Leaves per batch; None for pairs.
        fewest: Leaves of the first batch at least.
    """
    step = _PAIRS if batch is None else batch
    return [*range(min(max(fewest, step), leaves), leaves, step), leaves]
