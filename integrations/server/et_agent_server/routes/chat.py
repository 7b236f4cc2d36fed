"""`/v1/chat/completions`."""

from fastapi import APIRouter, Request, Response

from et_agent_server.answering import answered, begun, prepare, timed_out, within
from et_agent_server.calls import Call
from et_agent_server.replies import chat_completion
from et_agent_server.running import Running, while_connected
from et_agent_server.state import SeenHere, ServerState, Shared
from et_agent_server.streaming import OwnedStream, chat_stream
from et_agent_server.telemetry import Seen
from et_agent_server.translation import chat_call
from et_agent_server.wire import ChatCompletion, ChatRequest

__all__ = ["router"]

router = APIRouter(tags=["OpenAI"])


@router.post(
    "/v1/chat/completions",
    responses={200: {"model": ChatCompletion, "content": {"text/event-stream": {}}}},
    summary="Reply to a conversation",
)
async def chat(body: ChatRequest, request: Request, shared: Shared, seen: SeenHere) -> Response:
    """Reply to a conversation, with a confidence in the reply's `et_agent`."""
    call = chat_call(body, shared.models, shared.settings)
    if not body.stream:
        return await while_connected(request, _whole(call, shared, seen))
    usage = body.stream_options is not None and body.stream_options.include_usage
    return await while_connected(request, _streamed(call, shared, seen, usage=usage))


async def _whole(call: Call, shared: ServerState, seen: Seen) -> Response:
    with Running(await shared.admission.enter()) as running:
        seen.called(call, running.place.waited)
        pending = await prepare(call)
        begun(call, running, pending)
        try:
            async with within(shared.settings.seconds):
                found = await answered(call, running, pending)
        except TimeoutError:
            raise timed_out(shared.settings.seconds) from None
    seen.texted()
    await shared.answered(seen, found)
    return Response(chat_completion(found).model_dump_json(), media_type="application/json")


async def _streamed(call: Call, shared: ServerState, seen: Seen, *, usage: bool) -> Response:
    running = Running(await shared.admission.enter())
    try:
        seen.called(call, running.place.waited)
        pending = await prepare(call)
    except BaseException:
        running.close()
        raise
    events = chat_stream(
        call,
        running,
        pending,
        shared,
        seen,
        usage=usage,
    )
    return OwnedStream(events, running.close, seen, shared.settings)
