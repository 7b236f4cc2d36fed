"""A tree that stops once a gate can decide."""

from types import MappingProxyType
from typing import Final

from et_agent.decoding.schedules.former import FORMER_SETTINGS
from et_agent.renaming import warn_of_old_name

__all__ = ["EARLY"]


class _Settings(dict[str, float]):
    """Settings that are found under their former names too."""

    def __missing__(self, name: str) -> float:
        now = FORMER_SETTINGS.get(name, name)
        if now not in self.keys() - {name}:
            raise KeyError(name)
        warn_of_old_name(name, now)
        return self[now]


EARLY: Final = MappingProxyType(_Settings(batch=4, stop_above=0.8, stop_below=0.34))
"""Settings of an `EntropyTree` that stops once a gate's decision is nearly certain.

It takes a third fewer tokens for numbers. For thresholds of 0.8 and above, nearly all of a gate's
decisions stay the same. The shipped calibrators are valid for it, for texts too
(`benchmarks/results/stopping.json`, docs/experiments.md).
"""
