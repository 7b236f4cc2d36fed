"""Whether the confidence of a growing tree may still cross a threshold."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from et_agent.arrays import Doubles
from et_agent.calibration.calibrator import Calibrator
from et_agent.calibration.features import feature_row
from et_agent.calibration.foreseen import foreseen_rows
from et_agent.calibration.foresight import Foresight, Standing
from et_agent.uncertainty.leaf_table import LeafTable

__all__ = ["Outlook"]

_NEAR_ONE: Final = 1e-15


@dataclass(frozen=True, slots=True)
class Outlook:
    """What may become of a number that is compared with thresholds.

    Attributes:
        foresight: The fitted model.
        standing: How the leaves have voted.
        leaves: Statistics of the leaves, one of which at least has an answer.
        features: Features of the tree, from `features_of`.
        kind: Answer kind.
        calibrator: Gives the confidence; None if the share is compared.
        low: Whether the lower end of the confidence's interval is compared.
    """

    foresight: Foresight
    standing: Standing
    leaves: LeafTable
    features: Mapping[str, float | None]
    kind: str
    calibrator: Calibrator | None
    low: bool = False

    def changes(self, threshold: float) -> float:
        """Risk that at the end another answer reaches the threshold, or one instead of none, or none.

        Raises:
            CalibrationError: A feature that the calibrator uses was not measured.
        """
        now = self.now
        if now < threshold and self._most() < threshold:
            return 0.0
        return self.foresight.action_changes(self.standing, self.log_odds, threshold, now)

    @property
    def now(self) -> float:
        """The number."""
        if self.calibrator is None:
            return float(self.leaves.shares.max())
        return float(
            self._compared(self.calibrator, feature_row(self.features, self.kind)[None])[0]
        )

    def _most(self) -> float:
        """The most that is in reach."""
        share = self.standing.largest_share
        if self.calibrator is None:
            return share
        leaves = int(self.leaves.count.sum()) + self.standing.to_come + self.standing.forks
        value, low = self.calibrator.largest(leaves, self.kind, share)
        return low if self.low else value

    def log_odds(self, shares: Doubles, leaves: float) -> Doubles:
        """What it would be in log-odds with these shares of so many leaves, [n]."""
        found = shares
        if self.calibrator is not None:
            rows = foreseen_rows(self.features, self.kind, shares, leaves)
            found = self._compared(self.calibrator, rows)
        inside = np.clip(found, _NEAR_ONE, 1.0 - _NEAR_ONE)
        return np.asarray(np.log(inside) - np.log1p(-inside))

    def _compared(self, calibrator: Calibrator, rows: Doubles) -> Doubles:
        if self.low:
            return calibrator.low_ends(rows)
        right: Doubles = calibrator.predict_proba(rows)[:, 1]
        return right
