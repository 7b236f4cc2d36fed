"""A file that grows towards its target: appended to, hashed on the way, resumed after a kill."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Self

from et_agent.kept import read_kept
from et_agent.storage import write_atomically
from et_agent.weights.files import hash_into
from et_agent.weights.progress import Meter, TransferProgress
from et_agent.weights.sources import SourceError

__all__ = ["Expectation", "PartFile", "read_state", "write_state"]


class Expectation(NamedTuple):
    """What the complete file must be; None is not known."""

    size: int | None
    sha256: str | None


class PartFile:
    """The unfinished file of one source; use as a context manager.

    The first `keep` bytes of what lies there from an earlier run are kept and hashed again,
    the rest is cut off.
    """

    def __init__(
        self,
        path: Path,
        expected: Expectation,
        *,
        keep: int,
        progress: TransferProgress,
        label: str,
    ) -> None:
        self.path = path
        self.position = 0
        self._expected = expected
        self._keep = keep
        self._progress = progress
        self._label = label
        self._digest = hashlib.sha256()
        self._meter = Meter(progress, expected.size)
        self._file: BinaryIO

    def __enter__(self) -> Self:
        self._progress.start(self._expected.size, self._label)
        try:
            self._file = self.path.open("ab")
            self.cut_at(self._keep)
        except BaseException:
            self._progress.finish()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._file.close()
        finally:
            self._progress.finish()

    def cut_at(self, size: int) -> None:
        """Throw away everything after the first `size` bytes and hash what stays."""
        self._file.flush()
        self._file.truncate(size)
        self._digest = hashlib.sha256()
        if size:
            hash_into(self._digest, self.path, self._meter.move_to)
        self.position = size

    def write(self, chunk: bytes) -> None:
        """Append; what would make the file too long shows that it is a wrong one: it is removed."""
        size = self._expected.size
        if size is not None and self.position + len(chunk) > size:
            self.path.unlink()
            raise SourceError(f"it sends more than the expected {size:,} bytes")
        self._file.write(chunk)
        self._digest.update(chunk)
        self.position += len(chunk)
        self._meter.move_to(self.position)

    def set_pending(self, n: int) -> None:
        """Show `n` bytes beyond the position as done: they are on disk, in another file still."""
        self._meter.move_to(self.position + n)

    def sync(self) -> None:
        """Bring everything written so far safely to disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def verify(self) -> str:
        """Bring the file to disk, check size and checksum, and return its SHA-256.

        A wrong file is removed.

        Raises:
            SourceError: it is not the expected file.
        """
        self.sync()
        size, sha256 = self._expected
        actual = self._digest.hexdigest()
        if size is not None and self.position != size:
            self.path.unlink()
            raise SourceError(f"wrong size: expected {size:,} bytes, got {self.position:,}")
        if sha256 is not None and actual != sha256:
            self.path.unlink()
            raise SourceError(f"wrong checksum: expected SHA-256 {sha256}, got {actual}")
        return actual


def read_state(path: Path) -> Mapping[str, Any]:
    """Read what an earlier run left about its unfinished file; empty when there is nothing."""
    return read_kept(path)


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Leave word for a later run."""
    write_atomically(path, json.dumps(state))
