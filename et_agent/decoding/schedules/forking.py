"""Settings of the schedules that fork by entropy: which positions, and into which sides."""

from typing import ClassVar, Final, Self

from pydantic import Field, model_validator

from et_agent.decoding.schedules.base import EntropyTree
from et_agent.decoding.schedules.keywords import ForkPart, Importance
from et_agent.decoding.thresholds import Thresholds

__all__ = ["SURE", "ForkingTree", "is_anywhere"]

SURE: Final = 0.02
"""Below this entropy, nats, a token is all but certain."""
_PERCENTILE: Final = 80.0


def is_anywhere(part: ForkPart) -> bool:
    """Whether forks may be in any part; such settings are written as before there were parts."""
    return part == "anywhere"


class ForkingTree(EntropyTree):
    """Settings of `rounds`, `online` and `breadth_first`."""

    exclusive: ClassVar[tuple[tuple[str, str], ...]] = (
        ("tau", "percentile"),
        ("delta", "importance_percentile"),
    )
    """Pairs of settings of which the first makes the second useless."""
    by_attention: ClassVar[Importance] = "received"
    """The importance that fits the schedule."""
    need_attention: ClassVar[tuple[str, ...]] = ("delta", "importance_percentile")
    """Settings that do nothing where forks do not look at attention."""

    branching: int = Field(default=2, ge=2, le=8)
    """Branches per fork (b in the paper)."""
    tau: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Lowest entropy of a fork, in nats at temperature 1; taken from `percentile` if None."""
    percentile: float | None = Field(default=None, ge=0, le=100, allow_inf_nan=False)
    """Percentile of the pilot's token entropies that gives tau. None means 80, or no threshold with
    value `value_per_token`."""
    importance: Importance = "auto"
    """Attention that a fork needs. `received`: mean attention that a position received from later
    queries, for schedules that fork finished chains. `prompt`: share of the deciding query's
    attention on the prompt, for `online`. `auto`: the one that fits the schedule, if the model
    gives attention, or none with value `value_per_token`."""
    delta: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Lowest importance of a fork; taken from `importance_percentile` if None."""
    importance_percentile: float = Field(default=25.0, ge=0, le=100, allow_inf_nan=False)
    """Percentile of the pilot's importances that gives delta."""
    fork_in: ForkPart = Field(default="anywhere", exclude_if=is_anywhere)
    """The part of a path that forks are in, for models that think."""
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

    @model_validator(mode="after")
    def _check_exclusive(self) -> Self:
        for one, other in self.exclusive:
            if self._is_changed(one) and self._is_changed(other):
                raise ValueError(
                    f"{self._shown(one)} and {self._shown(other)} set the same value: use only "
                    "one of them"
                )
        return self

    @model_validator(mode="after")
    def _check_attention(self) -> Self:
        needless = [name for name in self.need_attention if self._is_changed(name)]
        if needless and not self.reads_attention:
            raise ValueError(
                f"{self._shown(needless[0])} does nothing {self._without_attention()}: leave it "
                f"out, or set importance={self.by_attention!r}"
            )
        return self

    def _without_attention(self) -> str:
        """The settings by which forks do not look at attention."""
        return f"with {self._shown('importance')}"

    def _is_changed(self, name: str) -> bool:
        # Stored settings name every one: its default then says nothing.
        return bool(getattr(self, name) != type(self).model_fields[name].default)

    def _shown(self, name: str) -> str:
        return f"{name}={getattr(self, name)!r}"

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
