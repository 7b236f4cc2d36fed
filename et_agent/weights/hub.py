"""Fetches a file from the model hub, resuming where an earlier run was killed.

huggingface_hub resolves addresses, tokens and errors. The transfer is done here, because its own
download (2.x) throws away an unfinished file when the process ends.
"""

import contextlib
import errno
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from et_agent.weights.files import require_space
from et_agent.weights.progress import TransferProgress
from et_agent.weights.sources import FileRequest, HubSource, SourceError
from et_agent.weights.staging import Expectation, PartFile, read_state, write_state

if TYPE_CHECKING:
    from huggingface_hub import HfFileMetadata

__all__ = ["fetch_from_hub", "find_in_hub_cache"]

CONNECT_SECONDS: float = 3.0
"""How long the hub may take to accept a connection before the next source is tried."""
ANSWER_SECONDS: float = 10.0
"""How long the hub may take to describe the file, and to go on when it stalls."""
RETRY_SECONDS: float = 1.0
"""Pause before a broken transfer is resumed."""
_FRUITLESS_ATTEMPTS: Final = 3
_CHUNK: Final = 1024 * 1024
_DISK_ERRNOS: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG, errno.EACCES}
)
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def fetch_from_hub(
    source: HubSource, request: FileRequest, staging: Path, progress: TransferProgress
) -> tuple[Path, str]:
    """Fetch a file into `staging` and check it.

    Returns:
        The path of the complete file and its SHA-256.

    Raises:
        SourceError: the hub is not reachable, does not have the file, or has another one.
        ModelDownloadError: the disk is too full.
    """
    from huggingface_hub import constants, hf_hub_url

    if constants.HF_HUB_OFFLINE:
        raise SourceError("skipped, because HF_HUB_OFFLINE is set")
    _check_reachable(constants.ENDPOINT)
    with _hub_errors(source):
        url = hf_hub_url(source.repo, source.file, revision=source.revision)
        described = _describe(url)
    expected = _expectation(request, described)
    part_path, state_path = staging / "hub.part", staging / "hub.json"
    state = {"url": url, "etag": described.etag, "size": expected.size}
    same = described.etag is not None and read_state(state_path) == state
    keep = part_path.stat().st_size if same and part_path.exists() else 0
    if expected.size is not None:
        keep = keep if keep <= expected.size else 0
        require_space(staging, expected.size - keep, request.label)
    write_state(state_path, state)
    with PartFile(
        part_path, expected, keep=keep, progress=progress, label=f"{request.label} (hub)"
    ) as part:
        with _hub_errors(source):
            _transfer(url, part, expected.size, progress)
        return part_path, part.verify()


def find_in_hub_cache(source: HubSource) -> Path | None:
    """Give the file where huggingface_hub's own cache holds it already, without any network."""
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(source.repo, source.file, revision=source.revision)
    except (OSError, ValueError):
        return None
    return Path(found) if isinstance(found, str) else None


def _describe(url: str) -> "HfFileMetadata":
    from huggingface_hub import get_hf_file_metadata

    return get_hf_file_metadata(url, timeout=ANSWER_SECONDS)


def _expectation(request: FileRequest, described: "HfFileMetadata") -> Expectation:
    """Join what is known beforehand with what the hub says; refuse at once if they disagree."""
    if described.commit_hash is None and request.sha256 is None:
        raise SourceError(
            "the reply does not come from a model hub; check HF_ENDPOINT, the proxy, and whether the "
            "network requires a log-in"
        )
    etag = described.etag or ""
    sha256 = etag if _SHA256.fullmatch(etag) else None
    if request.sha256 and sha256 and request.sha256 != sha256:
        raise SourceError(
            f"wrong checksum: expected SHA-256 {request.sha256}, the hub now has {sha256}"
        )
    if request.size and described.size and request.size != described.size:
        raise SourceError(
            f"wrong size: expected {request.size:,} bytes, the hub now has {described.size:,}"
        )
    return Expectation(request.size or described.size, request.sha256 or sha256)


def _transfer(url: str, part: PartFile, size: int | None, progress: TransferProgress) -> None:
    """Stream the rest of the file; a broken connection is resumed as long as there is headway."""
    fruitless = furthest = 0
    while size is None or part.position < size:
        before = part.position
        furthest = max(furthest, before)
        try:
            _stream(url, part)
        except SourceError:
            raise
        except Exception as error:
            if _is_final(error):
                raise
            fruitless = 0 if part.position > furthest else fruitless + 1
            if fruitless >= _FRUITLESS_ATTEMPTS:
                raise
            progress.note(f"The connection broke ({_first_line(error)}); resuming.")
            time.sleep(RETRY_SECONDS)
        else:
            if size is None or part.position == before:
                return


def _stream(url: str, part: PartFile) -> None:
    from huggingface_hub import get_session
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        build_hf_headers,
        hf_raise_for_status,
    )

    headers = dict(build_hf_headers()) | {"Accept-Encoding": "identity"}
    if part.position:
        headers["Range"] = f"bytes={part.position}-"
    with get_session().stream(
        "GET", url, headers=headers, timeout=ANSWER_SECONDS, follow_redirects=True
    ) as response:
        hf_raise_for_status(response)
        if part.position:
            content_range = response.headers.get("Content-Range", "")
            resumed = response.status_code == 206
            if not resumed or not content_range.startswith(f"bytes {part.position}-"):
                part.cut_at(0)
            if resumed and part.position == 0:
                return  # a range that was not asked for: begin again without one
        for chunk in response.iter_bytes(_CHUNK):
            part.write(chunk)


def _is_final(error: Exception) -> bool:
    """Tell whether trying again is useless: an answer such as 403 or 404, or a local disk error."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return bool(status < 500 and status not in {408, 429})
    return isinstance(error, OSError) and error.errno in _DISK_ERRNOS


@contextlib.contextmanager
def _hub_errors(source: HubSource) -> Iterator[None]:
    """Turn whatever the hub's library raises into a SourceError that names the fix.

    The library passes on the exceptions of its HTTP client, which is another package in another
    version; so everything is caught here except errors of the local disk.
    """
    from huggingface_hub import errors

    try:
        yield
    except SourceError:
        raise
    except (errors.EntryNotFoundError, errors.RevisionNotFoundError) as error:
        what = "revision" if isinstance(error, errors.RevisionNotFoundError) else "file"
        raise SourceError(f"{source.repo} has no such {what}; check the spelling") from error
    except Exception as error:
        response = getattr(error, "response", None)
        status = getattr(response, "status_code", None)
        gated = isinstance(error, errors.GatedRepoError)
        if gated or status in {401, 403}:
            raise SourceError(
                f"access to {source.repo} was refused ({status}): it is gated, private or does not "
                "exist. Check the name, accept its licence on its page, then set HF_TOKEN to an "
                "access token or run `hf auth login`"
            ) from error
        if status == 404:
            raise SourceError(f"not found ({source.repo}); check the spelling") from error
        if response is None and isinstance(error, OSError) and error.errno in _DISK_ERRNOS:
            raise
        raise SourceError(_first_line(error)) from error


def _check_reachable(endpoint: str) -> None:
    """Fail within seconds where there is no network, whatever DNS and the library would do."""
    target = _first_hop(endpoint)
    outcome: list[str] = []

    def connect() -> None:
        try:
            socket.create_connection(target, timeout=CONNECT_SECONDS).close()
            outcome.append("")
        except OSError as error:
            outcome.append(error.strerror or str(error) or type(error).__name__)

    # A name look-up has no time-out of its own, so it runs in a thread that may be left behind.
    thread = threading.Thread(target=connect, name="et-agent-hub-probe", daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    if not outcome:
        raise SourceError(f"not reachable: no answer within {CONNECT_SECONDS:g} s")
    if outcome[0]:
        raise SourceError(f"not reachable: {outcome[0]}")


def _first_hop(endpoint: str) -> tuple[str, int]:
    """Give the host and port to connect to: those of the hub, or of the proxy before it."""
    url = urlsplit(endpoint)
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if proxy and not proxy_bypass(url.hostname or ""):
        url = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return url.hostname or "", url.port or (443 if url.scheme == "https" else 80)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")
