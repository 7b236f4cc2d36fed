"""What a gate would have done on stored runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from et_agent.arrays import Bools, Doubles
from et_agent.calibration import Calibrator, RiskControl, Threshold, feature_row
from et_agent.calibration.finding import Held, find_calibrator
from et_agent.calibration.fingerprint import Fingerprint
from et_agent.calibration.labels import checked_labels
from et_agent.calibration.prior import Prior
from et_agent.errors import DataError, RiskControlError
from et_agent.evaluation.bootstrap import Interval, Resamples, interval
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.store import RunInfo
from et_agent.wording import counted

__all__ = [
    "Cascade",
    "Guarantee",
    "JudgedRun",
    "Outcome",
    "best_map",
    "cascade",
    "guarantee",
    "judged_run",
    "outcome",
    "requested_of",
    "run_confidences",
]


_SPLITS: Final = 200


def run_confidences(
    records: Sequence[QuestionRecord], calibrator: Calibrator | None, *, cautious: bool = False
) -> Doubles:
    """Confidence of each question, float64 [n]; the share without a calibrator, 0 for no answer.

    Args:
        records: The questions.
        calibrator: What gives the confidence.
        cautious: Whether to take the lower ends of the intervals, as `GatePolicy.cautious`.

    Raises:
        CalibrationError: A feature that the calibrator uses was not measured.
    """
    found = np.zeros(len(records))
    answered = [at for at, record in enumerate(records) if record.leaves.top is not None]
    if calibrator is None:
        found[answered] = [float(records[at].leaves.shares.max()) for at in answered]
        return found
    seen = [(records[at].features, records[at].kind) for at in answered]
    if cautious:
        found[answered] = [calibrator.confidence(*one).interval[0] for one in seen]
    elif answered:
        found[answered] = calibrator.predict_proba([feature_row(*one) for one in seen])[:, 1]
    return found


def requested_of(info: RunInfo, records: Sequence[QuestionRecord]) -> Fingerprint:
    """What a calibrator has to be for, to judge a run."""
    return Fingerprint.of_run(info.config, sorted({record.kind for record in records}))


def best_map(info: RunInfo, records: Sequence[QuestionRecord]) -> Held:
    """The best calibrator that applies to a run, or else the general map."""
    found = find_calibrator(requested_of(info, records))
    return found or Held(Calibrator.general(info.parameters), "general")


@dataclass(frozen=True, slots=True)
class JudgedRun:
    """A stored run with the confidence of each question.

    Attributes:
        held: What gives the confidences; None for the share.
        cautious: Whether they are the lower ends of the intervals.
        confidence: Of each question, float64 [n]; 0 for no answer.
        right: Whether each was answered rightly, bool [n].
        fitted_on_it: Whether the map has learnt from questions of the same data. Then nothing that
            follows from the run holds for others, should these be among them.
    """

    held: Held | None
    cautious: bool
    confidence: Doubles
    right: Bools
    fitted_on_it: bool

    @property
    def map_name(self) -> str:
        """The map's name for a person."""
        if self.held is None:
            return "share"
        source = self.held.source
        return "general map" if source == "general" else f"{source} calibrator"

    @property
    def by(self) -> str:
        """What is compared with a threshold, for a person."""
        if self.held is None:
            return "share, not calibrated"
        return f"{'lower end of the ' if self.cautious else ''}confidence of the {self.map_name}"


def judged_run(
    info: RunInfo,
    records: Sequence[QuestionRecord],
    held: Held | None,
    *,
    cautious: bool | None = None,
) -> JudgedRun:
    """Confidences of a run's questions.

    Args:
        info: The run.
        records: Its questions.
        held: What gives the confidences; None for the share.
        cautious: Whether to take the lower ends of the intervals; None does so for the general map.

    Raises:
        CalibrationError: A feature that the calibrator uses was not measured.
    """
    low = held is not None and (held.source == "general" if cautious is None else cautious)
    return JudgedRun(
        held=held,
        cautious=low,
        confidence=run_confidences(records, held and held.calibrator, cautious=low),
        right=np.array([record.correct for record in records], dtype=np.bool_),
        fitted_on_it=held is not None and info.config["data"] in _fitted_on(held),
    )


def _fitted_on(held: Held) -> set[str]:
    """Names of the data sets that a map has learnt from."""
    if held.source == "general":
        return {group.data for group in Prior.shipped().groups}
    return {one.name for one in held.calibrator.data}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a threshold does to a set of questions.

    Attributes:
        threshold: Confidence from which on questions are answered.
        coverage: Share of questions that are answered.
        error: Share of wrong answers among them; None when nothing is answered.
        questions: How many there are.
    """

    threshold: float
    coverage: float
    error: float | None
    questions: int


def outcome(confidence: Doubles, right: Bools, threshold: float) -> Outcome:
    """What answering from a threshold on would have brought.

    Raises:
        CalibrationError: A label is none (`checked_label`).
    """
    chosen, right = confidence >= threshold, checked_labels(right)
    answered = int(chosen.sum())
    return Outcome(
        threshold=threshold,
        coverage=answered / confidence.size if confidence.size else 0.0,
        error=float((~right[chosen]).mean()) if answered else None,
        questions=confidence.size,
    )


@dataclass(frozen=True, slots=True)
class Guarantee:
    """How well a risk control keeps its promise over random halves of labelled questions.

    Attributes:
        target: The error that was promised.
        splits: Random halves.
        certified: Share of them in which a threshold qualified.
        broken: Share of them whose error among answered questions of the other half is above the
            target; a half without a qualifying threshold answers nothing and breaks nothing.
        coverage: Mean share of the other half that is answered, 0 where nothing qualified.
        error: Mean error among the answered, where anything was; None where nothing ever was.
        missed: Share of samples of this size, drawn from the questions with replacement, whose
            threshold has a larger error than the target over the questions themselves. What the
            promise bounds: here the true error is known, and the two samples are independent.
        threshold: The threshold that all of the questions together certify; None if none qualifies.
    """

    target: float
    splits: int
    certified: float
    broken: float
    coverage: float
    error: float | None
    missed: float
    threshold: Threshold | None


def guarantee(
    confidence: Doubles, right: Bools, target: float, *, splits: int = _SPLITS, seed: int = 0
) -> Guarantee:
    """Certify a threshold on one half of the questions and try it on the other, many times.

    The realised error of a finite half scatters around the true one, and good luck in one half is
    bad luck in the other, so a share of broken splits somewhat above 1 - confidence is no
    contradiction of the guarantee, which is about the true error: see `Guarantee.missed`.

    Args:
        confidence: P(correct) by a calibrator that was fitted on other questions, [n].
        right: Whether each was answered rightly, [n].
        target: Largest error among answered questions.
        splits: How many times.
        seed: Of the halves.

    Raises:
        DataError: Fewer than 4 questions.
    """
    if confidence.size < 4:
        raise DataError(
            f"{counted(confidence.size, 'question')} cannot be split into halves: run more"
        )
    rng = np.random.default_rng(seed)
    found: list[tuple[bool, float, float | None]] = []
    for _ in range(splits):
        order = rng.permutation(confidence.size)
        first, other = order[: order.size // 2], order[order.size // 2 :]
        threshold = _certified(target, confidence[first], right[first])
        if threshold is None:
            found.append((False, 0.0, None))
            continue
        held = outcome(confidence[other], right[other], threshold.value)
        found.append((True, held.coverage, held.error))
    errors = [error for _, _, error in found if error is not None]
    missed = 0
    for _ in range(splits):
        drawn = rng.integers(confidence.size, size=confidence.size)
        threshold = _certified(target, confidence[drawn], right[drawn])
        if threshold is not None:
            error = outcome(confidence, right, threshold.value).error
            missed += error is not None and error > target
    return Guarantee(
        target=target,
        splits=splits,
        certified=sum(certified for certified, _, _ in found) / splits,
        broken=sum(error > target for error in errors) / splits,
        coverage=float(np.mean([coverage for _, coverage, _ in found])),
        error=float(np.mean(errors)) if errors else None,
        missed=missed / splits,
        threshold=_certified(target, confidence, right),
    )


def _certified(target: float, confidence: Doubles, right: Bools) -> Threshold | None:
    """The threshold that these questions certify; None if none qualifies."""
    try:
        return RiskControl(target).fit(confidence, right).threshold_
    except RiskControlError:
        return None


@dataclass(frozen=True, slots=True)
class Cascade:
    """A small model that passes its doubtful questions on to a larger one.

    Attributes:
        threshold: Confidence of the small model from which on it answers.
        questions: Questions that both models saw.
        escalated: Share that is passed on.
        accuracy: Of the cascade.
        small, large: Accuracy of each model alone, the large one as in the reference.
        lead: Accuracy of the cascade minus that of the large model alone.
        cost: Tokens times parameters, as a share of the large model's alone.
    """

    threshold: float
    questions: int
    escalated: float
    accuracy: float
    small: float
    large: float
    lead: Interval
    cost: float


def cascade(
    small: Mapping[str, QuestionRecord],
    large: Mapping[str, QuestionRecord],
    confidence: Mapping[str, float],
    *,
    threshold: float,
    size_ratio: float,
    reference: Mapping[str, QuestionRecord] | None = None,
) -> Cascade:
    """What a cascade would have cost and got right.

    Args:
        small: The small model's questions by id.
        large: The large model's, as it is asked here.
        confidence: The small model's confidence by id.
        threshold: Confidence from which on the small model's answer is given.
        size_ratio: Parameters of the small model over those of the large one.
        reference: The large model alone, with more leaves maybe than `large`; None for that.

    Raises:
        DataError: The models share no question.
    """
    alone = large if reference is None else reference
    both = sorted(set(small) & set(large) & set(alone))
    if not both:
        raise DataError("the runs share no question: run the same data set and sample")
    passed = np.array([confidence[item] < threshold for item in both])
    runs = (small, large, alone)
    right = np.array([[run[item].correct for run in runs] for item in both])
    tokens = np.array(
        [[run[item].tokens_decoded + run[item].prompt_tokens for run in runs] for item in both],
        dtype=np.float64,
    )
    reached = np.where(passed, right[:, 1], right[:, 0])
    counts = Resamples(len(both)).counts
    lead = counts @ (reached.astype(np.float64) - right[:, 2]) / len(both)
    spent = size_ratio * tokens[:, 0].sum() + tokens[passed, 1].sum()
    return Cascade(
        threshold=threshold,
        questions=len(both),
        escalated=float(passed.mean()),
        accuracy=float(reached.mean()),
        small=float(right[:, 0].mean()),
        large=float(right[:, 2].mean()),
        lead=interval(lead, len(both)),
        cost=float(spent / tokens[:, 2].sum()),
    )
