"""Replies as server-sent events: texts as they come, then what is known when all has ended."""

import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from pydantic import BaseModel
from sse_starlette import EventSourceResponse
from starlette.types import Receive, Scope, Send

from et_agent import PendingAnswer
from et_agent.asking.streaming import AnswerStream, StreamEnd
from et_agent.errors import EtAgentError
from et_agent_server.answering import Answered, answered, begun, timed_out, within
from et_agent_server.calls import Call
from et_agent_server.errors import ApiError, unforeseen
from et_agent_server.following import ChainFollower, Piece
from et_agent_server.replies import choices_of, fingerprint_of, report_of, usage_of
from et_agent_server.running import Running
from et_agent_server.settings import ServerSettings
from et_agent_server.state import ServerState
from et_agent_server.telemetry import Seen
from et_agent_server.wire import ChatCompletionChunk, Choice, ChunkChoice, Delta, ToolCallReply

__all__ = ["DONE", "OwnedStream", "chat_stream", "data"]

DONE = {"data": "[DONE]"}
"""The last event of a stream."""
_log = logging.getLogger("et_agent.server")


def data(shape: BaseModel) -> dict[str, str]:
    """An event that carries JSON."""
    return {"data": shape.model_dump_json()}


class OwnedStream(EventSourceResponse):
    """A stream that frees what it owns, whatever becomes of it.

    A generator that was never begun runs none of its code, so that it cannot do that itself.

    Args:
        events: The events. An error that they raise becomes the last of them.
        close: Frees what the stream owns.
        seen: Told of errors, and if the client goes away, or stalls, before the last event.
        settings: The server's settings.
    """

    def __init__(
        self,
        events: AsyncIterator[dict[str, str]],
        close: Callable[[], None],
        seen: Seen,
        settings: ServerSettings,
    ) -> None:
        super().__init__(
            self._told(events),
            sep="\n",
            send_timeout=settings.send_seconds,
            shutdown_grace_period=settings.grace_seconds,
        )
        self._close, self._seen = close, seen
        self._complete = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        try:
            with contextlib.suppress(TimeoutError):  # the client has stalled: nothing is owed to it
                await super().__call__(scope, receive, send)
        finally:
            self._close()
            if not self._complete:
                self._seen.left()

    async def _told(self, events: AsyncIterator[dict[str, str]]) -> AsyncIterator[dict[str, str]]:
        try:
            async for event in events:
                yield event
        except Exception as error:
            if not isinstance(error, ApiError):
                _log.exception("a stream failed")
            told = error if isinstance(error, ApiError) else unforeseen()
            self._seen.failed(told.status)
            yield {"data": json.dumps(told.body(), ensure_ascii=False)}
        self._complete = True


async def chat_stream(
    call: Call,
    running: Running,
    pending: PendingAnswer,
    shared: ServerState,
    seen: Seen,
    *,
    usage: bool,
) -> AsyncIterator[dict[str, str]]:
    """The events of a chat completion.

    The leading path of a tree is told token by token, and so are several choices. The report at the end
    says whether the reply is what was shown. Behind a gate, nothing is shown before it is judged.

    Args:
        call: The call.
        running: Where its question is decoded.
        pending: The question, prepared and not begun.
        shared: What the routes share.
        seen: What is noted of the request.
        usage: Whether a last chunk tells the usage.
    """
    made = _Chunks(call)
    for index in range(call.choices):
        yield data(made.chunk(ChunkChoice(index=index, delta=Delta(role="assistant", content=""))))
    shown = _Shown(call)
    try:
        async with within(shared.settings.seconds):
            async for piece in shown.pieces(running, pending):
                seen.texted()
                delta = Delta(content=piece.text or None, reasoning_content=piece.thought or None)
                for index in range(call.choices) if call.copies else (piece.choice,):
                    yield data(made.chunk(ChunkChoice(index=index, delta=delta)))
            found = shown.found or await answered(call, running, pending)
    except TimeoutError:
        raise timed_out(shared.settings.seconds) from None
    except EtAgentError as error:
        raise call.error(error) from error
    seen.texted()
    await shared.answered(seen, found)
    for choice in choices_of(found):
        text, thought = shown.sent[0 if call.copies else choice.index]
        for one in _last_pieces(choice, text, thought):
            last = choice.index == call.choices - 1 and one.finish_reason is not None
            yield data(made.chunk(one, et_agent=report_of(found) if last else None))
    if usage:
        yield data(made.chunk(usage=usage_of(found)))
    yield DONE


class _Shown:
    """What of a call is shown before all of it is known.

    Attributes:
        sent: Text and thought of each choice that were shown.
        found: The answered call, if following it brought that too.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self.sent = [("", "")] * call.choices
        self.found: Answered | None = None

    async def pieces(self, running: Running, pending: PendingAnswer) -> AsyncIterator[Piece]:
        """Let the question be decoded, and tell its text as it comes."""
        call = self._call
        if not call.shows_early:
            begun(call, running, pending)
        elif call.choices > 1 and not call.copies:
            follower = ChainFollower([(pending.request, pending.said)], call.choices)
            self.sent = follower.sent
            begun(call, running, pending)
            async for piece in follower.pieces():
                yield piece
        else:
            running.own(pending)
            async for event in AnswerStream(pending):
                if isinstance(event, StreamEnd):
                    self.found = Answered(
                        call,
                        pending,
                        event.result,
                        shown=event.leaf,
                        streamed="confirmed" if event.agrees else "replaced",
                    )
                    continue
                text, thought = self.sent[0]
                new = (
                    Piece(0, event.text, "") if event.kind == "answer" else Piece(0, "", event.text)
                )
                self.sent[0] = text + new.text, thought + new.thought
                yield new


def _last_pieces(choice: Choice, sent: str, thought: str) -> list[ChunkChoice]:
    """What is left to say of a choice, and how it ended.

    Where another text was shown than the reply is, nothing can be taken back: the report has the reply.
    """
    message = choice.message
    calls = [
        ToolCallReply(index=at, id=one.id, function=one.function)
        for at, one in enumerate(message.tool_calls or ())
    ]
    delta = Delta(
        content=_rest(message.content, sent),
        refusal=message.refusal,
        reasoning_content=_rest(message.reasoning_content, thought),
        tool_calls=calls or None,
    )
    end = ChunkChoice(
        index=choice.index,
        delta=Delta(),
        finish_reason=choice.finish_reason,
        et_agent=choice.et_agent,
    )
    if delta == Delta() and choice.logprobs is None:
        return [end]
    return [ChunkChoice(index=choice.index, delta=delta, logprobs=choice.logprobs), end]


def _rest(text: str | None, sent: str) -> str | None:
    whole = text or ""
    return whole[len(sent) :] or None if whole.startswith(sent) else None


class _Chunks:
    """Makes the chunks of one reply."""

    def __init__(self, call: Call) -> None:
        self._same: dict[str, Any] = {
            "id": call.id,
            "created": int(time.time()),
            "model": call.name,
            "system_fingerprint": fingerprint_of(call),
        }

    def chunk(self, *choices: ChunkChoice, **others: Any) -> ChatCompletionChunk:
        """A chunk."""
        return ChatCompletionChunk(choices=list(choices), **self._same, **others)
