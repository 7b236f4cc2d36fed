"""The settings of all schedules as keywords of `EntropyTree`, for type checkers."""

from typing import Literal, TypedDict

__all__ = ["ForkPart", "ForkValue", "Importance", "Schedule", "TreeKeywords"]

Schedule = Literal["overlapped", "rounds", "online", "stratified", "breadth_first"]
"""Schedules by name, in the order in which `EntropyTree` looks for one if none is named."""
ForkValue = Literal["value_per_token", "entropy", "mass", "mass_per_token", "disagreement"]
ForkPart = Literal["anywhere", "thought", "answer"]
"""The part of a path that forks may be in."""
Importance = Literal["auto", "none", "received", "prompt"]


class TreeKeywords(TypedDict, total=False):
    """The fields of every schedule's class; which schedule has which is checked when they are set."""

    schedule: Schedule
    leaves: int
    temperature: float
    max_tokens: int
    roots: int
    root_share: float
    answers_per_thought: int
    fork_in: ForkPart
    gap: int
    branching: int
    tau: float | None
    percentile: float | None
    importance: Importance
    delta: float | None
    importance_percentile: float
    exchangeable: bool
    value: ForkValue
    least_value: float
    stop_risk: float | None
    stop_above: float | None
    stop_below: float | None
    batch: int | None
