"""Who may decode now, who waits, and who is told to come back later."""

import asyncio
import time

from et_agent_server.errors import ApiError
from et_agent_server.settings import ServerSettings

__all__ = ["Admission", "Place"]

_FIRST_GUESS = 5.0
"""Seconds that a request takes, before one has told."""


class Place:
    """The right to decode, until it is left.

    Attributes:
        waited: Seconds that it took to get it.
    """

    def __init__(self, admission: "Admission", waited: float) -> None:
        self.waited = waited
        self._admission: Admission | None = admission
        self._began = time.perf_counter()

    def leave(self) -> None:
        """Let the next one in; safe to call twice."""
        if self._admission is not None:
            self._admission._left(time.perf_counter() - self._began)
        self._admission = None


class Admission:
    """Lets so many requests decode at once, in the order in which they came."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._places = asyncio.Semaphore(settings.concurrent)
        self._mean = _FIRST_GUESS
        self.waiting = 0
        self.decoding = 0

    @property
    def full(self) -> bool:
        """Whether one more would be told to come back."""
        return self._places.locked() and self.waiting >= self._settings.queue

    async def enter(self) -> Place:
        """Wait for a place.

        Raises:
            ApiError: Too many wait already, or it took too long (429).
        """
        if self.full:
            raise self._busy(f"{self.waiting} requests wait already")
        began = time.perf_counter()
        self.waiting += 1
        try:
            async with asyncio.timeout(self._settings.queue_seconds):
                await self._places.acquire()
        except TimeoutError:
            seconds = self._settings.queue_seconds
            raise self._busy(f"no place became free within {seconds:g} s") from None
        finally:
            self.waiting -= 1
        self.decoding += 1
        return Place(self, time.perf_counter() - began)

    def _left(self, seconds: float) -> None:
        self._mean = 0.9 * self._mean + 0.1 * seconds
        self.decoding -= 1
        self._places.release()

    def _busy(self, why: str) -> ApiError:
        after = self._mean * (1 + self.waiting / self._settings.concurrent)
        return ApiError(
            429,
            f"the server is busy: {why}",
            kind="rate_limit_error",
            code="rate_limit_exceeded",
            retry_after=min(after, 120.0),
        )
