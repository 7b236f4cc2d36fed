"""A gate whose escalations somebody else carries out."""

from typing import Any

from et_agent.gate import Decision, Gate, GatePolicy
from et_agent.results import AskResult

__all__ = ["resolve"]


def resolve(
    gate: Gate,
    result: AskResult,
    *,
    policy: GatePolicy,
    topic: str | None,
    asked: int,
    hand_over: bool,
) -> Decision:
    """Judge a result with a gate and carry the decision out.

    Args:
        gate: Its budget and its log hold.
        result: What is judged.
        policy: Stands in place of the gate's own.
        topic: Topic or tool whose policy holds.
        asked: How often the user has been asked back about it already.
        hand_over: Whether the caller escalates: then the gate needs no target, and the decision
            comes back as `escalate`, counted and logged.

    Raises:
        PolicyError: The policy has no such topic.
        StoreError: The decision cannot be logged.
        EtAgentError: The readings of the question could not be decoded.
    """
    if hand_over or policy is not gate.policy:
        gate = _View(gate, policy, hand_over=hand_over)
    return gate.resolve(result, topic=topic, asked=asked)


def _caller(question: str) -> str:
    raise AssertionError(question)  # the caller escalates; the gate only has to know that one does


class _View(Gate):
    """A gate seen with another policy or target; the count, the lock and the log are shared."""

    __slots__ = ("_hand_over", "_policy")

    def __init__(self, gate: Gate, policy: GatePolicy, *, hand_over: bool) -> None:
        self.__dict__ = gate.__dict__
        self._policy, self._hand_over = policy, hand_over

    @property
    def policy(self) -> GatePolicy:  # type: ignore[override]
        return self._policy

    @property
    def escalate(self) -> Any:  # type: ignore[override]
        return _caller if self._hand_over else self.__dict__["escalate"]

    def _escalated(self, decision: Decision, result: AskResult, policy: GatePolicy) -> Decision:
        return decision if self._hand_over else super()._escalated(decision, result, policy)
