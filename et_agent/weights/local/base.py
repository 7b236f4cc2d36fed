"""What a store of another program is, and how its folders are walked.

Such folders are read and never written. Nothing in them is trusted: a file may be damaged, a link may
lead in a circle, a folder may be closed. Each of these is a `Problem`, and hides nothing else.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from et_agent.storage import read_regular, user_path

__all__ = [
    "Finding",
    "Problem",
    "Store",
    "StoredFile",
    "Surroundings",
    "is_folder",
    "is_later_part",
    "read_small",
    "walk",
    "why_no_file",
]

MOST_ENTRIES: Final = 200_000
"""Files and folders of one store that are looked at; a model folder has some dozens."""
_DEEPEST: Final = 8
_MOST_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What decides where programs keep their files.

    Attributes:
        system: As `sys.platform`: "linux", "darwin" or "win32".
        home: The user's folder.
        environ: Environment variables.
    """

    system: str
    home: Path
    environ: Mapping[str, str]

    @classmethod
    def here(cls) -> "Surroundings":
        """Those of this process."""
        return cls(sys.platform, user_path("~"), os.environ)

    def folder(self, variable: str) -> Path | None:
        """The folder that an environment variable names, if it does."""
        named = self.environ.get(variable, "").strip()
        if not named:
            return None
        if named == "~" or named.startswith(("~/", "~\\")):
            return self.home / named[2:]
        return Path(named)

    @property
    def caches(self) -> Path:
        """Where programs keep what they can fetch again."""
        if self.system == "win32":
            return self.local_data
        if self.system == "darwin":
            return self.home / "Library" / "Caches"
        return self.folder("XDG_CACHE_HOME") or self.home / ".cache"

    @property
    def local_data(self) -> Path:
        """Where programs keep data of this machine; `%LOCALAPPDATA%` on Windows."""
        if self.system == "win32":
            return self.folder("LOCALAPPDATA") or self.home / "AppData" / "Local"
        return self.data

    @property
    def data(self) -> Path:
        """Where programs keep a user's data; `%APPDATA%` on Windows."""
        if self.system == "win32":
            return self.folder("APPDATA") or self.home / "AppData" / "Roaming"
        if self.system == "darwin":
            return self.home / "Library" / "Application Support"
        return self.folder("XDG_DATA_HOME") or self.home / ".local" / "share"

    @property
    def settings(self) -> Path:
        """Where Qt programs keep their .ini files."""
        if self.system == "win32":
            return self.data
        return self.folder("XDG_CONFIG_HOME") or self.home / ".config"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A model file in a store.

    Attributes:
        name: What the store calls it, to be written after the store's prefix.
        path: The file; of a split model, the first part.
        why_not: Why the store's own notes rule it out here; None if they do not.
    """

    name: str
    path: Path
    why_not: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a store that could not be read.

    Attributes:
        path: The file or folder.
        what: What is wrong with it.
        name: What the store calls the model that it is about, if that is known.
    """

    path: Path
    what: str
    name: str = ""


Finding: TypeAlias = StoredFile | Problem


class Store(Protocol):
    """A program that keeps GGUF files on this machine."""

    @property
    def prefix(self) -> str:
        """Stands before the colon in names of its models, such as "ollama"."""

    @property
    def title(self) -> str:
        """What the program is called."""

    def folders(self, here: Surroundings) -> list[Path]:
        """Where it keeps models, on this system and with its own settings; they need not exist."""

    def find(self, folder: Path) -> Iterator[Finding]:
        """Its model files in one of these folders, and what could not be read."""

    def matches(self, name: str, given: str) -> bool:
        """Whether a user who writes `given` may mean the file that the store calls `name`."""


def walk(folder: Path, enters: Callable[[str], bool] | None = None) -> Iterator[Path | Problem]:
    """Give the regular files below a folder, each folder once, sorted, links followed.

    A folder that is not there is no problem: the program is not installed.

    Args:
        folder: Where to begin.
        enters: Whether a folder of this name is looked into; None for all.
    """
    seen: set[tuple[int, int]] = set()
    looked_at = 0
    pending = [(folder, 0)]
    while pending:
        current, depth = pending.pop()
        try:
            status = current.stat()
            # A link that leads back, or a second one to the same folder, is passed over.
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(current) as found:
                entries = sorted(found, key=lambda one: one.name)
        except FileNotFoundError:
            if depth:
                yield Problem(current, "is gone, or a link to nowhere")
            continue
        except (OSError, ValueError) as error:
            yield Problem(current, _said(error))
            continue
        folders = []
        for entry in entries:
            looked_at += 1
            if looked_at > MOST_ENTRIES:
                yield Problem(
                    folder, f"has more than {MOST_ENTRIES:,} files: the rest was left out"
                )
                return
            path = current / entry.name
            try:
                if entry.is_dir():
                    if enters is None or enters(entry.name):
                        folders.append((path, depth + 1))
                elif entry.is_file():
                    yield path
                elif entry.is_symlink():
                    # Neither: the link leads nowhere or in a circle; `stat` tells which.
                    path.stat()
            except OSError as error:
                yield Problem(path, _said(error))
        if depth < _DEEPEST:
            pending += reversed(folders)
        elif folders:
            yield Problem(current, f"has folders {_DEEPEST + 1} levels deep, which were left out")


def _said(error: OSError | ValueError) -> str:
    match error:
        case PermissionError():
            return "no permission to read it"
        case FileNotFoundError():
            return "is a link to nowhere"
        case OSError():
            return error.strerror or str(error)
        case _:
            return str(error)


def is_folder(path: Path) -> bool:
    """Whether there is a folder that can be asked for."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def why_no_file(path: Path) -> str | None:
    """Why there is no regular file that can be asked for; None if there is one."""
    try:
        return None if path.is_file() else "is missing"
    except (OSError, ValueError) as error:
        return _said(error)


def read_small(path: Path) -> bytes | Problem | None:
    """The content of a settings file or manifest; None if it is not there."""
    try:
        return read_regular(path, most=_MOST_BYTES)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        return Problem(path, _said(error))


def is_later_part(name: str) -> bool:
    """Whether a file is a further part of a split model, which its first part stands for."""
    stem = name.lower().removesuffix(".gguf")
    head, of, count = stem.rpartition("-of-")
    number = head.rpartition("-")[2]
    numbered = len(number) == len(count) == 5 and number.isdecimal() and count.isdecimal()
    return bool(of) and numbered and number != "00001"
