"""Labelled questions, of evaluation runs or of the user's own, as a calibrator takes them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from et_agent.arrays import Doubles, Ints
from et_agent.calibration import (
    Calibrator,
    DataUsed,
    Fingerprint,
    feature_row,
)
from et_agent.calibration.calibrator_file import LEARNT
from et_agent.calibration.example import Example, LearntLabel
from et_agent.calibration.finding import own_calibrator
from et_agent.calibration.labels import checked_label
from et_agent.errors import CalibrationError, DataError
from et_agent.evaluation.metrics import METRICS, reliability, value_of
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.result_files import read_documents, read_text
from et_agent.wording import counted

__all__ = [
    "Labelled",
    "calibrate",
    "confidences",
    "labelled_examples",
    "labelled_file",
    "labelled_run",
]

_NEEDED: Final = ("question", "answer", "kind", "instruction", "chat", "model", "decoder", "share")
"""Fields of a result, besides its features, without which it says nothing of a calibrator."""


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Trees with an answer, as rows of features, with labels.

    Attributes:
        data: What the questions are.
        fingerprint: What they were decoded with.
        rows: Features, float64 [n, columns].
        right: 1 where the top answer is right, int64 [n].
        share: Its share by path weight, float64 [n].
        groups: Number of the question, int64 [n]; of its trees the largest comes first.
        parameters: Parameters of the model; 0 if that is not known.
        unanswered: Number of other questions, which are left out: their trees gave no answer, or were
            stopped before they were complete.
        unlabelled: Number of results that nobody has labelled, which are left out too.
    """

    data: DataUsed
    fingerprint: Fingerprint
    rows: Doubles
    right: Ints
    share: Doubles
    groups: Ints
    unanswered: int
    parameters: int = 0
    unlabelled: int = 0


@dataclass(frozen=True, slots=True)
class _Row:
    features: Doubles
    right: bool
    share: float
    group: int


def _joined(
    data: str,
    fingerprint: Fingerprint,
    rows: Sequence[_Row],
    library: str,
    *,
    unanswered: int,
    parameters: int,
) -> Labelled:
    # A question counts once, however many sizes of its tree there are.
    whole = {row.group: row.right for row in reversed(rows)}
    return Labelled(
        data=DataUsed(name=data, questions=len(whole), right=sum(whole.values()), library=library),
        fingerprint=fingerprint,
        rows=np.array([row.features for row in rows]),
        right=np.array([row.right for row in rows], dtype=np.int64),
        share=np.array([row.share for row in rows]),
        groups=np.array([row.group for row in rows], dtype=np.int64),
        parameters=parameters,
        unanswered=unanswered,
    )


def labelled_run(
    config: Mapping[str, Any],
    records: Sequence[QuestionRecord],
    *,
    caps: Sequence[int] = (),
    library: str = "",
    parameters: int = 0,
) -> Labelled:
    """The questions of an evaluation run; those without any answer are left out.

    Args:
        config: The run's configuration.
        records: Its questions.
        caps: Fewer leaves at which each tree is taken once more (`LeafTable.capped`), so that a
            calibrator applies to these too.
        library: What decoded them (`RunInfo.library`).
        parameters: Parameters of the model; 0 if that is not known.

    Raises:
        CalibrationError: No question has an answer.
    """
    rows = []
    for group, record in enumerate(records):
        for tree in _sizes(record, caps):
            leaves = tree.leaves
            if leaves.top is None:
                continue
            features = feature_row(tree.features, record.kind)
            rows.append(_Row(features, tree.correct, float(leaves.shares.max()), group))
    if not rows:
        raise CalibrationError(
            f"{config['data']}: none of {counted(records, 'question')} has an answer, so nothing can "
            "be fitted: run more questions, or allow longer paths (--max-tokens)"
        )
    unanswered = len(records) - len({row.group for row in rows})
    fingerprint = Fingerprint.of_run(config, sorted({record.kind for record in records}))
    if caps:
        low, high = fingerprint.leaves
        fingerprint = fingerprint.model_copy(update={"leaves": (min(low, *caps), high)})
    return _joined(
        config["data"], fingerprint, rows, library, unanswered=unanswered, parameters=parameters
    )


def _sizes(record: QuestionRecord, caps: Sequence[int]) -> Iterator[QuestionRecord]:
    yield record
    sizes = {int(record.leaves.count.sum())}
    for cap in caps:
        tree = record.capped(cap)
        size = int(tree.leaves.count.sum())
        # A tree that was as small anyway is not counted twice.
        if size not in sizes:
            sizes.add(size)
            yield tree


def labelled_file(path: Path) -> Labelled:
    """Results of `et-agent ask --json`, a line each, to which `"right": true` or `false` was added.

    Lines without a label are counted and left out.

    Raises:
        DataError: The file cannot be read, a line is damaged, no line has a label, or two lines label
            the same answer to the same question differently.
        CalibrationError: The results do not go together, or none has an answer.
    """
    rows: list[_Row] = []
    libraries: set[str] = set()
    parameters = 0
    fingerprint: Fingerprint | None = None
    unanswered = unlabelled = 0
    for number, result, right in _labelled_lines(path):
        if right is None:
            unlabelled += 1
            continue
        if not result["features"]:
            unanswered += 1
            continue
        try:
            found = Fingerprint.of_result(result)
            features = feature_row(result["features"], result["kind"])
            rows.append(_Row(features, right, float(result["share"]), number))
            libraries.add(str(result["model"].get("library", "")))
            parameters = max(parameters, int(result["model"].get("parameters", 0)))
            fingerprint = found if fingerprint is None else fingerprint.joined(found)
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}, line {number}: {error}") from error
    if fingerprint is None:
        raise CalibrationError(
            f"{path} contains no result with an answer: label results of `et-agent ask --json`"
        )
    library = "; ".join(sorted(libraries - {""}))
    joined = _joined(
        path.name, fingerprint, rows, library, unanswered=unanswered, parameters=parameters
    )
    return replace(joined, unlabelled=unlabelled)


def labelled_examples(path: Path) -> list[tuple[int, Example | None, bool | None]]:
    """The same lines for `et_agent.calibration.learn`: number, what is labelled, and the label.

    None stands for a result without an answer, and for a line without a label.

    Raises:
        DataError: As for `labelled_file`.
    """
    found = []
    for number, result, right in _labelled_lines(path):
        try:
            example = Example.of_result(result) if result["features"] else None
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}, line {number}: {error}") from error
        found.append((number, example, right))
    return found


def _labelled_lines(path: Path) -> Iterator[tuple[int, dict[str, Any], bool | None]]:
    """Number, result and label of each line; None where nobody has labelled it, but some are."""
    labels: dict[str, tuple[int, bool]] = {}
    found = [
        (number, *_result(document, f"{path}, line {number}"))
        for number, document in read_documents(read_text(path), str(path))
    ]
    if found and all(right is None for _, _, right in found):
        raise DataError(
            f'{path} has no label: use `et-agent label {path}`, or add "right": true or "right": false'
        )
    for number, result, right in found:
        if right is not None and result["features"]:
            _check_against(labels, result, right, number, path)
        yield number, result, right


def _result(result: Any, where: str) -> tuple[dict[str, Any], bool | None]:
    """A line's result and its label."""
    if not isinstance(result, dict) or not isinstance(result.get("features"), dict):
        raise DataError(f"{where}: this is not a result of `et-agent ask --json`")
    if missing := [name for name in _NEEDED if name not in result]:
        raise DataError(
            f'{where}: the result lacks {", ".join(missing)}: add only "right" to what `et-agent ask '
            "--json` prints, and take nothing away"
        )
    if "right" not in result:
        return result, None
    try:
        return result, checked_label(result["right"])
    except CalibrationError as error:
        raise DataError(f'{where}, "right": {error}') from error


def _check_against(
    labels: dict[str, tuple[int, bool]],
    result: Mapping[str, Any],
    right: bool,
    number: int,
    path: Path,
) -> None:
    """Check that no earlier line labels the same answer to the same question differently.

    `labels` has the line and the label of each answer so far, and gets this one.
    """
    if not result.get("single", True):  # the same words mean something else in another conversation
        return
    question, answer = result.get("question"), result.get("answer")
    asked = repr((question, answer, result.get("passages")))
    before, label = labels.setdefault(asked, (number, right))
    if label != right:
        now, then = ("right", "wrong") if right else ("wrong", "right")
        raise DataError(
            f"{path}: the answer {answer!r:.80} to the question {question!r:.80} is labelled {then} in "
            f"line {before} and {now} in line {number}: correct one of them"
        )


def calibrate(
    sets: Sequence[Labelled],
    *,
    method: str = "auto",
    features: Sequence[str] | None = None,
    seed: int = 0,
    keep_learnt: bool = False,
) -> Calibrator:
    """Fit a calibrator to labelled questions, and judge it on those it did not see.

    Args:
        sets: Questions of one model, decoder and prompt.
        keep_learnt: Whether labels count too that the user's own calibrator for such trees has learnt
            (`learn`). Then the new one covers what that one does, so that it replaces it.
        method: As for `Calibrator`.
        features: As for `Calibrator`.
        seed: Of the folds.

    Raises:
        CalibrationError: The sets do not go together, or see `Calibrator.fit`.
    """
    if not sets:
        raise CalibrationError(
            "there are no labelled questions: pass a run or a file of labelled results"
        )
    fingerprint = sets[0].fingerprint
    for one in sets[1:]:
        fingerprint = fingerprint.joined(one.fingerprint)
    learnt: tuple[LearntLabel, ...] = ()
    if keep_learnt:
        fingerprint, learnt = _learnt_before(fingerprint)
    if learnt:
        sets = [*sets, _learnt(learnt, fingerprint)]
    offsets = np.cumsum([0, *(int(one.groups.max()) + 1 for one in sets)])
    calibrator = Calibrator(
        method,
        features=features,
        fingerprint=fingerprint,
        data=tuple(one.data for one in sets),
        seed=seed,
        parameters=max(one.parameters for one in sets),
    )
    right = np.concatenate([one.right for one in sets])
    groups = [one.groups + offset for one, offset in zip(sets, offsets[:-1], strict=True)]
    calibrator.fit(np.concatenate([one.rows for one in sets]), right, np.concatenate(groups))
    calibrator.learnt_ = learnt
    judged = ~np.isnan(calibrator.held_out_)
    confidence, labels = calibrator.held_out_[judged], right[judged] == 1
    if not judged.any():
        return calibrator
    for name in ("AUROC", "ECE", "Brier"):
        value = value_of(METRICS[name], labels, confidence)
        if value is not None:
            calibrator.metrics_[name] = value
    calibrator.reliability_ = reliability(labels, confidence)
    return calibrator


def _learnt_before(fingerprint: Fingerprint) -> tuple[Fingerprint, tuple[LearntLabel, ...]]:
    """Labels that the user's own calibrator has learnt of such trees, and what it covers."""
    for one in (fingerprint, fingerprint.with_alike_leaves()):
        found = own_calibrator(one)
        if found is not None and found[1].learnt_:
            return one, found[1].learnt_
    return fingerprint, ()


def _learnt(labels: Sequence[LearntLabel], fingerprint: Fingerprint) -> Labelled:
    rows = [
        _Row(feature_row(one.features, one.kind), one.right, _share(one.features["share"]), group)
        for group, one in enumerate(labels)
    ]
    return _joined(LEARNT, fingerprint, rows, "", unanswered=0, parameters=0)


def _share(log_odds: float | None) -> float:
    return math.nan if log_odds is None else 1.0 / (1.0 + math.exp(-log_odds))


def confidences(calibrator: Calibrator, labelled: Labelled) -> Doubles:
    """P(correct) of each tree, float64 [n].

    Raises:
        CalibratorMismatchError: The calibrator does not apply to them.
        CalibrationError: A feature that is used was not measured.
    """
    calibrator.check(labelled.fingerprint)
    return calibrator.predict_proba(labelled.rows)[:, 1]
