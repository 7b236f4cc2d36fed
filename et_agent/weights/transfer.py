"""Bytes over HTTP into a growing file: what the hub and the package index have in common."""

import errno
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

from et_agent.weights.progress import TransferProgress
from et_agent.weights.sources import SourceError
from et_agent.weights.staging import PartFile

__all__ = ["DISK_ERRNOS", "first_line", "range_header", "receive", "transfer"]

RETRY_SECONDS: float = 1.0
"""Pause before a broken transfer is resumed."""
_FRUITLESS_ATTEMPTS: Final = 3
DISK_ERRNOS: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG, errno.EACCES}
)


class Response(Protocol):
    """An answer of whichever HTTP client."""

    @property
    def status_code(self) -> int:
        """The status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers; upper or lower case does not matter."""

    def iter_bytes(self) -> Iterator[bytes]:
        """Give the body as it comes."""


def transfer(
    stream: Callable[[PartFile], None],
    part: PartFile,
    size: int | None,
    progress: TransferProgress,
) -> None:
    """Stream the rest of a file; a broken connection is resumed as long as there is headway.

    Args:
        stream: Asks for what is missing of the file and appends it.
        part: The file.
        size: Its length in bytes when complete, if known.
        progress: Told of every break.

    Raises:
        Exception: the last one of `stream`, when trying again is useless.
    """
    fruitless = furthest = 0
    while size is None or part.position < size:
        before = part.position
        furthest = max(furthest, before)
        try:
            stream(part)
        except SourceError:
            raise
        except Exception as error:
            if _is_final(error):
                raise
            fruitless = 0 if part.position > furthest else fruitless + 1
            if fruitless >= _FRUITLESS_ATTEMPTS:
                raise
            progress.note(f"The connection broke ({first_line(error)}); resuming.")
            time.sleep(RETRY_SECONDS)
        else:
            if size is None or part.position == before:
                return


def range_header(part: PartFile) -> dict[str, str]:
    """Ask for what is missing of a file, uncompressed."""
    wanted = {"Range": f"bytes={part.position}-"} if part.position else {}
    return {"Accept-Encoding": "identity", **wanted}


def receive(response: Response, part: PartFile) -> None:
    """Append the body of an answer; begin again where the server does not go on."""
    if part.position:
        resumed = response.status_code == 206
        content_range = response.headers.get("Content-Range", "")
        if not resumed or not content_range.startswith(f"bytes {part.position}-"):
            part.cut_at(0)
        if resumed and part.position == 0:
            return  # a range that was not asked for: begin again without one
    # As it comes, or what a break leaves in a larger chunk would be lost.
    for chunk in response.iter_bytes():
        part.write(chunk)


def first_line(error: BaseException) -> str:
    """Give the first line of what an exception says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")


def _is_final(error: Exception) -> bool:
    """Tell whether trying again is useless: an answer such as 403 or 404, or a local disk error."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return bool(status < 500 and status not in {408, 429})
    return isinstance(error, OSError) and error.errno in DISK_ERRNOS
