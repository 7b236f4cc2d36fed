"""Decisions as the tools take and give them."""

from typing import Any, Final

from et_agent.gate import Action, Decision
from et_agent_server.mcp.wire import AskArguments, DecisionOutput, Reading
from et_agent_server.settings import ServerSettings

__all__ = ["decision_of", "decision_request"]

_NAMES: Final = {
    Action.ANSWER: "answer",
    Action.ABSTAIN: "abstain",
    Action.CLARIFY: "ask",
    Action.ESCALATE: "escalate",
}


def decision_request(given: AskArguments, settings: ServerSettings) -> dict[str, Any]:
    """What is asked of a gate; nothing without `answer_at` and `on_doubt`.

    An answer is never marked as doubtful here, where the caller has the decision. Without a larger
    model, `escalate` hands over to the caller.
    """
    if given.answer_at is None and given.on_doubt is None:
        return {}
    doubt = given.on_doubt or settings.doubt
    if doubt == "mark" or (doubt == "escalate" and settings.escalate_to is None):
        doubt = "abstain"
    return {"answer_at": given.answer_at, "on_doubt": doubt}


def decision_of(decision: Decision | None) -> DecisionOutput | None:
    """A decision; one of a dry run is what would have been done."""
    if decision is None:
        return None
    return DecisionOutput.model_validate(
        {
            "action": _NAMES[decision.would or decision.action],
            "reason": decision.reason,
            "threshold": decision.threshold,
            "escalated": decision.escalated,
            "question": decision.clarifying_question,
            "readings": [
                Reading(question=one.text, answer=one.answer) for one in decision.readings
            ],
        }
    )
