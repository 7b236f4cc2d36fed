"""The token tree: branches that share beginnings, forks with local shares, leaves with path weights.

Positions count generated tokens from 0; the prompt lies before them. A branch owns the tokens from
`start` on and shares everything before with its parent. At a fork the branch that was there goes on
as one of the sides, so every branch ends in exactly one leaf.

A path weight is the product of the local shares of all forks on the path. The shares of one fork sum
to 1, hence so do the weights of all leaves, whatever the order in which forks were added.
"""

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from et_agent.arguments import checks_arguments
from et_agent.decoding.attention import AttentionSums
from et_agent.decoding.sampling import TokenStatistics

__all__ = [
    "Alternatives",
    "Branch",
    "Finish",
    "Fork",
    "ForkKind",
    "Lineage",
    "Share",
    "Side",
    "Tree",
]

Answer = TypeVar("Answer", bound=Hashable)

Lineage = tuple[int, ...]
"""(position, side) of every fork at which a path left an older branch, first one first. It names a
branch by where it is in the tree, while its id tells only when it was made."""


class Finish(StrEnum):
    """Why a branch ended."""

    STOP = "stop"
    """The model produced an end-of-generation token."""
    LENGTH = "length"
    """The token limit or the context's end cut the branch off."""
    CANCELLED = "cancelled"
    """The caller stopped the run first."""


class ForkKind(StrEnum):
    """How the sides of a fork came about, hence what their shares mean."""

    INDEPENDENT = "independent"
    """Independent samples with equal shares (roots of multi-chain); tokens may coincide."""
    STRATIFIED = "stratified"
    """Codes of arithmetic sampling that parted; a share is the fraction of the codes."""
    DISTINCT = "distinct"
    """Sum-and-sample: distinct tokens, the last one sampled from the rest."""
    EXCHANGEABLE = "exchangeable"
    """A second sample of the full conditional; both sides get half; tokens may coincide."""


@dataclass(frozen=True, slots=True)
class Side:
    """A token that a branch could have taken.

    Attributes:
        token: The token.
        probability: At the decoding temperature.
        log_prob: At temperature 1, nats.
    """

    token: int
    probability: float
    log_prob: float


@dataclass(frozen=True, slots=True)
class Alternatives:
    """Sides drawn when a token was decoded, kept for a fork that may come later.

    Attributes:
        top: The most likely tokens after the chosen one.
        rest: Sampled from the distribution without the chosen token and `top`; None when nothing
            is left.
        fresh: A second independent sample of the whole distribution; None when not asked for.
    """

    top: tuple[Side, ...]
    rest: Side | None
    fresh: Side | None


@dataclass(slots=True)
class Fork:
    """A place where one path became several.

    Attributes:
        branch: The branch that was there and goes on as the first side.
        position: Position of the first token in which the sides may differ.
        kind: Where the sides come from.
        entropy: Token entropy at the position, nats.
        share: The share that `branch` keeps.
        children: (branch, share) of the other sides; all shares sum to 1.
    """

    branch: int
    position: int
    kind: ForkKind
    entropy: float
    share: float
    children: list[tuple[int, float]]


@dataclass(slots=True)
class Branch:
    """One branch: its own tokens and what was seen when each was chosen.

    All lists run parallel to `tokens`.

    Attributes:
        id: Index in `Tree.branches`.
        parent: The branch whose path is shared before `start`; None for the first branch.
        start: Position of the first own token.
        lineage: The forks that lead here; the same however batches were put together.
        tokens: Own tokens, the end-of-generation token included.
        statistics: How sure the model was, temperature 1.
        log_probs: Log-probability of the token at temperature 1, nats.
        probabilities: Probability of the token at the decoding temperature.
        alternatives: Side tokens of positions that may be forked later, by position.
        forked: Positions at which this branch is a side of a fork.
        codes: How many arithmetic-sampling codes this branch carries (1 when it is free).
        finish: Why it ended; None while it runs.
    """

    id: int
    parent: int | None
    start: int
    lineage: Lineage = ()
    tokens: list[int] = field(default_factory=list)
    statistics: list[TokenStatistics] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)
    alternatives: dict[int, Alternatives] = field(default_factory=dict)
    forked: set[int] = field(default_factory=set)
    codes: int = 1
    finish: Finish | None = None

    @property
    def entropies(self) -> list[float]:
        """Token entropy at temperature 1, nats."""
        return [one.entropy for one in self.statistics]

    @property
    def end(self) -> int:
        """One past the last position of the path, hence its length in tokens."""
        return self.start + len(self.tokens)


@dataclass(frozen=True, slots=True)
class Share:
    """What the finished leaves with one answer have.

    Attributes:
        weight: Sum of their path weights.
        leaves: How many they are, counted with their codes.
    """

    weight: float
    leaves: int


class Tree:
    """A growing token tree over one prompt.

    Args:
        prompt_length: Number of prompt tokens, which lie before position 0.

    Attributes:
        attention: What its branches attended to; None unless `read_attention` was called.
    """

    @checks_arguments
    def __init__(self, prompt_length: int) -> None:
        self.prompt_length = prompt_length
        self.branches: list[Branch] = [Branch(id=0, parent=None, start=0)]
        self.forks: list[Fork] = []
        self.attention: AttentionSums | None = None
        self._likely: dict[tuple[int, int], tuple[Side, ...]] = {}
        self._forks_of: dict[int, list[Fork]] = {}
        self._fork_into: dict[int, tuple[Fork, float]] = {}

    def read_attention(self) -> AttentionSums:
        """Keep what the branches attend to, from here on."""
        if self.attention is None:
            self.attention = AttentionSums(self.prompt_length, self.branches)
        return self.attention

    def note_likely(self, branch: int, likely: Sequence[Side]) -> None:
        """Keep the most likely tokens of a branch's next position."""
        self._likely[branch, self.branches[branch].end] = tuple(likely)

    def likely(self, branch: int, position: int) -> tuple[Side, ...]:
        """The most likely tokens of a position that a branch owns; empty if they were not kept."""
        current: Branch | None = self.branches[branch]
        # The sides of a fork were decoded as one token of the branch that was there.
        while current is not None and (current.id, position) not in self._likely:
            above = current.parent if position == current.start else None
            current = None if above is None else self.branches[above]
        return () if current is None else self._likely[current.id, position]

    def fork(
        self,
        branch: int,
        position: int,
        kind: ForkKind,
        entropy: float,
        share: float,
        child_shares: Sequence[float],
    ) -> list[Branch]:
        """Add a fork and its child branches (without tokens yet).

        Raises:
            ValueError: A share is no probability, the shares do not sum to 1, or the position is not
                on the branch's own part or was forked before.
        """
        parent = self.branches[branch]
        total = share + sum(child_shares)
        if not abs(total - 1.0) <= 1e-9:
            raise ValueError(f"fork shares sum to {total}, not to 1")
        if (least := min((share, *child_shares))) < 0.0:
            raise ValueError(f"a fork share is {least}: it is no probability")
        if not parent.start <= position <= parent.end:
            raise ValueError(f"position {position} does not lie on branch {branch}")
        if any(fork.position == position for fork in self._forks_of.get(branch, ())):
            raise ValueError(f"position {position} of branch {branch} was forked before")
        children = [
            Branch(
                id=len(self.branches) + i,
                parent=branch,
                start=position,
                lineage=(*parent.lineage, position, i),
            )
            for i in range(len(child_shares))
        ]
        self.branches.extend(children)
        fork = Fork(
            branch,
            position,
            kind,
            entropy,
            share,
            [(child.id, s) for child, s in zip(children, child_shares, strict=True)],
        )
        self.forks.append(fork)
        self._forks_of.setdefault(branch, []).append(fork)
        parent.forked.add(position)
        for child, child_share in zip(children, child_shares, strict=True):
            child.forked.add(position)
            self._fork_into[child.id] = (fork, child_share)
        return children

    def widen(self, branch: int, position: int, sides: int) -> list[Branch]:
        """Add sides, without tokens yet, to a fork into independent samples; all get equal shares.

        Args:
            branch: The branch that was forked.
            position: Where it was forked.
            sides: How many come.
        """
        (fork,) = (one for one in self._forks_of[branch] if one.position == position)
        parent, known = self.branches[branch], [child for child, _ in fork.children]
        added = [
            Branch(
                id=len(self.branches) + i,
                parent=branch,
                start=position,
                lineage=(*parent.lineage, position, len(known) + i),
                forked={position},
            )
            for i in range(sides)
        ]
        self.branches.extend(added)
        fork.share = 1.0 / (1 + len(known) + sides)
        fork.children = [(child, fork.share) for child in (*known, *(one.id for one in added))]
        self._fork_into |= {child: (fork, share) for child, share in fork.children}
        return added

    def sides(self, branch: int, position: int) -> list[int]:
        """The branches that left a branch at a position, or left there one that had, in that order."""
        found: list[int] = []
        waiting = [branch]
        while waiting:
            for fork in self._forks_of.get(waiting.pop(0), ()):
                if fork.position == position:
                    children = [child for child, _ in fork.children]
                    found += children
                    waiting += children
        return found

    def graft(self, branch: int, position: int, codes: int) -> Branch:
        """Add a branch, without tokens yet, for codes that come later and part there.

        A position is forked once, so behind a fork the new branch leaves the side that came last.
        Its share is 0 until `share_by_codes`.

        Args:
            branch: The branch that they leave.
            position: A position of its own.
            codes: How many.
        """
        owner = self.branches[branch]
        entropy = owner.statistics[position - owner.start].entropy
        last = [branch, *self.sides(branch, position)][-1]
        (child,) = self.fork(last, position, ForkKind.STRATIFIED, entropy, 1.0, [0.0])
        child.codes = codes
        return child

    def share_by_codes(self) -> None:
        """Give each side of a fork the share of the codes that it carries, while all are codes'."""
        for fork in self.forks:
            parts = [self._codes_from(child, fork.position) for child, _ in fork.children]
            total = sum(parts) + self._codes_from(fork.branch, fork.position + 1)
            fork.children = [
                (child, part / total) for (child, _), part in zip(fork.children, parts, strict=True)
            ]
            fork.share = 1.0 - math.fsum(share for _, share in fork.children)
            self._fork_into |= {child: (fork, share) for child, share in fork.children}

    def _codes_from(self, branch: int, position: int) -> int:
        """Codes of a branch and of all that leave it from a position on."""
        return self.branches[branch].codes + sum(
            self._codes_from(child, self.branches[child].start)
            for fork in self._forks_of.get(branch, ())
            if fork.position >= position
            for child, _ in fork.children
        )

    def fork_into(self, branch: int) -> Fork | None:
        """The fork that a branch came from; None for the first branch."""
        found = self._fork_into.get(branch)
        return None if found is None else found[0]

    def segments(self, branch: int) -> list[tuple[Branch, int, int]]:
        """The path of a branch as (branch, from, to) pieces of positions, first piece first."""
        pieces: list[tuple[Branch, int, int]] = []
        current = self.branches[branch]
        end = current.end
        while True:
            if end > current.start:
                pieces.append((current, current.start, end))
            if current.parent is None:
                return pieces[::-1]
            end = min(end, current.start)
            current = self.branches[current.parent]

    def path(self, branch: int) -> list[int]:
        """All tokens of a branch's path, the shared beginning included."""
        tokens: list[int] = []
        for piece, low, high in self.segments(branch):
            tokens.extend(piece.tokens[low - piece.start : high - piece.start])
        return tokens

    def shared(self, one: int, other: int) -> int:
        """How many positions two branches have in common."""
        if one == other:
            return self.branches[one].end
        limits: dict[int, int] = {}
        current, limit = self.branches[one], self.branches[one].end
        while True:
            limits[current.id] = limit
            if current.parent is None:
                break
            limit = min(limit, current.start)
            current = self.branches[current.parent]
        current, limit = self.branches[other], self.branches[other].end
        while current.id not in limits:
            limit = min(limit, current.start)
            assert current.parent is not None
            current = self.branches[current.parent]
        return min(limit, limits[current.id])

    def weight(self, branch: int) -> float:
        """Path weight of a branch's leaf: the product of the shares of all forks on its path."""
        weight = 1.0
        current = self.branches[branch]
        limit = current.end + 1
        while True:
            for fork in self._forks_of.get(current.id, ()):
                if fork.position < limit:
                    weight *= fork.share
            if current.parent is None:
                return weight
            into, share = self._fork_into[current.id]
            weight *= share
            # Sides of one fork exclude each other, and `<` leaves the parent's own share out.
            limit = min(limit, into.position)
            current = self.branches[current.parent]

    def weights(self) -> NDArray[np.float64]:
        """Path weights of all branches, float64 [branches]; they sum to 1."""
        return np.array([self.weight(branch.id) for branch in self.branches], dtype=np.float64)

    def shares(self, answer: Callable[[int], Answer | None]) -> dict[Answer | None, Share]:
        """What the leaves that have ended so far have by answer, in the order of first answers.

        Args:
            answer: A branch that ended to what it answers; None for nothing.
        """
        found: dict[Answer | None, Share] = {}
        for branch in self.branches:
            if branch.finish is not None:
                said = answer(branch.id)
                so_far = found.get(said, Share(0.0, 0))
                weight = so_far.weight + self.weight(branch.id)
                found[said] = Share(weight, so_far.leaves + branch.codes)
        return found

    def leaf_count(self) -> int:
        """Leaves, counted with their codes: what as many separate chains would have given."""
        return sum(branch.codes for branch in self.branches)

    def through(self, branch: int, position: int) -> Iterator[Branch]:
        """The branches whose paths hold the token that `branch` owns at `position`."""
        for other in self.branches:
            if other.id == branch or self.shared(other.id, branch) > position:
                yield other

    @property
    def tokens_decoded(self) -> int:
        """Tokens that were generated for the tree, shared ones once."""
        return sum(len(branch.tokens) for branch in self.branches)

    @property
    def tokens_as_chains(self) -> int:
        """Tokens that as many separate chains would have needed."""
        return sum(branch.codes * branch.end for branch in self.branches)
