"""Several continuations of one prompt, each answered by a small tree of its own.

What the continuations have in common is evaluated once. So it is with readings of one question.
"""

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from et_agent.decoding.arithmetic import Coded, CodedRun
from et_agent.decoding.base import DecoderSettings, Run, RunInputs
from et_agent.decoding.prefix_cache import common_prefix_length
from et_agent.decoding.sampling import Distribution
from et_agent.decoding.tree import Branch, Finish, ForkKind

__all__ = ["Continued", "ContinuedRun", "common_length", "fork_into_continuations"]


class Continued(DecoderSettings):
    """Texts that go on from one prompt, and how many leaves each of them gets."""

    continuations: tuple[tuple[int, ...], ...] = Field(min_length=1)
    """Tokens after the prompt, none of them empty."""
    leaves: int = Field(default=4, ge=1, le=256)
    """Leaves after each: independent samples whose common beginnings are decoded once (arithmetic
    sampling with codes that are drawn independently, arXiv 2210.15458). Evenly spread ones would be
    more alike between continuations than chance makes them."""

    def start(self, inputs: RunInputs) -> "ContinuedRun":
        """Begin decoding."""
        return ContinuedRun(self, inputs)


class ContinuedRun(CodedRun):
    """The run. Its tree's first branch holds no token; tokens that were given have no statistics."""

    settings: Continued

    def __init__(self, settings: Continued, inputs: RunInputs) -> None:
        super().__init__(settings, inputs, roots=1)

    def _take(self, branch: Branch, distribution: Distribution) -> None:
        if branch.id == 0:
            self._begin(branch)
        else:
            super()._take(branch, distribution)

    def _begin(self, root: Branch) -> None:
        leaves = self.settings.leaves
        children = fork_into_continuations(self, root, self.settings.continuations)
        for child in children:
            child.codes = leaves
            if leaves > 1:
                codes = np.sort([self.uniform(child.id) for _ in range(leaves)])
                self._coded[child.id] = Coded(codes, 1.0, 1.0 / leaves)

    def given(self, branch: int) -> int:
        """The continuation that a branch other than the first goes on from."""
        return self.tree.branches[branch].lineage[1]

    def generated(self, branch: int) -> list[int]:
        """The tokens of a path after what was given; of a branch other than the first."""
        return self.tree.path(branch)[self._length_given(branch) :]

    def _length_given(self, branch: int) -> int:
        return len(self.settings.continuations[self.given(branch)])

    @property
    def most_tokens(self) -> int:
        """Tokens after the prompt that a path may have, given ones included."""
        given = max(map(len, self.settings.continuations))
        return max(given, self._within_room(given))

    def _longest(self, branch: Branch) -> int:
        return self._within_room(self._length_given(branch.id))

    def _within_room(self, given: int) -> int:
        # The limit applies to generated tokens; the room in the context to all of them.
        whole = given + self.settings.max_tokens
        return whole if self.inputs.room is None else min(whole, self.inputs.room)

    @property
    def tokens_generated(self) -> int:
        """Tokens that were generated, those that were given left out."""
        if len(self.tree.branches) == 1:
            return 0
        return self.tree.tokens_decoded - sum(map(len, self.settings.continuations))


def fork_into_continuations(
    run: Run, root: Branch, continuations: Sequence[Sequence[int]]
) -> list[Branch]:
    """End a run's first branch before its first token and let the continuations go on from it."""
    run._running.pop(root.id)
    root.finish = Finish.STOP
    count = len(continuations)
    share = 1.0 / (count + 1)
    children = run.tree.fork(
        root.id, 0, ForkKind.INDEPENDENT, 0.0, 1.0 - count * share, [share] * count
    )
    for child, tokens in zip(children, continuations, strict=True):
        child.tokens = list(tokens)
        run._running[child.id] = child
    return children


def common_length(prompts: Sequence[Sequence[int]]) -> int:
    """How many first tokens prompts share, at most one less than the shortest has."""
    first, *others = map(list, prompts)
    shared = [common_prefix_length(first, other) for other in others]
    return min([min(map(len, prompts)) - 1, *shared])
