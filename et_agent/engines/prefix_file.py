"""Kept key-values of prompts in a file, so that another process starts with them.

A file names what it fits: the model, the library, and the engine's form of key-values. It ends with a
digest of all that comes before. A file that is damaged, of something else or of another user is
refused. Only prompts are written, not what a model said in return.
"""

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from et_agent.arrays import Bytes
from et_agent.engines.prefix_store import PrefixStore
from et_agent.storage import open_at_once, write_atomically

__all__ = ["PrefixFileError", "read_prefixes", "write_prefixes"]

_MAGIC: Final = b"et-agent prefixes 1\n"
_DIGEST: Final = 32
_MOST_HEADER: Final = 64 << 20


class PrefixFileError(Exception):
    """Raised when a file cannot be used.

    Attributes:
        foreign: Whether it is something else or belongs to another user, so that it must not be
            replaced.
    """

    def __init__(self, message: str, *, foreign: bool = False) -> None:
        super().__init__(message)
        self.foreign = foreign


def write_prefixes(path: Path, store: PrefixStore, fits: Mapping[str, str], form: Any) -> int:
    """Write the prompts of a store, for this user only.

    Args:
        path: The file; it is replaced as a whole.
        store: The store.
        fits: What the key-values fit; a reader must name the same.
        form: The engine's form of key-values, as JSON.

    Returns:
        Tokens that were written.

    Raises:
        OSError: The file cannot be written.
    """
    nodes = [node for node in store.nodes() if node.prompt]
    index: dict[int, int] = {id(node): at for at, node in enumerate(nodes)}
    head = {
        "fits": dict(fits),
        "form": form,
        "row_bytes": int(nodes[0].rows.shape[1]) if nodes else 0,
        "nodes": [[index.get(id(node.parent), -1), len(node.tokens)] for node in nodes],
    }
    header = json.dumps(head).encode()
    parts: list[bytes | memoryview] = [_MAGIC, len(header).to_bytes(8, "little"), header]
    parts += [np.array(node.tokens, dtype="<i4").tobytes() for node in nodes]
    parts += [np.ascontiguousarray(node.rows).data.cast("B") for node in nodes]
    digest = hashlib.blake2b(digest_size=_DIGEST)
    for part in parts:
        digest.update(part)
    write_atomically(path, [*parts, digest.digest()], private=True)
    return sum(len(node.tokens) for node in nodes)


def read_prefixes(path: Path, store: PrefixStore, fits: Mapping[str, str]) -> Any:
    """Put what a file holds into a store.

    Args:
        path: The file.
        store: An empty store; it stays empty when the file is refused.
        fits: What the key-values must fit.

    Returns:
        The engine's form of key-values, as JSON.

    Raises:
        FileNotFoundError: There is none.
        PrefixFileError: It is damaged, of something else or of another user.
    """
    data = _mapped(path)
    magic = data[: len(_MAGIC)].tobytes()
    if magic != _MAGIC:
        raise PrefixFileError("it is no file of prefixes", foreign=True)
    if (
        hashlib.blake2b(data[:-_DIGEST].data, digest_size=_DIGEST).digest()
        != data[-_DIGEST:].tobytes()
    ):
        raise PrefixFileError("it is damaged")
    start = len(_MAGIC) + 8
    size = int.from_bytes(data[len(_MAGIC) : start].tobytes(), "little")
    try:
        header = json.loads(data[start : start + min(size, _MOST_HEADER)].tobytes())
        if header["fits"] != dict(fits):
            raise PrefixFileError("it was written for another model or library")
        _insert(store, data[start + size : -_DIGEST], header["nodes"], header["row_bytes"])
        return header["form"]
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        store.clear()
        raise PrefixFileError("it is damaged") from error


def _mapped(path: Path) -> Bytes:
    """The bytes of a file of this user, without reading them yet."""
    with open_at_once(path) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise PrefixFileError("it is no file", foreign=True)
        if hasattr(os, "getuid") and found.st_uid != os.getuid():
            raise PrefixFileError("it belongs to another user", foreign=True)
        if found.st_size < len(_MAGIC) + 8 + _DIGEST:
            raise PrefixFileError("it is no file of prefixes", foreign=found.st_size > 0)
        return np.memmap(file, dtype=np.uint8, mode="r")


def _insert(store: PrefixStore, data: Bytes, nodes: list[list[int]], row_bytes: int) -> None:
    counts = [int(count) for _, count in nodes]
    total = sum(counts)
    if min(counts, default=1) < 1 or data.size != total * (4 + row_bytes):
        raise ValueError("sizes differ")
    tokens = data[: 4 * total].view("<i4").tolist()
    rows = data[4 * total :].reshape(total, row_bytes)
    paths: list[list[int]] = []
    at = 0
    for (parent, _), count in zip(nodes, counts, strict=True):
        if not -1 <= parent < len(paths):
            raise ValueError("a node comes before its parent")
        path = [*(paths[parent] if parent >= 0 else ()), *tokens[at : at + count]]
        paths.append(path)
        store.insert(path, np.array(rows[at : at + count]), prompt=len(path))
        at += count
