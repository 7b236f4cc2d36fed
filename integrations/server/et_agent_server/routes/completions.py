"""`/v1/completions`."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from fastapi import APIRouter, Request, Response

from et_agent.decoding.scheduler import scheduler_of
from et_agent.engines.base import LanguageModel
from et_agent.errors import EtAgentError
from et_agent_server.answering import timed_out, within
from et_agent_server.continuing import Continuation, continued
from et_agent_server.errors import api_error
from et_agent_server.following import ChainFollower
from et_agent_server.running import Running, prepared, until_done, while_connected
from et_agent_server.settings import ServerSettings
from et_agent_server.state import SeenHere, ServerState, Shared
from et_agent_server.streaming import DONE, OwnedStream, data
from et_agent_server.telemetry import Seen
from et_agent_server.wire import (
    CompletionChoice,
    CompletionRequest,
    TextCompletion,
    UsageReport,
)

__all__ = ["router"]

router = APIRouter(tags=["OpenAI"])


@router.post(
    "/v1/completions",
    responses={200: {"model": TextCompletion, "content": {"text/event-stream": {}}}},
    summary="Continue a text",
)
async def completions(
    body: CompletionRequest, request: Request, shared: Shared, seen: SeenHere
) -> Response:
    """Continue a text as it is, without a chat template. No answer is looked for, so none is judged."""
    return await while_connected(request, _completed(body, shared, seen))


async def _completed(body: CompletionRequest, shared: ServerState, seen: Seen) -> Response:
    running = Running(await shared.admission.enter())
    try:
        wanted = await prepared(lambda: continued(body, shared.models, shared.settings))
        seen.model, seen.waited = wanted.name, running.place.waited
        seen.fields |= {"id": wanted.id, **wanted.parameters}
        if body.stream:
            usage = body.stream_options is not None and body.stream_options.include_usage
            events = _events(wanted, running, shared.settings, seen, usage=usage)
            return OwnedStream(events, running.close, seen, shared.settings)
        _begin(wanted, running)
        found = await _found(wanted, shared.settings)
    except BaseException:
        running.close()
        raise
    running.close()
    seen.texted()
    whole = _made(wanted)(found, _counted(wanted, seen))
    return Response(whole.model_dump_json(), media_type="application/json")


def _begin(wanted: Continuation, running: Running) -> None:
    assert isinstance(wanted.served.model, LanguageModel)
    for request in wanted.requests:
        running.own(request)
    try:
        scheduler_of(wanted.served.model).queue(*wanted.requests)
    except EtAgentError as error:
        raise api_error(error, asked="prompt", formed=None) from error


async def _found(wanted: Continuation, settings: ServerSettings) -> list[CompletionChoice]:
    try:
        async with within(settings.seconds):
            for request in wanted.requests:
                await until_done(request)
            return await asyncio.to_thread(wanted.result)
    except TimeoutError:
        raise timed_out(settings.seconds) from None
    except EtAgentError as error:
        raise api_error(error, asked="prompt", formed=None) from error


def _counted(wanted: Continuation, seen: Seen) -> UsageReport:
    usage = wanted.usage()
    seen.input_tokens, seen.output_tokens = usage.prompt_tokens, usage.completion_tokens
    return usage


def _made(
    wanted: Continuation,
) -> Callable[[list[CompletionChoice], UsageReport | None], TextCompletion]:
    created = int(time.time())

    def made(choices: list[CompletionChoice], usage: UsageReport | None) -> TextCompletion:
        return TextCompletion(
            id=wanted.id,
            created=created,
            model=wanted.name,
            choices=choices,
            usage=usage,
            system_fingerprint=f"et-{wanted.served.model.info.fingerprint[:12]}",
        )

    return made


async def _events(
    wanted: Continuation, running: Running, settings: ServerSettings, seen: Seen, *, usage: bool
) -> AsyncIterator[dict[str, str]]:
    made = _made(wanted)
    works = [(request, wanted.reader.said) for request in wanted.requests]
    # Log-probabilities come with the whole text.
    follower = ChainFollower(works if wanted.logprobs is None else [], wanted.chains)
    _begin(wanted, running)
    try:
        async with within(settings.seconds):
            async for piece in follower.pieces():
                seen.texted()
                for index in _copied(wanted, piece.choice):
                    part = CompletionChoice(index=index, text=piece.text, finish_reason=None)
                    yield data(made([part], None))
    except TimeoutError:
        raise timed_out(settings.seconds) from None
    for choice in await _found(wanted, settings):
        at = choice.index // wanted.choices if wanted.copies else choice.index
        sent = follower.sent[at][0] if follower.sent else ""
        rest = choice.text[len(sent) :]
        yield data(made([choice.model_copy(update={"text": rest})], None))
    counted = _counted(wanted, seen)
    if usage:
        yield data(made([], counted))
    yield DONE


def _copied(wanted: Continuation, choice: int) -> range:
    first = choice * wanted.choices if wanted.copies else choice
    return range(first, first + (wanted.choices if wanted.copies else 1))
