"""One question from its first batch to its result, for callers that wait and for event loops."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar, cast

from langchain_core.callbacks.manager import (
    AsyncCallbackManagerForChainRun,
    CallbackManagerForChainRun,
    adispatch_custom_event,
    dispatch_custom_event,
)
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import run_in_executor

from et_agent.results import AskResult
from et_agent.runnables.events import TreeSnapshot
from et_agent.runnables.watching import Send, Update, Watch, begin

__all__ = ["Asking", "Chunk", "adecode", "closed_after", "decode", "listened_to"]

T = TypeVar("T")

Chunk = TreeSnapshot | AskResult
"""What a stream is made of."""


class Asking(Protocol):
    """Checks a question and prepares its decoding; it may load the model first."""

    def __call__(self, send: Send, *, follow: bool) -> Watch:
        """Prepare; nothing is decoded until the watch is started."""
        ...


def listened_to(run_manager: CallbackManagerForChainRun | AsyncCallbackManagerForChainRun) -> bool:
    """Whether any callback takes custom events."""
    return any(not handler.ignore_custom_event for handler in run_manager.handlers)


def decode(
    asking: Asking,
    run_manager: CallbackManagerForChainRun,
    config: RunnableConfig,
    held: ExitStack,
    *,
    snapshots: bool,
) -> Iterator[Chunk]:
    """Decode a question; yields snapshots if they are wanted, and last the result.

    Args:
        asking: The question.
        run_manager: Whose callbacks get the custom events.
        config: The run's own, for its children.
        held: Decoding is stopped when this is closed.
        snapshots: Whether snapshots are wanted.

    Raises:
        EtAgentError: The question is refused, or decoding failed.
    """
    updates: SimpleQueue[Update | None] = SimpleQueue()
    events = listened_to(run_manager)
    watch = asking(updates.put, follow=snapshots or events)
    held.callback(watch.close)
    begin(watch)
    while (update := updates.get()) is not None:
        if events:
            for name, data in update.events():
                dispatch_custom_event(name, data, config=config)
        if snapshots:
            yield update.snapshot
    yield watch.result()


async def adecode(
    asking: Asking,
    run_manager: AsyncCallbackManagerForChainRun,
    config: RunnableConfig,
    held: ExitStack,
    *,
    snapshots: bool,
) -> AsyncIterator[Chunk]:
    """`decode` for an event loop: whatever takes long runs in the loop's default executor."""
    loop = asyncio.get_running_loop()
    updates: asyncio.Queue[Update | None] = asyncio.Queue()

    def send(update: Update | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed, so nobody listens
            loop.call_soon_threadsafe(updates.put_nowait, update)

    events = listened_to(run_manager)
    watch = await run_in_executor(None, asking, send, follow=snapshots or events)
    held.callback(watch.close)
    begin(watch)
    while (update := await updates.get()) is not None:
        if events:
            for name, data in update.events():
                await adispatch_custom_event(name, data, config=config)
        if snapshots:
            yield update.snapshot
    # Reading the leaves may wait for the child process that compares expressions.
    yield await run_in_executor(None, watch.result)


@contextlib.asynccontextmanager
async def closed_after(stream: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Close a generator that LangChain gave, at once instead of when it is collected."""
    try:
        yield stream
    finally:
        try:
            await cast("AsyncGenerator[Any, None]", stream).aclose()
        except RuntimeError as error:  # an event loop that ends closes all of them by itself
            if "already running" not in str(error):
                raise
