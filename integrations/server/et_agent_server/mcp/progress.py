"""The progress of a tree, from the model's thread to a client's notifications."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from typing import Final, Protocol

from et_agent.asking.pending import Progress, ProgressCallback
from et_agent.wording import counted

__all__ = ["Send", "telling"]

_PAUSE: Final = 0.5
"""Seconds between two notifications at least."""


class Send(Protocol):
    """Sends a notification."""

    def __call__(
        self, progress: float, total: float | None = None, message: str | None = None
    ) -> Awaitable[None]:
        """Progress, how much it will be, and a sentence."""
        ...


@contextlib.asynccontextmanager
async def telling(send: Send) -> AsyncIterator[ProgressCallback]:
    """What tells a client the progress while it is entered.

    The progress is the number of generated tokens. How many there will be is not known before.

    Args:
        send: Sends a notification.
    """
    teller = _Teller(send)
    work = asyncio.ensure_future(teller.run())
    try:
        yield teller.note
    finally:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work


class _Teller:
    def __init__(self, send: Send) -> None:
        self._send, self._loop = send, asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._last = Progress(tokens=0, leaves_done=0, leaves=0, leading=(), seconds=0.0)
        self._before = 0
        """Tokens of a tree that was decoded before, by the smaller model."""

    def note(self, progress: Progress) -> None:
        """Take note, in the model's thread."""
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            self._loop.call_soon_threadsafe(self._noted, progress)

    def _noted(self, progress: Progress) -> None:
        if progress.tokens < self._last.tokens:
            self._before += self._last.tokens
        self._last = progress
        self._news.set()

    async def run(self) -> None:
        """Send what is new, until it is cancelled."""
        told = 0
        while True:
            await self._news.wait()
            self._news.clear()
            tokens = self._before + self._last.tokens
            if tokens > told:  # it has to rise
                told = tokens
                await self._send(tokens, None, _said(self._last))
            await asyncio.sleep(_PAUSE)


def _said(progress: Progress) -> str:
    done = f"{progress.leaves_done} of {counted(progress.leaves, 'path')} done"
    if not progress.leading:
        return done
    answer, share = progress.leading[0]
    return f"{done}, {share:.0%} of them say {answer[:100]}"
