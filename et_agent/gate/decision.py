"""What a gate decided, and why."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from et_agent.results import AnswerShare

__all__ = ["Action", "Cost", "Decision", "ReadingOption"]


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )


class Action(StrEnum):
    """What to do with a question."""

    ANSWER = "answer"
    """Give the answer."""
    ESCALATE = "escalate"
    """Let a stronger model or a person answer."""
    ABSTAIN = "abstain"
    """Give no answer, and say why."""
    CLARIFY = "clarify"
    """Ask the user which reading is meant."""


class Cost(_Model):
    """What a decision cost so far."""

    tokens: int = Field(default=0, ge=0)
    """Generated tokens, those of readings and of escalations to local models included."""
    seconds: float = Field(default=0.0, ge=0)
    """Time of decoding and of calls."""
    escalations: int = Field(default=0, ge=0)
    """Calls of the escalation target, retries included."""

    def plus(self, other: "Cost") -> "Cost":
        """The sum of both."""
        return Cost(
            tokens=self.tokens + other.tokens,
            seconds=self.seconds + other.seconds,
            escalations=self.escalations + other.escalations,
        )


class ReadingOption(_Model):
    """A reading of an ambiguous question, and what it leads to."""

    text: str
    """The question as it is read."""
    answer: str | None
    """The answer of this reading."""


class Decision(_Model):
    """What a gate decided; plain JSON types throughout."""

    action: Action
    """What to do. In a dry run always `answer`."""
    answer: str | None
    """The answer to give; None unless the action is `answer`."""
    confidence: float | None = Field(default=None, ge=0, le=1)
    """P(correct) of the answer that was judged, or what the policy lets stand in for it; None where
    nothing does."""
    calibrated: bool = False
    """Whether `confidence` comes from a calibrator; False for a share that stands in for it."""
    threshold: float = Field(ge=0, le=1)
    """Confidence from which on the answer is given."""
    reason: str
    """Why, in one sentence for a person."""
    alternatives: tuple[AnswerShare, ...] = ()
    """Answers with their shares, heaviest first."""
    notes: tuple[str, ...] = ()
    """What to know about the tree that was judged last: that it stopped early, say, or that paths were
    cut off. Empty when the answer came from an escalation target that is no model of et-agent."""
    question: str
    """The question."""
    topic: str | None = None
    """Topic or tool whose policy held."""
    clarifying_question: str | None = None
    """What to ask the user; only with `clarify`."""
    readings: tuple[ReadingOption, ...] = ()
    """Readings that lead to different answers; only with `clarify`."""
    asked: int = Field(default=0, ge=0)
    """How often the user has been asked back about the question, this decision included."""
    would: Action | None = None
    """In a dry run, what would have been done; None otherwise."""
    escalated: bool = False
    """Whether the answer comes from the escalation target."""
    cost: Cost = Cost()
    """What it cost so far."""
    trace_id: str
    """Identifies the decision in logs."""
