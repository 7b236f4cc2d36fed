"""A tree that stops once a gate can decide."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from et_agent.decoding.schedules.legacy import FORMER_SETTINGS
from et_agent.renaming import warn_of_old_name

__all__ = ["EARLY"]


class _Settings(dict[str, Any]):
    """Settings that are found under their former names too."""

    def __missing__(self, name: str) -> Any:
        now = FORMER_SETTINGS.get(name, name)
        if now not in self.keys() - {name}:
            raise KeyError(name)
        warn_of_old_name(name, now)
        return self[now]

    def __contains__(self, name: object) -> bool:
        return super().__contains__(FORMER_SETTINGS.get(str(name), name))

    def get(self, name: str, default: Any = None) -> Any:
        """The setting, under its former name too."""
        try:
            return self[name]
        except KeyError:
            return default


EARLY: Final[Mapping[str, Any]] = MappingProxyType(
    _Settings(batch=4, stop_above=0.8, stop_below=0.34)
)
"""Settings of an `EntropyTree` that stops once a gate's decision is nearly certain.

It takes a third fewer tokens for numbers. For thresholds of 0.8 and above, nearly all of a gate's
decisions stay the same. The shipped calibrators are valid for it, for texts too
(`benchmarks/results/stopping.json`, docs/experiments.md).
"""
