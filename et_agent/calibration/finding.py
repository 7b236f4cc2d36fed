"""Which calibrator applies to a tree: the user's own first, then those shipped with the package.

A file that cannot be used is left out, with a note that says which and why. It has no say in what the
others say.
"""

import contextlib
import functools
import itertools
import os
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path
from typing import Final, Literal, NamedTuple

from et_agent.answers import AnswerKind, instruction
from et_agent.answers.kinds import DIRECT_INSTRUCTION
from et_agent.calibration.calibrator import Calibrator
from et_agent.calibration.calibrator_file import LARGEST
from et_agent.calibration.fingerprint import Fingerprint
from et_agent.errors import CalibrationError
from et_agent.storage import cache_dir, data_dir, locked, read_regular

__all__ = [
    "LARGEST",
    "CalibrationSource",
    "Held",
    "calibrators_folder",
    "changing_own",
    "find_calibrator",
    "known_calibrators",
    "known_instructions",
    "may_need_attention",
    "own_calibrator",
    "own_file",
    "save_calibrator",
    "unusable_calibrators",
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
    """All calibrators at hand with their files, the user's own first."""
    return [
        (path, calibrator)
        for path, calibrator in _looked_through()
        if isinstance(calibrator, Calibrator)
    ]


def unusable_calibrators() -> tuple[str, ...]:
    """A note on each file that is left out because no calibrator can be read from it, and why."""
    return tuple(
        f"a calibrator is left out: {reason}"
        for _, reason in _looked_through()
        if isinstance(reason, CalibrationError)
    )


def _looked_through() -> Iterator[tuple[Path, Calibrator | CalibrationError]]:
    """What is in both folders: calibrators, and why others are none."""
    shipped = Path(str(resources.files("et_agent.calibration") / _SHIPPED))
    for folder in (calibrators_folder(), shipped):
        try:
            paths = sorted(path for path in folder.iterdir() if path.suffix == ".json")
        except FileNotFoundError:
            continue
        except OSError as error:
            yield folder, _unreadable(folder, error)
            continue
        for path in paths:
            try:
                now = path.stat()
                yield path, _read(path, now.st_ino, now.st_size, now.st_mtime_ns)
            except OSError as error:
                yield path, _unreadable(path, error)
            except CalibrationError as error:
                yield path, error


def _unreadable(path: Path, error: OSError) -> CalibrationError:
    return CalibrationError(
        f"{_shown(path)} cannot be read: {error.strerror or error}. Remove it, or mend its permissions"
    )


def _shown(path: Path) -> str:
    """A path as text that every result can hold, whatever bytes its name is made of."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


@functools.lru_cache(maxsize=64)
def _read(path: Path, *state: int) -> Calibrator:
    del state  # what tells that it is another file now
    return Calibrator.from_json(read_regular(path, most=LARGEST), _shown(path))


class Held(NamedTuple):
    """A calibrator, and whose it is."""

    calibrator: Calibrator
    source: CalibrationSource


def find_calibrator(requested: Fingerprint, *, for_labels: bool = False) -> Held | None:
    """The known calibrator that applies to what is requested; None if there is none.

    The user's own come first, and among several the one with most labels, without those of a shipped
    one that it began from: else a few labels would outweigh a fit to many.

    Args:
        requested: What a tree is decoded with.
        for_labels: Whether a label of the tree may move one for other numbers of leaves, too
            (`Fingerprint.with_alike_leaves`).
    """
    own, known = calibrators_folder(), known_calibrators()
    shipped = [used for path, one in known if path.parent != own for used in one.data]
    applying = []
    for path, calibrator in known:
        covered = calibrator.fingerprint
        if covered is not None and for_labels:
            covered = covered.with_alike_leaves()
        if covered is not None and not covered.problems(requested):
            applying.append(Held(calibrator, "own" if path.parent == own else "shipped"))

    def rank(held: Held) -> tuple[bool, int]:
        is_own = held.source == "own"
        begun_from = sum(one.questions for one in held.calibrator.data if is_own and one in shipped)
        return is_own, held.calibrator.labels - begun_from

    return max(applying, key=rank, default=None)


def may_need_attention(requested: Iterable[Fingerprint]) -> bool:
    """Whether `find_calibrator` may find one that needs attention for any of these."""
    reading = [one.fingerprint for _, one in known_calibrators() if one.reads_attention]
    fingerprints = [one for one in reading if one is not None]
    return any(not held.problems(one) for one in requested for held in fingerprints)


def why_none(requested: Fingerprint) -> str:
    """Why no calibrator holds: how the nearest one differs from what is requested.

    Only those of the same model that cover the answer kind are compared. The nearest one differs in
    the fewest respects. One of the user's own that would hold for other answer kinds is named.
    """
    of_model = [
        fingerprint
        for _, calibrator in known_calibrators()
        if (fingerprint := calibrator.fingerprint) is not None
        and fingerprint.model == requested.model
    ]
    if not of_model:
        return "no calibrator for this model"
    kinds = requested.instructions.keys()
    of_kind = [one for one in of_model if kinds <= one.instructions.keys()]
    if not of_kind:
        return f"no calibrator for answers of kind {', '.join(kinds)}{_own_for_others(requested)}"
    alike = [one for one in of_kind if one.passages == requested.passages] or of_kind
    nearest = min((one.problems(requested) for one in alike), key=len)
    return "; ".join(nearest)


def _own_for_others(requested: Fingerprint) -> str:
    """For which other answer kinds one of the user's own would hold, and how to ask for these."""
    own, prompts = calibrators_folder(), _default_instructions()
    for prompt in requested.instructions.values():
        if prompt not in prompts.values():  # the user's own, which stays whatever the kind
            prompts = dict.fromkeys(prompts, prompt)

    def asked_for(kind: str) -> Fingerprint:
        return requested.model_copy(update={"instructions": {kind: prompts[kind]}})

    kinds = {
        kind
        for path, calibrator in known_calibrators()
        if path.parent == own and (held := calibrator.fingerprint) is not None
        for kind in held.instructions
        if kind in prompts and not held.problems(asked_for(kind))
    }
    asking = " or ".join(f"kind='{kind}'" for kind in sorted(kinds))
    return f"; yours is for {', '.join(sorted(kinds))}: ask with {asking}" if kinds else ""


def _default_instructions() -> dict[str, str]:
    return {kind.value: instruction(kind) for kind in AnswerKind if kind is not AnswerKind.AUTO}


def known_instructions() -> set[str]:
    """System prompts that may have been used: the default ones, and those of known calibrators."""
    found = {*_default_instructions().values(), DIRECT_INSTRUCTION}
    for _, calibrator in known_calibrators():
        if calibrator.fingerprint is not None:
            found.update(calibrator.fingerprint.instructions.values())
    return found


def own_calibrator(fingerprint: Fingerprint) -> tuple[Path, Calibrator] | None:
    """The user's own calibrator that covers exactly this, and its file; None if there is none.

    Of several, which earlier versions may have left, one with an equal fingerprint comes first.
    """
    folder = calibrators_folder()
    found = [
        (path, known)
        for path, known in known_calibrators()
        if path.parent == folder
        and known.fingerprint is not None
        and known.fingerprint.is_as(fingerprint)
    ]
    return max(found, key=lambda one: one[1].fingerprint == fingerprint, default=None)


def own_file(calibrator: Calibrator) -> Path:
    """Where `save_calibrator` keeps a calibrator.

    It replaces one that covers the same, under the name that this has. A file from which no
    calibrator can be read is left alone.

    Raises:
        CalibrationError: It carries no fingerprint.
    """
    fingerprint = calibrator.fingerprint
    if fingerprint is None:
        raise CalibrationError(
            "a calibrator without fingerprint cannot be found again: give it one"
        )
    if (replaced := own_calibrator(fingerprint)) is not None:
        return replaced[0]
    folder = calibrators_folder()
    kinds = "-".join(sorted(fingerprint.instructions))
    name = f"{fingerprint.model[:12]}-{kinds}-{fingerprint.digest[:8]}"
    numbered = (f"{name}-{number}" for number in itertools.count(2))
    paths = (folder / f"{one}.json" for one in itertools.chain([name], numbered))
    return next(path for path in paths if not os.path.lexists(path))


def save_calibrator(calibrator: Calibrator, folder: Path | None = None) -> Path:
    """Keep a calibrator among the user's own, so that it is found; returns the path.

    Raises:
        CalibrationError: It is not fitted, carries no fingerprint, or cannot be written.
    """
    if folder is not None:
        return calibrator.save(folder / own_file(calibrator).name)
    with changing_own():
        return calibrator.save(own_file(calibrator))


@contextlib.contextmanager
def changing_own() -> Iterator[None]:
    """Keep other processes and threads from changing the user's own calibrators meanwhile.

    Raises:
        CalibrationError: The folder cannot be written to.
    """
    folder = calibrators_folder()
    try:
        with locked(folder / ".lock", on_wait=lambda: None, poll_seconds=0.02):
            yield
    except OSError as error:
        raise CalibrationError(
            f"calibrators cannot be kept in {_shown(folder)}: {error.strerror or error}. Mend its "
            "permissions, or name another folder in ET_AGENT_CACHE"
        ) from error
