"""How long work on model files tells what it is doing: a callback protocol, silent by default."""

from typing import Protocol

__all__ = ["Meter", "SilentProgress", "TransferProgress", "note_wait"]


class TransferProgress(Protocol):
    """Receives the progress of a download or of a checksum.

    Calls come from one thread, in the order `start`, `advance`…, `finish`; a second `start` may
    follow when another source is tried. `note` may come at any time.
    """

    def start(self, total_bytes: int | None, label: str) -> None:
        """Begin a piece of work of `total_bytes` (None: not known)."""

    def advance(self, n: int) -> None:
        """Count `n` more bytes as done; never negative."""

    def finish(self) -> None:
        """End the piece of work, whether it succeeded or not."""

    def note(self, text: str) -> None:
        """Say something in one line, such as why a source was skipped."""


class SilentProgress:
    """Says nothing."""

    def start(self, total_bytes: int | None, label: str) -> None:
        """Ignore the start."""

    def advance(self, n: int) -> None:
        """Ignore the bytes."""

    def finish(self) -> None:
        """Ignore the end."""

    def note(self, text: str) -> None:
        """Ignore the note."""


class Meter:
    """Turns positions into advances that never go back nor beyond the total."""

    def __init__(self, progress: TransferProgress, total: int | None) -> None:
        self._progress = progress
        self._total = total
        self._position = 0

    def move_to(self, position: int) -> None:
        """Report that `position` bytes are done in all."""
        if self._total is not None:
            position = min(position, self._total)
        if position > self._position:
            self._progress.advance(position - self._position)
            self._position = position


def note_wait(progress: TransferProgress) -> None:
    """Say that another process holds the lock."""
    progress.note("Another process is making the same file; waiting for it.")
