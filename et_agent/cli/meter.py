"""How far an evaluation is: a bar in a terminal, and elsewhere a line now and then."""

import time
from typing import TYPE_CHECKING, Final

from et_agent.cli.guard import is_verbose
from et_agent.cli.terminal import duration, error_console, say

if TYPE_CHECKING:
    from et_agent.evaluation.running import EvaluationProgress

__all__ = ["Meter"]

_EVERY: Final = 30.0
"""Seconds between two lines where no bar is shown."""


class Meter:
    """A bar on standard error; lines without a terminal, or beside a log.

    Attributes:
        done: Questions that are done.
        total: Questions.
    """

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        console = error_console()
        self._shown = console.is_terminal and not is_verbose()
        self._bars = Progress(
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            disable=not self._shown,
        )
        self._task = self._bars.add_task("loading", total=None)
        self.done = self.total = 0
        self._last: float | None = None

    def __enter__(self) -> "Meter":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def move(self, progress: "EvaluationProgress") -> None:
        """Show how far the runs are."""
        if progress.accuracy is None or progress.seconds_left is None:
            text = "decoding the first questions"
        else:
            text = (
                f"{duration(progress.seconds_left)} left, {progress.tokens_per_second:.0f} tokens/s, "
                f"accuracy {progress.accuracy:.2f}"
            )
        self._move(progress.done, progress.total, text, f" ({progress.run})")

    def count(self, done: int, total: int) -> None:
        """Show how many questions are done."""
        self._move(done, total, "asking the model", "")

    def _move(self, done: int, total: int, text: str, where: str) -> None:
        self.done, self.total = done, total
        self._bars.update(self._task, completed=done, total=total, description=text)
        now = time.monotonic()
        due = self._last is None or now - self._last >= _EVERY or done == total
        if not self._shown and due:
            self._last = now
            say(f"{done}/{total} {text}{where}")
