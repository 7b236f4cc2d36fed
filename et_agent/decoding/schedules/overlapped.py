"""Schedule `overlapped`, the default: a path is forked as soon as it ends, while others still run."""

import math
from typing import ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from et_agent.decoding.arithmetic import CodedRun, is_one
from et_agent.decoding.base import Run, RunInputs, side
from et_agent.decoding.family import CODED, CalibrationFamily
from et_agent.decoding.sampling import Distribution, TokenStatistics
from et_agent.decoding.schedules.backward import ForkCandidate, rank
from et_agent.decoding.schedules.base import EntropyTree
from et_agent.decoding.schedules.forking import SURE, is_anywhere
from et_agent.decoding.schedules.keywords import ForkPart
from et_agent.decoding.schedules.value import value_per_token
from et_agent.decoding.tree import Alternatives, Branch, Finish, ForkKind, Side

__all__ = ["Overlapped", "OverlappedRun"]

_REACH: Final = 64
"""Forks are made at most so many tokens before the end of a path, or of its thought if they are to be
in it. Earlier ones delay the end of the tree and were worth less than a chain (docs/experiments.md)."""


class Overlapped(EntropyTree):
    """A path is forked as soon as it ends, while others still run.

    Roots and forks run side by side, so a tree takes few more steps than its longest path has tokens.
    Slightly biased, since the position of a fork depends on what came after it.
    """

    calibration_family: ClassVar[CalibrationFamily | None] = CODED

    schedule: Literal["overlapped"] = "overlapped"
    """When to fork."""
    root_share: float = Field(default=0.7, gt=0, le=1, allow_inf_nan=False)
    """Part of `leaves` that are codes of arithmetic sampling, which start the tree. Forks add the
    others."""
    least_value: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """Lowest value of a fork: how much it reduces the squared error of p(a|x) per token, relative to
    one more chain. 1 is the value of a new chain for the same tokens. If no position reaches it, the
    tree stays smaller."""

    answers_per_thought: int = Field(default=1, ge=1, le=64, exclude_if=is_one)
    """Answers from each thought of the roots. Each adds the tokens of an answer alone, so that several
    cost little; thoughts are then fewer. Unbiased for any number."""
    fork_in: ForkPart = Field(default="anywhere", exclude_if=is_anywhere)
    """The part of a path that forks are in, for models that think."""

    @property
    def roots(self) -> int:
        """Codes that start the tree."""
        return max(1, round(self.root_share * self.leaves / self.answers_per_thought))

    def start(self, inputs: RunInputs) -> Run:
        """Begin decoding one question."""
        self.check_thoughts(inputs)
        return OverlappedRun(self, inputs)


class OverlappedRun(CodedRun):
    """Every path that ends by itself is forked once, at its best position near its end.

    Biased, slightly: which position is forked depends on what came after it. On three scripted models
    with 8 leaves (`benchmarks/results/bias.json`) the mean of p(a|x) is off by 0.0003, 0.003 and 0.028
    (standard errors 0.001, 0.001, 0.003) if 4 roots are forked whatever that is worth, as with
    `rounds`. A single root that is forked once is off by up to 0.05.

    A fork waits for nothing but what is known when its path ends, and no branch waits for others.
    What is known then must not hang on how batches were put together. Therefore every branch has a
    clock: the number of steps that its last token would take if every running branch had a place in
    every step. Paths are forked in the order of the clock, once no branch is behind it, and forks
    look at the tree as it was then.
    """

    settings: Overlapped

    def __init__(self, settings: Overlapped, inputs: RunInputs) -> None:
        super().__init__(
            settings, inputs, roots=settings.roots, answers=settings.answers_per_thought
        )
        # By how much a branch's clock is ahead of its length.
        self._ahead: dict[int, int] = {0: 0}
        self._now: int | None = None
        self._ended: dict[int, list[Branch]] = {}

    def may_fork(self, branch: int) -> bool:
        """Whether it has ended and waits to be forked."""
        return any(one.id == branch for ended in self._ended.values() for one in ended)

    def tell(
        self,
        branch: int,
        distribution: Distribution,
        attention: NDArray[np.float32] | None,
        near: NDArray[np.float32] | None = None,
    ) -> None:
        """Take the next-token distribution of a branch, and fork the paths whose turn has come."""
        super().tell(branch, distribution, attention, near)
        while self._ended:
            clock = min(self._ended)
            if any(self._clock(one) < clock for one in self._running.values()):
                break
            self._now = clock
            self._fork_ended(clock, self._ended.pop(clock))
            self._now = None

    def _note(self, branch: Branch, side: Side, statistics: TokenStatistics) -> None:
        super()._note(branch, side, statistics)
        ahead = 0 if self._now is None else self._now - branch.end
        self._ahead.setdefault(branch.id, ahead)
        # The sides of a path that the token limit cut off would hardly end in time either.
        if branch.finish is Finish.STOP:
            self._ended.setdefault(self._clock(branch), []).append(branch)

    def _clock(self, branch: Branch) -> int:
        return branch.end + self._ahead[branch.id]

    def _keep_alternatives(self, branch: Branch, token: int, distribution: Distribution) -> None:
        if distribution.statistics.entropy < SURE:
            return
        rest = distribution.draw_excluding(self.uniform(branch.id), [token])
        if rest is not None:
            kept = Alternatives(top=(), rest=side(rest, distribution), fresh=None)
            branch.alternatives[branch.end] = kept

    def _fork_ended(self, clock: int, ended: list[Branch]) -> None:
        """Fork paths that ended at the same time, the best ones if there are too few leaves left."""
        room = self.settings.leaves - self.leaves_to_be()
        if room > 0:
            chains, mean_end = self._chains(), self._mean_end(clock)
            best = [self._best(one, chains, mean_end) for one in ended if one.alternatives]
            worth = [one for one in best if one.value >= self.settings.least_value]
            for one in sorted(worth, key=rank)[:room]:
                branch, position = one.branch, one.position
                rest = branch.alternatives[position].rest
                assert rest is not None  # or nothing would have been kept
                kept = branch.probabilities[position - branch.start]
                self._fork_back(branch, position, ForkKind.DISTINCT, [rest], kept)
        for branch in ended:
            branch.alternatives.clear()

    def _best(self, branch: Branch, chains: float, mean_end: float) -> ForkCandidate:
        says = self._read(branch)
        mass = self.tree.weight(branch.id)
        best = ForkCandidate(branch, branch.end, -math.inf)
        allowed = self.part(branch, self.settings.fork_in)
        latest = min(branch.end, allowed.stop)
        for position in branch.alternatives:
            if position not in allowed or latest - position > _REACH:
                continue
            p = branch.probabilities[position - branch.start]
            value = value_per_token(
                spread=2.0 * p * (1.0 - p),
                mass=mass,
                position=position,
                end=branch.end,
                says=says[position],
                chains=chains,
                mean_end=mean_end,
            )
            if value > best.value:
                best = ForkCandidate(branch, position, value)
        return best

    def _read(self, branch: Branch) -> list[bool]:
        if self.inputs.read_tokens is None:
            return [False] * branch.end
        return list(self.inputs.read_tokens(self.tree.path(branch.id)))

    def _chains(self) -> float:
        """The effective number of leaves, counted with their codes."""
        pairs = zip(self.tree.branches, self.tree.weights().tolist(), strict=True)
        return 1.0 / math.fsum(weight * weight / branch.codes for branch, weight in pairs)

    def _mean_end(self, clock: int) -> float:
        """Mean length of paths at a time, tokens; those that run are as long as they are by then."""
        lengths = [
            branch.codes * min(branch.end, clock - self._ahead[branch.id])
            for branch in self.tree.branches
        ]
        return math.fsum(lengths) / self.tree.leaf_count()
