"""From a tree's features to P(correct), if a calibrator applies to the question."""

import contextlib
from dataclasses import dataclass

from et_agent.answers import AnswerKind
from et_agent.asking.options import AskOptions, Calibration
from et_agent.asking.prompting import PreparedPrompt
from et_agent.calibration import Calibrator, Confidence, Fingerprint, features_of
from et_agent.calibration.finding import (
    find_calibrator,
    may_need_attention,
    unusable_calibrators,
)
from et_agent.decoding.base import DecoderSettings
from et_agent.decoding.naming import described
from et_agent.engines.base import LanguageModel
from et_agent.errors import CalibrationError, CalibratorMismatchError
from et_agent.uncertainty.leaf_table import LeafTable

__all__ = ["Assessment", "ConfidenceEstimator"]


@dataclass(frozen=True, slots=True)
class Assessment:
    """What is thought of a tree's answer.

    Attributes:
        features: What calibrators see of the tree; empty without an answer, and for a tree that was
            cut short.
        confidence: P(correct); None where no calibrator holds.
        notes: Why a calibrator that was to be used gave none, and which files are no calibrators.
    """

    features: dict[str, float | None]
    confidence: Confidence | None = None
    notes: tuple[str, ...] = ()


class ConfidenceEstimator:
    """Finds the calibrator of a question, and applies it.

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
        self._model, self._prompt, self._decoder = model.info.fingerprint, prompt, decoder
        in_words = prompt.conversation.single and prompt.form is None
        if isinstance(options.calibrator, Calibrator):
            if not in_words:
                raise CalibratorMismatchError(
                    "calibrators apply to single questions answered in words, not to "
                    "conversations, tools or schemas: pass calibrator=None"
                )
            options.calibrator.check(self._fingerprint(prompt.reading_kind))
        # No calibrator was fitted to conversations, structured replies or stop sequences.
        plain = in_words and not options.stop
        self._calibrator: Calibration = options.calibrator if plain else None

    def _fingerprint(self, kind: AnswerKind) -> Fingerprint:
        """What a calibrator has to apply to."""
        return Fingerprint.of(
            model=self._model,
            decoder=described(self._decoder),
            instructions={kind.value: self._prompt.instruction},
            chat=self._prompt.chat,
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
                return may_need_attention(map(self._fingerprint, kinds))
        return False

    def estimate(self, leaves: LeafTable, kind: AnswerKind, *, complete: bool) -> Assessment:
        """What to think of a tree's answer.

        Args:
            leaves: Statistics of its leaves.
            kind: The answer kind that was read.
            complete: Whether decoding went on to its end.
        """
        if leaves.top is None or not complete:
            return Assessment({})
        features = features_of(leaves)
        notes = unusable_calibrators() if self._calibrator == "auto" else ()
        try:
            calibrator = self._calibrator_for(kind)
            confidence = None
            if calibrator is not None:
                confidence = calibrator.confidence(features, kind.value)
            return Assessment(features, confidence, notes)
        except CalibrationError as error:
            # A decoded tree must not be lost to a calibrator that does not fit it.
            return Assessment(features, None, (f"no confidence: {error}", *notes))

    def _calibrator_for(self, kind: AnswerKind) -> Calibrator | None:
        calibrator = self._calibrator
        if calibrator == "auto":
            return find_calibrator(self._fingerprint(kind))
        if calibrator is not None:
            calibrator.check(self._fingerprint(kind))
        return calibrator
