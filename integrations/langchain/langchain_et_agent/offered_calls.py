"""The tool calls that a tree's paths made, as options to choose from."""

import json
import re
from collections.abc import Collection
from typing import Any, Final

from langchain_core.messages import AIMessage, ToolCall
from langchain_core.messages.tool import tool_call

from et_agent.gate import Action, Decision, ReadingOption

__all__ = ["asks_which", "calls_in", "offered", "spelled"]

_NAME: Final = re.compile(r"(?:; )?([^\s(;]+)\(")


def calls_in(answer: str | None, names: Collection[str]) -> list[tuple[str, dict[str, Any]]]:
    """Name and arguments of each call in an answer as `AskResult.distribution` has it.

    Empty if there is no answer, or it calls something that is not among `names`.
    """
    found, at = [], 0
    text = answer or ""
    while at < len(text):
        match = _NAME.match(text, at)
        if match is None or match[1] not in names:
            return []
        try:
            arguments, end = json.JSONDecoder().raw_decode(text, match.end())
        except ValueError:
            return []
        if not isinstance(arguments, dict) or text[end : end + 1] != ")":
            return []
        found.append((match[1], arguments))
        at = end + 1
    return found


def offered(message: AIMessage, decision: Decision, names: Collection[str]) -> list[AIMessage]:
    """The message with each of the calls that paths made, the most likely first.

    The message's own calls are always among them, and keep their ids.
    """
    own = [(call["name"], call["args"]) for call in message.tool_calls]
    made = [calls_in(one.answer, names) for one in decision.alternatives]
    others = [calls for calls in made if calls and calls != own]
    options = [message] if own else []
    for number, calls in enumerate(others, 1):
        named: list[ToolCall] = [
            tool_call(name=name, args=args, id=f"{message.id}-{number}-{position}")
            for position, (name, args) in enumerate(calls)
        ]
        options.append(message.model_copy(update={"tool_calls": named, "content": ""}))
    return options


def spelled(message: AIMessage) -> str:
    """A message's calls for a person to read, arguments in alphabetical order."""
    found = []
    for call in message.tool_calls:
        arguments = ", ".join(f"{key}={value!r}" for key, value in sorted(call["args"].items()))
        found.append(f"{call['name']}({arguments})")
    return ", ".join(found)


def asks_which(decision: Decision, options: list[AIMessage]) -> Decision:
    """The decision to ask which of the calls is meant, in place of one to abstain."""
    spoken = [spelled(option) for option in options]
    lines = [f"{number}. {text}" for number, text in enumerate(spoken, 1)]
    asked = "Which of these do you mean?" if len(spoken) > 1 else "Do you mean this?"
    return decision.model_copy(
        update={
            "action": Action.CLARIFY,
            "reason": f"{decision.reason} The user is asked which call is meant.",
            "clarifying_question": "\n".join([f"I am not sure. {asked}", *lines]),
            "readings": tuple(ReadingOption(text=text, answer=None) for text in spoken),
            "asked": decision.asked + 1,
        }
    )
