"""One chain of the most likely tokens."""

from et_agent.decoding.base import DecoderSettings, Run, RunInputs, side
from et_agent.decoding.sampled import SampledRun
from et_agent.decoding.sampling import Distribution
from et_agent.decoding.tree import Branch

__all__ = ["Greedy"]


class Greedy(DecoderSettings):
    """One chain of the most likely tokens. `temperature` only scales the reported probabilities."""

    def start(self, inputs: RunInputs) -> Run:
        """Begin decoding one question."""
        return _GreedyRun(self, inputs)

    def start_sampling(self, inputs: RunInputs) -> SampledRun:
        """Begin with one question and a model that gives whole replies."""
        return SampledRun(self, inputs, [1], sampling_temperature=0.0)


class _GreedyRun(Run):
    def _take(self, branch: Branch, distribution: Distribution) -> None:
        self._append(branch, side(distribution.most_likely(), distribution), distribution)
