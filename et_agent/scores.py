"""The schema of scores: what is thought of an answer that was written elsewhere."""

from pydantic import Field

from et_agent.results import AnswerForm, CalibrationReport, ClaimReport, ModelId
from et_agent.validation import Frozen

__all__ = ["ScoreReport"]


class ScoreReport(Frozen):
    """What is thought of an answer that was written elsewhere."""

    question: str
    """The question; of a conversation its last user message."""
    answer: str
    """The answer, as it was given."""
    kind: AnswerForm
    """Answer kind as which it was read."""
    value: str | None
    """What is read of the answer, as results show it; None if it says nothing of this kind."""
    log_prob: float
    """Log-probability of the answer's tokens after the question, temperature 1, nats."""
    mean_log_prob: float
    """The same per token."""
    tokens: int
    """Tokens of the answer."""
    p_true: float | None = Field(ge=0, le=1)
    """Probability that the answer is true, as the model says when it is shown the samples' answers
    (arXiv 2207.05221); None for a model without a chat template, or that says neither."""
    agreement: float | None = Field(ge=0, le=1)
    """Share of the samples that say the same, by path weight; of a long answer, mean support of its
    claims. None if nothing could be read or asked."""
    samples: int
    """Samples that it was compared with: leaves of a fresh tree, or those that were given."""
    own_answer: str | None
    """The answer with the largest share of the samples; of long ones, the one most like all others."""
    confidence: float | None = Field(default=None, ge=0, le=1)
    """P(correct), from the same maps as that of an answer of the model's own. For given samples always
    from the general map. None without agreement, or if none was wanted."""
    calibration: CalibrationReport | None = None
    """What the confidence rests on; None without one."""
    claims: tuple[ClaimReport, ...] = ()
    """Claims of a long answer (`kind="long"`)."""
    notes: tuple[str, ...] = ()
    """Notes for the user."""
    tokens_decoded: int
    """Tokens that were generated for it."""
    seconds: float
    """Wall time."""
    model: ModelId
    """The model that scored it."""
    decoder: dict[str, str | int | float | bool | None] | None
    """Name and settings of what decoded the tree; None if samples were given."""
    seed: int
    """Seed of the tree."""

    @property
    def interval(self) -> tuple[float, float] | None:
        """Central 90 % of what P(correct) may be; None without a confidence."""
        return None if self.calibration is None else self.calibration.interval
