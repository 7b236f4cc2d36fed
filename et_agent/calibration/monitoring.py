"""Tests at any time whether a confidence still fits newly labelled questions."""

import math
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from et_agent.arguments import checks_arguments
from et_agent.arrays import Doubles
from et_agent.calibration.risk_control import checked_pairs
from et_agent.errors import CalibrationError
from et_agent.renaming import warn_of_old_name

__all__ = ["DriftMonitor"]

Direction = Literal["overconfident", "underconfident", "too extreme", "too timid"]

_STAKES: Final = np.array([0.125, 0.25, 0.5, 0.9])
_DIRECTIONS: Final[dict[Direction, tuple[float, float]]] = {
    "overconfident": (-1.0, 0.0),
    "underconfident": (1.0, 0.0),
    "too extreme": (1.0, -2.0),
    "too timid": (-1.0, 2.0),
}
"""Bets of (a + b p) on y - p."""


class DriftMonitor:
    """Bets against the calibration. The wealth grows only if the confidence is wrong.

    If every confidence p is the chance of being right, bets on y - p do not win on average. The wealth
    is then a non-negative martingale, and the probability that it ever reaches 1 / `alpha` is at most
    `alpha` (Ville 1939; e-processes, Ramdas et al. 2023). You may therefore look at the labels after
    every question. The initial wealth is split evenly among bets of several sizes that the confidence
    is too high, too low, too extreme or too timid.

    Args:
        alpha: Probability of ever giving a false alarm, in (0, 1).

    Attributes:
        questions: Number of labels seen.
    """

    @checks_arguments(error=CalibrationError)
    def __init__(self, alpha: float = 0.05) -> None:
        if not 0.0 < alpha < 1.0:
            raise CalibrationError(f"alpha is {alpha}: use a number between 0 and 1")
        self.alpha = alpha
        self.questions = 0
        self._log_wealth = np.zeros((len(_DIRECTIONS), _STAKES.size))
        self._max_log_wealth = 0.0

    def update(self, confidences: ArrayLike, right: ArrayLike) -> "DriftMonitor":
        """Add labels in the order in which they arrived.

        Args:
            confidences: P(correct), float64 [n].
            right: 1 for right, 0 for wrong, [n].

        Raises:
            CalibrationError: Lengths differ, NaN, values out of range.
        """
        scores, labels = checked_pairs(confidences, right)
        if not scores.size:
            return self
        directions = np.array(list(_DIRECTIONS.values()))
        bets = (directions[:, :1] + directions[:, 1:] * scores) * (labels - scores)
        # Each factor has mean 1 under the null and is at least 0.1.
        growth = np.log1p(_STAKES[:, None] * bets[:, None, :])
        paths = self._log_wealth[:, :, None] + np.cumsum(growth, axis=2)
        self._log_wealth = paths[:, :, -1]
        self._max_log_wealth = max(
            self._max_log_wealth, float(_log_mean(paths.reshape(-1, scores.size)).max())
        )
        self.questions += scores.size
        return self

    @property
    def evidence(self) -> float:
        """Current wealth. 20 is as surprising as p = 0.05."""
        return math.exp(min(700.0, float(_log_mean(self._log_wealth.reshape(-1, 1))[0])))

    @property
    def drifted(self) -> bool:
        """Whether the wealth has ever reached 1 / `alpha`."""
        return self._max_log_wealth >= -math.log(self.alpha)

    @property
    def direction(self) -> Direction:
        """How the confidence is most likely wrong, if it has drifted."""
        return list(_DIRECTIONS)[int(self._log_wealth.max(axis=1).argmax())]

    @property
    def way(self) -> Direction:
        """The old name of `direction`."""
        warn_of_old_name("DriftMonitor.way", "direction")
        return self.direction


def _log_mean(logs: Doubles) -> Doubles:
    """Log of the mean of exp, over the first axis, float64 [n]."""
    top = logs.max(axis=0)
    return np.asarray(top + np.log(np.exp(logs - top).mean(axis=0)), dtype=np.float64)
