"""From a tree's features to P(correct), from the best source that applies to the question.

A calibrator of the user's own comes before one that the package contains, and both before the general
map, which applies to any tree with an answer.
"""

import contextlib
from dataclasses import dataclass
from typing import Final

from et_agent.answers import AnswerKind
from et_agent.asking.options import AskOptions, Calibration
from et_agent.asking.prompting import PreparedPrompt
from et_agent.calibration import Calibrator, Confidence, Fingerprint, features_of
from et_agent.calibration.finding import (
    Held,
    find_calibrator,
    may_need_attention,
    unusable_calibrators,
    why_none,
)
from et_agent.calibration.pooled import Pooled
from et_agent.decoding.base import DecoderSettings
from et_agent.decoding.naming import described
from et_agent.engines.base import LanguageModel
from et_agent.errors import CalibrationError
from et_agent.results import AnswerForm, CalibrationReport
from et_agent.uncertainty.leaf_table import LeafTable

__all__ = ["WIDENED", "Assessment", "ConfidenceEstimator"]

WIDENED: Final = 2.0
"""Factor of the general map's covariance for a tree unlike those that any map was fitted on."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What is thought of a tree's answer.

    Attributes:
        features: What calibrators see of the tree; empty without an answer, and for a tree that was
            cut short.
        confidence: P(correct); None where there is none.
        calibration: What it rests on.
        notes: What the user should know about it.
        calibrator: What gave it.
    """

    features: dict[str, float | None]
    confidence: Confidence | None = None
    calibration: CalibrationReport | None = None
    notes: tuple[str, ...] = ()
    calibrator: Calibrator | None = None


class ConfidenceEstimator:
    """Finds the best source of a question's confidence, and applies it.

    Args:
        model: The model.
        prompt: The question.
        decoder: What decodes it.
        options: Names the calibrator.

    Raises:
        CalibratorMismatchError: The calibrator that was passed does not apply.
    """

    def __init__(
        self,
        model: LanguageModel,
        prompt: PreparedPrompt,
        decoder: DecoderSettings,
        options: AskOptions,
    ) -> None:
        self._model, self._prompt, self._decoder = model.info, prompt, decoder
        self._calibrator: Calibration = options.calibrator
        if isinstance(options.calibrator, Calibrator):
            options.calibrator.check(self._fingerprint(prompt.expected_form))

    def _fingerprint(self, form: str) -> Fingerprint:
        """What a calibrator has to apply to."""
        return Fingerprint.of(
            model=self._model.fingerprint,
            decoder=described(self._decoder),
            instructions={form: self._prompt.instruction},
            chat=self._prompt.chat,
            single=self._prompt.conversation.single,
            stops=self._prompt.own_stops,
        )

    def reads_attention(self) -> bool:
        """Whether the confidence may need attention; which kind is read is not known beforehand."""
        with contextlib.suppress(CalibrationError):  # the result will say so
            if isinstance(self._calibrator, Calibrator):
                return self._calibrator.reads_attention
            if self._calibrator == "auto":
                kinds = [self._prompt.kind]
                if self._prompt.kind is AnswerKind.AUTO:
                    kinds = [kind for kind in AnswerKind if kind is not AnswerKind.AUTO]
                return may_need_attention(self._fingerprint(kind.value) for kind in kinds)
        return False

    def estimate(self, leaves: LeafTable, form: AnswerForm, *, complete: bool) -> Assessment:
        """What to think of a tree's answer.

        Args:
            leaves: Statistics of its leaves.
            form: The form of the answer that was read.
            complete: Whether decoding went on to its end.
        """
        if leaves.top is None or not complete:
            return Assessment({})
        features = features_of(leaves)
        if self._calibrator is None:
            return Assessment(features)
        try:
            return self._assessed(features, form)
        except (CalibrationError, ArithmeticError, ValueError) as error:
            # A decoded tree must not be lost to a calibrator that does not fit it.
            return Assessment(features, notes=(f"no confidence: {error}",))

    def _assessed(self, features: dict[str, float | None], form: AnswerForm) -> Assessment:
        asked = self._fingerprint(form)
        held, outside = self._held(asked), None
        notes = unusable_calibrators() if self._calibrator == "auto" else ()
        if held is not None:
            try:
                if not held.calibrator.outside(features, form):
                    found = held.calibrator.confidence(features, form)
                    report = self._report(held, found, asked, form)
                    return Assessment(features, found, report, notes, held.calibrator)
                outside = held.calibrator
                reason = f"this tree is unlike those of the {held.source} calibrator"
            except (CalibrationError, ArithmeticError, ValueError) as error:
                reason = f"the {held.source} calibrator does not apply: {error}"
        else:
            reason = self._why_none(asked)
        general = Calibrator.general(self._model.parameters)
        if held is not None:
            general = general.widened(WIDENED)
        found = general.confidence(features, form)
        report = self._report(Held(general, "general"), found, asked, form, reason, outside=outside)
        return Assessment(features, found, report, notes, general)

    def _held(self, fingerprint: Fingerprint) -> Held | None:
        """The calibrator for this answer."""
        calibrator = self._calibrator
        if isinstance(calibrator, Calibrator):
            problems = calibrator.fingerprint and calibrator.fingerprint.problems(fingerprint)
            # The general map that no label has moved stays what it is, whoever passes it.
            mapping = getattr(calibrator, "mapping_", None)
            moved = calibrator.labels > 0 or not isinstance(mapping, Pooled)
            return None if problems else Held(calibrator, "own" if moved else "general")
        return find_calibrator(fingerprint)

    def _why_none(self, fingerprint: Fingerprint) -> str:
        if isinstance(self._calibrator, Calibrator) and self._calibrator.fingerprint is not None:
            return "; ".join(self._calibrator.fingerprint.problems(fingerprint))
        return why_none(fingerprint)

    def _report(
        self,
        held: Held,
        found: Confidence,
        asked: Fingerprint,
        form: AnswerForm,
        *notes: str,
        outside: Calibrator | None = None,
    ) -> CalibrationReport:
        _, leaves = asked.leaves
        largest, largest_low = held.calibrator.largest(leaves, form)
        if outside is not None:  # other trees of this size are judged by that map
            other, other_low = outside.largest(leaves, form)
            largest, largest_low = max(largest, other), max(largest_low, other_low)
        return CalibrationReport(
            source=held.source,
            labels=held.calibrator.labels,
            interval=found.interval,
            notes=notes,
            largest=largest,
            largest_low=largest_low,
        )
