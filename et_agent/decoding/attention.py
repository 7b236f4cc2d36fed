"""What the branches of a tree attended to: kept only where a decoder or an estimator asks for it.

The query at the last token of a path decides the next one. Its attention over prompt and path is a
row; rows are summed over the later queries of a path, and a new branch begins with the sums of those
on the beginning that it shares.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from et_agent.errors import DecodeError

__all__ = ["AttentionSums", "BranchAttention"]

_TOLERANCE: Final = 1e-2
"""Of a row's sum; its weights are float32 of keys that the cache holds in half precision."""


class _Branch(Protocol):
    """What the book has to know of a branch, as `tree.Branch` has it."""

    @property
    def id(self) -> int: ...
    @property
    def parent(self) -> int | None: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


@dataclass(slots=True)
class BranchAttention:
    """What the queries of one branch gave.

    Attributes:
        received: Attention that each position of prompt and path received from later queries of
            this path, mean over heads and chosen layers, float32 [prompt + path]; None without.
        prompt: Share of attention that the deciding query gave the prompt, of each own token.
        near: What the deciding query gave the token before it and itself, of each own token, float16
            [layers, heads, 2].
        rows: The deciding queries' rows, float16 [prompt + path so far], for forks to come.
    """

    received: NDArray[np.float32] | None = None
    prompt: list[float] = field(default_factory=list)
    near: list[NDArray[np.float16]] = field(default_factory=list)
    rows: list[NDArray[np.float16]] = field(default_factory=list)


class AttentionSums:
    """Attention of all branches of one tree.

    Args:
        prompt_length: Number of prompt tokens, which lie before position 0.
        branches: The tree's branches, by id; more may follow.
    """

    def __init__(self, prompt_length: int, branches: Sequence[_Branch]) -> None:
        self._prompt_length = prompt_length
        self._branches = branches
        self._of: dict[int, BranchAttention] = {}

    def of(self, branch: int) -> BranchAttention:
        """What the queries of a branch gave; empty lists and None where none was read."""
        return self._of.setdefault(branch, BranchAttention())

    def importance(self, branch: int) -> NDArray[np.float64]:
        """Mean attention that each own position received from the later queries of its path.

        I_t of the Entropy-Tree paper in our reading [C in the method notes]: averaged over heads,
        chosen layers and the number of later queries, since otherwise early tokens always win.

        Returns:
            float64 [own tokens]; NaN where no later query exists or attention was not read.
        """
        owner, received = self._branches[branch], self.of(branch).received
        own = owner.end - owner.start
        result = np.full(own, np.nan)
        if received is None:
            return result
        # The query at path position p decides position p + 1; token t has end - 2 - t later ones.
        later = owner.end - 2 - np.arange(owner.start, owner.end)
        got = np.zeros(own)
        offset = self._prompt_length + owner.start
        got[: received.size - offset] = received[offset:]
        seen = later > 0
        result[seen] = got[seen] / later[seen]
        return result

    def note(
        self, branch: int, row: NDArray[np.float32], near: NDArray[np.float32] | None = None
    ) -> None:
        """Add the attention row of the query that decides a branch's next token.

        Args:
            branch: The branch.
            row: float32 [prompt + path so far], weights of the deciding query over its own path.
            near: float32 [layers, heads, 2], what it gives the token before it and itself.

        Raises:
            DecodeError: The weights are no shares of a whole.
        """
        if not (row.min() >= 0.0 and abs(float(row.sum()) - 1.0) <= _TOLERANCE):
            raise DecodeError(
                f"attention of {float(row.sum())} in all was read, its least weight being "
                f"{float(row.min())}: reload the model, or pass attention=False"
            )
        own, size = self.of(branch), row.size
        received = np.zeros(size, dtype=np.float32)
        if own.received is not None:
            received[: own.received.size] = own.received
        received[: size - 1] += row[: size - 1]  # its own position is not a *later* one
        own.received = received
        own.prompt.append(float(row[: self._prompt_length].sum()))
        own.rows.append(row.astype(np.float16))
        if near is not None:
            own.near.append(near.astype(np.float16))

    def inherit(self, child: int, *, decided: bool = True) -> None:
        """Give a new branch the sums of the queries on its shared path, no later ones.

        Args:
            child: The branch.
            decided: Whether its first token has been chosen, by the query of that path.
        """
        branch = self._branches[child]
        assert branch.parent is not None
        rows = self._rows(branch.parent, branch.start + decided)
        if len(rows) < branch.start + decided or not rows:
            return
        own, received = self.of(child), np.zeros(rows[-1].size, dtype=np.float32)
        for row in rows:
            received[: row.size - 1] += row[:-1]
        own.received = received
        if not decided:
            return
        own.rows = [rows[-1]]
        own.prompt = [float(rows[-1][: self._prompt_length].sum(dtype=np.float64))]
        parent = self._branches[branch.parent]
        own.near = self.of(parent.id).near[branch.start - parent.start :][:1]

    def _rows(self, branch: int, count: int) -> list[NDArray[np.float16]]:
        """The attention rows that decided the positions 0 to count - 1 of a branch's path."""
        pieces: list[list[NDArray[np.float16]]] = []
        current, limit = self._branches[branch], count
        while True:
            pieces.append(self.of(current.id).rows[: max(0, limit - current.start)])
            if current.parent is None:
                return [row for piece in reversed(pieces) for row in piece]
            limit = min(limit, current.start)
            current = self._branches[current.parent]

    def forget_rows(self) -> None:
        """Drop the single rows, which only later forks need; the sums stay."""
        for own in self._of.values():
            own.rows.clear()
