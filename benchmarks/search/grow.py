"""Trees of many settings, all grown from the first chains of a pool."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PrivateAttr

from benchmarks.search.pool import restore
from et_agent.decoding.base import Run, RunInputs
from et_agent.decoding.schedules.backward import BackwardRun
from et_agent.decoding.schedules.breadth_first import BreadthFirst, BreadthFirstRun
from et_agent.decoding.schedules.rounds import Rounds, RoundsRun
from et_agent.decoding.tree import Branch

__all__ = ["SETTINGS", "Grown", "Setting"]

Ranking = Literal["as set", "random", "varentropy", "unlikely"]
_LEAVES: Final = 16


@dataclass(frozen=True)
class Setting:
    """One way to fork.

    Attributes:
        roots: Chains to start from.
        fields: Fields of `EntropyTree`.
        ranking: Rankings that the package does not have: positions at random; those of Decoding Tree
            Sketching (H <= 2.5, varentropy > 1.5; arXiv 2511.00640) by entropy; the least likely
            tokens first (TreeRL).
        leaves: At most.
        blind: Whether `value_per_token` is not told which tokens speak of the answer.
    """

    roots: int
    fields: Mapping[str, Any] = field(default_factory=dict)
    ranking: Ranking = "as set"
    leaves: int = _LEAVES
    blind: bool = False

    def decoder(self, arrays: Mapping[str, NDArray[Any]]) -> "Grown":
        fields = dict(self.fields)
        decoder: Grown
        if fields.pop("schedule", "rounds") == "rounds":
            decoder = GrownRounds(leaves=self.leaves, roots=self.roots, **fields)
        else:
            decoder = GrownBreadth(leaves=self.leaves, **fields)
        decoder._arrays, decoder._setting = arrays, self
        return decoder


class GrownRounds(Rounds):
    """An entropy tree whose roots are there already."""

    _arrays: Mapping[str, NDArray[Any]] = PrivateAttr(default_factory=dict)
    _setting: Setting = PrivateAttr(default_factory=lambda: Setting(1))

    def start(self, inputs: RunInputs) -> Run:
        return _GrownRounds(self, inputs)


class GrownBreadth(BreadthFirst):
    """The same, forked as published."""

    _arrays: Mapping[str, NDArray[Any]] = PrivateAttr(default_factory=dict)
    _setting: Setting = PrivateAttr(default_factory=lambda: Setting(1))

    def start(self, inputs: RunInputs) -> Run:
        return _GrownBreadth(self, inputs)


Grown = GrownRounds | GrownBreadth


def _plant(run: BackwardRun, settings: Grown) -> None:
    """Put the pool's chains where the run would have decoded its roots, and fork them."""
    variant = "fresh" if settings.exchangeable else "third" if settings.branching == 3 else "second"
    roots = settings._setting.roots
    run.tree = restore(settings._arrays, run.inputs.prompt_length, roots, variant)
    run._coded.clear()
    run._running.clear()


class _GrownRounds(RoundsRun):
    def __init__(self, settings: GrownRounds, inputs: RunInputs) -> None:
        super().__init__(settings, inputs)
        self._ranking = settings._setting.ranking
        if settings._setting.blind:
            inputs.read_tokens = None
        _plant(self, settings)
        while not self._running and self._fork_more():
            pass

    def _positions(self, branch: Branch, tau: float, delta: float | None) -> list[int]:
        if self._ranking == "random":
            return [p for p in branch.alternatives if p not in branch.forked]
        found = super()._positions(branch, tau, delta)
        if self._ranking == "varentropy":
            rows = {p: branch.statistics[p - branch.start] for p in found}
            found = [p for p, row in rows.items() if row.entropy <= 2.5 and row.varentropy > 1.5]
        return found

    def _value(
        self,
        branch: Branch,
        position: int,
        through: NDArray[np.bool_],
        weights: NDArray[np.float64],
        mean_end: float,
    ) -> float:
        if self._ranking == "random":
            name = f"{self.inputs.seed}/{branch.lineage}/{position}"
            return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6]) / 2**48
        if self._ranking == "unlikely":
            mass = math.fsum(weights[through].tolist())
            return mass * -branch.log_probs[position - branch.start]
        return super()._value(branch, position, through, weights, mean_end)


class _GrownBreadth(BreadthFirstRun):
    def __init__(self, settings: GrownBreadth, inputs: RunInputs) -> None:
        super().__init__(settings, inputs)
        _plant(self, settings)
        self._level = list(self.tree.branches)
        while not self._running and self._fork_more():
            pass


_PLAIN: Final = {"importance": "none", "value": "mass_per_token"}
_WORTH: Final = {"value": "value_per_token"}
SETTINGS: Final[dict[str, Setting]] = {
    "r8-worth": Setting(8, _WORTH),
    "r8-worth-all": Setting(8, {**_WORTH, "least_value": 0.0}),
    "r8-worth-2": Setting(8, {**_WORTH, "least_value": 2.0}),
    "r4-worth": Setting(4, _WORTH),
    "r8-worth-blind": Setting(8, _WORTH, blind=True),
    "r8-worth-fresh": Setting(8, {**_WORTH, "exchangeable": True}),
    "r8-worth-b3": Setting(8, {**_WORTH, "branching": 3}),
    "r4": Setting(4, _PLAIN),
    "r4-random": Setting(4, _PLAIN, "random"),
    "r4-mass": Setting(4, {**_PLAIN, "value": "mass"}),
    "r4-entropy": Setting(4, {**_PLAIN, "value": "entropy"}),
    "r4-parting": Setting(4, {**_PLAIN, "value": "disagreement"}),
    "r8": Setting(8, _PLAIN),
    "r1": Setting(1, _PLAIN),
    "breadth": Setting(1, {"importance": "none", "schedule": "breadth_first"}),
    "r4-exchangeable": Setting(4, {**_PLAIN, "exchangeable": True}),
    "r4-received": Setting(4, {**_PLAIN, "importance": "received"}),
    "r4-p60": Setting(4, {**_PLAIN, "percentile": 60}),
    "r4-p90": Setting(4, {**_PLAIN, "percentile": 90}),
    "r4-b3": Setting(4, {**_PLAIN, "branching": 3}),
    "r4-varentropy": Setting(4, _PLAIN, "varentropy"),
    "r4-unlikely": Setting(4, _PLAIN, "unlikely"),
}
"""By name. `r4` is four roots, forked by entropy x path weight per token to recompute; no attention."""
