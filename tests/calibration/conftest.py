"""Questions whose chance of being right is known."""

import numpy as np

from et_agent.arrays import Doubles, Ints
from et_agent.calibration import feature_columns

COLUMNS = feature_columns()


def questions(count: int, seed: int = 0) -> tuple[Doubles, Ints, Doubles]:
    """Features, labels, and the true P(correct), a logistic function of share and log-prob."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((count, len(COLUMNS)))
    rows[:, COLUMNS.index("share")] = rng.normal(0.0, 1.5, count)
    rows[:, COLUMNS.index("log_prob")] = rng.normal(-0.3, 0.1, count)
    rows[:, COLUMNS.index("entropy")] = rng.normal(1.0, 0.5, count)
    rows[:, COLUMNS.index("kind_number")] = 1.0
    rows[:, COLUMNS.index("votes")] = np.log(64.0)
    odds = rows[:, COLUMNS.index("share")] + 10.0 * (rows[:, COLUMNS.index("log_prob")] + 0.3)
    truth = 1.0 / (1.0 + np.exp(-odds))
    return rows, (rng.random(count) < truth).astype(np.int64), truth
