"""Passing a model request on to a stronger target, from whatever thread a gate calls it in."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from contextvars import copy_context
from typing import Any, TypeVar

from langchain.agents.middleware import ModelRequest, ModelResponse
from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage

from et_agent.errors import EscalationError, SettingsError
from et_agent.gate import Target
from et_agent.results import AskResult
from et_agent.validation import type_of
from langchain_et_agent.metadata import result_of

__all__ = [
    "Handler",
    "InLoop",
    "PassedOn",
    "in_context",
    "in_own_thread",
    "last_message",
    "target_of",
]

T = TypeVar("T")
Response = ModelResponse[Any]
Handler = Callable[[ModelRequest[Any]], Response]
"""Runs a model request to its end, in the thread that calls it."""


def in_context(handler: Handler) -> Handler:
    """The handler of a synchronous agent, for any thread: callbacks and the run's config go along."""
    context = copy_context()
    return lambda request: context.copy().run(handler, request)


class InLoop:
    """The handler of an asynchronous agent, for any thread but the event loop's.

    Args:
        handler: Makes the awaitable.
        loop: The running event loop.
    """

    def __init__(
        self,
        handler: Callable[[ModelRequest[Any]], Awaitable[Response]],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._handler, self._loop = handler, loop
        self._context = copy_context()
        self._running: set[Future[Response]] = set()
        self._cancelled = threading.Event()

    def __call__(self, request: ModelRequest[Any]) -> Response:
        """Run the request in the event loop and wait for it.

        Raises:
            EscalationError: The agent was cancelled, or the request was given up for lost.
        """
        if self._cancelled.is_set():
            raise EscalationError("the agent was cancelled")

        async def work() -> Response:
            return await self._handler(request)

        # A call that was given up for lost must not go on beside its retry.
        for lost in tuple(self._running):
            lost.cancel()
        future = self._context.copy().run(asyncio.run_coroutine_threadsafe, work(), self._loop)
        self._running.add(future)
        if self._cancelled.is_set():  # between the first look and now
            future.cancel()
        try:
            return future.result()
        except CancelledError:
            raise EscalationError("the agent was cancelled, or gave the request up") from None
        finally:
            self._running.discard(future)

    def cancel(self) -> None:
        """Stop what is running, and let nothing more begin."""
        self._cancelled.set()
        for future in tuple(self._running):
            future.cancel()


async def in_own_thread(work: Callable[[], T]) -> T:
    """Run blocking work in a thread of its own and wait for it.

    Not in the loop's executor: work that waits for a coroutine, which itself needs the executor,
    would fill it with waiting and end in a deadlock.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[T] = loop.create_future()
    context = copy_context()

    def deliver(put: Callable[[], None]) -> None:
        # The loop is closed, or nobody waits any more, where the agent was given up.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(lambda: None if ended.done() else put())

    def run() -> None:
        try:
            value = context.run(work)
        except BaseException as error:
            failure = error
            deliver(lambda: ended.set_exception(failure))
        else:
            deliver(lambda: ended.set_result(value))

    threading.Thread(target=run, name="et-agent-gate", daemon=True).start()
    return await ended


class PassedOn:
    """A stronger chat model as a gate's target: it answers the request itself, not its question.

    Args:
        model: It gets the conversation, the system prompt, tools and response format.
        request: The request that the agent's model answered.
        handler: Runs a request, from any thread.
    """

    def __init__(self, model: BaseChatModel, request: ModelRequest[Any], handler: Handler) -> None:
        self._request, self._handler = request.override(model=model), handler
        self._lock = threading.Lock()
        self._attempt = 0
        self.response: Response | None = None
        """What the last call brought."""

    def __call__(self, question: str) -> str | AskResult:  # noqa: ARG002
        """Call the model; its result where it comes with one, else what it says.

        Raises:
            Exception: Whatever the model raises.
        """
        with self._lock:
            self._attempt += 1
            attempt = self._attempt
        response = self._handler(self._request)
        with self._lock:
            # A call that hung and came back after a later one has begun is too late.
            if attempt == self._attempt:
                self.response = response
        message = last_message(response)
        if message is None:
            return ""
        return result_of(message) or _said(message)


def last_message(response: Response) -> AIMessage | None:
    """The model's own message of a response."""
    return next((one for one in reversed(response.result) if isinstance(one, AIMessage)), None)


def _said(message: AIMessage) -> str:
    if message.tool_calls:
        return json.dumps([{"name": c["name"], "args": c["args"]} for c in message.tool_calls])
    return str(message.text)


def target_of(given: str | BaseChatModel | Target | None) -> BaseChatModel | Target | None:
    """A target as the middleware takes it.

    Raises:
        SettingsError: It is none, or names a chat model that cannot be made.
    """
    if isinstance(given, str):
        return _chat_model(given)
    if given is None or callable(given) or callable(getattr(given, "invoke", None)):
        return given
    raise SettingsError(
        f"escalate is {type_of(given)}: pass a chat model or its name, a runnable, a "
        "function, or ModelTarget(model) for a loaded model"
    )


def _chat_model(name: str) -> BaseChatModel:
    try:
        return init_chat_model(name)
    except (ImportError, ValueError) as error:
        raise SettingsError(f"escalate is {name!r}: {error}") from error
