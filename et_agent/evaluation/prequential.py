"""Confidences that were given before each label, and what they were worth."""

import numpy as np

from et_agent.arrays import Bools, Doubles
from et_agent.calibration import Calibrator, Example
from et_agent.evaluation.bootstrap import Interval, Resamples, interval
from et_agent.evaluation.metrics import METRICS, Bins, ece, reliability, value_of
from et_agent.evaluation.records import QuestionRecord

__all__ = ["Prequential"]

_RESAMPLES = 500
_FEWEST = 10
"""Fewer answers have no interval: resampling cannot tell how little is known."""


class Prequential:
    """Judges a calibrator on each question before it learns from it (Dawid 1984).

    No question has a say in its own confidence, so the figures are honest, and every question is of use
    for both. Early confidences come from a calibrator that knows less than it does at the end.

    Args:
        calibrator: What is known before the first label; it learns.

    Attributes:
        unanswered: Questions without an answer, of which nothing is learnt.
    """

    def __init__(self, calibrator: Calibrator) -> None:
        self._calibrator = calibrator
        self._confidences: list[float] = []
        self._right: list[bool] = []
        self._known: tuple[int, Interval | None] = (0, None)
        self.unanswered = 0

    def add(self, record: QuestionRecord) -> None:
        """Give a confidence, then learn whether it was justified."""
        if record.leaves.top is None:
            self.unanswered += 1
            return
        fingerprint = self._calibrator.fingerprint
        assert fingerprint is not None
        example = Example(
            fingerprint=fingerprint,
            features=record.features,
            kind=record.kind,
            identity=record.item,
        )
        given = self._calibrator.confidence(example.features, example.kind)
        self._confidences.append(given.value)
        self._right.append(record.correct)
        self._calibrator.update(example, record.correct)

    @property
    def confidences(self) -> Doubles:
        """P(correct) of each answer, given before its label, [n]."""
        return np.array(self._confidences, np.float64)

    @property
    def right(self) -> Bools:
        """Whether each answer was right, [n]."""
        return np.array(self._right, np.bool_)

    @property
    def answered(self) -> int:
        """Number of questions with an answer."""
        return len(self._right)

    @property
    def done(self) -> int:
        """Number of questions."""
        return self.answered + self.unanswered

    def ece(self) -> Interval | None:
        """Expected calibration error with its 95 % interval; None for too few answers."""
        if self._known[0] != self.answered and self.answered >= _FEWEST:
            counts = Resamples(self.answered, resamples=_RESAMPLES).counts
            values = ece(self.right, self.confidences, counts)
            self._known = self.answered, interval(values, self.answered, basic=True)
        return self._known[1]

    def above(self, confidence: float) -> tuple[int, int]:
        """Number of answers with more than this confidence that were right, and of all of them."""
        chosen = self.right[self.confidences > confidence]
        return int(chosen.sum()), int(chosen.size)

    def reliability(self) -> Bins:
        """Confidence against accuracy, by bins of confidence of ten answers or more."""
        return reliability(self.right, self.confidences, bins=min(10, max(2, self.answered // 10)))

    def metrics(self) -> dict[str, float]:
        """ECE, Brier score and AUROC, as far as they are defined."""
        names = ("ECE", "Brier", "AUROC")
        found = {name: value_of(METRICS[name], self.right, self.confidences) for name in names}
        return {name: value for name, value in found.items() if value is not None}
