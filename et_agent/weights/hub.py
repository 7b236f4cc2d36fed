"""Fetches a file from the model hub, resuming where an earlier run was killed.

huggingface_hub resolves addresses, tokens and errors. The transfer is done here, because its own
download (2.x) throws away an unfinished file when the process ends.
"""

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from et_agent.extras import install_hint
from et_agent.weights.files import require_space
from et_agent.weights.progress import TransferProgress
from et_agent.weights.secure import is_secure
from et_agent.weights.sources import FileRequest, HubSource, SourceError
from et_agent.weights.staging import Expectation, PartFile, read_state, write_state
from et_agent.weights.transfer import DISK_ERRNOS, first_line, range_header, receive, transfer

if TYPE_CHECKING:
    from huggingface_hub import HfFileMetadata

__all__ = ["fetch_from_hub", "find_in_hub_cache"]

CONNECT_SECONDS: float = 3.0
"""How long the hub may take to accept a connection before the next source is tried."""
ANSWER_SECONDS: float = 10.0
"""How long the hub may take to describe the file, and to go on when it stalls."""
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def fetch_from_hub(
    source: HubSource, request: FileRequest, staging: Path, progress: TransferProgress
) -> tuple[Path, str]:
    """Fetch a file into `staging` and check it.

    Returns:
        The path of the complete file and its SHA-256.

    Raises:
        SourceError: the hub is not reachable, does not have the file, or has another one; or its
            library is not installed.
        ModelDownloadError: the disk is too full.
    """
    if find_spec("huggingface_hub") is None:
        raise SourceError(f"needs huggingface-hub: {install_hint('hub')}")
    from huggingface_hub import constants, hf_hub_url

    if constants.HF_HUB_OFFLINE:
        raise SourceError("skipped, because HF_HUB_OFFLINE is set")
    if not is_secure(constants.ENDPOINT):
        raise SourceError("HF_ENDPOINT is reached without TLS: use its https address")
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
            transfer(partial(_stream, url), part, expected.size, progress)
        return part_path, part.verify()


def find_in_hub_cache(source: HubSource) -> Path | None:
    """Give the file where huggingface_hub's own cache holds it already, without any network."""
    if find_spec("huggingface_hub") is None:
        return None
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


def _stream(url: str, part: PartFile) -> None:
    from huggingface_hub import get_session
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        build_hf_headers,
        hf_raise_for_status,
    )

    headers = dict(build_hf_headers()) | range_header(part)
    with get_session().stream(
        "GET", url, headers=headers, timeout=ANSWER_SECONDS, follow_redirects=True
    ) as response:
        if not all(is_secure(str(one.url)) for one in (*response.history, response)):
            raise SourceError("the hub redirects to where there is no TLS; try again later")
        hf_raise_for_status(response)
        receive(response, part)


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
        if response is None and isinstance(error, OSError) and error.errno in DISK_ERRNOS:
            raise
        raise SourceError(first_line(error)) from error


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
        raise SourceError(f"not reachable (no answer within {CONNECT_SECONDS:g} s)")
    if outcome[0]:
        raise SourceError(f"not reachable ({outcome[0]})")


def _first_hop(endpoint: str) -> tuple[str, int]:
    """Give the host and port to connect to: those of the hub, or of the proxy before it."""
    url = urlsplit(endpoint)
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if proxy and not proxy_bypass(url.hostname or ""):
        url = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
