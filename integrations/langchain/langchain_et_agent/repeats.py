"""Calls that a model makes again: a confidence says what to call, not how often.

Small models tend to repeat a call whose result they have just been given, and are sure of it.
"""

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from et_agent.answers.field_paths import Step
from et_agent.answers.fields import field_key, fields_of
from et_agent.gate import Action, Decision
from langchain_et_agent.offered_calls import spelled

__all__ = ["held_back", "why_not_again"]

_Call = tuple[str, Hashable]
"""A tool's name, and what is equal for arguments that say the same."""


def why_not_again(
    message: AIMessage,
    messages: Sequence[BaseMessage],
    made: Sequence[Decision],
    tools: Collection[str],
) -> str | None:
    """Why the calls of a message must not run unasked whatever their confidence; None if they may.

    Args:
        message: The message.
        messages: The conversation before it.
        made: The decisions of this run so far.
        tools: Names of the tools that run but once with the same arguments, unless the user says more.
    """
    reviewed, ran = set(_reviewed(made)), _ran(messages)
    here: set[_Call] = set()
    for call in message.tool_calls:
        key = _key(call["name"], call["args"])
        alone = message.model_copy(update={"tool_calls": [call]})
        if key in reviewed:
            return f"a person has decided about {spelled(alone)} in this run"
        if call["name"] not in tools:
            continue
        if key in ran:
            return f"{spelled(alone)} has run since the user's last message"
        if key in here:
            return f"{spelled(alone)} is called twice"
        here.add(key)
    return None


def held_back(decision: Decision, why: str, *, observing: bool) -> Decision:
    """The decision not to let calls run, in place of one to do so.

    Args:
        decision: The decision.
        why: What `why_not_again` says.
        observing: Whether the gate only records what it would have done.
    """
    changed: dict[str, Any] = {"reason": f"{decision.reason} But {why}."}
    if observing:
        changed["would"] = decision.would or Action.ABSTAIN
    else:
        changed |= {"action": Action.ABSTAIN, "answer": None}
    return decision.model_copy(update=changed)


def _key(name: str, arguments: Mapping[str, Any]) -> _Call:
    said: dict[tuple[Step, ...], Hashable]
    try:
        said = {steps: field_key(value) for steps, value in fields_of(dict(arguments))}
        return name, frozenset(said.items())
    except (TypeError, ValueError):  # another model's, with something that JSON cannot say
        return name, repr(sorted(arguments.items()))


def _reviewed(made: Sequence[Decision]) -> Iterator[_Call]:
    """Calls that a person decided about, as the model made them and as they ran."""
    for review in (one for decision in made for one in decision.reviews):
        yield _key(review.name, review.proposed)
        if review.run is not None:
            yield _key(review.name, review.run)


def _ran(messages: Sequence[BaseMessage]) -> set[_Call]:
    """Calls that have run since the user's last message; one that failed may be tried again."""
    ran: set[_Call] = set()
    made: dict[str | None, _Call] = {}
    for message in messages:
        if isinstance(message, HumanMessage):
            ran.clear()
        elif isinstance(message, AIMessage):
            made = {call["id"]: _key(call["name"], call["args"]) for call in message.tool_calls}
        elif not isinstance(message, ToolMessage) or message.status == "error":
            continue
        elif message.tool_call_id in made:
            ran.add(made[message.tool_call_id])
    return ran
