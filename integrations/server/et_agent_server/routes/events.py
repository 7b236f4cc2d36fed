"""`/v1/ask/events`: a question to et-agent, whose tree is told while it grows."""

import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field, RootModel

from et_agent import PendingAnswer
from et_agent.asking.streaming import AnswerStream, StreamEnd, TextDelta
from et_agent.errors import EtAgentError
from et_agent.results import TreeReport
from et_agent_server.answering import Answered, judged, prepare, timed_out, within
from et_agent_server.calls import Call
from et_agent_server.replies import choices_of, report_of
from et_agent_server.routes.ask import AskRequest, ask_call
from et_agent_server.running import Running, while_connected
from et_agent_server.state import SeenHere, ServerState, Shared
from et_agent_server.streaming import DONE, OwnedStream, data
from et_agent_server.telemetry import Seen
from et_agent_server.wire import AgentReport, Wire

__all__ = ["AskEvent", "Began", "Ended", "TextGrew", "TreeGrew", "router"]

router = APIRouter(tags=["et-agent"])


class Began(Wire):
    """The question has its place: the first event."""

    type: Literal["began"] = "began"
    id: str
    """What `/v1/labels` takes."""
    gated: bool
    """Whether a gate will judge the answer; what is shown before is not judged."""


class TextGrew(Wire):
    """What the leading path says next."""

    type: Literal["text"] = "text"
    kind: Literal["thought", "answer"]
    """Whether it belongs to the thought or to the answer."""
    text: str
    """What comes after the earlier texts of its kind."""


class TreeGrew(Wire):
    """The tree as it is now; at most about four per second."""

    type: Literal["tree"] = "tree"
    tree: TreeReport
    """Nodes and leaves. Leaves that have not ended are "cancelled" and without an answer."""
    tokens: int
    """Tokens generated so far."""
    seconds: float
    """Time so far."""


class Ended(Wire):
    """The reply and its result: the last event before `[DONE]`."""

    type: Literal["end"] = "end"
    id: str
    """What `/v1/labels` takes."""
    reply: str
    """What the user is told; behind a gate, why there is no answer."""
    result: AgentReport
    """The result with its tree and, behind a gate, its decision."""


class AskEvent(RootModel[Began | TextGrew | TreeGrew | Ended]):
    """An event. An error is told as `{"error": …}`, as the last one."""

    root: Annotated[Began | TextGrew | TreeGrew | Ended, Field(discriminator="type")]


@router.post(
    "/v1/ask/events",
    responses={
        200: {"model": AskEvent, "content": {"text/event-stream": {}}, "description": "Events"}
    },
    summary="Answer a question and tell its tree as it grows",
)
async def ask_events(
    body: AskRequest, request: Request, shared: Shared, seen: SeenHere
) -> Response:
    """Answer a question. Server-sent events tell the leading path's text and the tree as they grow."""
    call = ask_call(body.model_copy(update={"tree": True}), shared.models, shared.settings)
    return await while_connected(request, _streamed(call, shared, seen))


async def _streamed(call: Call, shared: ServerState, seen: Seen) -> Response:
    running = Running(await shared.admission.enter())
    try:
        seen.called(call, running.place.waited)
        pending = await prepare(call)
    except BaseException:
        running.close()
        raise
    events = _events(call, running, pending, shared, seen)
    return OwnedStream(events, running.close, seen, shared.settings)


async def _events(
    call: Call, running: Running, pending: PendingAnswer, shared: ServerState, seen: Seen
) -> AsyncIterator[dict[str, str]]:
    yield data(Began(id=call.id, gated=call.gating is not None))
    running.own(pending)
    try:
        stream = contextlib.aclosing(AnswerStream(pending).with_trees())
        async with within(shared.settings.seconds), stream as told:
            async for event in told:
                match event:
                    case TextDelta():
                        seen.texted()
                        yield data(TextGrew(kind=event.kind, text=event.text))
                    case StreamEnd():
                        found = Answered(call, pending, event.result, shown=event.leaf)
                    case _:
                        yield data(
                            TreeGrew(tree=event.tree, tokens=event.tokens, seconds=event.seconds)
                        )
            found = await judged(call, running, found)
    except TimeoutError:
        raise timed_out(shared.settings.seconds) from None
    except EtAgentError as error:
        raise call.error(error) from error
    seen.texted()
    await shared.answered(seen, found)
    message = choices_of(found)[0].message
    reply = message.content or message.refusal or ""
    # Not validated again: every part of it is.
    yield data(Ended.model_construct(id=call.id, reply=reply, result=report_of(found)))
    yield DONE
