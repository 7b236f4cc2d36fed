"""P(correct) of one tree, with what moved it."""

from dataclasses import dataclass

__all__ = ["Confidence", "Part"]


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
    """

    value: float
    parts: tuple[Part, ...]
    base: float | None
    interval: tuple[float, float]
