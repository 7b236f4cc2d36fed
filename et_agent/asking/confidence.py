"""From a tree's features to P(correct), from the best source that applies to the question.

A calibrator of the user's own comes before one that the package contains, and both before the general
map, which applies to any tree with an answer.
"""

import contextlib
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from et_agent.answers import AnswerKind
from et_agent.asking.options import AskOptions, Calibration
from et_agent.asking.prompting import PreparedPrompt
from et_agent.calibration import Calibrator, Confidence, Fingerprint, features_of
from et_agent.calibration.features import FeatureValues
from et_agent.calibration.finding import (
    Held,
    find_calibrator,
    may_need_attention,
    unusable_calibrators,
    why_none,
)
from et_agent.calibration.grounds import Grounds
from et_agent.calibration.pooled import Pooled
from et_agent.decoding.base import DecoderSettings
from et_agent.decoding.naming import described
from et_agent.engines.sampled import AnyModel
from et_agent.errors import CalibrationError
from et_agent.results import AnswerForm, CalibrationReport
from et_agent.uncertainty.leaf_table import LeafTable

__all__ = ["WIDENED", "Assessment", "ConfidenceEstimator"]

WIDENED: Final = 2.0
"""Factor of the general map's covariance for a tree unlike those that any map was fitted on."""
_PASSED: Final = "the general map was passed"
_UNCHOSEN: Final = "the model could not be asked whether the passages say the answer"


@dataclass(frozen=True, slots=True)
class Assessment:
    """What is thought of a tree's answer.

    Attributes:
        features: What calibrators see of the tree; empty without an answer, and for a tree that was
            cut short.
        confidence: P(correct); None where there is none.
        calibration: What it rests on.
        notes: What the user should know about it.
        fields: The same of each field of the answer, without features and notes.
        calibrator: What gave it.
    """

    features: dict[str, float | None]
    confidence: Confidence | None = None
    calibration: CalibrationReport | None = None
    notes: tuple[str, ...] = ()
    fields: tuple["Assessment", ...] = ()
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
        model: AnyModel,
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
            chat=Fingerprint.chat_style(self._prompt.chat, self._prompt.template_options),
            max_thinking_tokens=self._prompt.max_thinking_tokens,
            single=self._prompt.conversation.single,
            informed=self._prompt.conversation.informed,
            begun=bool(self._prompt.conversation.begun),
            stops=self._prompt.own_stops,
            passages=bool(self._prompt.passages),
            same=self._prompt.same_for(form),
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

    def estimate(
        self,
        leaves: LeafTable,
        form: AnswerForm,
        *,
        answerable: float | None = None,
        grounds: Grounds | None = None,
        declined: bool = False,
        complete: bool,
        fields: Sequence[LeafTable] = (),
    ) -> Assessment:
        """What to think of a tree's answer, and of its fields.

        Args:
            leaves: Statistics of its leaves.
            form: The form of the answer that was read.
            answerable: Probability that the question can be answered, as the model says; None if it
                was not asked.
            grounds: What is known of the answer and the passages; None without passages.
            declined: Whether the leading answer is that the passages do not hold it, of which there is
                no confidence.
            complete: Whether decoding went on to its end.
            fields: The same leaves for each field of the answer (`et_agent.asking.fields`).
        """
        nothing = (Assessment({}),) * len(fields)
        if leaves.top is None or declined or not complete:
            return Assessment({}, fields=nothing)
        beside = {} if grounds is None else grounds.features()
        features = features_of(leaves, answerable=answerable, beside=beside)
        if self._calibrator is None:
            return Assessment(features, fields=nothing)
        try:
            return self._assessed(features, fields, form)
        except (CalibrationError, ArithmeticError, ValueError) as error:
            # A decoded tree must not be lost to a calibrator that does not fit it.
            return Assessment(features, notes=(f"no confidence: {error}",), fields=nothing)

    def by_general_map(
        self, leaves: LeafTable, form: AnswerForm, grounds: Grounds | None, why: str
    ) -> Assessment:
        """What the general map thinks of samples that no tree of this question has given.

        Args:
            leaves: Statistics of the samples, as far as they are known.
            form: The form of the answer.
            grounds: What is known of the answer and the passages; None without passages.
            why: Why no other map is asked.
        """
        features = features_of(leaves, beside={} if grounds is None else grounds.features())
        if self._calibrator is None:
            return Assessment(features)
        asked = self._fingerprint(form)
        general = Calibrator.general(self._model.parameters, fingerprint=asked)
        (found,) = _Ladder(asked, form, None, why, general).assessments([features])
        return replace(found, features=features)

    def _assessed(
        self, features: FeatureValues, fields: Sequence[LeafTable], form: AnswerForm
    ) -> Assessment:
        asked = self._fingerprint(form)
        held = self._held(asked)
        notes = unusable_calibrators() if self._calibrator == "auto" else ()
        why_none = "" if held is not None else self._why_none(asked)

        def ladder(*, for_fields: bool = False) -> _Ladder:
            general = Calibrator.general(
                self._model.parameters, fingerprint=asked, of_fields=for_fields
            )
            if for_fields and held is not None and held.source == "general":
                return _Ladder(asked, form, None, _PASSED, general)
            return _Ladder(asked, form, held, why_none, general)

        of_answers = ladder()
        of_fields = ladder(for_fields=True) if fields else of_answers
        trees = [features_of(one, of_answers.reads | of_fields.reads) for one in fields]
        judged = iter(of_fields.assessments([one for one in trees if of_fields.knows(one)]))
        # Of a field whose tokens are not known, no more is known than of an answer.
        rest = [features, *(one for one in trees if not of_fields.knows(one))]
        others = iter(of_answers.assessments(rest))
        found = next(others)
        return replace(
            found,
            features=features,
            notes=(*found.notes, *notes),
            fields=tuple(next(judged if of_fields.knows(one) else others) for one in trees),
        )

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


class _Ladder:
    """The maps for one answer, the best first.

    Args:
        asked: What they have to apply to.
        form: The form of the answer.
        held: The calibrator for it; None if there is none.
        why_none: Why there is none.
        general: The general map.
    """

    def __init__(
        self,
        asked: Fingerprint,
        form: AnswerForm,
        held: Held | None,
        why_none: str,
        general: Calibrator,
    ) -> None:
        self._form, self._held, self._why_none = form, held, why_none
        self._general = general if held is None else general.widened(WIDENED)
        _, leaves = asked.leaves
        self._largest = functools.cache(lambda calibrator: calibrator.largest(leaves, form))

    @property
    def reads(self) -> frozenset[str]:
        """Features that a confidence may depend on."""
        if self._held is not None:
            with contextlib.suppress(CalibrationError):  # not fitted: the general map judges
                return self._held.calibrator.reads | self._general.reads
        return self._general.reads

    def knows(self, features: Mapping[str, float | None]) -> bool:
        """Whether everything was measured that the general map reads.

        What bounds its confidences beside (`Calibrator.reads`) may be of other trees alone.
        """
        return all(features.get(name) is not None for name in self._general.mapping_.read)

    def assessments(self, trees: Sequence[Mapping[str, float | None]]) -> list[Assessment]:
        """P(correct) of trees with these features, each from the best map that applies."""
        tried = [self._by_held(one) for one in trees]
        tried = [
            Assessment({}, notes=(f"no confidence: {_UNCHOSEN}",))
            if isinstance(one, _Refused) and self._lacks_choice(self._general, tree)
            else one
            for one, tree in zip(tried, trees, strict=True)
        ]
        left = [at for at, one in enumerate(tried) if isinstance(one, _Refused)]
        judged = self._general.confidences([trees[at] for at in left], self._form)
        general = dict(zip(left, judged, strict=True))
        return [
            self._by_general(general[at], one) if isinstance(one, _Refused) else one
            for at, one in enumerate(tried)
        ]

    def _by_held(self, features: Mapping[str, float | None]) -> "Assessment | _Refused":
        if self._held is None:
            return _Refused(self._why_none)
        calibrator, source = self._held
        try:
            if self._lacks_choice(calibrator, features):
                return _Refused(_UNCHOSEN)
            if calibrator.outside(features, self._form):
                return _Refused(
                    f"this tree is unlike those of the {source} calibrator", outside=True
                )
            found = calibrator.confidence(features, self._form)
            return self._assessment(self._held, found, self._largest(calibrator))
        except (CalibrationError, ArithmeticError, ValueError) as error:
            return _Refused(f"the {source} calibrator does not apply: {error}")

    @staticmethod
    def _lacks_choice(calibrator: Calibrator, features: Mapping[str, float | None]) -> bool:
        """Whether a map needs the choice of an answer out of passages, and it was not read.

        Maps take what is not measured as neutral, and a neutral choice would speak for the answer.
        """
        return "chosen" in calibrator.reads and features.get("chosen") is None

    def _by_general(self, found: Confidence, refused: "_Refused") -> Assessment:
        value, low = self._largest(self._general)
        if refused.outside:  # other trees of this size are judged by the map that was held
            assert self._held is not None
            other, other_low = self._largest(self._held.calibrator)
            value, low = max(value, other), max(low, other_low)
        held = Held(self._general, "general")
        return self._assessment(held, found, (value, low), refused.reason)

    def _assessment(
        self, held: Held, found: Confidence, largest: tuple[float, float], *notes: str
    ) -> Assessment:
        report = CalibrationReport(
            source=held.source,
            labels=held.calibrator.labels,
            interval=found.interval,
            notes=notes,
            largest=largest[0],
            largest_low=largest[1],
        )
        return Assessment({}, found, report, calibrator=held.calibrator)


@dataclass(frozen=True, slots=True)
class _Refused:
    """Why the calibrator at hand does not judge a tree.

    Attributes:
        reason: Why, for a person.
        outside: Whether the tree is unlike those that it was fitted on.
    """

    reason: str
    outside: bool = False
