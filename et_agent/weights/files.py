"""Checksums of model files, kept beside them, and disk space."""

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from et_agent.errors import ModelDownloadError, ModelFileError
from et_agent.kept import change_kept, read_kept
from et_agent.storage import cache_dir
from et_agent.weights.progress import Meter, SilentProgress, TransferProgress

__all__ = [
    "disk_full_as_error",
    "disk_is_full",
    "file_sha256",
    "hash_into",
    "recorded_sha256",
    "remember_sha256",
    "require_space",
]

_CHUNK: Final = 1024 * 1024
_RECORDS: Final = "checksums.json"
_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def hash_into(digest: "hashlib._Hash", path: Path, moved_to: Callable[[int], None]) -> None:
    """Feed a file to `digest`; `moved_to` is told how many bytes are done."""
    done = 0
    buffer = bytearray(_CHUNK)
    view = memoryview(buffer)
    with path.open("rb", buffering=0) as file:
        while n := file.readinto(buffer):
            digest.update(view[:n])
            done += n
            moved_to(done)


def file_sha256(path: str | os.PathLike[str], *, progress: TransferProgress | None = None) -> str:
    """Give the SHA-256 of a file, from the record of an earlier run when the file is unchanged.

    A record is kept in the cache directory by path, size, modification time and inode, since
    hashing costs about a second for every 500 MB to 1 GB.

    Raises:
        ModelFileError: the file cannot be read.
    """
    file = Path(path).absolute()
    known = recorded_sha256(file)
    if known is not None:
        return known
    progress = progress or SilentProgress()
    digest = hashlib.sha256()
    try:
        before = file.stat()
        progress.start(before.st_size, f"checking {file.name}")
        try:
            hash_into(digest, file, Meter(progress, before.st_size).move_to)
        finally:
            progress.finish()
        after = file.stat()
    except OSError as error:
        raise ModelFileError(f"{file} cannot be read: {error.strerror}. Check the path.") from None
    sha256 = digest.hexdigest()
    if _state(before) == _state(after):
        remember_sha256(file, sha256)
    return sha256


def recorded_sha256(path: Path) -> str | None:
    """Give the recorded SHA-256 of a file that has not changed since, else None."""
    try:
        status = path.stat()
    except OSError:
        return None
    record = _records(read_kept(cache_dir() / _RECORDS)).get(str(path.absolute()))
    return record.sha256 if record is not None and record.state == _state(status) else None


def remember_sha256(path: Path, sha256: str) -> None:
    """Record the SHA-256 of a file; a cache that cannot be written is not an error."""
    with contextlib.suppress(OSError):
        record = _Record(_state(path.stat()), sha256)

        def change(known: dict[str, Any]) -> dict[str, _Record]:
            sound = {key: one for key, one in _records(known).items() if Path(key).exists()}
            return {**sound, str(path.absolute()): record}

        change_kept(cache_dir() / _RECORDS, change)


class _Record(NamedTuple):
    state: tuple[int, int, int]
    sha256: str


def _state(status: os.stat_result) -> tuple[int, int, int]:
    """Say by what a file is taken to be unchanged: size, modification time, inode."""
    return status.st_size, status.st_mtime_ns, status.st_ino


def _records(kept: Mapping[str, Any]) -> dict[str, _Record]:
    """The records that are well-formed."""
    records: dict[str, _Record] = {}
    for key, value in kept.items():
        match value:
            case [[int(size), int(mtime_ns), int(inode)], str(sha256)] if len(sha256) == 64:
                records[key] = _Record((size, mtime_ns, inode), sha256)
    return records


def require_space(folder: Path, need: int, label: str) -> None:
    """Raise a ModelDownloadError if the disk of `folder` has fewer than `need` bytes free."""
    have = shutil.disk_usage(folder).free
    if have < need:
        raise disk_is_full(folder, label, f"{need:,} bytes are needed and {have:,} are free")


@contextlib.contextmanager
def disk_full_as_error(folder: Path, label: str) -> Iterator[None]:
    """Turn a full disk or an exceeded quota into a ModelDownloadError; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        raise disk_is_full(folder, label, "the disk became full while writing") from error


def disk_is_full(folder: Path, label: str, what: str) -> ModelDownloadError:
    """Make the error for a full disk; `what` says how it was noticed."""
    return ModelDownloadError(
        f"Not enough disk space for {label} in {folder}: {what}. Free some space and try again "
        "(what is already downloaded is kept), or set ET_AGENT_CACHE to a directory on another disk."
    )
