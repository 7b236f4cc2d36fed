"""Passing a model request on to a stronger target, from whatever thread a gate calls it in."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import Any

from langchain.agents.middleware import ModelRequest, ModelResponse
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage

from et_agent.errors import EscalationError
from et_agent.gate import Target
from et_agent.gate.escalation import Runnable
from et_agent.results import AskResult
from langchain_et_agent.metadata import METADATA_KEY, metadata_of, result_of

__all__ = ["Handler", "InLoop", "PassedOn", "in_context", "spoken"]

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
        self._cancelled = False

    def __call__(self, request: ModelRequest[Any]) -> Response:
        """Run the request in the event loop and wait for it.

        Raises:
            EscalationError: The agent was cancelled.
        """
        if self._cancelled:
            raise EscalationError("the agent was cancelled")

        async def work() -> Response:
            return await self._handler(request)

        future = self._context.copy().run(asyncio.run_coroutine_threadsafe, work(), self._loop)
        self._running.add(future)
        try:
            return future.result()
        finally:
            self._running.discard(future)

    def cancel(self) -> None:
        """Stop what is running, and let nothing more begin."""
        self._cancelled = True
        for future in tuple(self._running):
            future.cancel()


class PassedOn:
    """An escalation target for one request; keeps the response that the last call brought.

    Args:
        target: A chat model gets the whole request: conversation, system prompt, tools, response
            format. Any other runnable, or a function, gets the question.
        request: The request that the agent's model answered.
        handler: Runs a request, from any thread.
    """

    def __init__(
        self, target: BaseChatModel | Target, request: ModelRequest[Any], handler: Handler
    ) -> None:
        self._target, self._request, self._handler = target, request, handler
        self._lock = threading.Lock()
        self._attempt = 0
        self.response: Response | None = None

    def __call__(self, question: str) -> str | AskResult:
        """Call the target; its result where it comes with one, else what it says.

        Raises:
            Exception: Whatever the target raises.
        """
        with self._lock:
            self._attempt += 1
            attempt = self._attempt
        response = self._respond(question)
        with self._lock:
            # A call that hung and came back after a later one has begun is too late.
            if attempt == self._attempt:
                self.response = response
        message = spoken(response)
        if message is None:
            return ""
        return result_of(message) or _said(message)

    def _respond(self, question: str) -> Response:
        if isinstance(self._target, BaseChatModel):
            return self._handler(self._request.override(model=self._target))
        if isinstance(self._target, Runnable):
            found = self._target.invoke(question)
        else:
            found = self._target(question)
        return ModelResponse(result=[_as_message(found)])


def spoken(response: Response) -> AIMessage | None:
    """The model's own message of a response."""
    return next((one for one in reversed(response.result) if isinstance(one, AIMessage)), None)


def _as_message(found: Any) -> AIMessage:
    if isinstance(found, AIMessage):
        return found
    if isinstance(found, AskResult):
        return AIMessage(found.answer or "", response_metadata={METADATA_KEY: metadata_of(found)})
    text = found.text if isinstance(found, BaseMessage) else found
    if not isinstance(text, str):
        raise EscalationError(
            f"the target gave a {type(found).__name__}: a text, a message or an AskResult is needed"
        )
    return AIMessage(str(text))


def _said(message: AIMessage) -> str:
    if message.tool_calls:
        return json.dumps([{"name": c["name"], "args": c["args"]} for c in message.tool_calls])
    return str(message.text)
