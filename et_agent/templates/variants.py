"""The ways in which a conversation is shown to a chat template that refuses it as it is.

Templates are strict about different things: the order of roles, texts beside calls, the type of
arguments, the form of tools. Each way says the same; the first that a template takes is used.
"""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from et_agent.templates.messages import Message, MessageCall, Tool
from et_agent.templates.own_text import OwnText
from et_agent.templates.tool_format import ID_LENGTH

__all__ = ["Shown", "ways_to_show"]

Shown = tuple[list[dict[str, Any]], Mapping[str, Any]]
"""Messages as a template gets them, and what else it gets: the tools."""


def ways_to_show(messages: Sequence[Message], tools: Sequence[Tool]) -> Iterator[Shown]:
    """Messages and tools as they are, then in other ways that say the same."""
    orders = _distinct(_orders(list(messages)))
    details = _details(messages)
    for order in orders:
        named = [order, _named(order)]
        for given, detail, said in itertools.product(
            _tools(tools), details, _distinct(iter(named))
        ):
            yield [detail(dict(one)) for one in said], given


def _orders(messages: list[Message]) -> Iterator[list[Message]]:
    """Other orders of roles: the fewer changes the earlier."""
    yield messages
    yield merged(messages)
    later = merged([*messages[:1], *map(_asked, messages[1:])])
    yield later
    yield _user_first(later)
    yield merged(_user_first(list(map(_asked, messages))))
    single = list(_single_calls(messages))
    yield single
    yield merged(_user_first([*single[:1], *map(_asked, single[1:])]))
    said = [one for one in messages if not _is_silent(one)]
    if said and len(said) < len(messages):
        yield from _orders(said)


def _is_silent(message: Message) -> bool:
    """Whether an assistant said nothing, as where its thought was cut off."""
    silent = not message["content"].strip() and not message.get("tool_calls")
    return silent and message["role"] == "assistant"


def _distinct(orders: Iterator[list[Message]]) -> list[list[Message]]:
    found: list[list[Message]] = []
    for one in orders:
        if one not in found:
            found.append(one)
    return found


def _named(messages: list[Message]) -> list[Message]:
    """With identifiers of nine letters and digits: Mistral's templates take no others."""
    found: list[Message] = []
    open_calls: list[str] = []
    for message in messages:
        if calls := message.get("tool_calls"):
            ids = [str(one.get("id", f"{len(found)}.{at}")) for at, one in enumerate(calls)]
            open_calls = list(ids)
            short: list[MessageCall] = [
                {**one, "id": _short(name)} for one, name in zip(calls, ids, strict=True)
            ]
            message = {**message, "tool_calls": short}
        elif message["role"] == "tool":
            given = message.get("tool_call_id") or (open_calls[0] if open_calls else "")
            open_calls = [one for one in open_calls if one != given]
            message = {**message, "tool_call_id": _short(given)}
        found.append(message)
    return found


def _short(identifier: str) -> str:
    if len(identifier) == ID_LENGTH and identifier.isalnum():
        return identifier
    return hashlib.sha256(identifier.encode()).hexdigest()[:ID_LENGTH]


def _asked(message: Message) -> Message:
    return {**message, "role": "user"} if message["role"] == "system" else message


def _user_first(messages: list[Message]) -> list[Message]:
    """With an empty user's turn before an assistant that begins."""
    head = 1 if messages[0]["role"] == "system" else 0
    if messages[head : head + 1] and messages[head]["role"] == "assistant":
        return [*messages[:head], {"role": "user", "content": ""}, *messages[head:]]
    return messages


def merged(messages: Sequence[Message]) -> list[Message]:
    """Neighbours of the same role as one message, with an empty line between their texts."""
    found: list[Message] = []
    for message in messages:
        last = found[-1] if found else None
        same = last is not None and last["role"] == message["role"] != "tool"
        if last is None or not same or last.get("tool_calls"):
            found.append(message)
            continue
        texts = [one["content"] for one in (last, message) if one["content"]]
        found[-1] = {**last, **message, "content": OwnText("\n\n").join(texts)}
    return found


def _single_calls(messages: Sequence[Message]) -> Iterator[Message]:
    """Several calls of a message one after the other, each with what it gave."""
    at = 0
    while at < len(messages):
        message = messages[at]
        calls = message.get("tool_calls", ())
        at += 1
        if len(calls) < 2:
            yield message
            continue
        answers: list[Message] = []
        while at < len(messages) and messages[at]["role"] == "tool":
            answers.append(messages[at])
            at += 1
        for number, call in enumerate(calls):
            said: Message = {**message, "tool_calls": [call]}
            yield said if not number else {**said, "content": ""}
            yield from (
                one
                for place, one in enumerate(answers)
                if (one.get("tool_call_id", number) == call.get("id", number))
                or ("tool_call_id" not in one and place == number)
            )


def _details(
    messages: Sequence[Message],
) -> list[Callable[[dict[str, Any]], dict[str, Any]]]:
    """What of a message can be given in another form."""
    found: list[Callable[[dict[str, Any]], dict[str, Any]]] = [_plain]
    if any(one.get("tool_calls") for one in messages):
        found += [
            _with_text,
            lambda one: _silent(_plain(one)),
            lambda one: _silent(_with_text(one)),
        ]
    if any("reasoning_content" in one for one in messages):  # some refuse thoughts beside a call
        found += [_unthinking(way) for way in tuple(found)]
    return found


def _unthinking(
    way: Callable[[dict[str, Any]], dict[str, Any]],
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda one: way(_unthought(one))


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    if thought := message.get("reasoning_content"):
        message |= {"reasoning": thought, "thinking": thought}  # what templates call it
    return message


def _with_text(message: dict[str, Any]) -> dict[str, Any]:
    """Arguments as their JSON's text."""
    made = _plain(message)
    if calls := made.get("tool_calls"):
        made["tool_calls"] = [
            {**one, "function": {**one["function"], "arguments": _json(one)}} for one in calls
        ]
    return made


def _json(call: Mapping[str, Any]) -> str:
    return json.dumps(call["function"]["arguments"], ensure_ascii=False)


def _silent(message: dict[str, Any]) -> dict[str, Any]:
    """No text rather than an empty one beside calls."""
    return (
        {**message, "content": message["content"] or None} if "tool_calls" in message else message
    )


def _unthought(message: dict[str, Any]) -> dict[str, Any]:
    message.pop("reasoning_content", None)
    return message


def _tools(tools: Sequence[Tool]) -> Iterator[Mapping[str, Any]]:
    """Tools as most templates want them, and as others do."""
    yield {"tools": list(tools) or None}
    functions = [one["function"] for one in tools]
    # Flat ones with parameters by name (Command R+), and all as one text (Firefunction).
    flat = [{**one, **one["function"], "parameter_definitions": _flat(one)} for one in tools]
    yield {"tools": flat, "functions": json.dumps(functions, ensure_ascii=False), "datetime": ""}


def _flat(tool: Tool) -> dict[str, Any]:
    parameters = tool["function"].get("parameters") or {}
    required = parameters.get("required", ())
    return {
        name: {"description": "", "type": "any", **one, "required": name in required}
        for name, one in (parameters.get("properties") or {}).items()
    }
