"""Whether a confidence still fits questions whose labels came back: a test at any time."""

import math
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

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
    """Bets against the calibration; wealth grows only where the confidence is wrong.

    If every confidence p were the chance of being right, stakes on y - p could not win on average,
    so the wealth is a non-negative martingale, and it ever reaches 1 / `alpha` with probability
    `alpha` at most (Ville 1939; e-processes, Ramdas et al. 2023). The labels may therefore be looked
    at after every question. Stakes on too much and too little confidence, and on confidences that
    are too extreme or too timid, each at several sizes, share the start evenly.

    Args:
        alpha: Chance of a false alarm, ever, in (0, 1).

    Attributes:
        questions: Labels seen.
    """

    def __init__(self, alpha: float = 0.05) -> None:
        if not 0.0 < alpha < 1.0:
            raise CalibrationError(f"alpha is {alpha}: use a number between 0 and 1")
        self.alpha = alpha
        self.questions = 0
        self._log_wealth = np.zeros((len(_DIRECTIONS), _STAKES.size))
        self._max_log_wealth = 0.0

    def update(self, confidences: ArrayLike, right: ArrayLike) -> "DriftMonitor":
        """Take labels in the order in which they came.

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
        """Wealth now; 20 is as surprising as p = 0.05."""
        return math.exp(min(700.0, float(_log_mean(self._log_wealth.reshape(-1, 1))[0])))

    @property
    def drifted(self) -> bool:
        """Whether the wealth has ever reached 1 / `alpha`."""
        return self._max_log_wealth >= -math.log(self.alpha)

    @property
    def direction(self) -> Direction:
        """What the confidence most likely is, if it has drifted."""
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
