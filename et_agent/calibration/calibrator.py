"""Calibrators: fit, store as JSON, apply and explain a map from features of a tree to P(correct)."""

import copy
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from numpy.typing import ArrayLike

from et_agent.arguments import checks_arguments
from et_agent.arrays import Doubles
from et_agent.calibration.calibrator_file import (
    CalibratorFile,
    DataUsed,
    content,
    parsed,
    with_label,
)
from et_agent.calibration.confidence import Confidence, Part, parts_of
from et_agent.calibration.evidence import (
    VOTES,
    Domain,
    Limit,
    domain_of,
    limits_of,
    wilson,
    within_limits,
    within_votes,
)
from et_agent.calibration.example import Example, LearntLabel
from et_agent.calibration.features import FEATURES, feature_row, renamed_features
from et_agent.calibration.fingerprint import Fingerprint
from et_agent.calibration.fitting import (
    CANDIDATES,
    Training,
    beside_the_tree,
    choose,
    folds,
    judged,
    log_loss,
    renamed_method,
    unmeasured,
    usable_features,
)
from et_agent.calibration.labels import checked_label
from et_agent.calibration.maps import CalibrationMap, Moved, VennAbers
from et_agent.calibration.pooled import Pooled
from et_agent.calibration.prior import prior_of
from et_agent.calibration.reach import best_row
from et_agent.calibration.rows import (
    checked_rows,
    comparable,
    require_comparable,
    row_weights,
    training_rows,
)
from et_agent.errors import CalibrationError, CalibratorMismatchError
from et_agent.storage import write_atomically

if TYPE_CHECKING:
    from et_agent.results import AskResult

__all__ = ["Calibrator", "CalibratorFile", "Confidence", "DataUsed", "Part"]


AUTO: Final = "auto"
POOLED: Final = "pooled"


class Calibrator:
    """Predicts P(correct) from the features of a tree, in the style of scikit-learn.

    Candidates (`et_agent.calibration.fitting.CANDIDATES`) are compared by log loss on held-out
    questions. The first one that is no worse than the best by one standard error is chosen.

    Args:
        method: A candidate's name, or "auto" to choose.
        features: Columns of `feature_columns()` to use; None for all that were measured.
        fingerprint: What the questions were decoded with; None if the caller keeps track of that.
        data: Names and sizes of the data, for the record.
        seed: Seed of the folds.
        parameters: Parameters of the model, which say where the general map starts; 0 if not known.

    Attributes:
        mapping_: The fitted map.
        method_: Candidate that was fitted.
        losses_: Mean held-out log loss of each candidate, nats.
        held_out_: P(correct) of each question from a calibrator that did not see its group, [n]. The
            candidate is also chosen without that group (nested cross-validation). NaN after `load`,
            or if a fold could not be fitted.
        metrics_: Metrics of `held_out_`.
        reliability_: Mean confidence, accuracy and number of questions per bin of `held_out_`;
            empty unless it was set.
        learnt_: Labels that `learn` has counted.
        unmeasured_: Features that at least one question lacks, so that no map uses them. Only after
            `fit`, and empty if `features` was given.
        classes_: The labels, 0 and 1.
    """

    @checks_arguments(error=CalibrationError)
    def __init__(
        self,
        method: str = AUTO,
        *,
        features: Sequence[str] | None = None,
        fingerprint: Fingerprint | None = None,
        data: Sequence[DataUsed] = (),
        seed: int = 0,
        parameters: int = 0,
    ) -> None:
        self.method = renamed_method(method)
        self.features = None if features is None else renamed_features(features)
        self.fingerprint = fingerprint
        self.data = data
        self.seed, self.parameters = seed, parameters

    @classmethod
    def general(
        cls, parameters: int = 0, *, fingerprint: Fingerprint | None = None, of_fields: bool = False
    ) -> Self:
        """The map for any model, prompt, settings and kind, before any label of one's own.

        Args:
            parameters: Parameters of the model; 0 if that is not known.
            fingerprint: What `update` will be given results of; None for any without passages.
            of_fields: Whether it judges fields of structured answers.
        """
        prior = prior_of(fingerprint, of_fields=of_fields)
        made = cls(POOLED, fingerprint=fingerprint, parameters=parameters)
        made._set(prior.map_for(parameters), POOLED, prior.limits, None)
        return made

    def _set(
        self, mapping: CalibrationMap, method: str, limits: Sequence[Limit], domain: Domain | None
    ) -> None:
        self.mapping_, self.method_ = mapping, method
        self.limits_, self.domain_ = tuple(limits), domain
        self.losses_: Mapping[str, float] = {}
        self.metrics_: dict[str, float] = {}
        self.reliability_: tuple[tuple[float, float, int], ...] = ()
        self.held_out_: Doubles = np.array([])
        self.learnt_: tuple[LearntLabel, ...] = ()
        self.classes_ = np.array([0, 1])
        self.created_ = datetime.now(UTC).date().isoformat()

    def fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> Self:  # noqa: N803
        """Fit to labelled questions.

        Args:
            X: Rows of `feature_row`, float64 [n, columns].
            y: True or 1 for a right answer, False or 0 for a wrong one, [n].
            groups: Group of each row, [n], such as the same question with fewer leaves. A group is
                never split between fitting and evaluation. None treats every row as its own group.

        Raises:
            CalibrationError: No label, labels that are none, NaN in a feature, an unknown
                method, or too few labels for one that is fitted anew.
        """
        if self.method != AUTO and self.method not in CANDIDATES:
            known = ", ".join((AUTO, *CANDIDATES))
            raise CalibrationError(f"there is no method {self.method!r}: choose one of {known}")
        rows, labels, together = training_rows(X, y, groups)
        features = usable_features(rows, self.features)
        if isinstance(self.seed, bool) or not 0 <= self.seed < 2**32:
            raise CalibrationError(f"seed is {self.seed!r}: use a whole number from 0 to 2**32 - 1")
        beside = beside_the_tree(rows) if self.features is None else ()
        self.unmeasured_ = unmeasured(rows, self.fingerprint) if self.features is None else ()
        if self.method != AUTO and (missing := CANDIDATES[self.method].missing(features)):
            raise CalibrationError(
                f"{self.method} also needs {', '.join(missing)}: add it to the features, leave out "
                "questions in which it was not measured, or choose another method"
            )
        prior = prior_of(self.fingerprint)
        start = prior.map_for(self.parameters)
        training = Training(rows, labels, together, features, self.seed, start, beside)
        held_out: Doubles = np.full(labels.size, np.nan)
        losses: Mapping[str, float] = {}
        if self.method in (AUTO, POOLED) and not comparable(labels, together):
            if "share" not in features:
                raise CalibrationError(
                    "no map can be made of so few questions and these features: give the share among "
                    "them"
                )
            method = POOLED
            mapping = CANDIDATES[method].fit(training)
        else:
            require_comparable(labels, together)
            for train, others in folds(labels, together, self.seed):
                part, _, _ = self._fitted(training.part(train))
                held_out[others] = judged(part, rows[others])
            mapping, method, losses = self._fitted(training)
        seen = ~np.isnan(held_out)
        found = np.where(seen, held_out, judged(mapping, rows))
        limits = limits_of(found, labels.astype(np.float64), row_weights(together))
        if method == POOLED:  # what the general map rests on, too
            limits = tuple(map(Limit.plus, prior.limits, limits))
        self._set(mapping, method, limits, domain_of(rows))
        self.fitted_ = np.unique(together).size
        self.held_out_, self.losses_ = held_out, losses
        if seen.any():
            loss = log_loss(labels[seen], held_out[seen]).mean()
            self.metrics_ = {"log_loss": float(loss)}
        return self

    def _fitted(self, training: Training) -> tuple[CalibrationMap, str, Mapping[str, float]]:
        name: str = self.method
        losses: Mapping[str, float] = {}
        if name == AUTO:
            choice = choose(training)
            name, losses = choice.name, choice.losses
        return CANDIDATES[name].fit(training), name, losses

    @property
    def reads(self) -> frozenset[str]:
        """Columns that a confidence, its bounds and `outside` depend on.

        Raises:
            CalibrationError: Not fitted.
        """
        read = self._fitted_map().read
        known = () if self.domain_ is None else self.domain_.features
        return frozenset((*read, *VOTES, *known))

    @property
    def reads_attention(self) -> bool:
        """Whether it uses a feature for which attention has to be read while a tree is decoded.

        Raises:
            CalibrationError: Not fitted.
        """
        read = self._fitted_map().read
        return any(FEATURES[name].attention for name in read if name in FEATURES)

    def predict_proba(self, X: ArrayLike) -> Doubles:  # noqa: N803
        """Return P(wrong) and P(correct), float64 [n, 2].

        Raises:
            CalibrationError: Not fitted, wrong columns, or NaN in a feature that is used.
        """
        rows = checked_rows(X)
        right = self._bounded(rows, self._fitted_map().predict(rows))
        return np.column_stack([1.0 - right, right])

    def _bounded(self, rows: Doubles, found: Doubles) -> Doubles:
        """What a map gives, but never above what its evidence allows, [n]."""
        allowed = within_limits(self.limits_, found)
        return within_votes(rows, allowed) if isinstance(self.mapping_, Pooled) else allowed

    def confidence(self, features: Mapping[str, float | None], kind: str) -> Confidence:
        """Return P(correct) of the top answer of one tree, and what moved it.

        Args:
            features: Features of the tree, from `features_of` or `AskResult.features`.
            kind: Answer kind.

        Raises:
            CalibrationError: The calibrator is not fitted, or a feature that it uses was not measured.
        """
        (found,) = self.confidences([features], kind)
        return found

    def confidences(
        self, trees: Sequence[Mapping[str, float | None]], kind: str
    ) -> list[Confidence]:
        """Return `confidence` of several trees at once, which takes little longer than of one.

        Raises:
            CalibrationError: As for `confidence`.
        """
        if not trees:
            return []
        mapping, rows = self._fitted_map(), np.array([feature_row(one, kind) for one in trees])
        values = self._bounded(rows, mapping.predict(rows))
        questions = [self._questions_near(one) for one in values.tolist()]
        low, high = (self._bounded(rows, end) for end in self._ends(rows, values, questions).T)
        ends = np.column_stack([np.minimum(low, values), np.maximum(high, values)]).tolist()
        base, parts = parts_of(mapping, rows)
        return [
            Confidence(value, moved, base, (least, most))
            for value, moved, (least, most) in zip(values.tolist(), parts, ends, strict=True)
        ]

    def largest(self, leaves: int, kind: str, share: float = 1.0) -> tuple[float, float]:
        """P(correct) and the lower end of its interval that no tree of so many leaves exceeds.

        Args:
            leaves: Number of leaves.
            kind: Answer kind.
            share: The largest share that its answer can have.

        Raises:
            CalibrationError: Not fitted, or an unknown kind.
        """
        mapping = self._fitted_map()
        row = best_row(mapping, leaves, kind, share)
        values = self._bounded(row, mapping.predict(row))
        most = max((float(one[2]) for one in self.reliability_), default=float(self.labels))
        low = self._bounded(row, self._ends(row, values, [most])[:, 0])
        return float(values[0]), float(min(low[0], values[0]))

    def low_ends(self, X: ArrayLike) -> Doubles:  # noqa: N803
        """Return the lower end of the interval of P(correct), float64 [n].

        Raises:
            CalibrationError: As for `predict_proba`.
        """
        rows = checked_rows(X)
        values = self.predict_proba(rows)[:, 1]
        questions = [self._questions_near(one) for one in values.tolist()]
        low = self._bounded(rows, self._ends(rows, values, questions)[:, 0])
        return np.minimum(low, values)

    def _ends(self, rows: Doubles, values: Doubles, questions: Sequence[float]) -> Doubles:
        """Both ends of each interval before the evidence bounds them, [n, 2]."""
        mapping = self._fitted_map()
        if isinstance(mapping, Pooled | Moved):
            return mapping.interval(rows)
        if isinstance(mapping, VennAbers):
            return np.column_stack(mapping.bounds(rows))
        return np.array([wilson(*one) for one in zip(values.tolist(), questions, strict=True)])

    def _questions_near(self, value: float) -> float:
        """Questions of the bin of held-out confidences that a confidence is nearest to."""
        if not self.reliability_:
            return float(self.labels)
        return float(min(self.reliability_, key=lambda one: abs(one[0] - value))[2])

    @property
    def labels(self) -> int:
        """Number of labelled questions of the setting itself, those of the general map left aside."""
        return max(sum(one.questions for one in self.data), getattr(self, "fitted_", 0))

    def outside(self, features: Mapping[str, float | None], kind: str) -> bool:
        """Whether a tree is unlike those that were fitted: well outside of where they lay.

        Raises:
            CalibrationError: Not fitted.
        """
        self._fitted_map()
        if self.domain_ is None:
            return False
        return bool(self.domain_.distance(feature_row(features, kind)[None, :])[0] > 1.0)

    def widened(self, factor: float) -> Self:
        """The same with a less certain map, where the map says how certain it is."""
        made = copy.copy(self)
        if isinstance(made.mapping_, Pooled):
            made.mapping_ = made.mapping_.widened(factor)
        return made

    def update(self, result: "AskResult | Example", right: bool) -> Self:
        """Learn from one more labelled result; the calibrator itself changes.

        The posterior after the labels so far is the prior of the next one.

        Args:
            result: A result with an answer.
            right: Whether the answer is right.

        Raises:
            CalibrationError: The result has no answer or was interrupted, or `right` is not a label.
            CalibratorMismatchError: The result is of another model, decoder, prompt or kind.
        """
        label = checked_label(right)
        example = Example.of(result)
        mapping = self._fitted_map()
        if not isinstance(mapping, Pooled | Moved):
            mapping = Moved.of(mapping, self.labels)
        self.check(example.fingerprint)
        row = feature_row(example.features, example.kind)[None, :]
        before = float(self._bounded(row, mapping.predict(row))[0])
        self.mapping_ = mapping.after(row, np.array([float(label)]))
        self.limits_ = tuple(one.with_one(before, right=label) for one in self.limits_)
        self.data = with_label(self.data, right=label)
        return self

    def check(self, requested: Fingerprint) -> None:
        """Check that this calibrator is valid for a tree.

        Raises:
            CalibratorMismatchError: The model, decoder, prompt or answer kind differs.
        """
        problems = [] if self.fingerprint is None else self.fingerprint.problems(requested)
        if problems:
            raise CalibratorMismatchError(
                f"the calibrator was fitted for something else ({'; '.join(problems)}). Use the "
                "same settings, or fit another one: et-agent eval run --data … --model …, then "
                "et-agent calibrate fit RUN"
            )

    def save(self, path: str | Path) -> Path:
        """Write the calibrator as JSON, atomically, and return the path.

        Raises:
            CalibrationError: Not fitted, or the file cannot be written.
        """
        target = Path(path)
        write_atomically(target, self.document().as_text(), error=CalibrationError)
        return target

    def document(self) -> CalibratorFile:
        """Return the calibrator as plain data.

        Raises:
            CalibrationError: Not fitted.
        """
        return CalibratorFile(
            mapping=self._fitted_map(),
            created=self.created_,
            fingerprint=self.fingerprint,
            data=tuple(self.data),
            method=self.method_,
            losses=dict(self.losses_),
            held_out=dict(self.metrics_),
            reliability=self.reliability_,
            limits=self.limits_,
            domain=self.domain_,
            learnt=self.learnt_,
        )

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a calibrator that `save` wrote.

        Raises:
            CalibrationError: The file cannot be read, is damaged, or was written by a later et-agent.
        """
        return cls.from_json(content(path), str(path))

    @classmethod
    def from_json(cls, text: bytes | str, where: str = "calibrator") -> Self:
        """Read a calibrator's JSON.

        Raises:
            CalibrationError: It is damaged, or was written by a later et-agent.
        """
        found = parsed(text, where)
        made = cls(fingerprint=found.fingerprint, data=found.data)
        made._set(found.mapping, found.method, found.limits, found.domain)
        made.losses_, made.metrics_, made.learnt_ = found.losses, found.held_out, found.learnt
        made.reliability_, made.created_ = found.reliability, found.created
        return made

    def _fitted_map(self) -> CalibrationMap:
        if not hasattr(self, "mapping_"):
            raise CalibrationError("this calibrator is not fitted: call fit, or load a fitted one")
        return self.mapping_
