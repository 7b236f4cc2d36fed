"""What the tools take and give, as data; descriptions are read by the model of the agent that calls."""

import json
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from et_agent.calibration.finding import CalibrationSource
from et_agent_server.wire import Wire

__all__ = [
    "AskArguments",
    "AskOutput",
    "Claim",
    "DecisionOutput",
    "Interval",
    "LabelArguments",
    "LabelOutput",
    "Reading",
    "ScoreArguments",
    "ScoreOutput",
    "Share",
    "UsageOutput",
]


def _listed(given: Any) -> Any:
    """Some clients send a list as its JSON text."""
    if isinstance(given, str):
        try:
            return json.loads(given)
        except ValueError:
            return given
    return given


Texts = Annotated[list[str], BeforeValidator(_listed)]


class _Question(Wire):
    """A question, and how it is decoded."""

    question: str = Field(min_length=1)
    """The question, complete in itself: the local model sees nothing of your conversation."""
    context: Texts | None = Field(default=None, min_length=1)
    """Passages to answer from; the answer may be that they do not hold it."""
    choices: Texts | None = Field(default=None, min_length=2, max_length=10)
    """Possible answers, of which one is right."""
    kind: str | None = None
    """What an answer is: "number", "text", "yes_no", "date", "long" (several sentences, judged claim by
    claim) and so on; without it, it is guessed from the question."""
    leaves: int | None = Field(default=None, ge=1)
    """Reasoning paths to decode: more give a finer confidence and take longer."""
    model: str | None = None
    """Which local model; without it, the first."""


class AskArguments(_Question):
    """A question."""

    answer_at: float | None = Field(default=None, ge=0, le=1)
    """Lowest confidence at which the answer is given. With it, the output has a decision, and no answer
    if the confidence is lower."""
    on_doubt: Literal["abstain", "escalate", "ask"] | None = None
    """What is decided below `answer_at`: give no answer; escalate, to a larger model of this server
    or, if it has none, to you; or ask the user back if readings of the question lead to different
    answers."""


class ScoreArguments(_Question):
    """An answer to a question, by you or anyone else."""

    answer: str = Field(min_length=1)
    """The answer that is scored."""


class LabelArguments(Wire):
    """Whether an answer of `ask_with_confidence` was right: `right`, or the correct answer."""

    id: str
    """The `id` of the answer's output."""
    right: bool | None = None
    """Whether the answer was right."""
    correct_answer: str | None = Field(default=None, min_length=1)
    """The correct answer, with which the model's is compared."""

    @model_validator(mode="after")
    def _check(self) -> "LabelArguments":
        if (self.right is None) == (self.correct_answer is None):
            raise ValueError("send either `right` or `correct_answer`")
        return self


class Interval(Wire):
    """The central 90 % of what the probability may be."""

    low: float
    high: float


class _Confident(Wire):
    """A confidence, and what it rests on."""

    confidence: float | None
    """Probability that the answer is right; null if none is known."""
    interval: Interval | None
    """How sure that probability is."""
    calibration: CalibrationSource | None
    """What it rests on: "own" labelled answers, a map "shipped" for this model, or the "general" map
    for any model, which is less sure."""
    labels: int
    """Labelled questions of this setting that it has learnt from."""


class Share(Wire):
    """An answer, and how many of the paths give it."""

    answer: str | None
    """The answer; null for paths that give none."""
    share: float
    """Share of the paths by weight. It is a vote, no probability of being right."""


class Claim(Wire):
    """A claim of a long answer."""

    text: str
    confidence: float | None
    """Probability that it is true."""
    support: float | None
    """Share of the other paths that say so."""


class Reading(Wire):
    """A reading of the question, and what it leads to."""

    question: str
    answer: str | None


class DecisionOutput(Wire):
    """What to do."""

    action: Literal["answer", "abstain", "ask", "escalate"]
    """Give the answer; give none; ask the user `question`; or answer yourself."""
    reason: str
    """Why, in a sentence."""
    threshold: float
    """Confidence that was asked for."""
    escalated: bool
    """Whether the larger model of this server was asked."""
    question: str | None
    """What to ask the user."""
    readings: list[Reading]
    """Readings of the question that lead to different answers."""


class UsageOutput(Wire):
    """What it cost."""

    prompt_tokens: int
    tokens: int
    """Generated tokens, all paths."""
    leaves: int
    """Paths."""
    seconds: float


class AskOutput(_Confident):
    """An answer, how sure the local model is, and what else it could have said."""

    id: str
    """What `label_answer` takes."""
    answer: str | None
    """The answer; null if the model gave none, or if the decision is not to give it."""
    declined: bool
    """Whether the model says that the passages do not hold the answer."""
    distribution: list[Share]
    """The most likely answers, the first of which the confidence is about."""
    decision: DecisionOutput | None
    """What to do; null without `answer_at`."""
    claims: list[Claim]
    """Claims of a long answer."""
    notes: list[str]
    """What else to know about this answer and its confidence."""
    usage: UsageOutput
    model: str
    """The model that answered."""


class ScoreOutput(_Confident):
    """How sure the local model is of an answer that was written elsewhere."""

    read_as: str | None
    """What was read of the answer; null if it says nothing of the kind that was asked for."""
    agreement: float | None
    """Share of the local model's paths that say the same, by weight."""
    own_answer: str | None
    """What most of them say."""
    p_true: float | None
    """Probability that the answer is true, as the local model says when asked."""
    mean_log_prob: float
    """Mean log-probability of the answer's tokens, nats."""
    claims: list[Claim]
    """Claims of a long answer."""
    notes: list[str]
    """What else to know about this score."""
    tokens: int
    """Generated tokens."""
    seconds: float
    model: str
    """The model that scored it."""


class LabelOutput(Wire):
    """What became of a label."""

    id: str
    right: bool
    """Whether the answer counts as right."""
    learnt: bool
    """Whether it was new; false for one that was given before."""
    labels: int
    """Labels that the calibrator of these settings has learnt from."""
