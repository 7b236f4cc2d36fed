"""Calibrators: fit, store as JSON, apply and explain a map from features of a tree to P(correct)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from et_agent.arrays import Doubles, Ints
from et_agent.calibration.features import (
    FEATURES,
    feature_columns,
    feature_row,
    renamed_features,
)
from et_agent.calibration.fingerprint import Fingerprint
from et_agent.calibration.fitting import (
    CANDIDATES,
    MIN_PER_CLASS,
    MIN_QUESTIONS,
    choose,
    current_method,
    folds,
    log_loss,
    renamed_method,
    usable_features,
)
from et_agent.calibration.labels import checked_labels
from et_agent.calibration.maps import CalibrationMap, Isotonic, Logistic
from et_agent.errors import CalibrationError, CalibratorMismatchError
from et_agent.storage import write_atomically
from et_agent.validation import parsed_json

__all__ = ["Calibrator", "CalibratorFile", "Confidence", "DataUsed", "Part"]


SCHEMA: Final = 1
AUTO: Final = "auto"
_Method = Annotated[str, AfterValidator(current_method)]


class _Document(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )


class DataUsed(_Document):
    """Questions that a calibrator was fitted on."""

    name: str
    """Data set and split."""
    questions: int
    """Number of questions."""
    right: int
    """Number of questions that were answered correctly."""
    library: str = ""
    """What decoded them, as `ModelId.library` has it; empty if that is not known."""


class CalibratorFile(_Document):
    """A fitted calibrator as JSON. It contains no code."""

    schema_version: int = SCHEMA
    """Version of this format."""
    created: str
    """Day of fitting, ISO 8601, UTC."""
    fingerprint: Fingerprint | None
    """What the calibrator is valid for; None if the caller keeps track of that."""
    data: tuple[DataUsed, ...]
    """What it was fitted on."""
    method: _Method
    """Candidate that was fitted."""
    losses: dict[_Method, float]
    """Mean log loss on held-out questions, nats, of each candidate that was tried."""
    held_out: dict[str, float]
    """Metrics of the whole procedure, the choice included, on held-out questions."""
    reliability: tuple[tuple[float, float, int], ...] = ()
    """Mean confidence, accuracy and number of held-out questions, by bins of confidence."""
    mapping: CalibrationMap
    """The fitted map."""


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
    """

    value: float
    parts: tuple[Part, ...]
    base: float | None


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
        unmeasured_: Features that at least one question lacks, so that no map uses them. Only after
            `fit`, and empty if `features` was given.
        classes_: The labels, 0 and 1.
    """

    def __init__(
        self,
        method: str = AUTO,
        *,
        features: Sequence[str] | None = None,
        fingerprint: Fingerprint | None = None,
        data: Sequence[DataUsed] = (),
        seed: int = 0,
    ) -> None:
        self.method = renamed_method(method)
        self.features = None if features is None else renamed_features(features)
        self.fingerprint = fingerprint
        self.data = data
        self.seed = seed

    def fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> Self:  # noqa: N803
        """Fit to labelled questions.

        Args:
            X: Rows of `feature_row`, float64 [n, columns].
            y: True or 1 for a right answer, False or 0 for a wrong one, [n].
            groups: Group of each row, [n], such as the same question with fewer leaves. A group is
                never split between fitting and evaluation. None treats every row as its own group.

        Raises:
            CalibrationError: Too few labels, one class only, labels that are none, NaN in a feature,
                an unknown method, or scikit-learn is missing.
        """
        if self.method != AUTO and self.method not in CANDIDATES:
            known = ", ".join((AUTO, *CANDIDATES))
            raise CalibrationError(f"there is no method {self.method!r}: choose one of {known}")
        rows, labels, together = _checked(X, y, groups)
        features = usable_features(rows, self.features)
        left_out = FEATURES if self.features is None else ()
        self.unmeasured_ = tuple(name for name in left_out if name not in features)
        if self.method != AUTO and (missing := CANDIDATES[self.method].missing(features)):
            raise CalibrationError(
                f"{self.method} also needs {', '.join(missing)}: add it to the features, leave out "
                "questions in which it was not measured, or choose another method"
            )
        self.held_out_: Doubles = np.full(labels.size, np.nan)
        for train, held in folds(labels, together, self.seed):
            mapping, _, _ = self._fitted(rows[train], labels[train], together[train], features)
            self.held_out_[held] = mapping.predict(rows[held])
        self.mapping_, self.method_, self.losses_ = self._fitted(rows, labels, together, features)
        judged = ~np.isnan(self.held_out_)
        self.metrics_: dict[str, float] = {
            "log_loss": float(log_loss(labels[judged], self.held_out_[judged]).mean())
        }
        self.reliability_: tuple[tuple[float, float, int], ...] = ()
        self.classes_ = np.array([0, 1])
        self.created_ = datetime.now(UTC).date().isoformat()
        return self

    def _fitted(
        self,
        rows: Doubles,
        labels: Ints,
        groups: Ints,
        features: tuple[str, ...],
    ) -> tuple[CalibrationMap, str, Mapping[str, float]]:
        name: str = self.method
        losses: Mapping[str, float] = {}
        if name == AUTO:
            choice = choose(rows, labels, groups, features, self.seed)
            name, losses = choice.name, choice.losses
        return CANDIDATES[name].fit(rows, labels, groups, features, self.seed), name, losses

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
        rows = _rows(X)
        right = self._fitted_map().predict(rows)
        return np.column_stack([1.0 - right, right])

    def confidence(self, features: Mapping[str, float | None], kind: str) -> Confidence:
        """Return P(correct) of the top answer of one tree, and what moved it.

        Args:
            features: Features of the tree, from `features_of` or `AskResult.features`.
            kind: Answer kind.

        Raises:
            CalibrationError: The calibrator is not fitted, or a feature that it uses was not measured.
        """
        mapping, row = self._fitted_map(), feature_row(features, kind)[None, :]
        value = float(mapping.predict(row)[0])
        if isinstance(mapping, Isotonic):
            return Confidence(value, (), None)
        logistic = mapping if isinstance(mapping, Logistic) else mapping.score
        columns = feature_columns()
        parts = [
            Part(name, _meaning(name), float(row[0, columns.index(name)]), float(part))
            for name, part in zip(logistic.features, logistic.parts(row)[0], strict=True)
            if part
        ]
        parts.sort(key=lambda part: -abs(part.log_odds))
        return Confidence(value, tuple(parts), logistic.base)

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
            CalibrationError: Not fitted.
        """
        target = Path(path)
        write_atomically(target, self.document().model_dump_json(indent=1) + "\n")
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
        )

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a calibrator that `save` wrote.

        Raises:
            CalibrationError: The file cannot be read, is damaged, or was written by a later et-agent.
        """
        try:
            text = Path(path).read_bytes()
        except OSError as error:
            raise CalibrationError(
                f"the calibrator {path} cannot be read: {error.strerror or error}"
            ) from error
        return cls.from_json(text, str(path))

    @classmethod
    def from_json(cls, text: bytes | str, where: str = "calibrator") -> Self:
        """Read a calibrator's JSON.

        Raises:
            CalibrationError: It is damaged, or was written by a later et-agent.
        """
        try:
            values = parsed_json(text)
        except ValueError as error:
            raise CalibrationError(
                f"{where} is not JSON ({error}): fit the calibrator again"
            ) from error
        version = values.get("schema_version") if isinstance(values, dict) else None
        if not isinstance(version, int) or version < 1:
            raise CalibrationError(
                f"{where} is not an et-agent calibrator: fit one with `et-agent calibrate fit`"
            )
        if version > SCHEMA:
            raise CalibrationError(
                f"{where} was written by a later et-agent (schema {version}, this one knows "
                f"{SCHEMA}): upgrade et-agent, or fit the calibrator again"
            )
        try:
            found = CalibratorFile.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise CalibrationError(
                f"{where} is damaged ({place}: {first['msg']}): fit the calibrator again"
            ) from error
        made = cls(fingerprint=found.fingerprint, data=found.data)
        made.mapping_, made.method_ = found.mapping, found.method
        made.losses_, made.metrics_ = found.losses, found.held_out
        made.reliability_ = found.reliability
        made.created_, made.classes_ = found.created, np.array([0, 1])
        made.held_out_ = np.array([])
        return made

    def _fitted_map(self) -> CalibrationMap:
        if not hasattr(self, "mapping_"):
            raise CalibrationError("this calibrator is not fitted: call fit, or load a fitted one")
        return self.mapping_


def _meaning(column: str) -> str:
    return FEATURES[column].meaning if column in FEATURES else "kind of answer"


def _rows(values: ArrayLike) -> Doubles:
    rows = np.asarray(values, dtype=np.float64)
    width = len(feature_columns())
    if rows.ndim != 2 or rows.shape[1] != width:
        raise CalibrationError(
            f"features have the shape {rows.shape}: pass rows of {width} columns, as feature_row "
            "makes them"
        )
    return rows


def _checked(
    features: ArrayLike, y: ArrayLike, groups: ArrayLike | None
) -> tuple[Doubles, Ints, Ints]:
    rows = _rows(features)
    labels = checked_labels(y)
    if labels.shape != (rows.shape[0],):
        raise CalibrationError(
            f"there are {rows.shape[0]} rows but {labels.size} labels: pass one label per row"
        )
    together = np.arange(labels.size) if groups is None else np.asarray(groups)
    if together.shape != labels.shape:
        raise CalibrationError(
            f"there are {labels.size} labels but {together.size} groups: pass one group per label"
        )
    _, numbers = np.unique(together, return_inverse=True)
    whole = labels.astype(np.int64)
    _require_enough(whole, numbers.astype(np.int64))
    return rows, whole, numbers.astype(np.int64)


def _require_enough(labels: Ints, groups: Ints) -> None:
    total = np.unique(groups).size
    right, wrong = (np.unique(groups[labels == label]).size for label in (1, 0))
    if total < MIN_QUESTIONS or min(right, wrong) < MIN_PER_CLASS:
        raise CalibrationError(
            f"{total} labelled questions, {right} right and {wrong} wrong, are too few: at least "
            f"{MIN_QUESTIONS} are needed, {MIN_PER_CLASS} of each. "
            + _what_is_lacking(right, wrong, total)
        )


def _what_is_lacking(right: int, wrong: int, total: int) -> str:
    """What to label so that there is enough of it."""
    missing = max(MIN_QUESTIONS - total, 0)
    rare, how, remedy = right, "rightly", "easier questions too, or use a stronger model"
    if wrong < right:
        rare, how, remedy = wrong, "wrongly", "harder questions too"
    if total and not rare:
        return f"This model answered none of them {how}: label {remedy}"
    more = math.ceil((MIN_PER_CLASS - rare) * total / rare) if rare else 0
    if more <= missing:
        return f"Label {missing} more at least"
    return (
        f"This model answers only {rare / total:.0%} of such questions {how}, so about {more} more of "
        f"the same sort would be needed: label {remedy}"
    )
