"""Settings of the schedules that fork by entropy: which positions, and into which sides."""

from typing import ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from et_agent.decoding.schedules.base import EntropyTree
from et_agent.decoding.thresholds import Thresholds

__all__ = ["SURE", "ForkingTree", "Importance"]

Importance = Literal["auto", "none", "received", "prompt"]

SURE: Final = 0.02
"""Below this entropy, nats, a token is all but certain."""
_PERCENTILE: Final = 80.0


class ForkingTree(EntropyTree):
    """Settings of `rounds`, `online` and `breadth_first`."""

    rivals: ClassVar[tuple[tuple[str, str], ...]] = (
        ("tau", "percentile"),
        ("delta", "importance_percentile"),
    )
    """Pairs of settings of which the first makes the second useless."""

    branching: int = Field(default=2, ge=2, le=8)
    """Branches per fork (b in the paper)."""
    tau: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Lowest entropy of a fork, in nats at temperature 1; None takes it from `percentile`."""
    percentile: float | None = Field(default=None, ge=0, le=100, allow_inf_nan=False)
    """Percentile of the pilot's token entropies that gives tau. None means 80, or no threshold with
    value `value_per_token`."""
    importance: Importance = "auto"
    """Attention that a fork needs. `received`: mean attention that a position received from later
    queries, for schedules that fork finished chains. `prompt`: share of the deciding query's
    attention on the prompt, for `online`. `auto`: the one that fits the schedule, if the model
    gives attention, or none with value `value_per_token`."""
    delta: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Lowest importance of a fork; None takes it from `importance_percentile`."""
    importance_percentile: float = Field(default=25.0, ge=0, le=100, allow_inf_nan=False)
    """Percentile of the pilot's importances that gives delta."""
    exchangeable: bool = False
    """Fork into a second sample of the same distribution with half the weight. Otherwise the sides are
    distinct, by sum-and-sample. Which is more precise depends on the model
    (`benchmarks/results/bias.json`): on the scripted models mostly distinct sides with `rounds`, and
    mostly exchangeable sides with `online`."""

    @model_validator(mode="after")
    def _check_sides(self) -> Self:
        if self.exchangeable and self.branching != 2:
            raise ValueError("exchangeable forks have two sides: set branching=2")
        return self

    @model_validator(mode="after")
    def _check_importance(self) -> Self:
        if self.importance == "prompt":
            raise ValueError("importance='prompt' needs schedule='online'; use 'received'")
        return self

    @property
    def reads_attention(self) -> bool:
        """Whether attention can change which forks are made."""
        return self.importance != "none"

    @property
    def entropy_percentile(self) -> float | None:
        """The percentile that gives tau; None for no threshold."""
        return _PERCENTILE if self.percentile is None else self.percentile

    def least_entropy(self, thresholds: Thresholds | None) -> float | None:
        """Tau, nats, where it is fixed beforehand; None where it is not."""
        if self.tau is not None:
            return self.tau
        percentile = self.entropy_percentile
        if percentile is None:
            return SURE
        return None if thresholds is None else thresholds.entropy_at(percentile)
