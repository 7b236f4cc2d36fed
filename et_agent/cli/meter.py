"""How far long work is: an evaluation's bar in a terminal, and elsewhere a line now and then."""

import math
import time
from typing import TYPE_CHECKING, Final

from et_agent.cli.guard import is_verbose
from et_agent.cli.terminal import duration, error_console, say

if TYPE_CHECKING:
    from et_agent.evaluation.running import EvaluationProgress

__all__ = ["Meter", "NowAndThen"]

_EVERY: Final = 30.0
"""Seconds between two lines where no bar is shown."""


class NowAndThen:
    """Lines on standard error for long work of which no bar is shown.

    Args:
        at_once: Whether the first comes with the first news, not only after a while.
    """

    def __init__(self, *, at_once: bool) -> None:
        self._next = -math.inf if at_once else time.monotonic() + _EVERY

    def say(self, text: str, *, last: bool = False) -> None:
        """Say how far the work is, if the last line is long enough ago.

        Args:
            text: What to say.
            last: Whether nothing follows; then it is said in any case.
        """
        if last or self.due():
            self._next = time.monotonic() + _EVERY
            say(text)

    def due(self) -> bool:
        """Whether it is time for a line."""
        return time.monotonic() >= self._next


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
        self._lines = NowAndThen(at_once=True)

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
        if not self._shown:
            self._lines.say(f"{done}/{total} {text}{where}", last=done == total)
