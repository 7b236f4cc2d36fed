"""A tree that stops once a gate can decide."""

from types import MappingProxyType
from typing import Final

__all__ = ["EARLY"]

EARLY: Final = MappingProxyType({"wave": 4, "settle": 0.8, "give_up": 0.34})
"""Settings of an `EntropyTree` that stops once a gate's decision is nearly certain.

It takes a third fewer tokens for numbers. For thresholds of 0.8 and above, nearly all of a gate's
decisions stay the same. The shipped calibrators are valid for it, for texts too
(`benchmarks/results/stopping.json`, docs/experiments.md).
"""
