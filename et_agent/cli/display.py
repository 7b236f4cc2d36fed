"""The live display of `ask`: what is loaded, decoded and leading. Drawn in a thread of its own.

Where nobody watches, a line on standard error now and then says how far it is.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from et_agent.asking.pending import Progress
from et_agent.cli.meter import NowAndThen
from et_agent.cli.terminal import bar, error_console, is_watched, one_line
from et_agent.cli.transfer import PlainTransfer, Transfer
from et_agent.cli.tree_view import shorten
from et_agent.wording import counted

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live
    from rich.text import Text

__all__ = ["Board"]

_IN_WORK: Final = 6
_LEADING: Final = 5


class Board:
    """What the display shows. Progress may come from any thread.

    Args:
        questions: The questions, in order.
        model: The model's name.
        decoder: The decoder's name.
        shown: Whether to show anything; by default when a person watches.
    """

    def __init__(
        self, questions: Sequence[str], *, model: str, decoder: str, shown: bool | None = None
    ) -> None:
        self.shown = is_watched() if shown is None else shown
        self._ascii = not (sys.stderr.encoding or "").lower().startswith("utf")
        self.transfer = Transfer() if self.shown else PlainTransfer()
        self._questions = questions
        self._title = f"{one_line(model)}, {decoder}"
        self._lock = threading.Lock()
        self._progress: dict[int, Progress] = {}
        self._is_done: Callable[[int], bool] = lambda _index: False
        self._started = self._now = time.perf_counter()
        self._decoding = False
        self._interrupted: Callable[[], bool] = lambda: False
        self._live: Live | None = None
        self._lines = None if self.shown else NowAndThen(at_once=False)

    def note(self, index: int, progress: Progress) -> None:
        """Take note of a question's progress."""
        with self._lock:
            self._progress[index] = progress
            if self._lines is not None and self._lines.due():
                # Where nobody reads them, decoding goes on.
                with suppress(OSError, ValueError):
                    self._lines.say(self._line(progress))

    def begin(self, is_done: Callable[[int], bool], interrupted: Callable[[], bool]) -> None:
        """Loading is over: show the questions from here on."""
        with self._lock:
            self._is_done, self._interrupted, self._decoding = is_done, interrupted, True
            self._started = time.perf_counter()

    def escalate(self, target: str) -> None:
        """Name the model that goes on instead."""
        with self._lock:
            self._title = f"escalated to {one_line(target)}"

    def __enter__(self) -> "Board":
        self._show()
        return self

    def __exit__(self, *_: object) -> None:
        self._hide()

    def _show(self) -> None:
        if self.shown:
            from rich.live import Live

            self._live = Live(
                get_renderable=self._draw,
                console=error_console(),
                refresh_per_second=8,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start(refresh=True)

    def _hide(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def close(self) -> None:
        """Take the display away for good."""
        self.shown = False
        self._hide()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take the display away while something is printed."""
        self._hide()
        yield
        self._show()

    def _draw(self) -> "RenderableType":
        from rich.console import Group

        with self._lock:
            progress, decoding = dict(self._progress), self._decoding
        done = [decoding and self._is_done(index) for index in range(len(self._questions))]
        self._now = time.perf_counter()
        if not decoding:
            return self._loading()
        one = len(self._questions) == 1
        body = self._single(progress.get(0)) if one else self._several(progress, done)
        return Group(self._head(progress), *body)

    def _line(self, progress: Progress) -> str:
        total = len(self._questions)
        if total == 1:
            leaves = counted(progress.leaves, "path")
            return f"{counted(progress.tokens, 'token')}, {progress.leaves_done} of {leaves} done"
        done = sum(map(self._is_done, range(total)))
        tokens = sum(one.tokens for one in self._progress.values())
        return f"{done}/{total} questions done, {counted(tokens, 'token')}"

    def _loading(self) -> "RenderableType":
        assert isinstance(self.transfer, Transfer)
        if self.transfer.busy:
            return self.transfer
        from rich.text import Text

        return Text(f"{self._spinner()} loading {self._title}")

    def _spinner(self) -> str:
        frames = "|/-\\" if self._ascii else "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
        return frames[int(self._now * 8) % len(frames)]

    def _head(self, progress: dict[int, Progress]) -> "Text":
        from rich.text import Text

        seconds = self._now - self._started
        tokens = sum(one.tokens for one in progress.values())
        rate = tokens / seconds if seconds > 0.5 else 0.0
        text = Text(no_wrap=True, overflow="ellipsis")
        if self._interrupted():
            text.append("stopping… (Ctrl-C again leaves at once) ", "yellow")
        text.append(f"{self._spinner()} {self._title}  ", "bold")
        text.append(f"{tokens:,} tokens")
        text.append(f"  {rate:,.0f} tokens/s  {seconds:.0f} s", "dim")
        return text

    def _single(self, progress: Progress | None) -> "list[RenderableType]":
        from rich.text import Text

        if progress is None:
            return [Text("  reading the question", style="dim")]
        share = progress.leaves_done / max(1, progress.leaves)
        line = Text("  leaves  ")
        self._add_bar(line, share, 24)
        line.append(f" {progress.leaves_done} done of {progress.leaves} known so far")
        return [line, *(self._leading(*one) for one in progress.leading[:_LEADING])]

    def _several(
        self, progress: dict[int, Progress], done: Sequence[bool]
    ) -> "list[RenderableType]":
        from rich.text import Text

        total = len(self._questions)
        line = Text("  questions  ")
        self._add_bar(line, sum(done) / total, 24)
        line.append(f" {sum(done)} of {total} done")
        working = [i for i in progress if not done[i]]
        rows: list[RenderableType] = [line]
        rows += [self._in_work(i, progress[i]) for i in sorted(working)[:_IN_WORK]]
        if len(working) > _IN_WORK:
            rows.append(Text(f"  {len(working) - _IN_WORK} more in work", style="dim"))
        return rows

    def _in_work(self, index: int, progress: Progress) -> "Text":
        from rich.text import Text

        text = Text(f"  {index + 1:>4}  ", no_wrap=True, overflow="ellipsis")
        self._add_bar(text, progress.leaves_done / max(1, progress.leaves), 8)
        text.append(f" {progress.leaves_done:>3}/{progress.leaves:<3} ")
        if progress.leading:
            answer, share = progress.leading[0]
            text.append(f"{shorten(one_line(answer), 16)} {share:.0%}  ", "green")
        text.append(one_line(self._questions[index][:200]), "dim")
        return text

    def _leading(self, answer: str, share: float) -> "Text":
        from rich.text import Text

        text = Text("  ", no_wrap=True, overflow="ellipsis")
        name = shorten(one_line(answer), 24)
        text.append(name + " " * (26 - cell_len(name)), "bold")
        text.append(f"{share:>6.1%} ")
        text.append(bar(share, 24, ascii_only=self._ascii), "green")
        return text

    def _add_bar(self, text: "Text", share: float, width: int) -> None:
        filled = bar(share, width, ascii_only=self._ascii)
        text.append(filled, "cyan")
        text.append(("." if self._ascii else "·") * (width - len(filled)), "dim")
