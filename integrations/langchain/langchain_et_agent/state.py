"""What the gate keeps in an agent's state, in plain JSON types."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired

from langchain.agents.middleware import AgentState
from langchain.agents.middleware.types import OmitFromInput, PrivateStateAttr

from et_agent.gate import Action, Decision
from langchain_et_agent.pauses import Pause, go_on

__all__ = ["GateState", "Resumed", "decided", "decisions_in", "dumped", "resumed", "times_asked"]


class GateState(AgentState[Any]):
    """What the gate adds to the agent's state, in plain JSON types."""

    et_agent_decisions: NotRequired[Annotated[list[dict[str, Any]], OmitFromInput]]
    """Decisions of this run, oldest first. `Decision.model_validate` reads them."""
    et_agent_pause: NotRequired[Annotated[Pause | None, PrivateStateAttr]]
    """What the agent waits for after the last response."""


def dumped(decision: Decision) -> dict[str, Any]:
    """A decision in plain JSON types."""
    return decision.model_dump(mode="json")


def decisions_in(state: Mapping[str, Any]) -> list[Decision]:
    """The decisions of this run so far."""
    return [Decision.model_validate(one) for one in state.get("et_agent_decisions") or []]


def times_asked(made: Sequence[Decision]) -> int:
    """How often the user was asked back in this run."""
    return sum(one.action is Action.CLARIFY for one in made)


def decided(
    state: Mapping[str, Any], decision: Decision | None, pause: Pause | None
) -> dict[str, Any]:
    """The state's update after a response; None for one that nothing was decided about."""
    update: dict[str, Any] = {"et_agent_pause": pause}
    if decision is not None:
        made = state.get("et_agent_decisions") or []
        update["et_agent_decisions"] = [*made, dumped(decision)]
    return update


@dataclass(frozen=True, slots=True)
class Resumed:
    """How an agent goes on after a pause.

    Attributes:
        update: The state's update.
        decision: The decision with what a person decided about its tool calls; None if nobody decided.
        request: Trace id of the request that a person decided about; None if nobody decided.
    """

    update: dict[str, Any]
    decision: Decision | None = None
    request: str | None = None


def resumed(state: Mapping[str, Any]) -> Resumed | None:
    """Interrupt if the agent is to wait, and go on with the reply; None if it is not to wait.

    Raises:
        GraphInterrupt: There is no reply yet; LangGraph takes it.
    """
    pause: Pause | None = state.get("et_agent_pause")
    if pause is None:
        return None
    outcome = go_on(pause)
    # Cleared here too: an outer middleware may answer for a model that fails next.
    update = {**outcome.update, "et_agent_pause": None}
    made, trace = decisions_in(state), pause["request"].get("trace_id")
    at = next((number for number, one in enumerate(made) if one.trace_id == trace), None)
    if not outcome.reviews:
        return Resumed(update)
    if at is None:
        return Resumed(update, request=trace)
    made[at] = made[at].model_copy(update={"reviews": outcome.reviews})
    return Resumed({**update, "et_agent_decisions": [*map(dumped, made)]}, made[at], trace)
