"""When a tree stops, as the scripts here try it."""

from typing import Final

from et_agent.decoding import EntropyTree
from et_agent.gate import EARLY

DECIDED: Final = EntropyTree(**EARLY)
"""Stops once a gate's decision is all but made."""
SETTLED: Final = EntropyTree(batch=2, stop_above=0.6)
"""Stops as soon as the answer is settled."""
SINGLY: Final = EntropyTree(batch=1, stop_above=0.6)
"""The same, one root at a time."""
FEW: Final = EntropyTree(leaves=8, batch=1, stop_above=0.6)
"""That with half the leaves at most."""


def label(stops: EntropyTree) -> str:
    """The settings that stop a tree early."""
    names = ("leaves", "batch", "stop_above", "stop_below")
    given = {name: getattr(stops, name) for name in names if name in stops.model_fields_set}
    return " ".join(f"{name}={value:g}" for name, value in given.items())
