"""One call answered: decoded, judged by its gate, and escalated where the gate says so."""

import asyncio
from dataclasses import dataclass, replace
from typing import Literal

from et_agent import PendingAnswer
from et_agent.asking.options import AskOptions
from et_agent.errors import EtAgentError
from et_agent.gate import Action, Decision
from et_agent.results import AskResult, Leaf
from et_agent_server.calls import Call
from et_agent_server.errors import ApiError
from et_agent_server.models import ServedModel
from et_agent_server.running import Running, prepared, until_done

__all__ = ["Answered", "answered", "begun", "judged", "prepare", "within"]


@dataclass(frozen=True)
class Answered:
    """A call with its result.

    Attributes:
        call: The call.
        pending: The question, which tells the text of a leaf; that of the larger model if it answered.
        result: Its result, tree included.
        decision: What the gate decided; None without one.
        before: The result that was escalated; None if none was.
        shown: The leaf that a stream has shown; None if it is the heaviest of the answer.
        streamed: Whether what a stream showed is the reply; None if nothing was shown before.
    """

    call: Call
    pending: PendingAnswer
    result: AskResult
    decision: Decision | None = None
    before: AskResult | None = None
    shown: Leaf | None = None
    streamed: Literal["confirmed", "replaced"] | None = None

    @property
    def leaf(self) -> Leaf:
        """The leaf that is the reply."""
        leaf = self.shown or self.result.best_leaf
        assert leaf is not None  # a finished question has a tree
        return leaf

    def text(self, leaf: Leaf) -> str:
        """Text of a leaf; without the calls, if it makes complete ones."""
        return self.pending.content(leaf) if leaf.tool_calls else leaf.text


async def prepare(call: Call) -> PendingAnswer:
    """Check a call's question and make its prompt; nothing is decoded.

    Raises:
        ApiError: The question, the tools or the schema cannot be used.
    """
    return await _prepared(call, call.served, call.options)


async def _prepared(call: Call, served: ServedModel, options: AskOptions) -> PendingAnswer:
    try:
        return await prepared(
            lambda: PendingAnswer(
                served.model,
                call.question,
                served.with_thoughts(options),
                on_progress=call.on_progress,
            )
        )
    except EtAgentError as error:
        raise call.error(error) from error


def begun(call: Call, running: Running, pending: PendingAnswer) -> None:
    """Let a prepared question be decoded.

    Raises:
        ApiError: The model was closed.
    """
    try:
        running.begin(pending)
    except EtAgentError as error:
        raise call.error(error) from error


async def answered(call: Call, running: Running, pending: PendingAnswer) -> Answered:
    """Wait for a question that is being decoded, and do what its gate decides.

    Raises:
        ApiError: Decoding failed.
    """
    try:
        result = await _result(pending)
        return await judged(call, running, Answered(call, pending, result))
    except EtAgentError as error:
        raise call.error(error) from error


async def _result(pending: PendingAnswer) -> AskResult:
    await until_done(pending)
    # Reading the leaves may take a while: formulas are compared.
    return await asyncio.to_thread(pending.result)


async def judged(call: Call, running: Running, found: Answered) -> Answered:
    """What a call's gate makes of an answer; the same without a gate.

    Raises:
        EtAgentError: A larger model failed.
    """
    gating = call.gating
    if gating is None:
        return found
    # What speaks to the model in passages or results of tools would speak to the larger one too.
    steers = bool(found.result.steering) and gating.policy.steering == "refuse"
    target = None if steers else gating.target
    decision = await asyncio.to_thread(
        call.served.gate.resolve,
        found.result,
        policy=gating.policy,
        hand_over=gating.hands_over or target is not None,
    )
    if decision.action is not Action.ESCALATE or target is None:
        return replace(found, decision=decision)
    return await _escalated(call, running, found.result, decision, target)


async def _escalated(
    call: Call, running: Running, before: AskResult, decision: Decision, target: ServedModel
) -> Answered:
    """The whole conversation once more, by the larger model, whose answer is judged too."""
    assert call.gating is not None
    pending = await _prepared(call, target, call.options)
    begun(call, running, pending)
    result = await _result(pending)
    judged = target.gate.decide(
        result, policy=call.gating.policy.of_target().changed(clarify=False), spent=decision.cost
    )
    answers = judged.action is Action.ANSWER
    last = judged.model_copy(
        update={
            "reason": f"{decision.reason} {'The' if answers else 'But the'} larger model answered. "
            f"{judged.reason}",
            "escalated": True,
            "cost": judged.cost.model_copy(update={"escalations": decision.cost.escalations + 1}),
            "trace_id": decision.trace_id,
        }
    )
    log = call.served.gate.log
    if log is not None:
        await asyncio.to_thread(log.record, last)
    return Answered(call, pending, result, last, before)


def within(seconds: float) -> "asyncio.Timeout":
    """The time that a request may take; `timed_out` tells the client."""
    return asyncio.timeout(seconds)


def timed_out(seconds: float) -> ApiError:
    """What a client is told whose request took too long."""
    return ApiError(
        504,
        f"no reply within {seconds:g} s: ask for fewer tokens or leaves",
        kind="timeout_error",
        code="timeout",
    )
