"""Labels given while working: each moves the user's own calibrator of the settings that it is for."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from et_agent.arguments import checks_arguments
from et_agent.calibration.calibrator import Calibrator
from et_agent.calibration.example import Example
from et_agent.calibration.finding import (
    changing_own,
    find_calibrator,
    known_instructions,
    own_file,
)
from et_agent.calibration.fingerprint import Fingerprint
from et_agent.calibration.labels import checked_label
from et_agent.errors import CalibrationError

if TYPE_CHECKING:
    from et_agent.results import AskResult

__all__ = ["MOST_LABELS", "Learnt", "learn"]

MOST_LABELS: Final = 5000
"""Labels that one calibrator learns at most, since its file is read with every question."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a label led to.

    Attributes:
        calibrator: The user's own calibrator, as it is now.
        path: Its file.
        is_new: Whether the label counted; false for one that was given before.
    """

    calibrator: Calibrator
    path: Path
    is_new: bool


@checks_arguments(error=CalibrationError)
def learn(result: "AskResult | Example", right: bool) -> Learnt:
    """Let a label move the user's own calibrator, which `ask` finds from then on.

    This is the user's own calibrator that applies to the result, or to one with another number of
    leaves. If there is none, one begins from the shipped calibrator that does, or else from the general
    map. It then holds for all trees of which the label tells (`Fingerprint.with_alike_leaves`).
    Processes and threads may do this at once: no label is lost.

    Args:
        result: A result of `ask`, with an answer, or what a log keeps of one.
        right: Whether the answer is right. The same label for the same result counts once.

    Raises:
        CalibrationError: The result has no answer or was interrupted; `right` is not a label, or
            contradicts an earlier one; a log hides the system prompt, and it is not known; the map has
            learnt `MOST_LABELS`; the file cannot be written.
    """
    label = checked_label(right)
    example = Example.of(result)
    if example.hides_texts:
        example = example.with_texts(known_instructions())
    with changing_own():
        calibrator, fingerprint = _moved_by(example)
        calibrator.fingerprint = fingerprint
        path = own_file(calibrator)  # before it covers more, so that it keeps its file
        calibrator.fingerprint = fingerprint.with_alike_leaves()
        before = {one.identity: one.right for one in calibrator.learnt_}
        if before.get(example.identity, label) != label:
            then, now = ("wrong", "right") if label else ("right", "wrong")
            raise CalibrationError(
                f"this answer was labelled {then} before and {now} now: leave the new label out, or "
                f"remove {path} and give all labels again"
            )
        if example.identity in before:
            return Learnt(calibrator, path, is_new=False)
        if len(before) >= MOST_LABELS:
            raise CalibrationError(
                f"{path} has learnt {MOST_LABELS} labels, so that another one would change little: "
                "leave it out"
            )
        calibrator.update(example, label)
        calibrator.learnt_ = (*calibrator.learnt_, example.labelled(label))
        return Learnt(calibrator, calibrator.save(path), is_new=True)


def _moved_by(example: Example) -> tuple[Calibrator, Fingerprint]:
    """What a label moves, and what that covers so far."""
    fingerprint = example.fingerprint
    held = find_calibrator(fingerprint, for_labels=True)
    if held is None:
        return Calibrator.general(example.parameters, fingerprint=fingerprint), fingerprint
    calibrator = copy.copy(held.calibrator)  # since it is kept in memory for others
    if held.source == "own" and calibrator.fingerprint is not None:
        fingerprint = calibrator.fingerprint
    return calibrator, fingerprint
