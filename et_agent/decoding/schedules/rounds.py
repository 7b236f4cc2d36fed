"""Schedule `rounds`: roots, then rounds of forks at the best positions."""

import math
from collections.abc import Hashable, Sequence
from typing import ClassVar, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from et_agent.decoding.base import Run, RunInputs
from et_agent.decoding.family import CODED, CalibrationFamily
from et_agent.decoding.schedules.backward import BackwardRun, ForkCandidate, rank
from et_agent.decoding.schedules.forking import ForkingTree
from et_agent.decoding.schedules.keywords import ForkValue
from et_agent.decoding.schedules.value import value_per_token
from et_agent.decoding.stopping import FEWEST, Stop, ToCome, batch_sizes
from et_agent.decoding.tree import Branch

__all__ = ["Rounds", "RoundsRun"]

_ROUNDING: Final = 1e-9
"""Two of three leaves are two thirds, whatever order their weights are summed in."""
_FIRST: Final = 2
"""A single leaf agrees with itself."""
_LEAST_TO_STOP_BELOW: Final = 4
"""Fewer leaves may differ by chance where the model is sure enough."""


class Rounds(ForkingTree):
    """Stratified roots, then rounds of forks at the best positions of all finished chains.

    Slightly biased, since the position of a fork depends on what came after it.
    """

    stopping: ClassVar[frozenset[str]] = frozenset(
        {"stop_risk", "stop_above", "stop_below", "batch"}
    )
    calibration_family: ClassVar[CalibrationFamily | None] = CODED.only_with(
        value="value_per_token"
    )

    schedule: Literal["rounds"] = "rounds"
    """When to fork."""
    roots: int = Field(default=8, ge=1, le=256)
    """Codes of arithmetic sampling that start the tree, capped at `leaves`."""
    value: ForkValue = "value_per_token"
    """How positions are ranked. `value_per_token`: how much a fork reduces the squared error of p(a|x)
    per token, relative to one more chain. `entropy`: the token entropy. `mass`: entropy x path weight.
    `mass_per_token`: the same per token to decode again. `disagreement`: `mass_per_token` x how much
    the answers behind the position disagree."""
    least_value: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """Lowest `value_per_token` of a fork. 1 is the value of a new chain for the same tokens. If no
    position reaches it, the tree stays smaller."""
    stop_risk: float | None = Field(
        default=None, ge=0, lt=1, allow_inf_nan=False, exclude_if=lambda risk: risk is None
    )
    """Stop once more leaves would hardly change what is decided: about this part of the decisions
    differs from that of whole runs, for example 0.01. What is decided is the answer or, in a gate, what
    is done with it. 0 stops only where nothing that is to come can change it. None never
    stops for this reason."""
    stop_above: float | None = Field(default=None, gt=0, le=1, allow_inf_nan=False)
    """Stop once the leading answer has this share. None never stops early. Stopping adds bias towards
    the leading answer: on scripted models up to 0.06 at 0.9, with `batch` up to 0.09
    (`benchmarks/results/bias.json`). Leaves are read as the question suggests, and two spellings of
    one expression count as two answers."""
    stop_below: float | None = Field(
        default=None, gt=0, lt=1, allow_inf_nan=False, exclude_if=lambda share: share is None
    )
    """Stop once there are four leaves or more and no answer has a larger share than this, since they
    will hardly agree any more. None never stops for this reason. Stopping adds bias away from the
    leading answer: up to 0.05 at 0.5 in batches of two."""
    batch: int | None = Field(default=None, ge=1, exclude_if=lambda batch: batch is None)
    """Roots decoded at a time in a tree that may stop, at first two at least, or three with
    `stop_risk`. None is two at a time with `stop_risk`, and else all roots at once. Batches take fewer
    tokens in more and narrower steps, which costs seconds unless other questions run beside it."""

    @model_validator(mode="after")
    def _check_stops(self) -> Self:
        above, below = self.stop_above, self.stop_below
        if self.batch is not None and not self.stops_early:
            raise ValueError(
                f"batch={self.batch} stops nothing by itself: set stop_risk (for example 0.01), "
                "stop_above or stop_below"
            )
        if above is not None and below is not None and below >= above:
            raise ValueError(
                f"stop_below={below} must be less than stop_above={above}: lower stop_below"
            )
        return self

    @model_validator(mode="after")
    def _check_least_value(self) -> Self:
        if self._is_changed("least_value") and self.value != "value_per_token":
            raise ValueError(
                f"{self._shown('least_value')} does nothing with {self._shown('value')}: leave "
                "it out, or set value='value_per_token'"
            )
        return self

    def _without_attention(self) -> str:
        """The settings by which forks do not look at attention."""
        with_value = f" and {self._shown('value')}" if self.importance == "auto" else ""
        return super()._without_attention() + with_value

    @property
    def stops_early(self) -> bool:
        """Whether it may stop before it has all leaves."""
        return (self.stop_risk, self.stop_above, self.stop_below) != (None, None, None)

    @property
    def reads_attention(self) -> bool:
        """Whether attention can change which forks are made."""
        if self.importance == "auto" and self.value == "value_per_token":
            # Importance tells nothing of whether a fork changes the answer (docs/experiments.md).
            return False
        return super().reads_attention

    @property
    def entropy_percentile(self) -> float | None:
        """The percentile that gives tau; None for no threshold."""
        if self.percentile is None and self.value == "value_per_token":
            return None
        return super().entropy_percentile

    @property
    def least_leaves(self) -> int:
        """The fewest leaves, each code one, at which it may stop early."""
        if not self.stops_early:
            return self.leaves
        least = _LEAST_TO_STOP_BELOW if self.stop_risk is None else FEWEST
        if self.stop_above is not None:
            least = 1
        sizes = self.sizes(min(self.roots, self.leaves))
        return next((size for size in sizes if size >= least), min(least, self.leaves))

    @property
    def comes_in_batches(self) -> bool:
        """Whether roots are decoded a few at a time."""
        return self.batch is not None or self.stop_risk is not None

    def sizes(self, codes: int) -> list[int]:
        """How many of so many codes the tree has after each batch; all at once without batches."""
        if not self.comes_in_batches:
            return [codes]
        fewest = _FIRST if self.stop_risk is None else FEWEST
        return batch_sizes(codes, self.batch, fewest=fewest)

    def stops_at(self, lead: float, leaves: int) -> Stop | None:
        """Whether the leading answer's share stops it, and which way.

        Args:
            lead: The share, by path weight.
            leaves: Leaves that have it or not, each code one.
        """
        if self.stop_above is not None and lead >= self.stop_above - _ROUNDING:
            return "above"
        if self.stop_below is None or leaves < _LEAST_TO_STOP_BELOW:
            return None
        return "below" if lead <= self.stop_below + _ROUNDING else None

    def start(self, inputs: RunInputs) -> Run:
        """Begin decoding one question."""
        self.check_thoughts(inputs)
        return RoundsRun(self, inputs)


class RoundsRun(BackwardRun):
    """Stratified roots, then rounds of forks at the best positions of all finished chains.

    Biased, slightly: which position is forked depends on what came after it. On three scripted
    models with 8 leaves from 4 roots (`benchmarks/results/bias.json`) the mean of p(a|x) is off by
    0.0003, 0.006 and 0.028 (standard errors 0.001, 0.001, 0.003) when ranked by `value_per_token`,
    whatever it is (paths of these models are so short that no fork is worth a chain); by
    `mass_per_token` by 0.0003, 0.002 and 0.014; by `entropy` alone by 0.0003, 0.014 and 0.039. With
    tau from the question's own tokens it is up to 0.02, with `stop_above`=0.9 up to 0.06 (in batches
    0.08), from one root up to 0.04. Positions that several codes of arithmetic sampling passed
    together are not forked (see `CodedRun`). With `batch` the roots come a few at a time
    (`BatchedRun`), and `stop_above` and `stop_below` are asked in between.
    """

    settings: Rounds

    def __init__(self, settings: Rounds, inputs: RunInputs) -> None:
        roots = min(settings.roots, settings.leaves)
        sizes = settings.sizes(roots) if settings.comes_in_batches else None
        super().__init__(settings, inputs, roots=roots, sizes=sizes)
        self._said: dict[int, Sequence[bool]] = {}

    def _fork_more(self) -> bool:
        room = self.settings.leaves - self.tree.leaf_count()
        if room < 1:
            return False
        self.stopped = self._stop()
        if self.stopped is not None:
            return False
        if self._waiting:
            self._send_batch()
            return True
        known = len(self.tree.branches)
        for candidate in self._best_of_each():
            room = self.settings.leaves - self.tree.leaf_count()
            if room < 1:
                break
            self._fork_at(candidate, room)
        return len(self.tree.branches) > known

    def _stop(self) -> Stop | None:
        settings = self.settings
        if self._is_decided(settings.stop_risk, self._to_come()):
            return "decided"
        if self.inputs.read_leaf is None or not settings.stops_early:
            return None
        shares = self.tree.shares(self.leaf_key)
        leading = max((one.weight for key, one in shares.items() if key is not None), default=0.0)
        return settings.stops_at(leading, self.tree.leaf_count())

    def _to_come(self) -> ToCome:
        codes = sum(batch.size for batch in self._waiting)
        return ToCome(codes, forks=self.settings.leaves - self.tree.leaf_count() - codes)

    def _best_of_each(self) -> list[ForkCandidate]:
        """The best position of every branch, best first: one fork per chain and round."""
        branches = self.tree.branches
        tau, delta = self._least_entropy(branches), self._least_importance(branches)
        weights = self.tree.weights()
        ends = np.array([branch.end for branch in branches])
        mean_end = math.fsum((weights * ends).tolist())
        best: list[ForkCandidate] = []
        for branch in branches:
            positions = self._positions(branch, tau, delta)
            if not positions:
                continue
            shared = np.array([self.tree.shared(branch.id, other.id) for other in branches])
            ranked = [
                ForkCandidate(branch, p, self._value(branch, p, shared > p, weights, mean_end))
                for p in positions
            ]
            best.append(max(ranked, key=lambda c: (c.value, -c.position)))
        if self.settings.value == "value_per_token":
            best = [one for one in best if one.value >= self.settings.least_value]
        return sorted(best, key=rank)

    def _value(
        self,
        branch: Branch,
        position: int,
        through: NDArray[np.bool_],
        weights: NDArray[np.float64],
        mean_end: float,
    ) -> float:
        entropy = branch.statistics[position - branch.start].entropy
        if self.settings.value == "entropy":
            return entropy
        mass = math.fsum(weights[through].tolist())
        if self.settings.value == "value_per_token":
            return self._value_per_token(branch, position, mass, weights, mean_end)
        if self.settings.value == "mass":
            return entropy * mass
        # Half a mean chain is added to the tokens to recompute, or forks in the last words, which
        # can change nothing, would look like bargains.
        recomputed = branch.end - position + 0.5 * mean_end
        value = entropy * mass / recomputed
        if self.settings.value == "disagreement":
            value *= 1.0 + self._disagreement(through, weights)
        return value

    def _value_per_token(
        self,
        branch: Branch,
        position: int,
        mass: float,
        weights: NDArray[np.float64],
        mean_end: float,
    ) -> float:
        p = branch.probabilities[position - branch.start]
        return value_per_token(
            spread=0.5 * (1.0 - p) if self.settings.exchangeable else 2.0 * p * (1.0 - p),
            mass=mass,
            position=position,
            end=branch.end,
            says=self._says(branch, position),
            chains=1.0 / math.fsum((weights * weights).tolist()),
            mean_end=mean_end,
        )

    def _says(self, branch: Branch, position: int) -> bool:
        """Whether the token there bears on the answer (`RunInputs.read_tokens`)."""
        if self.inputs.read_tokens is None:
            return False
        if branch.id not in self._said:
            self._said[branch.id] = self.inputs.read_tokens(self.tree.path(branch.id))
        return self._said[branch.id][position]

    def _disagreement(
        self,
        through: NDArray[np.bool_],
        weights: NDArray[np.float64],
    ) -> float:
        """Entropy, in nats, of the answers of the leaves behind a position."""
        parts: dict[Hashable | None, list[float]] = {}
        for index in np.flatnonzero(through).tolist():
            parts.setdefault(self.leaf_key(index), []).append(float(weights[index]))
        shares = [math.fsum(part) for part in parts.values()]
        total = math.fsum(shares)
        return -math.fsum(s / total * math.log(s / total) for s in shares if s > 0)
