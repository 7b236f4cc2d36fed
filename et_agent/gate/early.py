"""A tree that a gate need not wait for."""

from types import MappingProxyType
from typing import Final

__all__ = ["EARLY"]

EARLY: Final = MappingProxyType({"wave": 4, "settle": 0.8, "give_up": 0.34})
"""Settings of an `EntropyTree` that stops once a gate's decision is all but made: a third fewer tokens
on questions of kind number for decisions of which 97 % or more stay the same, and shipped calibrators
hold for it (`benchmarks/results/stopping.json`, docs/experiments.md)."""
