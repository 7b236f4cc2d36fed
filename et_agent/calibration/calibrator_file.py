"""A fitted calibrator as JSON: what it holds, and files that are read strictly."""

import json
import os
from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import AfterValidator, ValidationError

from et_agent.calibration.evidence import Domain, Limit
from et_agent.calibration.example import LearntLabel
from et_agent.calibration.fingerprint import Fingerprint
from et_agent.calibration.fitting import current_method
from et_agent.calibration.maps import CalibrationMap
from et_agent.errors import CalibrationError
from et_agent.storage import read_given, sealed, unsealed
from et_agent.validation import Frozen, parsed_json

__all__ = ["LARGEST", "LEARNT", "CalibratorFile", "DataUsed", "content", "parsed", "with_label"]

SCHEMA: Final = 1
LARGEST: Final = 5 << 20
"""A larger file is no calibrator, bytes."""
LEARNT: Final = "labelled while working"
"""Name of the data that `Calibrator.update` adds to."""
_Method = Annotated[str, AfterValidator(current_method)]


class DataUsed(Frozen):
    """Questions that a calibrator was fitted on."""

    name: str
    """Data set and split."""
    questions: int
    """Number of questions."""
    right: int
    """Number of questions that were answered correctly."""
    library: str = ""
    """What decoded them, as `ModelId.library` has it; empty if that is not known."""


class CalibratorFile(Frozen):
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
    limits: tuple[Limit, ...] = ()
    """What the labelled questions allow at most, by rising confidence."""
    domain: Domain | None = None
    """Where the fitted trees lay; None if there were too few to say."""
    learnt: tuple[LearntLabel, ...] = ()
    """Labels that `learn` has counted."""

    def as_text(self) -> str:
        """The JSON with its digest; those that are shipped have none."""
        return json.dumps(sealed(json.loads(self.model_dump_json())), indent=1) + "\n"


def with_label(data: Sequence[DataUsed], *, right: bool) -> tuple[DataUsed, ...]:
    """The record of the data with one more question that was labelled while working."""
    held = {one.name: one for one in data}
    before = held.get(LEARNT, DataUsed(name=LEARNT, questions=0, right=0))
    held[LEARNT] = before.model_copy(
        update={"questions": before.questions + 1, "right": before.right + right}
    )
    return tuple(held.values())


def content(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a calibrator's file that a person names.

    Raises:
        CalibrationError: It cannot be read, or is larger than a calibrator.
    """
    try:
        return read_given(path, most=LARGEST)
    except OSError as error:
        raise CalibrationError(
            f"the calibrator {path} cannot be read: {error.strerror or error}"
        ) from error


def parsed(text: bytes | str, where: str) -> CalibratorFile:
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
        return CalibratorFile.model_validate(unsealed(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise CalibrationError(
            f"{where} is damaged ({place}: {first['msg']}): fit the calibrator again"
        ) from error
    except ValueError as error:
        raise CalibrationError(f"{where} is damaged ({error}): fit the calibrator again") from error
