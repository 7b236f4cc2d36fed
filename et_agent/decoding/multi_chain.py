"""Independent chains (self-consistency, Wang et al. 2023): the baseline that a tree must beat."""

from pydantic import Field

from et_agent.decoding.base import DecoderSettings, Run, RunInputs, side
from et_agent.decoding.sampling import Distribution
from et_agent.decoding.tree import Branch, ForkKind, Lineage

__all__ = ["MultiChain"]


class MultiChain(DecoderSettings):
    """Independent chains with equal weights. Only the prompt is shared."""

    leaves: int = Field(default=16, ge=1, le=256)
    """Number of chains."""

    def start(self, inputs: RunInputs) -> Run:
        """Begin decoding one question."""
        return _MultiChainRun(self, inputs)


class _MultiChainRun(Run):
    settings: MultiChain

    def _take(self, branch: Branch, distribution: Distribution) -> None:
        leaves = self.settings.leaves
        if branch.id == 0 and not branch.tokens and leaves > 1:
            # Chain k draws from its own stream from its first token on, so that a larger tree of
            # the same seed holds the smaller one.
            chains: list[Lineage] = [(), *((0, child) for child in range(leaves - 1))]
            tokens = [distribution.draw(self._uniform(chain)) for chain in chains]
            sides = [side(token, distribution) for token in tokens]
            shares = [1.0 / leaves] * leaves
            self._fork_here(branch, ForkKind.INDEPENDENT, sides, shares, distribution)
        else:
            token = distribution.draw(self.uniform(branch.id))
            self._append(branch, side(token, distribution), distribution)
