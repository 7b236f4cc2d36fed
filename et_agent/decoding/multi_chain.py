"""Independent chains (self-consistency, Wang et al. 2023): the baseline that a tree must beat."""

from itertools import pairwise
from typing import ClassVar, Self

from pydantic import Field, model_validator

from et_agent.decoding.base import DecoderSettings, Run, RunInputs, side
from et_agent.decoding.sampled import SampledRun
from et_agent.decoding.sampling import Distribution, TokenStatistics
from et_agent.decoding.stopping import ToCome, batch_sizes
from et_agent.decoding.tree import Branch, ForkKind, Lineage, Side

__all__ = ["MultiChain"]


class MultiChain(DecoderSettings):
    """Independent chains with equal weights. Only the prompt is shared."""

    stopping: ClassVar[frozenset[str]] = frozenset({"stop_risk", "batch"})

    leaves: int = Field(default=16, ge=1, le=256)
    """Number of chains."""
    stop_risk: float | None = Field(
        default=None, ge=0, lt=1, allow_inf_nan=False, exclude_if=lambda risk: risk is None
    )
    """Stop once more leaves would hardly change what is decided: about this part of the decisions
    differs from that of whole runs, for example 0.01. What is decided is the answer or, in a gate, what
    is done with it. 0 stops only where nothing that is to come can change it. None decodes
    all chains."""
    batch: int | None = Field(default=None, ge=1, exclude_if=lambda batch: batch is None)
    """Chains decoded at a time with `stop_risk`, at first three at least. None is two."""

    @model_validator(mode="after")
    def _check_batch(self) -> Self:
        if self.batch is not None and self.stop_risk is None:
            raise ValueError(
                f"batch={self.batch} stops nothing by itself: set stop_risk (for example 0.01)"
            )
        return self

    @property
    def least_leaves(self) -> int:
        """The fewest leaves at which it may stop early; `leaves` where it never does."""
        return self.sizes()[0]

    def sizes(self) -> list[int]:
        """How many chains there are after each batch."""
        return [self.leaves] if self.stop_risk is None else batch_sizes(self.leaves, self.batch)

    def start(self, inputs: RunInputs) -> Run:
        """Begin decoding one question."""
        return _MultiChainRun(self, inputs)

    def start_sampling(self, inputs: RunInputs) -> SampledRun:
        """Begin with one question and a model that gives whole replies."""
        return SampledRun(self, inputs, self.sizes(), stop_risk=self.stop_risk)


class _MultiChainRun(Run):
    settings: MultiChain

    def __init__(self, settings: MultiChain, inputs: RunInputs) -> None:
        super().__init__(settings, inputs)
        self._waiting: list[list[Side]] = []
        self._first: TokenStatistics | None = None

    def may_fork(self, branch: int) -> bool:
        """Chains that come later start from the prompt, which the first one holds."""
        return branch == 0 and bool(self._waiting)

    def _take(self, branch: Branch, distribution: Distribution) -> None:
        if branch.id == 0 and not branch.tokens and self.settings.leaves > 1:
            self._begin(branch, distribution)
        else:
            token = distribution.draw(self.uniform(branch.id))
            self._append(branch, side(token, distribution), distribution)

    def _begin(self, branch: Branch, distribution: Distribution) -> None:
        """Draw the first token of all chains, and start the first batch of them.

        Chain k draws from its own stream from its first token on, so that a larger tree of the same
        seed holds the smaller one.
        """
        leaves = self.settings.leaves
        chains: list[Lineage] = [(), *((0, child) for child in range(leaves - 1))]
        sides = [side(distribution.draw(self._uniform(chain)), distribution) for chain in chains]
        self._first = distribution.statistics
        batches = [sides[low:high] for low, high in pairwise([0, *self.settings.sizes()])]
        first, *self._waiting = batches
        shares = [1.0 / len(first)] * len(first)
        self._fork_here(branch, ForkKind.INDEPENDENT, first, shares, distribution)

    def _fork_more(self) -> bool:
        if not self._waiting:
            return False
        to_come = ToCome(sum(map(len, self._waiting)))
        if self._is_decided(self.settings.stop_risk, to_come):
            self.stopped = "decided"
            return False
        assert self._first is not None  # chains wait since the first token was drawn
        sides = self._waiting.pop(0)
        for child, one in zip(self.tree.widen(0, 0, len(sides)), sides, strict=True):
            self._inherit_attention(child)
            self._note(child, one, self._first)
        return True
