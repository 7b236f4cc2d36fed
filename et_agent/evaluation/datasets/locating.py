"""Where the files of a data set are: the user's folder, the cache, or their public source."""

import hashlib
import os
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from et_agent.errors import DataError
from et_agent.evaluation.datasets.base import DataFile, Dataset
from et_agent.storage import cache_dir, user_path
from et_agent.weights.secure import is_secure

__all__ = ["data_folder", "locate_files"]

_TIMEOUT_SECONDS: Final = 30
_LARGEST_BYTES: Final = 200_000_000


def data_folder() -> Path | None:
    """The folder that the environment variable `ET_AGENT_DATA` names; None when it is not set."""
    named = os.environ.get("ET_AGENT_DATA")
    return user_path(named) if named else None


def locate_files(dataset: Dataset, split: str) -> list[Path]:
    """Paths of the files of a split, fetched into the cache where they are nowhere else.

    Files in `ET_AGENT_DATA` are taken as they are; fetched ones are checked where a checksum
    is known.

    Raises:
        DataError: There is no such split, or a file is nowhere to be had.
    """
    if split not in dataset.splits:
        known = ", ".join(dataset.splits)
        raise DataError(f"{dataset.name} has no split {split!r}: choose one of {known}")
    return [_locate(dataset, file) for file in dataset.splits[split]]


def _locate(dataset: Dataset, file: DataFile) -> Path:
    folder = data_folder()
    # An absolute path stays what it is: a user's own file.
    places = [] if folder is None else [folder / file.path]
    cached = cache_dir() / "data" / file.path
    for place in (*places, cached):
        if place.is_file():
            return place
    if file.urls:
        return _fetch(dataset, file, cached)
    if Path(file.path).is_absolute() or not dataset.missing:
        raise DataError(f"there is no file {file.path}: check the path")
    where = folder or cached.parent.parent
    raise DataError(
        f"{dataset.name} is not in {where}: {dataset.missing} there, or set ET_AGENT_DATA"
    )


def _fetch(dataset: Dataset, file: DataFile, target: Path) -> Path:
    said = []
    for url in file.urls:
        try:
            _publish(_download(url), file, target)
        except (OSError, ValueError, urllib.error.URLError, tarfile.TarError) as error:
            said.append(f"  - {url}: {error}")
            continue
        if target.is_file():
            return target
        said.append(f"  - {url}: the archive does not hold it")
    raise DataError(
        f"{file.path} of {dataset.name} is not in the cache and could not be downloaded:\n"
        + "\n".join(said)
        + "\nCheck the network, or put the file into a folder of your own and set ET_AGENT_DATA to "
        "that folder."
    )


def _download(url: str) -> bytes:
    if not is_secure(url):
        raise ValueError("it is reached without TLS")
    with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
        if not is_secure(answer.geturl()):
            raise ValueError("it redirects to where there is no TLS")
        content: bytes = answer.read(_LARGEST_BYTES + 1)
    if len(content) > _LARGEST_BYTES:
        raise ValueError(f"the source sent more than {_LARGEST_BYTES:,} bytes")
    return content


def _publish(content: bytes, file: DataFile, target: Path) -> None:
    """Put what was fetched into the cache; an archive is unpacked whole, below its own folder."""
    if not file.archived:
        _check(content, file)
        _write(target, content)
        return
    root = target.parents[len(Path(file.path).parts) - 1]
    prefix = Path(file.path).parts[0]
    for name, data in _members(content, suffix=target.suffix):
        parts = Path(name).parts
        _write(root.joinpath(prefix, *parts[1:]), data)


def _members(content: bytes, *, suffix: str) -> "Sequence[tuple[str, bytes]]":
    """Regular files of a tar archive with this suffix whose names stay inside it."""
    import io

    found = []
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            parts = Path(member.name).parts
            if not member.isfile() or member.name.startswith("/") or ".." in parts:
                continue
            if not member.name.endswith(suffix) or Path(member.name).name.startswith("."):
                continue
            held = archive.extractfile(member)
            if held is not None:
                found.append((member.name, held.read()))
    return found


def _check(content: bytes, file: DataFile) -> None:
    found = hashlib.sha256(content).hexdigest()
    if file.sha256 is not None and found != file.sha256:
        raise ValueError(f"the file has changed (SHA-256 {found[:12]}…, not {file.sha256[:12]}…)")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
