"""A person's review of tool calls: what is asked, which replies fit, and what becomes of the calls.

Request and reply are those of `HumanInTheLoopMiddleware`. The request has a `trace_id` besides. A
reply that names it is taken for this request alone, so that an approval that arrives twice, or late,
cannot approve other calls.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from langchain.agents.middleware.human_in_the_loop import DecisionType, HITLRequest, ReviewConfig
from langchain_core.messages import AIMessage, BaseMessage, ToolCall, ToolMessage

from et_agent.answers.structured import canonical, within_bounds
from et_agent.gate import Action, Decision, Review, ReviewedCall
from langchain_et_agent.replies import no_text

__all__ = [
    "ReviewRequest",
    "asks_person",
    "carried_out",
    "no_review",
    "review_request",
    "turned_down",
]

_REVIEWS: Final[Mapping[DecisionType, Review]] = {
    "approve": Review.APPROVED,
    "edit": Review.EDITED,
    "reject": Review.REJECTED,
    "respond": Review.RESPONDED,
}
_DECLINED: Final = "The user declined this call. It was not run; do not repeat it unless asked to."


class ReviewRequest(HITLRequest):
    """Value of the interrupt; the run goes on with `Command(resume={"decisions": […]})`."""

    trace_id: str
    """Trace id of the decision. The reply may name it."""


def asks_person(decision: Decision) -> Decision:
    """The decision to ask a person to approve the calls, in place of one to abstain."""
    reason = f"{decision.reason} A person is asked to approve it."
    return decision.model_copy(update={"action": Action.ESCALATE, "reason": reason})


def review_request(
    message: AIMessage, decision: Decision, schemas: Mapping[str, Mapping[str, Any]]
) -> ReviewRequest:
    """What a person is shown about the calls of a message.

    Args:
        message: The message.
        decision: The decision to ask.
        schemas: JSON schema of each tool's arguments, which edited arguments have to fit.
    """
    return {
        "action_requests": [
            {"name": call["name"], "args": call["args"], "description": decision.reason}
            for call in message.tool_calls
        ],
        "review_configs": [_config(call["name"], schemas) for call in message.tool_calls],
        "trace_id": decision.trace_id,
    }


def _config(name: str, schemas: Mapping[str, Mapping[str, Any]]) -> ReviewConfig:
    config: ReviewConfig = {"action_name": name, "allowed_decisions": [*_REVIEWS]}
    if name in schemas:
        config["args_schema"] = dict(schemas[name])
    return config


def no_review(reply: Any, request: Mapping[str, Any]) -> str | None:
    """What is wrong with a reply to a request; None for one that fits, as any text does.

    Args:
        reply: What the run was resumed with.
        request: The `ReviewRequest`.
    """
    if no_text(reply) is None:
        return None
    calls, decisions = request["action_requests"], None
    if isinstance(reply, dict):
        decisions = reply.get("decisions")
        named, waiting = reply.get("trace_id"), request.get("trace_id")
        if named not in (None, waiting):
            return (
                f"the reply is about request {named!r}, which does not wait any more: review this "
                f"request, and resume with its trace_id, {waiting!r}, or with none"
            )
    if not isinstance(decisions, list) or len(decisions) != len(calls):
        return (
            f'the reply is {reply!r}: resume with {{"decisions": [{{"type": "approve"}}, …]}}, one '
            f"decision for each of the {len(calls)} calls, or with a text"
        )
    each = zip(calls, request["review_configs"], decisions, strict=True)
    return next(filter(None, (_problem(*one) for one in each)), None)


def _problem(call: Mapping[str, Any], config: Mapping[str, Any], decision: Any) -> str | None:
    """What is wrong with the decision about one call."""
    name = call["name"]
    kind = decision.get("type") if isinstance(decision, dict) else None
    if not isinstance(kind, str) or kind not in _REVIEWS:
        return f"the decision about {name} is {decision!r}: its type is {', '.join(_REVIEWS)}"
    if kind == "edit":
        return _no_edit(name, config.get("args_schema"), decision.get("edited_action"))
    message = decision.get("message")
    if kind == "respond" and no_text(message) is not None:
        return f"the response to {name} is {message!r}: give a text as its message"
    if not isinstance(message, str | None):
        return f"the message about {name} is {message!r}: give a text, or leave it out"
    return None


def _no_edit(name: str, schema: Mapping[str, Any] | None, edited: Any) -> str | None:
    """What is wrong with an edited call."""
    if not isinstance(edited, dict) or not isinstance(edited.get("args"), dict):
        return (
            f"the edit of {name} has no arguments: use {{'type': 'edit', 'edited_action': "
            f"{{'name': {name!r}, 'args': {{…}}}}}}"
        )
    if edited.get("name", name) != name:
        return (
            f"the edit of {name} calls {edited['name']!r}: only arguments can be edited; reply with a "
            "text to have another tool called"
        )
    args = edited["args"]
    try:
        canonical(args)
    except (TypeError, ValueError, RecursionError) as error:
        return f"the edited arguments of {name} are not JSON: {error}"
    return None if schema is None else _no_arguments(name, schema, args)


def _no_arguments(name: str, schema: Mapping[str, Any], args: dict[str, Any]) -> str | None:
    known = schema.get("properties", {})
    unknown = sorted(str(one) for one in args if one not in known)
    if unknown and not schema.get("additionalProperties") and "patternProperties" not in schema:
        return f"{name} has no argument {', '.join(unknown)}: it has {', '.join(known) or 'none'}"
    try:
        fits = within_bounds(args, schema)
    except LookupError:  # a schema that names what it does not define: the tool checks for itself
        fits = True
    return (
        None if fits else f"the edited arguments {args!r} do not fit the schema of {name}: {schema}"
    )


def carried_out(
    message: AIMessage, decisions: Sequence[Mapping[str, Any]]
) -> tuple[list[BaseMessage], tuple[ReviewedCall, ...]]:
    """The messages that a review leads to, and the review.

    The message has the calls that run, edited arguments in place of the model's. A call that does not
    run is answered here, so that nobody runs it.

    Args:
        message: The message that waits.
        decisions: A decision about each of its calls, without problems.
    """
    calls: list[ToolCall] = []
    answers: list[BaseMessage] = []
    reviews: list[ReviewedCall] = []
    for call, decision in zip(message.tool_calls, decisions, strict=True):
        review = _REVIEWS[decision["type"]]
        run: dict[str, Any] | None = call["args"]
        if review is Review.EDITED:
            run = decision["edited_action"]["args"]
        elif review is not Review.APPROVED:
            run = None
            answers.append(_answer(call, review, decision.get("message")))
        calls.append({**call, "args": call["args"] if run is None else run})
        reviews.append(
            ReviewedCall(name=call["name"], review=review, proposed=call["args"], run=run)
        )
    return [message.model_copy(update={"tool_calls": calls}), *answers], tuple(reviews)


def turned_down(message: AIMessage) -> tuple[ReviewedCall, ...]:
    """The review of somebody who says something else instead."""
    return tuple(
        ReviewedCall(name=call["name"], review=Review.REJECTED, proposed=call["args"], run=None)
        for call in message.tool_calls
    )


def _answer(call: ToolCall, review: Review, message: str | None) -> ToolMessage:
    """What stands in for the result of a call that must not run."""
    return ToolMessage(
        message or _DECLINED,
        name=call["name"],
        tool_call_id=call["id"] or "",
        status="success" if review is Review.RESPONDED else "error",
    )
