"""The surest tree that so many leaves can make."""

import math
from collections.abc import Mapping
from typing import Final

from et_agent.answers import AnswerKind
from et_agent.arrays import Doubles
from et_agent.calibration.features import FEATURES, GUESS, feature_row
from et_agent.calibration.maps import CalibrationMap, Logistic, weighed

__all__ = ["best_row"]

_FAR: Final = 1e9
"""Beyond every value that matters. It is finite, so that a coefficient of 0 still leaves it out."""


def best_row(mapping: CalibrationMap, leaves: int, kind: str, share: float = 1.0) -> Doubles:
    """A row of `feature_row` that a map likes no less than that of any tree, float64 [1, columns].

    Every feature is taken at the end of its range that the map likes best. For `Pooled` that is a
    unanimous tree whose tokens were all certain. Other maps may like no real tree as much, since
    features depend on each other.

    Args:
        mapping: The map.
        leaves: Number of leaves.
        kind: Answer kind.
        share: The largest share that the answer can have.

    Raises:
        CalibrationError: The kind is unknown.
    """
    logistic = weighed(mapping)
    falling: set[str] = set()
    if isinstance(logistic, Logistic):
        pairs = zip(logistic.features, logistic.coefficients, strict=True)
        falling = {name for name, coefficient in pairs if coefficient < 0}
    ranges, best = _ranges(leaves, kind, share), dict[str, float | None]()
    for name in FEATURES:
        low, high = ranges.get(name, (-_FAR, _FAR))
        best[name] = low if name in falling else high
    return feature_row(best, kind)[None, :]


def _ranges(leaves: int, kind: str, share: float) -> Mapping[str, tuple[float, float]]:
    """Smallest and largest value of the features that have one."""
    unanimous, size = math.log(2 * leaves + 1), math.log(leaves)
    # Fewer leaves draw the log-odds nearer to 0.
    least = leaves if share >= 0.5 else 1
    odds = math.log((share * least + 0.5) / ((1.0 - share) * least + 0.5))
    return {
        "share": (-unanimous, odds),
        "support": (0.0, size),
        "entropy": (0.0, size),
        "margin": (0.0, share),
        "ess": (0.0, size),
        "cut_off": (0.0, 1.0),
        "unanswered": (0.0, 1.0),
        "log_prob": (-_FAR, 0.0),
        "tail_log_prob": (-_FAR, 0.0),
        "answer_logprob": (-_FAR, 0.0),
        "length": (0.0, _FAR),
        "votes": (0.0, math.log1p(share * leaves)),
        "mass": (-_FAR, math.log(share)),
        "token_probability": (0.0, 1.0),
        GUESS: (0.0, min(share, 0.5) if kind == AnswerKind.CHOICE else 0.0),
    }
