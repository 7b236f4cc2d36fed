"""`/v1/ask`: a question to et-agent itself, with the whole result."""

import secrets
from typing import Any

from fastapi import APIRouter, Request
from pydantic import Field, JsonValue

from et_agent.asking.options import AskOptions
from et_agent.asking.prompting import Question
from et_agent.errors import InputError
from et_agent_server.answering import Answered, answered, begun, prepare, timed_out, within
from et_agent_server.calls import (
    Call,
    checked_context,
    checked_kind,
    checked_stop,
    decoder_of,
    gating_of,
    seed_of,
)
from et_agent_server.errors import invalid
from et_agent_server.models import ServedModels
from et_agent_server.replies import report_of
from et_agent_server.running import Running, while_connected
from et_agent_server.settings import ServerSettings
from et_agent_server.state import SeenHere, ServerState, Shared
from et_agent_server.telemetry import Seen
from et_agent_server.translation import conversation, tools_of
from et_agent_server.wire import AgentOptions, AgentReport, Message, Wire, example

__all__ = ["AskReply", "AskRequest", "ask_call", "question_of", "router", "settled"]

router = APIRouter(tags=["et-agent"])


class AskRequest(AgentOptions):
    """A question, or a conversation whose last user message is the question."""

    model_config = example(
        model="qwen2.5-coder-0.5b",
        question="How many legs have 3 cats and 2 birds?",
        kind="number",
        leaves=8,
        answer_at=0.8,
        on_doubt="abstain",
    )

    model: str | None = None
    """A served model, `NAME` or `NAME:gated`; the first one if left out."""
    question: str | None = None
    """The question; this or `messages`."""
    messages: list[Message] | None = Field(default=None, min_length=1)
    """A conversation."""
    instruct: bool | None = True
    """Whether the instruction of the answer kind is added."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """Sampling temperature; 0 takes the most likely tokens."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Longest path in tokens."""
    seed: int | None = None
    """Random seed; without one, each request gets its own."""
    stop: list[str] = Field(default_factory=list)
    """Texts that end a path."""
    json_schema: dict[str, JsonValue] | None = Field(default=None, alias="schema")
    """A JSON schema that the answer has to fit."""
    tools: list[dict[str, JsonValue]] | None = None
    """Functions that the model may call, in OpenAI's form."""
    template_options: dict[str, JsonValue] = Field(default_factory=dict)
    """Options of the model's chat template by name."""
    alternatives: int = Field(default=0, ge=0, le=50)
    """Likely tokens that the tree carries beside each."""


class AskReply(Wire):
    """The result of a question."""

    id: str
    """What `/v1/labels` takes."""
    result: AgentReport
    """The result and, behind a gate, its decision."""


@router.post("/v1/ask", summary="Answer a question")
async def ask(body: AskRequest, request: Request, shared: Shared, seen: SeenHere) -> AskReply:
    """Answer a question, with the distribution over answers and a confidence."""
    call = ask_call(body, shared.models, shared.settings)
    found = await while_connected(request, settled(call, shared, seen))
    return AskReply.model_construct(id=call.id, result=report_of(found))


async def settled(call: Call, shared: ServerState, seen: Seen) -> Answered:
    """A call answered in its place, remembered and counted.

    Raises:
        ApiError: It cannot be answered, or not in time.
    """
    with Running(await shared.admission.enter()) as running:
        seen.called(call, running.place.waited)
        pending = await prepare(call)
        begun(call, running, pending)
        try:
            async with within(shared.settings.seconds):
                found = await answered(call, running, pending)
        except TimeoutError:
            raise timed_out(shared.settings.seconds) from None
    await shared.answered(seen, found)
    return found


def question_of(question: str | None, messages: list[Message] | None) -> tuple[Question, str]:
    """What is asked, and the field that says so.

    Raises:
        ApiError: Both are given, or none.
    """
    if (question is None) == (messages is None):
        raise invalid("question", "send either a question or messages")
    if messages is not None:
        return conversation(messages), "messages"
    assert question is not None
    return question, "question"


def ask_call(body: AskRequest, models: ServedModels, settings: ServerSettings) -> Call:
    """What a request asks.

    Raises:
        ApiError: A field cannot be used.
    """
    name = models.chosen(body.model)
    served, gated = models.find(name)
    kind = checked_kind(body.kind, "kind")
    question, asked = question_of(body.question, body.messages)
    tools = tools_of(body.tools)
    gating = gating_of(
        body, models, settings, gated=gated, served=served, choices=1, kind=kind, field=""
    )
    decoder = decoder_of(
        served,
        settings,
        leaves=body.leaves,
        temperature=body.temperature,
        max_tokens=body.max_tokens,
        leaves_field="leaves",
    )
    settings_of: dict[str, Any] = {
        "system_prompt": None if body.instruct is not False else "",
        "max_thinking_tokens": body.max_thinking_tokens,
    }
    try:
        options = AskOptions(
            decoder=decoder,
            kind=kind,
            seed=seed_of(body.seed),
            context=checked_context(body.context, "context"),
            tools=tools,
            schema=body.json_schema,
            stop=checked_stop(body.stop),
            thinking=body.thinking,
            template_options=body.template_options,
            alternatives=body.alternatives,
            **settings_of,
        )
    except InputError as error:
        raise invalid(asked, str(error)) from error
    formed = "tools" if tools else "schema" if body.json_schema is not None else None
    return Call(
        id=f"ask-{secrets.token_hex(12)}",
        served=served,
        name=name,
        question=question,
        options=options,
        asked=asked,
        formed=formed,
        gating=gating,
        tree=body.tree,
    )
