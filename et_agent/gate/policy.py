"""The policy of a gate: what it does at which confidence."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from et_agent.answers.field_paths import parse_path
from et_agent.asking.decision_rule import Compared
from et_agent.calibration import Costs, Threshold
from et_agent.calibration.rows import MIN_QUESTIONS
from et_agent.errors import PolicyError
from et_agent.results import CalibrationReport, CalibrationSource
from et_agent.storage import read_given
from et_agent.validation import LONGEST, explained, parsed_toml

__all__ = ["GatePolicy"]

_SUBJECT: Final = "gate policy"
PREFIX: Final = "ET_AGENT_GATE_"
_LARGEST: Final = 1 << 20
"""A larger file is no policy, bytes."""


class GatePolicy(BaseModel):
    """Thresholds, budgets and limits of a gate; frozen.

    If the confidence is at least `answer_at`, the answer is given. If the confidence comes from the
    general map, or from fewer than 50 labels, the lower end of its interval is compared instead
    (`cautious`). Otherwise the first of these that applies is done:

    1. Ask the user back, if `clarify` is set and the question turns out to be unclear.
    2. Escalate, if the confidence is at least `escalate_from`, there is a target, and the budget
       allows it.
    3. Abstain.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    answer_at: float = Field(ge=0, le=1, allow_inf_nan=False)
    """Lowest confidence at which the answer is given; `RiskControl` or `Costs` can find it."""
    escalate_from: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False)
    """Lowest confidence at which a question is escalated, whatever its interval."""
    least_calibration: CalibrationSource = "general"
    """What a confidence has to rest on to count. `general` takes any. `shipped` takes those of a
    calibrator for the model and its settings, shipped or your own. `own` takes those of your own."""
    cautious: bool | None = None
    """Whether the lower end of the confidence's interval is compared with `answer_at`, instead of the
    confidence itself. None does so for the general map, and for fewer than 50 labels."""
    clarify: bool = False
    """Whether to ask the user back if the question has several readings."""
    clarify_at: float = Field(default=0.5, ge=0, allow_inf_nan=False)
    """Lowest mutual information of reading and answer, in nats, at which the user is asked back. Two
    equally likely readings reach log 2 = 0.69, four reach 1.39."""
    clarify_from: float = Field(default=0.3, ge=0, allow_inf_nan=False)
    """Lowest entropy of the tree's answers, in nats, at which readings are looked for. If the paths
    agree, no reading leads to another answer."""
    clarify_rounds: int = Field(default=1, ge=1, le=5)
    """How often the user may be asked back about one question."""
    readings: int = Field(default=4, ge=2, le=8)
    """Largest number of readings per question."""
    uncalibrated: Literal["refuse", "share"] = "refuse"
    """What to do with an answer whose confidence is missing, or rests on less than
    `least_calibration`. `refuse` never gives it. `share` uses the share of the answer instead, which
    is not a probability of being correct."""
    escalations: int | None = Field(default=None, ge=0)
    """Largest number of escalations of a gate; None for no limit."""
    escalation_share: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    """Largest share of its decisions that a gate may escalate; None for no limit. Unless it is 0, one
    escalation is always allowed. A topic that sets one of the two budgets is counted separately."""
    timeout: float | None = Field(default=60.0, gt=0, le=LONGEST, allow_inf_nan=False)
    """Seconds that one call of the escalation target may take, at most a day; None for no limit. It
    does not apply to a `ModelTarget`."""
    retries: int = Field(default=1, ge=0, le=10)
    """How often a target that failed is called again."""
    backoff: float = Field(default=0.5, ge=0, le=LONGEST, allow_inf_nan=False)
    """Seconds before the first retry, at most a day. They double before each further one."""
    fallback: Literal["abstain", "answer"] = "abstain"
    """What to do if the target fails: abstain, or give the doubtful answer."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Tokens that a decision may generate in total, for the tree, the readings and an escalation to a
    local model. Each is stopped when the limit is reached. None for no limit."""
    max_seconds: float | None = Field(default=None, gt=0, le=LONGEST, allow_inf_nan=False)
    """Seconds that a decision may take in total, waiting for other questions included, at most a day;
    None for no limit."""
    fields: dict[str, Annotated[float, Field(ge=0, le=1, strict=True, allow_inf_nan=False)]] = (
        Field(default_factory=dict)
    )
    """Lowest confidence of fields of a structured answer, beside that of the whole answer, such as
    {"pay.amount": 0.95, "*.iban": 0.9, "lines[*].price": 0.8}. `*` and `[*]` stand for one step of a
    path; of several that match, the highest counts. The answer is not given either if it lacks a field
    that is named here, other than one of a tool that it does not call."""
    claims: Literal["mark", "drop"] | None = None
    """What to do with the claims of a long answer (`kind="long"`) that are below `answer_at`. `mark`
    gives a long answer whose mean reaches it, with a mark in each sentence that makes such a claim.
    `drop` gives the sentences that make none, whatever the mean, and nothing that was not checked. None
    gives the whole of a long answer whose mean reaches it."""
    steering: Literal["refuse", "escalate", "ignore"] = "refuse"
    """What to do with an answer if a passage or a result of a tool speaks to the model
    (`AskResult.steering`). `refuse` does not give it, whatever its confidence, and gives such texts
    to no target. `escalate` does not give it either, but asks the target, whose answer counts as any
    other: for a person, or a model that you trust with such texts. `ignore` judges it as any other, for
    texts that you trust or that hold prompts by their nature."""
    observe: bool = False
    """Dry run: always answer, and only record what would have been done."""
    topics: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Fields to replace per topic or tool, such as {"payment": {"answer_at": 0.95}}."""

    def __init__(self, **values: Any) -> None:
        """Check the policy.

        Raises:
            PolicyError: A setting is unknown, out of range, or contradicts another one.
        """
        known = type(self).model_fields
        if unknown := sorted(values.keys() - known):
            raise PolicyError(
                f"{_SUBJECT}: there is no setting {', '.join(unknown)}; the settings are "
                f"{', '.join(known)}"
            )
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise PolicyError(explained(_SUBJECT, error)) from error

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, given: object, info: ValidationInfo) -> object:
        """Refuse true and false where they would count as 1 and 0: a threshold of 0 answers all."""
        field = cls.model_fields[str(info.field_name)]
        if isinstance(given, bool) and bool not in (field.annotation, *get_args(field.annotation)):
            raise ValueError("true and false are no values of this setting")
        return given

    @field_validator("fields")
    @classmethod
    def _check_paths(cls, fields: dict[str, float]) -> dict[str, float]:
        for path in fields:
            parse_path(path)
        return fields

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.escalate_from > self.answer_at:
            raise ValueError(
                f"escalate_from ({self.escalate_from}) is above answer_at ({self.answer_at}): "
                "set escalate_from to answer_at or less"
            )
        for topic, changes in self.topics.items():
            if "topics" in changes:
                raise ValueError(f"topic {topic!r} has topics of its own: remove them")
            try:
                GatePolicy(**{**self._fields(), **changes})
            except PolicyError as error:
                raise ValueError(f"topic {topic!r}: {error}") from error
        return self

    def _fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in type(self).model_fields if name != "topics"}

    def for_topic(self, topic: str | None) -> "GatePolicy":
        """Return the policy of a topic or tool; the general one for None.

        Raises:
            PolicyError: There is no such topic.
        """
        if topic is None:
            return self
        if topic not in self.topics:
            known = ", ".join(sorted(self.topics)) or "none"
            raise PolicyError(f"the policy has no topic {topic!r}; it has: {known}")
        return GatePolicy(**{**self._fields(), **self.topics[topic]})

    def counts(self, source: CalibrationSource) -> bool:
        """Whether a confidence from this source may be compared with the threshold."""
        best_first = get_args(CalibrationSource)
        return best_first.index(source) <= best_first.index(self.least_calibration)

    def compares_low_end(self, calibration: CalibrationReport) -> bool:
        """Whether the lower end of the interval is compared, for a confidence that rests on this."""
        if self.cautious is None:
            return calibration.source == "general" or calibration.labels < MIN_QUESTIONS
        return self.cautious

    def compared(self, calibration: CalibrationReport | None) -> Compared | None:
        """What of an answer is compared with `answer_at`; None if nothing of it counts.

        Args:
            calibration: What its confidence rests on; None without a confidence.
        """
        if calibration is not None and self.counts(calibration.source):
            return "low" if self.compares_low_end(calibration) else "confidence"
        return "share" if self.uncalibrated == "share" else None

    @property
    def asks_back(self) -> bool:
        """Whether the user may be asked back in any topic."""
        return self.clarify or any(one.get("clarify", False) for one in self.topics.values())

    def changed(self, **changes: Any) -> "GatePolicy":
        """Return the policy with other values for some fields.

        Raises:
            PolicyError: See the constructor.
        """
        return GatePolicy(**{**self._fields(), "topics": self.topics, **changes})

    def of_target(self) -> "GatePolicy":
        """Return the policy by which the answer of an et-agent model that was asked next is judged."""
        return self.changed(steering="ignore") if self.steering == "escalate" else self

    @classmethod
    def from_threshold(cls, threshold: Threshold, **fields: Any) -> Self:
        """Make a policy that answers from the threshold that `RiskControl` found.

        The guarantee is about confidences like those it was found on. Unless these came from the
        general map, set `least_calibration` to where they came from.

        Raises:
            PolicyError: See the constructor.
        """
        return cls(answer_at=threshold.value, **fields)

    @classmethod
    def from_costs(cls, costs: Costs, **fields: Any) -> Self:
        """Make a policy that answers whenever that costs least, given the cost of each outcome.

        Raises:
            PolicyError: See the constructor.
        """
        return cls(answer_at=costs.threshold(), **fields)

    @classmethod
    def from_toml(cls, path: str | Path) -> Self:
        """Read a policy from a TOML file, either at the top level or under [gate].

        Raises:
            PolicyError: The file cannot be read, says something beside [gate], or the policy is invalid
                (see the constructor).
        """
        try:
            values = parsed_toml(read_given(path, most=_LARGEST).decode("utf-8-sig"))
        except (OSError, ValueError) as error:  # not UTF-8, or not TOML
            reason = getattr(error, "strerror", None) or error
            raise PolicyError(f"the policy {path} cannot be read: {reason}") from error
        inner = values.pop("gate", None)
        if inner is None:
            return cls._read(values, f"the policy {path}")
        if not isinstance(inner, dict):
            raise PolicyError(f"the policy {path}: [gate] must be a table")
        if values:
            raise PolicyError(f"the policy {path}: {'; '.join(map(_beside, values))}")
        return cls._read(inner, f"the policy {path}, [gate]")

    @classmethod
    def _read(cls, values: Mapping[str, Any], where: str) -> Self:
        try:
            return cls(**values)
        except PolicyError as error:
            raise PolicyError(f"{where}: {str(error).removeprefix(f'{_SUBJECT}: ')}") from error

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read a policy, except topics and fields, from variables: `ET_AGENT_GATE_ANSWER_AT=0.9`.

        Raises:
            PolicyError: A variable is unknown or its value is invalid.
        """
        found = os.environ if environment is None else environment
        names = [name for name in cls.model_fields if name not in ("topics", "fields")]
        known = {f"{PREFIX}{name.upper()}": name for name in names}
        given = sorted(name for name in found if name.startswith(PREFIX))
        if unknown := [name for name in given if name not in known]:
            raise PolicyError(
                f"{', '.join(unknown)}: there is no such variable; those of a policy are "
                f"{', '.join(known)}, and topics and fields need a TOML file. Remove or correct it"
            )
        values = {known[name]: found[name] for name in given}
        return cls._read(values, f"variables {PREFIX}…")


def _beside(name: str) -> str:
    """What is wrong with a key of a policy's file that does not stand in its table [gate]."""
    if name in ("topics", "fields"):
        return f"[{name}] stands beside [gate], where it is not read: write [gate.{name}]"
    if name in GatePolicy.model_fields:
        return f"{name} stands outside the table [gate], where it is not read: move it below [gate]"
    return f"{name} is no part of a policy: remove it, or move it below [gate] if it is a setting"
