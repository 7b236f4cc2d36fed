"""Chains that keep what a fork at any of their tokens would have taken."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from et_agent.arrays import Doubles
from et_agent.decoding.base import DecoderSettings, Run, RunInputs, side
from et_agent.decoding.sampling import Distribution, TokenStatistics
from et_agent.decoding.tree import Alternatives, Branch, Finish, ForkKind, Lineage, Side, Tree

__all__ = ["Pool", "PoolDecoder", "restore"]

_CERTAIN: Final = 1e-6


@dataclass(slots=True)
class _Drawn:
    """Sides of a token: a sample of the rest; the most likely other one, and a sample of what then
    remains; a second sample of everything."""

    second: Side | None
    best: Side | None
    third: Side | None
    fresh: Side


class PoolDecoder(DecoderSettings):
    """Independent chains, as `MultiChain`."""

    leaves: int = Field(default=24, ge=1)

    @property
    def reads_attention(self) -> bool:
        return True

    def start(self, inputs: RunInputs) -> Run:
        return Pool(self, inputs)


class Pool(Run):
    """Independent chains with the sides of all their tokens."""

    settings: PoolDecoder

    def __init__(self, settings: PoolDecoder, inputs: RunInputs) -> None:
        super().__init__(settings, inputs)
        self.drawn: dict[int, dict[int, _Drawn]] = {}

    def _take(self, branch: Branch, distribution: Distribution) -> None:
        leaves = self.settings.leaves
        if branch.id == 0 and not branch.tokens and leaves > 1:
            chains: list[Lineage] = [(), *((0, child) for child in range(leaves - 1))]
            tokens = [distribution.draw(self._uniform(chain)) for chain in chains]
            sides = [side(token, distribution) for token in tokens]
            shares = [1.0 / leaves] * leaves
            self._fork_here(branch, ForkKind.INDEPENDENT, sides, shares, distribution)
            return
        token = distribution.draw(self.uniform(branch.id))
        if distribution.statistics.entropy > _CERTAIN:
            self._keep(branch, token, distribution)
        self._append(branch, side(token, distribution), distribution)

    def _keep(self, branch: Branch, token: int, distribution: Distribution) -> None:
        second = distribution.draw_excluding(self.uniform(branch.id), [token])
        best = distribution.top(1, excluding=[token])
        third = distribution.draw_excluding(self.uniform(branch.id), [token, *best])
        fresh = distribution.draw(self.uniform(branch.id))
        self.drawn.setdefault(branch.id, {})[branch.end] = _Drawn(
            second=None if second is None else side(second, distribution),
            best=side(best[0], distribution) if best else None,
            third=None if third is None else side(third, distribution),
            fresh=side(fresh, distribution),
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything that `restore` needs, by name."""
        found: dict[str, NDArray[Any]] = {}
        for branch in self.tree.branches:
            name = f"{branch.id}."
            found[name + "tokens"] = np.array(branch.tokens, dtype=np.int32)
            found[name + "statistics"] = np.array(branch.statistics, dtype=np.float64)
            found[name + "log_probs"] = np.array(branch.log_probs, dtype=np.float64)
            found[name + "probabilities"] = np.array(branch.probabilities, dtype=np.float64)
            found[name + "cut"] = np.array(branch.finish is Finish.LENGTH)
            received = self.tree.read_attention().of(branch.id).received
            if received is not None:
                found[name + "received"] = received
            rows = [
                [float(position)]
                + [
                    n
                    for kept in (one.second, one.best, one.third, one.fresh)
                    for n in _numbers(kept)
                ]
                for position, one in self.drawn.get(branch.id, {}).items()
            ]
            found[name + "drawn"] = np.array(rows, dtype=np.float64).reshape(-1, 13)
        return found


def _numbers(one: Side | None) -> list[float]:
    return [-1.0, 0.0, 0.0] if one is None else [one.token, one.probability, one.log_prob]


def _side(values: Doubles) -> Side | None:
    if values[0] < 0:
        return None
    return Side(int(values[0]), float(values[1]), float(values[2]))


def restore(
    arrays: Mapping[str, NDArray[Any]], prompt_length: int, roots: int, variant: str
) -> Tree:
    """A finished tree of the pool's first chains, with the sides that a fork of `variant` takes."""
    tree = Tree(prompt_length)
    if roots > 1:
        entropy = float(arrays["0.statistics"][0, 0])
        tree.fork(0, 0, ForkKind.INDEPENDENT, entropy, 1 / roots, [1 / roots] * (roots - 1))
    for branch in tree.branches:
        name = f"{branch.id}."
        branch.tokens = arrays[name + "tokens"].tolist()
        branch.statistics = [TokenStatistics(*row) for row in arrays[name + "statistics"].tolist()]
        branch.log_probs = arrays[name + "log_probs"].tolist()
        branch.probabilities = arrays[name + "probabilities"].tolist()
        branch.finish = Finish.LENGTH if arrays[name + "cut"] else Finish.STOP
        tree.read_attention().of(branch.id).received = arrays.get(name + "received")
        for row in arrays[name + "drawn"]:
            second, best, third, fresh = (_side(row[at : at + 3]) for at in (1, 4, 7, 10))
            if variant == "fresh":
                kept = Alternatives(top=(), rest=None, fresh=fresh)
            elif variant == "third":
                kept = Alternatives(top=() if best is None else (best,), rest=third, fresh=None)
            else:
                kept = Alternatives(top=(), rest=second, fresh=None)
            if kept.top or kept.rest is not None or kept.fresh is not None:
                branch.alternatives[int(row[0])] = kept
    return tree
