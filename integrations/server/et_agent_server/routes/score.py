"""`/v1/score`: what is thought of an answer that was written elsewhere."""

import asyncio
import contextlib

from fastapi import APIRouter, Request
from pydantic import Field

from et_agent.asking.options import AskOptions
from et_agent.asking.pending import ProgressCallback
from et_agent.asking.scoring import PendingScore
from et_agent.errors import EtAgentError
from et_agent.scores import ScoreReport
from et_agent_server.answering import timed_out, within
from et_agent_server.calls import checked_context, checked_kind, decoder_of, seed_of
from et_agent_server.errors import api_error
from et_agent_server.routes.ask import question_of
from et_agent_server.running import Running, prepared, while_connected
from et_agent_server.state import SeenHere, ServerState, Shared
from et_agent_server.telemetry import Seen
from et_agent_server.wire import Asked, Message, example

__all__ = ["ScoreRequest", "router", "scored"]

router = APIRouter(tags=["et-agent"])


class ScoreRequest(Asked):
    """An answer to a question, by a person or another system."""

    model_config = example(
        model="qwen2.5-coder-0.5b",
        question="What is the capital of Australia?",
        answer="Canberra",
    )

    model: str | None = None
    """A served model; the first one if left out."""
    question: str | None = None
    """The question; this or `messages`."""
    messages: list[Message] | None = Field(default=None, min_length=1)
    """A conversation whose last user message is answered."""
    answer: str = Field(min_length=1)
    """The answer."""
    samples: list[str] | None = Field(default=None, min_length=1, max_length=256)
    """What else was answered to the question; without them, a fresh tree is decoded."""
    kind: str | None = None
    """What an answer is; "long" judges it claim by claim."""
    context: list[str] | None = None
    """Passages that it was to be answered from."""
    leaves: int | None = Field(default=None, ge=1)
    """Leaves of the tree."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Longest path in tokens."""
    seed: int | None = None
    """Random seed."""


@router.post("/v1/score", summary="Score an answer")
async def score(
    body: ScoreRequest, request: Request, shared: Shared, seen: SeenHere
) -> ScoreReport:
    """How likely an answer is, who agrees with it, and how sure one can be."""
    return await while_connected(request, scored(body, shared, seen))


async def scored(
    body: ScoreRequest,
    shared: ServerState,
    seen: Seen,
    on_progress: ProgressCallback | None = None,
) -> ScoreReport:
    """A score worked out in its place, and counted.

    Raises:
        ApiError: It cannot be had, or not in time.
    """
    name = shared.models.chosen(body.model)
    served, _ = shared.models.find(name)
    question, asked = question_of(body.question, body.messages)
    decoder = decoder_of(
        served,
        shared.settings,
        leaves=body.leaves,
        max_tokens=body.max_tokens,
        leaves_field="leaves",
    )
    kind, context = checked_kind(body.kind, "kind"), checked_context(body.context, "context")
    seed = seed_of(body.seed)
    with Running(await shared.admission.enter()) as running:
        seen.model, seen.waited = name, running.place.waited
        try:
            options = AskOptions(
                decoder=None if body.samples is not None else decoder,
                kind=kind,
                context=context,
                seed=seed,
            )
            pending = await prepared(
                lambda: PendingScore(
                    served.model,
                    question,
                    body.answer,
                    body.samples,
                    served.with_thoughts(options),
                    on_progress=on_progress,
                )
            )
            async with within(shared.settings.seconds):
                report = await _result(pending)
        except TimeoutError:
            raise timed_out(shared.settings.seconds) from None
        except EtAgentError as error:
            raise api_error(error, asked=asked, formed=None) from error
    seen.output_tokens = report.tokens_decoded
    return report


async def _result(pending: PendingScore) -> ScoreReport:
    """Wait for a score in a thread, and stop it when nobody waits any more."""
    pending.start()
    waiting = asyncio.ensure_future(asyncio.to_thread(pending.result))
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        pending.cancel()
        with contextlib.suppress(EtAgentError):
            await waiting
        raise
