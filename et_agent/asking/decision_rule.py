"""What will be done with an answer, as far as a tree that may stop early has to know it."""

from collections.abc import Mapping
from typing import Literal, Protocol

from et_agent.results import CalibrationReport

__all__ = ["Compared", "DecisionRule"]

Compared = Literal["confidence", "low", "share"]
"""What of an answer is compared with a threshold: its confidence, the lower end of its interval, or its
share."""


class DecisionRule(Protocol):
    """Gives an answer, passes the question on or does neither, by thresholds; `GatePolicy` is one."""

    @property
    def answer_at(self) -> float:
        """Lowest confidence, or what is compared in its place, at which the answer is given."""
        ...

    @property
    def escalate_from(self) -> float:
        """Lowest confidence at which a question is passed on that is not answered."""
        ...

    @property
    def fields(self) -> Mapping[str, float]:
        """Lowest confidence of single fields of a structured answer, by their paths."""
        ...

    def compared(self, calibration: CalibrationReport | None) -> Compared | None:
        """What is compared with `answer_at`; None if the answer is not given, however sure it is.

        Args:
            calibration: What the confidence rests on; None without a confidence.
        """
        ...
