"""From OpenAI's chat request to a call."""

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from et_agent import Greedy
from et_agent.asking.calling import ANY_OBJECT, check_tools
from et_agent.asking.options import AskOptions
from et_agent.errors import EtAgentError, InputError
from et_agent.templates.messages import Message, MessageCall, Tool
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
from et_agent_server.settings import ServerSettings
from et_agent_server.wire import ChatRequest, ContentPart
from et_agent_server.wire import Message as WireMessage

__all__ = ["chat_call", "conversation", "schema_of", "tools_of"]


def chat_call(body: ChatRequest, models: ServedModels, settings: ServerSettings) -> Call:
    """What a chat request asks for.

    Raises:
        ApiError: A field cannot be used; it is named.
    """
    served, gated = models.find(body.model)
    agent = body.et_agent
    kind = checked_kind(agent.kind, "et_agent.kind")
    gating = gating_of(
        agent, models, settings, gated=gated, served=served, choices=body.n, kind=kind
    )
    tools = tools_of(body.tools)
    schema = schema_of(body.response_format)
    if tools and schema is not None:
        raise invalid("response_format", "tools and a format exclude each other: send one of them")
    choice = _tool_choice(body.tool_choice, tools)
    formed = "tools" if tools and choice != "none" else None
    if schema is not None:
        formed = "response_format"
    decoder = decoder_of(
        served,
        settings,
        choices=body.n,
        leaves=agent.leaves,
        temperature=body.temperature,
        max_tokens=body.max_completion_tokens or body.max_tokens,
    )
    instructs = gating is not None if agent.instruct is None else agent.instruct
    adds_nothing = not instructs and schema is None and agent.context is None
    try:
        options = AskOptions(
            decoder=decoder,
            kind=kind,
            seed=seed_of(body.seed),
            system_prompt="" if adds_nothing else None,
            context=checked_context(agent.context, "et_agent.context"),
            tools=tools,
            tool_choice=choice,
            parallel_tool_calls=body.parallel_tool_calls is not False,
            schema=schema,
            stop=checked_stop(body.stop),
            thinking=agent.thinking,
            max_thinking_tokens=agent.max_thinking_tokens,
            template_options=_template_options(body),
            alternatives=_alternatives(body),
        )
    except InputError as error:
        raise invalid("et_agent", str(error)) from error
    return Call(
        id=f"chatcmpl-{secrets.token_hex(12)}",
        served=served,
        name=body.model,
        question=conversation(body.messages),
        options=options,
        asked="messages",
        formed=formed,
        switched=_switched(body),
        choices=body.n,
        copies=isinstance(decoder, Greedy),
        gating=gating,
        logprobs=bool(body.logprobs),
        tree=agent.tree,
        leading=agent.shows == "leading",
    )


def _alternatives(body: ChatRequest) -> int:
    if body.top_logprobs and not body.logprobs:
        raise invalid("top_logprobs", "needs logprobs=true")
    return body.top_logprobs or 0


def _switched(body: ChatRequest) -> str | None:
    """The field that is at fault if the template has not got its options."""
    if body.chat_template_kwargs:
        return "chat_template_kwargs"
    if body.reasoning_effort is not None:
        return "reasoning_effort"
    return None if body.et_agent.thinking == "auto" else "et_agent.thinking"


def _template_options(body: ChatRequest) -> dict[str, Any]:
    options = dict(body.chat_template_kwargs or {})
    if body.reasoning_effort is not None:
        options["reasoning_effort"] = body.reasoning_effort
    return options


def conversation(messages: Sequence[WireMessage]) -> list[Message]:
    """Messages as et-agent has them.

    Raises:
        ApiError: One holds more than text, or a call whose arguments are no JSON object.
    """
    return [_message(one, f"messages[{at}]") for at, one in enumerate(messages)]


def _message(given: WireMessage, where: str) -> Message:
    role = "system" if given.role == "developer" else given.role
    # A gate's refusal has no content where this would be taken for JSON.
    content = given.refusal if given.content is None else given.content
    made: Message = {"role": role, "content": _text(content, where)}
    if content is None and not given.tool_calls:
        raise invalid(f"{where}.content", "is missing: send a text")
    if given.reasoning_content:
        made["reasoning_content"] = given.reasoning_content
    if given.tool_calls:
        made["tool_calls"] = [
            _call(call.id, call.function.name, call.function.arguments, f"{where}.tool_calls[{at}]")
            for at, call in enumerate(given.tool_calls)
        ]
    if given.tool_call_id is not None:
        made["tool_call_id"] = given.tool_call_id
    return made


def _text(content: str | list[ContentPart] | None, where: str) -> str:
    if isinstance(content, str):
        return content
    texts = []
    for at, part in enumerate(content or ()):
        text = part.refusal if part.type == "refusal" else part.text
        if part.type not in ("text", "refusal") or text is None:
            raise invalid(
                f"{where}.content[{at}]",
                f"is of the type {part.type[:40]!r}, and only text is supported: leave it out or "
                "describe it in words",
                "unsupported_content",
            )
        texts.append(text)
    return "".join(texts)


def _call(number: str, name: str, arguments: str, where: str) -> MessageCall:
    try:
        read = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        raise invalid(f"{where}.function.arguments", "are not a JSON object")
    return {"id": number, "type": "function", "function": {"name": name, "arguments": read}}


def tools_of(given: Sequence[Mapping[str, Any]] | None) -> tuple[Tool, ...]:
    """Tools in OpenAI's form.

    Raises:
        ApiError: One is no function with a name and a schema of objects.
    """
    for at, tool in enumerate(given or ()):
        if tool.get("type", "function") != "function":
            raise invalid(f"tools[{at}].type", "only functions are supported")
    try:
        return check_tools(given or ())
    except EtAgentError as error:
        raise invalid("tools", str(error)) from error


def _tool_choice(given: object, tools: Sequence[Tool]) -> str:
    names = [tool["function"]["name"] for tool in tools]
    if isinstance(given, Mapping):
        function = given.get("function")
        given = function.get("name") if isinstance(function, Mapping) else given.get("name")
    elif given == "required":
        given = "any"
    elif given is None:
        given = "auto"
    if not isinstance(given, str) or given not in ("auto", "any", "none", *names):
        raise invalid(
            "tool_choice",
            "use 'auto', 'none', 'required' or {'type': 'function', 'function': {'name': …}} with one "
            f"of {', '.join(names) or 'the tools, of which there are none'}",
        )
    if not names and given != "none":
        if given == "any":
            raise invalid("tool_choice", "there are no tools: send some")
        return "auto"
    return given


def schema_of(given: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The schema of `response_format`; None for words.

    Raises:
        ApiError: It is none of OpenAI's formats.
    """
    match given:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return ANY_OBJECT
        case {"type": "json_schema", "json_schema": {"schema": Mapping() as schema}}:
            found: Mapping[str, Any] = schema
            return found
        case _:
            raise invalid(
                "response_format",
                "use {'type': 'json_schema', 'json_schema': {'name': …, 'schema': …}}, "
                "{'type': 'json_object'} or {'type': 'text'}",
            )
