"""Questions on their way: waiting for them in an event loop, and ending them when nobody waits."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from fastapi import Request

from et_agent.asking import start
from et_agent.asking.pending import PendingAnswer
from et_agent_server.admission import Place

__all__ = ["ClientGoneError", "Running", "prepared", "until_done", "while_connected"]

T = TypeVar("T")


class ClientGoneError(Exception):
    """The client has closed the connection: nobody reads a reply."""


class Pending(Protocol):
    """Work in a model's thread."""

    def cancel(self) -> None:
        """Stop within one step."""
        ...

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call back when it has ended, or now if it has."""
        ...


class Running:
    """A place and the work that was begun in it, which end together.

    Args:
        place: The place.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self._works: list[Pending] = []

    def begin(self, pending: PendingAnswer) -> None:
        """Let a prepared question be decoded.

        Raises:
            ModelClosedError: The model was closed.
        """
        self.own(pending)
        start(pending)

    def own(self, work: Pending) -> None:
        """Stop this work too when all ends."""
        self._works.append(work)

    def close(self) -> None:
        """Stop what still goes on and leave the place; safe to call twice."""
        for work in self._works:
            work.cancel()
        self.place.leave()

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


async def prepared(make: Callable[[], T]) -> T:
    """Prepare something in a thread: templates and grammars take a while."""
    return await asyncio.to_thread(make)


async def until_done(pending: Pending) -> None:
    """Wait until work has ended, whether well or not."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def tell(_: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(ended.set)

    pending.add_done_callback(tell)
    await ended.wait()


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Do something as long as the client waits for it.

    Args:
        request: The request, whose body has been read.
        work: What is cancelled when the client goes away.

    Raises:
        ClientGoneError: It went away.
    """
    doing = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_gone(request.receive))
    try:
        await asyncio.wait((doing, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise ClientGoneError
        return doing.result()
    finally:
        leaving.cancel()
        if not doing.done():
            doing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await doing


async def _gone(receive: Callable[[], Awaitable[Any]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
