"""How likely a model finds given texts after a prompt, token by token, without decoding anything.

All beginnings of all texts are continuations of the prompt, which one batch reads (`decoding.probe`).
Short texts are meant: a text of n tokens takes n (n + 1) / 2 of them at most.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from et_agent.arrays import Doubles
from et_agent.decoding.base import Run
from et_agent.decoding.probe import Probe, ProbeRun
from et_agent.errors import InputError

__all__ = ["TextScoring"]

_LEAST: Final = 1e-12
"""Of a probability, so that its logarithm stays finite."""


@dataclass(frozen=True, slots=True)
class TextScoring:
    """Texts to be scored after a prompt.

    Attributes:
        prompt: What is evaluated first, tokens.
        probe: What reads the probabilities after it.
        texts: The texts, tokens.
        places: For each text the row and the column of each token in `ProbeRun.probabilities`.
    """

    prompt: tuple[int, ...]
    probe: Probe
    texts: tuple[tuple[int, ...], ...]
    places: tuple[tuple[tuple[int, int], ...], ...]

    @classmethod
    def of(cls, prompt: Sequence[int], texts: Sequence[Sequence[int]]) -> Self:
        """Prepare to score texts.

        Args:
            prompt: Tokens, at least two.
            texts: Tokens of each text, at least one of each.

        Raises:
            InputError: The prompt is shorter, or there is no text or an empty one.
        """
        if len(prompt) < 2 or not texts or not all(texts):
            raise InputError(
                "a prompt of two tokens or more and texts that are not empty are needed"
            )
        asked = [tuple(text) for text in texts]
        # The prompt's last token goes with the texts, since no continuation may be empty.
        last = tuple(prompt[-1:])
        rows: dict[tuple[int, ...], int] = {}
        columns: dict[int, int] = {}
        places = []
        for text in asked:
            found = []
            for at, token in enumerate(text):
                row = rows.setdefault(last + text[:at], len(rows))
                found.append((row, columns.setdefault(token, len(columns))))
            places.append(tuple(found))
        probe = Probe(continuations=tuple(rows), words=tuple((token,) for token in columns))
        return cls(tuple(prompt[:-1]), probe, tuple(asked), tuple(places))

    def log_probs(self, run: Run) -> list[Doubles]:
        """Log-probability of each token of each text, nats; NaN where nothing was read.

        Args:
            run: The finished run of `probe`.
        """
        assert isinstance(run, ProbeRun)
        logs = np.log(np.maximum(run.probabilities, _LEAST))
        return [np.array([logs[row, column] for row, column in places]) for places in self.places]
