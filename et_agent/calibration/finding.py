"""Which calibrator applies to a tree: the user's own first, then those shipped with the package."""

import functools
import os
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Final, Literal, NamedTuple

from et_agent.calibration.calibrator import Calibrator
from et_agent.calibration.fingerprint import Fingerprint
from et_agent.errors import CalibrationError
from et_agent.storage import cache_dir, data_dir

__all__ = [
    "CalibrationSource",
    "Held",
    "calibrators_folder",
    "find_calibrator",
    "known_calibrators",
    "may_need_attention",
    "save_calibrator",
    "why_none",
]

CalibrationSource = Literal["own", "shipped", "general"]
"""Whose map gives a confidence, the most trustworthy first."""
_SHIPPED: Final = "shipped"


def calibrators_folder() -> Path:
    """Where calibrators of the user's own are kept."""
    if os.environ.get("ET_AGENT_CACHE"):
        return cache_dir() / "calibrators"
    return data_dir() / "calibrators"


def known_calibrators() -> list[tuple[Path, Calibrator]]:
    """All calibrators at hand with their files, the user's own first.

    Raises:
        CalibrationError: A file is damaged.
    """
    shipped = Path(str(resources.files("et_agent.calibration") / _SHIPPED))
    found = []
    for folder in (calibrators_folder(), shipped):
        for path in sorted(folder.glob("*.json")):
            found.append((path, _read(str(path), path.stat().st_mtime_ns)))
    return found


@functools.lru_cache(maxsize=64)
def _read(path: str, changed: int) -> Calibrator:
    del changed
    return Calibrator.load(path)


class Held(NamedTuple):
    """A calibrator, and whose it is."""

    calibrator: Calibrator
    source: CalibrationSource


def find_calibrator(requested: Fingerprint) -> Held | None:
    """The first known calibrator that applies to what is requested; None if there is none.

    Raises:
        CalibrationError: A file is damaged.
    """
    own = calibrators_folder()
    for path, calibrator in known_calibrators():
        if calibrator.fingerprint is not None and not calibrator.fingerprint.problems(requested):
            return Held(calibrator, "own" if path.parent == own else "shipped")
    return None


def may_need_attention(requested: Iterable[Fingerprint]) -> bool:
    """Whether `find_calibrator` may find one that needs attention for any of these.

    Raises:
        CalibrationError: A file is damaged.
    """
    reading = [one.fingerprint for _, one in known_calibrators() if one.reads_attention]
    fingerprints = [one for one in reading if one is not None]
    return any(not held.problems(one) for one in requested for held in fingerprints)


def why_none(requested: Fingerprint) -> str:
    """Why no calibrator holds: how the nearest one of the same model differs from what is requested.

    Raises:
        CalibrationError: A file is damaged.
    """
    differences: list[list[str]] = [
        calibrator.fingerprint.problems(requested)
        for _, calibrator in known_calibrators()
        if calibrator.fingerprint is not None and calibrator.fingerprint.model == requested.model
    ]
    if not differences:
        return "there is none for this model"
    return "; ".join(sorted(differences, key=len)[0])


def save_calibrator(calibrator: Calibrator, folder: Path | None = None) -> Path:
    """Keep a calibrator among the user's own, so that it is found; returns the path.

    Raises:
        CalibrationError: It is not fitted, or carries no fingerprint.
    """
    fingerprint = calibrator.fingerprint
    if fingerprint is None:
        raise CalibrationError(
            "a calibrator without fingerprint cannot be found again: give it one"
        )
    kinds = "-".join(sorted(fingerprint.instructions))
    place = calibrators_folder() if folder is None else folder
    return calibrator.save(place / f"{fingerprint.model[:12]}-{kinds}.json")
