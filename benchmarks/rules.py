"""When a tree stops, as the scripts here try it."""

from typing import Final

from et_agent.decoding import EntropyTree
from et_agent.gate import EARLY

DECIDED: Final = EntropyTree(**EARLY)
"""Stops once a gate's decision is all but made."""
SETTLED: Final = EntropyTree(wave=2, settle=0.6)
"""Stops as soon as the answer is settled."""
SINGLY: Final = EntropyTree(wave=1, settle=0.6)
"""The same, one root at a time."""


def label(stops: EntropyTree) -> str:
    """The settings that stop a tree early."""
    given = {name: getattr(stops, name) for name in ("wave", "settle", "give_up")}
    return " ".join(f"{name}={value:g}" for name, value in given.items() if value is not None)
