"""What a gate decided, and why."""

from enum import StrEnum

from pydantic import ConfigDict, Field, JsonValue

from et_agent.results import AnswerShare, CalibrationReport, ClaimReport
from et_agent.validation import Record

__all__ = ["Action", "Cost", "Decision", "ReadingOption", "Review", "ReviewedCall"]


class _Model(Record):
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
    """What a decision has cost so far."""

    tokens: int = Field(default=0, ge=0)
    """Generated tokens, including those of readings and of escalations to local models."""
    seconds: float = Field(default=0.0, ge=0)
    """Time of decoding and of calls, and of waiting for other questions where the gate itself asks."""
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
    """The question in this reading."""
    answer: str | None
    """The answer of this reading."""


class Review(StrEnum):
    """What a person decided about a tool call."""

    APPROVED = "approved"
    """It runs as it is."""
    EDITED = "edited"
    """It runs with other arguments."""
    REJECTED = "rejected"
    """It does not run."""
    RESPONDED = "responded"
    """It does not run; the person gave its result instead."""


class ReviewedCall(_Model):
    """A tool call that a person decided about."""

    name: str
    """The tool's name."""
    review: Review
    """What was decided."""
    proposed: dict[str, JsonValue]
    """The model's arguments."""
    run: dict[str, JsonValue] | None
    """The arguments that the call runs with; None if it does not run."""


class Decision(_Model):
    """What a gate decided, in plain JSON types."""

    action: Action
    """What to do. In a dry run always `answer`."""
    answer: str | None
    """The answer to give; None unless the action is `answer`."""
    confidence: float | None = Field(default=None, ge=0, le=1)
    """P(correct) of the answer that was judged, or the share if the policy uses it instead. None if
    neither counts."""
    calibrated: bool = False
    """Whether `confidence` comes from labelled questions of the model and its settings. False for the
    general map, and for a share that is used instead."""
    calibration: CalibrationReport | None = None
    """What `confidence` rests on. None for a share, and without a confidence."""
    compared: float | None = Field(default=None, ge=0, le=1)
    """What was compared with `threshold`: `confidence`, or the lower end of its interval. None if
    nothing was."""
    threshold: float = Field(ge=0, le=1)
    """Lowest value of `compared` at which the answer is given."""
    reason: str
    """Why, in one sentence for a person."""
    doubtful_fields: tuple[str, ...] = ()
    """Paths of the answer's fields that are below their own threshold (`GatePolicy.fields`), and those
    that the policy names and the answer lacks, as the policy writes them."""
    claims: tuple[ClaimReport, ...] = ()
    """Claims of the long answer that was judged, all of them; empty for another one."""
    doubtful_claims: tuple[int, ...] = ()
    """Numbers of the claims that are below `threshold`, from 0. `GatePolicy.claims` says what becomes
    of them in `answer`."""
    alternatives: tuple[AnswerShare, ...] = ()
    """Answers with their shares, heaviest first."""
    notes: tuple[str, ...] = ()
    """Notes on the tree that was judged last, for example that it stopped early or that paths were cut
    off. Empty if the answer came from an escalation target that is not an et-agent model."""
    question: str
    """The question."""
    passages: tuple[str, ...] = ()
    """What it was to be answered from; empty if the model was asked alone."""
    declined: bool = False
    """Whether the paths of the tree that was judged last say that the passages do not hold the
    answer."""
    topic: str | None = None
    """Topic or tool whose policy was applied."""
    clarifying_question: str | None = None
    """What to ask the user; only with `clarify`."""
    readings: tuple[ReadingOption, ...] = ()
    """Readings that lead to different answers; only with `clarify`."""
    asked: int = Field(default=0, ge=0)
    """How often the user has been asked back about the question, including this decision."""
    would: Action | None = None
    """In a dry run, the action that would have been taken. None otherwise."""
    escalated: bool = False
    """Whether the answer comes from the escalation target."""
    reviews: tuple[ReviewedCall, ...] = ()
    """What a person decided about the tool calls, in their order. Empty if nobody decided, or has not
    yet."""
    cost: Cost = Cost()
    """What the decision has cost so far."""
    trace_id: str
    """Identifies the decision in logs."""
