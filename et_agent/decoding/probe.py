"""Reads what the model would say next after texts that it is given, and decodes nothing itself."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from et_agent.decoding.base import DecoderSettings, Run, RunInputs
from et_agent.decoding.continued import fork_into_continuations
from et_agent.decoding.sampling import Distribution
from et_agent.decoding.tree import Finish

__all__ = ["Probe", "ProbeRun", "ReadingRun", "masses"]


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


class ReadingRun(Run):
    """Reads what follows continuations of a prompt, its branches. Subclasses implement `_read`.

    Args:
        settings: The decoder's settings.
        inputs: As for every run.
        continuations: Tokens after the prompt, none of them empty; without any, what follows the prompt
            is read.
    """

    generates = False

    def __init__(
        self,
        settings: DecoderSettings,
        inputs: RunInputs,
        continuations: Sequence[Sequence[int]],
    ) -> None:
        super().__init__(settings, inputs)
        self._continuations = continuations

    @property
    def most_tokens(self) -> int:
        """Tokens of the longest continuation."""
        return max(map(len, self._continuations), default=0)

    @property
    def given_tokens(self) -> int:
        """Tokens of all continuations."""
        return sum(map(len, self._continuations))

    def tell(
        self,
        branch: int,
        distribution: Distribution,
        attention: NDArray[np.float32] | None,
        near: NDArray[np.float32] | None = None,
    ) -> None:
        """Take the distribution after the prompt or after a continuation."""
        del attention, near
        if branch == 0 and self._continuations:
            fork_into_continuations(self, self.tree.branches[0], self._continuations)
            return
        self._running.pop(branch).finish = Finish.STOP
        self._read(max(0, branch - 1), distribution)

    def _read(self, number: int, distribution: Distribution) -> None:
        """Take what follows a continuation, by its number."""
        raise NotImplementedError  # pragma: no cover


class ProbeRun(ReadingRun):
    """The reading.

    Attributes:
        probabilities: float64 [continuations, words], one row without continuations; NaN until it is
            read.
    """

    settings: Probe

    def __init__(self, settings: Probe, inputs: RunInputs) -> None:
        super().__init__(settings, inputs, settings.continuations)
        shape = (max(1, len(settings.continuations)), len(settings.words))
        self.probabilities: NDArray[np.float64] = np.full(shape, np.nan)

    def _read(self, number: int, distribution: Distribution) -> None:
        self.probabilities[number] = masses(distribution, self.settings.words)


def masses(distribution: Distribution, words: Sequence[Sequence[int]]) -> list[float]:
    """Probability of each group of tokens, [words]."""
    return [sum(map(distribution.probability, word)) for word in words]
