"""Reads what the model would say next after texts that it is given, and decodes nothing itself."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from et_agent.decoding.base import DecoderSettings, Run, RunInputs
from et_agent.decoding.continued import fork_into_continuations
from et_agent.decoding.sampling import Distribution
from et_agent.decoding.tree import Finish

__all__ = ["Probe", "ProbeRun"]


class Probe(DecoderSettings):
    """Continuations of one prompt, whose beginnings are evaluated once, and tokens to look for."""

    continuations: tuple[tuple[int, ...], ...] = ()
    """Tokens after the prompt, none of them empty; without any, what follows the prompt is read."""
    words: tuple[tuple[int, ...], ...] = Field(min_length=1)
    """Groups of tokens whose probabilities are summed."""
    temperature: float = Field(default=1.0, gt=0, le=10, allow_inf_nan=False)
    """Temperature of the probabilities."""

    def start(self, inputs: RunInputs) -> "ProbeRun":
        """Begin reading."""
        return ProbeRun(self, inputs)


class ProbeRun(Run):
    """The reading; its branches are the continuations.

    Attributes:
        probabilities: float64 [continuations, words], one row without continuations; NaN until it is
            read.
    """

    settings: Probe
    generates = False

    def __init__(self, settings: Probe, inputs: RunInputs) -> None:
        super().__init__(settings, inputs)
        shape = (max(1, len(settings.continuations)), len(settings.words))
        self.probabilities: NDArray[np.float64] = np.full(shape, np.nan)

    @property
    def most_tokens(self) -> int:
        """Tokens of the longest continuation."""
        return max(map(len, self.settings.continuations), default=0)

    @property
    def given_tokens(self) -> int:
        """Tokens of all continuations."""
        return sum(map(len, self.settings.continuations))

    def tell(
        self,
        branch: int,
        distribution: Distribution,
        attention: NDArray[np.float32] | None,
        near: NDArray[np.float32] | None = None,
    ) -> None:
        """Take the distribution after the prompt or after a continuation."""
        del attention, near
        continuations = self.settings.continuations
        if branch == 0 and continuations:
            fork_into_continuations(self, self.tree.branches[0], continuations)
            return
        self._running.pop(branch).finish = Finish.STOP
        self.probabilities[max(0, branch - 1)] = [
            sum(distribution.probability(token) for token in word) for word in self.settings.words
        ]
