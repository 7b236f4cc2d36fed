"""Progress of downloads and checksums on standard error."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from et_agent.cli.terminal import error_console, one_line, say
from et_agent.weights.download import human_bytes

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["PlainTransfer", "Transfer", "shown_transfer"]


class PlainTransfer:
    """Says in single lines what begins and what was skipped, for logs and pipes."""

    def __init__(self) -> None:
        self._last = ""

    def start(self, total_bytes: int | None, label: str) -> None:
        """Say what begins; a second try of the same is not said again."""
        size = "" if total_bytes is None else f" ({human_bytes(total_bytes)})"
        line = one_line(f"{label}{size}")
        if line != self._last:
            say(line)
        self._last = line

    def advance(self, n: int) -> None:
        """Ignore the bytes."""

    def finish(self) -> None:
        """Ignore the end."""

    def note(self, text: str) -> None:
        """Say a note."""
        say(one_line(text))


class Transfer:
    """A bar for the piece of work at hand, and the last notes; drawn by a live display."""

    def __init__(self) -> None:
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )
        from rich.table import Column

        self._lock = threading.Lock()
        self._bars = Progress(
            TextColumn(
                "{task.description}",
                markup=False,
                table_column=Column(no_wrap=True, overflow="ellipsis", max_width=32),
            ),
            BarColumn(bar_width=20),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(compact=True),
            console=error_console(),
            auto_refresh=False,
        )
        self._task: int | None = None
        self._notes: list[str] = []

    def start(self, total_bytes: int | None, label: str) -> None:
        """Show a bar."""
        with self._lock:
            self._remove()
            self._task = self._bars.add_task(one_line(label), total=total_bytes)

    def advance(self, n: int) -> None:
        """Move the bar."""
        with self._lock:
            if self._task is not None:
                self._bars.advance(_id(self._task), n)

    def finish(self) -> None:
        """Take the bar away."""
        with self._lock:
            self._remove()

    def _remove(self) -> None:
        if self._task is not None:
            self._bars.remove_task(_id(self._task))
            self._task = None

    def note(self, text: str) -> None:
        """Show a note under the bar."""
        with self._lock:
            self._notes = [*self._notes, one_line(text)][-3:]

    @property
    def busy(self) -> bool:
        """Whether a piece of work is under way."""
        return self._task is not None

    def __rich__(self) -> "RenderableType":
        from rich.console import Group
        from rich.text import Text

        with self._lock:
            notes = [
                Text(note, style="dim", overflow="ellipsis", no_wrap=True) for note in self._notes
            ]
            return Group(self._bars.get_renderable(), *notes)


def _id(number: int) -> "TaskID":
    from rich.progress import TaskID

    return TaskID(number)


if TYPE_CHECKING:
    from rich.progress import TaskID


@contextmanager
def shown_transfer() -> "Iterator[Transfer | PlainTransfer]":
    """Progress for a command that has no live display of its own."""
    console = error_console()
    if not console.is_terminal or console.is_dumb_terminal:
        yield PlainTransfer()
        return
    from rich.live import Live

    transfer = Transfer()
    with Live(transfer, console=console, refresh_per_second=8, transient=True):
        yield transfer
