"""Which model is meant: the catalog, the default, and where the file of a named model is.

A model is named in one of four ways (see `locate`):

    qwen2.5-coder-0.5b                       a name of the catalog
    ./models/some.gguf                       a path: has a separator or ends in .gguf
    hf:owner/repo/file.gguf@revision         a file on the model hub; the revision may be left out
    ollama:llama3.2                          a file that another program has on this machine
"""

import difflib
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pydantic import BaseModel, ConfigDict

from et_agent.config import read_config
from et_agent.errors import ModelFileError
from et_agent.storage import cache_dir, user_path
from et_agent.weights.addresses import check_address, is_address, shown_address
from et_agent.weights.download import fetch, is_complete
from et_agent.weights.entries import ENTRIES, CatalogEntry
from et_agent.weights.files import file_sha256, recorded_sha256
from et_agent.weights.hub import find_in_hub_cache
from et_agent.weights.local.finding import STORES, find_local, names_like, store_of
from et_agent.weights.progress import TransferProgress
from et_agent.weights.sources import FileRequest, HubSource

__all__ = [
    "CATALOG",
    "DEFAULT_MODEL",
    "SMALL_MODEL",
    "CatalogEntry",
    "ListedModel",
    "LocatedModel",
    "cached_path",
    "default_model",
    "file_sha256",
    "fingerprint_of",
    "list_models",
    "locate",
    "settled",
]

SMALL_MODEL: Final = "qwen2.5-coder-0.5b"
"""The model of `--fast`."""
DEFAULT_MODEL: Final = SMALL_MODEL
"""The model that is taken where neither a user nor a setting names one; docs/models.md tells why."""
_HUB_PREFIX: Final = "hf:"
_HUB_SPEC: Final = re.compile(
    r"hf:(?P<repo>[\w.-]+/[\w.-]+)/(?P<file>[^@\\]+\.gguf)(?:@(?P<revision>[\w./-]+))?",
    re.IGNORECASE,
)
_SPLIT: Final = re.compile(r"(?P<stem>.*)-00001-of-(?P<count>\d{5})\.gguf")
_MAX_PARTS: Final = 1000


class LocatedModel(BaseModel):
    """A model file on disk, ready to be opened."""

    model_config = ConfigDict(frozen=True)

    path: Path
    """The file; the first part of a split model."""
    name: str
    """The catalog name, the name in another program, or that of the file without its ending."""
    entry: CatalogEntry | None = None
    """The catalog entry, when it was asked for by its name."""
    sha256: str | None = None
    """The checksum, when it is known without reading the file; `file_sha256` computes it."""


class ListedModel(BaseModel):
    """A catalog entry and whether its file is in the cache."""

    model_config = ConfigDict(frozen=True)

    entry: CatalogEntry
    path: Path
    """Where the file is, or would be."""
    cached: bool
    """A file of the right size is there; `locate` checks its checksum before use."""


CATALOG: Final[Mapping[str, CatalogEntry]] = MappingProxyType({e.name: e for e in ENTRIES})
"""Every known model by its name."""


def default_model() -> str:
    """The model that is meant where none is named: the user's setting, or `DEFAULT_MODEL`.

    Raises:
        SettingsError: The user's settings cannot be read.
    """
    return read_config().model or DEFAULT_MODEL


def cached_path(entry: CatalogEntry) -> Path:
    """Give the path that the file of a catalog entry has, or would have, in the cache directory."""
    return cache_dir() / entry.filename


def list_models() -> list[ListedModel]:
    """List the catalog, with what is cached; never touches the network."""
    listed = []
    for entry in CATALOG.values():
        path = cached_path(entry)
        cached = path.is_file() and path.stat().st_size == entry.size
        listed.append(ListedModel(entry=entry, path=path, cached=cached))
    return listed


def locate(
    spec: str | os.PathLike[str], *, download: bool = True, progress: TransferProgress | None = None
) -> LocatedModel:
    """Find the model file that a user named, and fetch it first if need be.

    A cached file is used without any network. A catalog file is checked against its SHA-256, by the
    record of an earlier check while its size and time are unchanged. A hub file of a moving branch
    stays as it was first fetched: name a revision to have another, or delete the file.

    Args:
        spec: A catalog name, a path, `hf:owner/repo/path/file.gguf@revision`, or a model of another
            program (`ollama:llama3.2`, see `et_agent.weights.local.finding.STORES`).
        download: Whether a missing file may be fetched.
        progress: Told what happens; silent by default.

    Raises:
        ModelFileError: the name is unknown or a server's, the path does not exist, or the file is not
            cached and `download` is False.
        ModelDownloadError: no source could deliver the file.
    """
    text = os.fspath(spec)
    if isinstance(spec, str):
        if entry := CATALOG.get(text.lower()):
            return _locate_entry(entry, download=download, progress=progress)
        if text.lower().startswith(_HUB_PREFIX):
            return _locate_on_hub(text, download=download, progress=progress)
        if (named := store_of(text)) is not None:
            stored = find_local(*named)
            return LocatedModel(path=stored.path, name=text, sha256=recorded_sha256(stored.path))
        if is_address(text):
            raise ModelFileError(
                f"{shown_address(text)} is a server's address, which has no model file here: "
                "ask it with `et-agent ask --model`, or OpenAICompatibleModel"
            )
        if not _is_path(text):
            raise _unknown_name(text)
    return _locate_path(user_path(text))


def fingerprint_of(
    located: LocatedModel, parts: Sequence[Path], *, progress: TransferProgress | None = None
) -> str:
    """Give the SHA-256 of a model: of its file or, of a split model, of the checksums of all parts.

    The first time, hashing takes a few seconds per gigabyte.

    Args:
        located: The model.
        parts: All its files, as `GgufInfo.parts` has them.
        progress: Told how far it is.

    Raises:
        ModelFileError: A file cannot be read.
    """
    if len(parts) == 1:
        return located.sha256 or file_sha256(located.path, progress=progress)
    each = [file_sha256(part, progress=progress) for part in parts]
    return hashlib.sha256("".join(each).encode()).hexdigest()


def settled(spec: str) -> str:
    """A spec that names the same model in every folder, for a setting; a path becomes absolute.

    A model of the catalog or of the hub need not be there yet, nor a server.

    Raises:
        ModelFileError: It names no model, or a file that is not there.
        SettingsError: It is no address of a server, or one that holds a password.
    """
    if spec.lower() in CATALOG:
        return spec.lower()
    if spec.lower().startswith(_HUB_PREFIX):
        _hub_parts(spec)
        return spec
    if is_address(spec):
        check_address(spec)
        return spec
    located = locate(spec, download=False)
    return spec if store_of(spec) else str(located.path.absolute())


def _is_path(text: str) -> bool:
    separators = {os.sep, os.altsep or os.sep}
    return text.lower().endswith(".gguf") or any(s in text for s in separators) or text == "~"


def _unknown_name(text: str) -> ModelFileError:
    close = difflib.get_close_matches(text.lower(), CATALOG, n=2, cutoff=0.5)
    return ModelFileError(
        f"Unknown model {text!r}.{_meant(text, close)} Use one of {', '.join(CATALOG)}, the path of a "
        f"GGUF file (./{text or 'file.gguf'}), hf:owner/repo/file.gguf, or a model of another program "
        f"({', '.join(f'{store.prefix}:…' for store in STORES)}; see `et-agent models list --local`)."
    )


def _meant(text: str, close: Sequence[str] = ()) -> str:
    """A question that names what is like `text`: first, models that other programs have."""
    prefix, slash, rest = text.partition("/")
    named = store_of(f"{prefix}:{rest}") if slash else None
    found = [f"{prefix}:{rest}"] if named and rest else names_like(text)[:2] or close
    return f" Did you mean {' or '.join(found)}?" if text and found else ""


def _locate_path(path: Path) -> LocatedModel:
    try:
        exists = path.exists()
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{path} cannot be opened: {error}. Check the path.") from None
    if not exists:
        raise ModelFileError(
            f"No such file: {path}.{_meant(str(path))} Check the path, or use a model from the "
            f"catalog: {', '.join(CATALOG)}."
        )
    return LocatedModel(path=path, name=path.stem, sha256=recorded_sha256(path))


def _locate_entry(
    entry: CatalogEntry, *, download: bool, progress: TransferProgress | None
) -> LocatedModel:
    request = FileRequest(
        label=entry.name,
        target=cached_path(entry),
        size=entry.size,
        sha256=entry.sha256,
        sources=entry.sources,
    )
    path = _obtain(request, download=download, progress=progress)
    return LocatedModel(path=path, name=entry.name, entry=entry, sha256=entry.sha256)


def _hub_parts(spec: str) -> tuple[str, str, str | None]:
    """Repository, file and revision of a hub address; raises a ModelFileError if it is none."""
    match = _HUB_SPEC.fullmatch(spec)
    parts = re.split(r"[/]", spec.removeprefix(_HUB_PREFIX).replace("@", "/")) if match else []
    if match is None or any(part in {"", ".", ".."} for part in parts):
        raise ModelFileError(
            f"{spec!r} does not name a file on the hub. Write hf:owner/repo/path/file.gguf, and add "
            "@revision for a certain branch, tag or commit."
        )
    return match["repo"], match["file"], match["revision"]


def _locate_on_hub(spec: str, *, download: bool, progress: TransferProgress | None) -> LocatedModel:
    repo, file, revision = _hub_parts(spec)
    folder = cache_dir() / "hub" / repo.replace("/", "--") / (revision or "main").replace("/", "--")
    requests = [
        FileRequest(
            label=name,
            target=folder / name,
            sources=(HubSource(repo=repo, file=name, revision=revision),),
        )
        for name in _with_all_parts(file)
    ]
    paths = _in_hub_cache(requests) or [
        _obtain(request, download=download, progress=progress) for request in requests
    ]
    first = paths[0]
    return LocatedModel(path=first, name=first.stem, sha256=recorded_sha256(first))


def _in_hub_cache(requests: Sequence[FileRequest]) -> list[Path]:
    """Give the files if other programs fetched all of them from the hub; else nothing."""
    if all(request.target.exists() for request in requests):
        return []
    sources = [s for request in requests for s in request.sources if isinstance(s, HubSource)]
    found = [path for path in map(find_in_hub_cache, sources) if path is not None]
    return found if len(found) == len(requests) else []


def _with_all_parts(file: str) -> list[str]:
    """Name every part when `file` is the first part of a split model."""
    match = _SPLIT.fullmatch(file)
    count = int(match["count"]) if match else 1
    if match is None or not 1 < count <= _MAX_PARTS:
        return [file]
    return [f"{match['stem']}-{k:05d}-of-{count:05d}.gguf" for k in range(1, count + 1)]


def _obtain(request: FileRequest, *, download: bool, progress: TransferProgress | None) -> Path:
    if is_complete(request, progress=progress):
        return request.target
    if download:
        return fetch(request, progress=progress)
    state = "is not the expected file" if request.target.exists() else "is not there"
    raise ModelFileError(
        f"{request.label} is not cached: {request.target} {state}. "
        f"Fetch it with `et-agent models pull {request.label}`."
    )
