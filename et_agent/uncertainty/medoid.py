"""The text that is most like all others."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from et_agent.answers.overlap import overlap, stems
from et_agent.arrays import Doubles

__all__ = ["medoid"]

_MOST_CHARACTERS: Final = 100_000


def medoid(texts: Sequence[str], weights: Doubles) -> int:
    """Index of the text with the largest mean overlap with all, itself included; of equals the first.

    The sample of least expected loss, with one minus the overlap of words as the loss (minimum Bayes
    risk decoding: Kumar & Byrne 2004; Eikema & Aziz 2020). A text counts with itself, so that one of
    which there are near copies is not preferred beyond their weight.

    Args:
        texts: The texts, at least one. What follows their first 100,000 characters does not count.
        weights: Their weights, float64 [texts].
    """
    words = [stems(text[:_MOST_CHARACTERS]) for text in texts]
    alike = np.array([[overlap(one, other) for other in words] for one in words])
    return int(np.argmax((alike @ weights).round(9)))
