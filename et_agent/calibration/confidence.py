"""P(correct) of one tree, with what moved it."""

from dataclasses import dataclass

from et_agent.arrays import Doubles
from et_agent.calibration.features import FEATURES, feature_columns
from et_agent.calibration.maps import CalibrationMap, weighed
from et_agent.errors import CalibrationError

__all__ = ["Confidence", "Part", "parts_of"]


@dataclass(frozen=True, slots=True)
class Part:
    """What one feature contributes to a confidence.

    Attributes:
        feature: Name of the feature.
        meaning: Meaning of the feature.
        value: Value of the feature in this tree.
        log_odds: Contribution to the log-odds, relative to an average question.
    """

    feature: str
    meaning: str
    value: float
    log_odds: float


@dataclass(frozen=True, slots=True)
class Confidence:
    """P(correct) of one tree.

    Attributes:
        value: P(correct), in (0, 1).
        parts: Contributions of the features, largest first; empty if the map has none.
        base: P(correct) of a question with average features.
        interval: Central 90 % of what P(correct) may be, given the labels that there were.

    Raises:
        CalibrationError: The value is no probability, or does not lie in the interval.
    """

    value: float
    parts: tuple[Part, ...]
    base: float | None
    interval: tuple[float, float]

    def __post_init__(self) -> None:
        low, high = self.interval
        if not 0.0 <= low <= self.value <= high <= 1.0:  # NaN lies nowhere
            raise CalibrationError(
                f"the calibrator gave {self.value} in [{low}, {high}], which is no confidence: fit "
                "it anew"
            )


def parts_of(mapping: CalibrationMap, rows: Doubles) -> tuple[float | None, list[tuple[Part, ...]]]:
    """P(correct) of an average question, and what moved that of each row, largest first.

    Args:
        mapping: The map; one without parts gives None and empty ones.
        rows: Rows of `feature_row`, float64 [n, columns].
    """
    logistic = weighed(mapping)
    if logistic is None:
        return None, [()] * len(rows)
    columns = [feature_columns().index(name) for name in logistic.features]
    found = []
    for row, moved in zip(rows[:, columns].tolist(), logistic.parts(rows).tolist(), strict=True):
        parts = [
            Part(name, _meaning(name), value, part)
            for name, value, part in zip(logistic.features, row, moved, strict=True)
            if part
        ]
        found.append(tuple(sorted(parts, key=lambda part: -abs(part.log_odds))))
    return logistic.base, found


def _meaning(column: str) -> str:
    return FEATURES[column].meaning if column in FEATURES else "kind of answer"
