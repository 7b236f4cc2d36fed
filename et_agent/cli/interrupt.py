"""Ctrl-C: once to stop and see what is known, twice to leave at once."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from et_agent.cli.guard import INTERRUPTED

__all__ = ["Interrupts"]


class Interrupts:
    """Turns the first Ctrl-C into a call of `on_interrupt`, once there is something to cancel."""

    def __init__(self) -> None:
        self.happened = False
        self.on_interrupt: Callable[[], None] | None = None
        self.cursor_hidden = False
        self._before: Any = None
        self._installed = False

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)
            self._installed = True
        return self

    def __exit__(self, *_: object) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, self._before)

    @contextmanager
    def raising(self) -> Iterator[None]:
        """Let Ctrl-C end what is done meanwhile, such as waiting for a reply."""
        before, self.on_interrupt = self.on_interrupt, None
        try:
            yield
        finally:
            self.on_interrupt = before

    def _note(self, _signal: int, _frame: FrameType | None) -> None:
        if self.happened:
            if self.cursor_hidden:
                os.write(2, b"\x1b[?25h\n")
            os._exit(INTERRUPTED)
        self.happened = True
        if self.on_interrupt is None:
            raise KeyboardInterrupt
        self.on_interrupt()
