"""Decides what to do with an answer, given how sure the model is."""

from et_agent.gate.clarification import Clarification, Clarifier, question_after
from et_agent.gate.decision import (
    Action,
    Cost,
    Decision,
    ReadingOption,
    Review,
    ReviewedCall,
)
from et_agent.gate.early import EARLY
from et_agent.gate.escalation import ModelTarget, Target
from et_agent.gate.gate import Gate
from et_agent.gate.log import DecisionLog, LoggedDecision, LoggedLabel, LogReport
from et_agent.gate.policy import GatePolicy

__all__ = [
    "EARLY",
    "Action",
    "Clarification",
    "Clarifier",
    "Cost",
    "Decision",
    "DecisionLog",
    "Gate",
    "GatePolicy",
    "LogReport",
    "LoggedDecision",
    "LoggedLabel",
    "ModelTarget",
    "ReadingOption",
    "Review",
    "ReviewedCall",
    "Target",
    "question_after",
]
