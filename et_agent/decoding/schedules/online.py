"""Schedule `online`: forks start when their token is decoded."""

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from et_agent.decoding.arithmetic import Coded, CodedRun
from et_agent.decoding.base import Run, RunInputs, side, sum_and_sample
from et_agent.decoding.sampling import Distribution
from et_agent.decoding.schedules.forking import ForkingTree
from et_agent.decoding.schedules.keywords import Importance
from et_agent.decoding.tree import Branch, ForkKind
from et_agent.errors import SettingsError

__all__ = ["Online", "OnlineRun"]


class Online(ForkingTree):
    """Forks start when their token is decoded and look at nothing later. Unbiased."""

    by_attention: ClassVar[Importance] = "prompt"

    schedule: Literal["online"] = "online"
    """When to fork."""
    roots: int = Field(default=8, ge=1, le=256)
    """Codes of arithmetic sampling that start the tree, capped at `leaves`."""
    gap: int = Field(default=16, ge=1)
    """Least number of tokens between two forks of a path, so that forks spread out."""

    @model_validator(mode="after")
    def _check_importance(self) -> Self:
        if self.importance == "received":
            raise ValueError(
                "importance='received' needs later tokens, which schedule='online' has not seen: "
                "use 'prompt'"
            )
        return self

    def start(self, inputs: RunInputs) -> Run:
        """Begin decoding one question.

        Raises:
            SettingsError: There is neither tau nor a pilot of this model, or importance `prompt` has
                neither delta nor a pilot.
        """
        self.check_thoughts(inputs)
        return OnlineRun(self, inputs, roots=min(self.roots, self.leaves))


class OnlineRun(CodedRun):
    """Forks start when their token is decoded; tau and delta are fixed beforehand.

    Unbiased: at every step the weighted branches' expectation equals what it was before, whatever
    was revealed so far decided about the fork (sum-and-sample, method notes).

    The leaves that are not roots are shared out among the codes, and at each fork among its sides.
    So the first branches cannot use them all up, and a branch's forks hang on nothing that other
    branches do, hence not on how batches were put together.
    """

    settings: Online

    def __init__(self, settings: Online, inputs: RunInputs, *, roots: int) -> None:
        super().__init__(settings, inputs, roots=roots)
        self._spare = {0: settings.leaves - roots}
        self._tau = self._least_entropy()
        self._delta = self._least_prompt_attention()

    def _least_entropy(self) -> float:
        found = self.settings.least_entropy(self.inputs.thresholds)
        if found is None:
            raise SettingsError(
                "schedule='online' needs an entropy threshold that is fixed beforehand, and this "
                "model has no pilot: run `et-agent pilot --model … --questions FILE`, or pass tau "
                "(nats, for example 0.5)"
            )
        return found

    def _least_prompt_attention(self) -> float | None:
        settings = self.settings
        if settings.importance == "none":
            return None
        if settings.delta is not None:
            return settings.delta
        thresholds = self.inputs.thresholds
        found = None
        if thresholds is not None:
            found = thresholds.prompt_attention_at(settings.importance_percentile)
        if found is None and settings.importance == "prompt":
            raise SettingsError(
                "importance='prompt' needs a least share of attention that is fixed beforehand, and "
                "this model has no pilot that measured it: run `et-agent pilot --model … "
                "--questions FILE`, or pass delta (for example 0.2)"
            )
        return found

    def _take_coded(self, branch: Branch, distribution: Distribution, coded: Coded) -> list[Branch]:
        children = super()._take_coded(branch, distribution, coded)
        self._share_out(self._spare[branch.id], [branch, *children])
        return children

    def _take_free(self, branch: Branch, distribution: Distribution) -> None:
        if not self._wants_fork(branch, distribution):
            super()._take_free(branch, distribution)
            return
        if self.settings.exchangeable:
            tokens = [distribution.draw(self.uniform(branch.id)) for _ in range(2)]
            kind, shares = ForkKind.EXCHANGEABLE, [0.5, 0.5]
        else:
            tokens = distribution.top(self._width(branch) - 1)
            rest = distribution.draw_excluding(self.uniform(branch.id), tokens)
            if rest is not None:
                tokens.append(rest)
            kind = ForkKind.DISTINCT
            shares = sum_and_sample([distribution.probability(token) for token in tokens[:-1]])
        sides = [side(token, distribution) for token in tokens]
        if len(sides) == 1:
            self._append(branch, sides[0], distribution)
            return
        children = self._fork_here(branch, kind, sides, shares, distribution)
        self._share_out(self._spare[branch.id] - len(children), [branch, *children])

    def _share_out(self, spare: int, owners: Sequence[Branch]) -> None:
        """Give branches their part of the leaves that may still be made, evenly by codes."""
        total, before = sum(owner.codes for owner in owners), 0
        for owner in owners:
            after = before + owner.codes
            self._spare[owner.id] = spare * after // total - spare * before // total
            before = after

    def _width(self, branch: Branch) -> int:
        return min(self.settings.branching, 1 + self._spare[branch.id])

    def _wants_fork(self, branch: Branch, distribution: Distribution) -> bool:
        if distribution.statistics.entropy < self._tau or self._width(branch) < 2:
            return False
        if branch.end not in self.part(branch, self.settings.fork_in):
            return False
        last = max(branch.forked, default=-self.settings.gap)
        if branch.end - last < self.settings.gap:
            return False
        if self._delta is None or self.tree.attention is None:
            return True
        to_prompt = self.tree.attention.of(branch.id).prompt
        return not to_prompt or to_prompt[-1] >= self._delta
