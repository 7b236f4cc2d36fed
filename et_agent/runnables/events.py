"""What a growing tree reports: the chunks of a stream and the custom events."""

import math
from typing import Final

from pydantic import Field

from et_agent.decoding.tree import Branch, Fork, Tree
from et_agent.results import AnswerShare
from et_agent.validation import Frozen

__all__ = [
    "FORK_EVENT",
    "LEAF_EVENT",
    "POSTERIOR_EVENT",
    "ForkSeen",
    "LeafSeen",
    "TreeSnapshot",
]

FORK_EVENT: Final = "entropy_tree_fork"
"""Name of the custom event whose data is a `ForkSeen` as JSON types."""
LEAF_EVENT: Final = "entropy_tree_leaf"
"""Name of the custom event whose data is a `LeafSeen` as JSON types."""
POSTERIOR_EVENT: Final = "entropy_tree_posterior"
"""Name of the custom event whose data is a `TreeSnapshot` as JSON types."""


class ForkSeen(Frozen):
    """A path forked."""

    branch: int
    """The branch that forked. It continues as the first side."""
    children: tuple[int, ...]
    """The new branches."""
    shares: tuple[float, ...]
    """Shares of all sides, the first that of `branch`; they sum to 1. Later batches of a tree that has
    them change the shares of its first forks."""
    position: int
    """Position of the fork, in generated tokens of the path."""
    kind: str
    """Kind of the fork, as in `et_agent.results.Node`."""
    entropy: float | None
    """Token entropy at the fork at temperature 1, in nats; None where only samples are known."""

    @classmethod
    def of(cls, fork: Fork) -> "ForkSeen":
        """Describe a fork."""
        return cls(
            branch=fork.branch,
            children=tuple(child for child, _ in fork.children),
            shares=(fork.share, *(share for _, share in fork.children)),
            position=fork.position,
            kind=fork.kind.value,
            entropy=fork.entropy if math.isfinite(fork.entropy) else None,
        )


class LeafSeen(Frozen):
    """A path ended."""

    branch: int
    """The branch that ended."""
    answer: str | None
    """The answer of the path; None if it gives none."""
    weight: float
    """Its current path weight. A later fork on its path takes a part of it."""
    count: int
    """Number of arithmetic-sampling codes that ended here; 1 for a path that was sampled freely."""
    finish: str
    """Why the path ended: "stop", "length" or "cancelled"."""
    tokens: int
    """Length of the whole path in tokens."""

    @classmethod
    def of(cls, branch: Branch, tree: Tree, answer: str | None) -> "LeafSeen":
        """Describe a branch that ended."""
        assert branch.finish is not None
        return cls(
            branch=branch.id,
            answer=answer,
            weight=tree.weight(branch.id),
            count=branch.codes,
            finish=branch.finish.value,
            tokens=branch.end,
        )


class TreeSnapshot(Frozen):
    """A tree while it grows; the fields it shares with `AskResult` mean the same, so far.

    Answers are compared as written, and of equally heavy ones the first leads: that two spellings are
    one answer, and which of equals has the likelier tokens, is found out at the end.
    """

    question: str
    """The question."""
    answer: str | None
    """The leading answer; None until a leaf gives one."""
    share: float = Field(ge=0, le=1)
    """Its share of the weight of the leaves that have ended."""
    distribution: tuple[AnswerShare, ...]
    """Current p(a|x) over the leaves that have ended, largest share first. Empty before the first leaf;
    afterwards the shares, including that of no answer, sum to 1."""
    leaves_done: int
    """Leaves that have ended; a leaf counts once per code that ended in it."""
    leaves: int
    """Leaves known so far, counted in the same way."""
    tokens: int
    """Tokens generated so far; shared tokens count once."""
    seconds: float
    """Wall time so far."""
