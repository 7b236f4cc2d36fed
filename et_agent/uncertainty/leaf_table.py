"""Statistics of all leaves of a tree as columns: what estimators and calibrators start from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from et_agent.arrays import Doubles, Ints
from et_agent.decoding.arithmetic import farthest_first
from et_agent.errors import InputError
from et_agent.renaming import warn_of_old_name
from et_agent.uncertainty.leaves import SHARE_DIGITS, Leaves, check_leaves, rank_of_class

__all__ = ["FORKS", "LeafTable"]

FORKS: Final = ("independent", "stratified", "distinct", "exchangeable")
"""Kinds of fork, as `decoding.tree.ForkKind` has them."""


# Without slots, so that what follows from the columns is worked out once.
@dataclass(frozen=True, kw_only=True, eq=False)
class LeafTable:
    """Statistics of all leaves of one tree, as columns of one length, in the order of their making.

    Means run over the tokens of the whole path; probabilities, entropies and log-probabilities are
    the model's own (temperature 1). A column of NaN was not measured.

    Attributes:
        answer: Class of the leaf's answer, -1 for none.
        weight: Path weight; all sum to 1.
        count: Codes of arithmetic sampling that ended here; 1 for a free path.
        finish: 0 ended by itself, 1 cut off at the token limit, 2 cancelled.
        tokens: Length of the path.
        parent: The leaf, by number, whose path is shared before `start`; -1 for the first leaf.
        start: Length of the beginning that was there before; only the rest was decoded for it.
        fork: How it parted from its parent, an index into `FORKS`; -1 for the first leaf.
        log_prob: Log-probability of the path, nats.
        tail_log_prob: Mean log-probability of the last 64 tokens, nats per token.
        entropy: Mean token entropy, nats.
        peak_entropy: Largest token entropy, nats.
        certainty: Mean self-certainty, KL(uniform || p), nats (arXiv 2502.18581).
        confidence: Mean token confidence, -mean log p of the 20 most likely tokens, nats
            (DeepConf, arXiv 2508.15260).
        tail_confidence: The same over the last 64 tokens.
        lowest_confidence: The least mean over a window of 64 tokens.
        bottom_confidence: Mean over the lowest tenth of all windows.
        answer_margin: Mean of p1 - p2, the two most likely tokens', over the tokens of the answer
            (CoT-decoding, arXiv 2402.10200).
        answer_log_prob: Log-probability of the answer's tokens, nats.
        rauq: RAUQ, largest over the layers that are read (arXiv 2505.20045).
        attention_score: Mean log attention of a token on itself.
        prompt_attention: Mean share of attention on the prompt.
    """

    answer: Ints
    weight: Doubles
    count: Ints
    finish: Ints
    tokens: Ints
    parent: Ints
    start: Ints
    fork: Ints
    log_prob: Doubles
    tail_log_prob: Doubles
    entropy: Doubles
    peak_entropy: Doubles
    certainty: Doubles
    confidence: Doubles
    tail_confidence: Doubles
    lowest_confidence: Doubles
    bottom_confidence: Doubles
    answer_margin: Doubles
    answer_log_prob: Doubles
    rauq: Doubles
    attention_score: Doubles
    prompt_attention: Doubles

    def __len__(self) -> int:
        return int(self.weight.size)

    @cached_property
    def checked(self) -> Leaves:
        """Answers, weights and counts as the functions of `et_agent.uncertainty` take them.

        Raises:
            InputError: They are unsound.
        """
        index = [None if member < 0 else member for member in self.answer.tolist()]
        return check_leaves(index, self.weight, self.count)

    @cached_property
    def classes(self) -> int:
        """Number of answer classes."""
        return int(self.answer.max(initial=-1)) + 1

    @cached_property
    def shares(self) -> Doubles:
        """Share of each answer class by path weight, float64 [classes]; read-only."""
        found = self.share_of_classes(self.weight)
        found.flags.writeable = False
        return found

    @property
    def count_shares(self) -> Doubles:
        """Share of each answer class by number of leaves, float64 [classes]."""
        return self.share_of_classes(self.count / self.count.sum())

    def share_of_classes(self, weights: Doubles) -> Doubles:
        """Sum of `weights` [leaves] of each answer class, float64 [classes]."""
        given = self.answer >= 0
        sums = np.bincount(self.answer[given], weights[given], minlength=self.classes)
        # Twenty times 0.05 is more than 1 in floating point.
        return np.minimum(sums.astype(np.float64), 1.0)

    @cached_property
    def top(self) -> int | None:
        """Class of the heaviest answer, of equals as `leading` has it; None when none was given."""
        return self.leading(self.shares)

    def about(self, member: int, **columns: NDArray[Any]) -> Self:
        """The same leaves with other columns, and a class of the caller's choice as `top`."""
        made = replace(self, **columns)
        vars(made)["top"] = member  # where a cached property keeps its value
        return made

    def leading(self, shares: Doubles) -> int | None:
        """Class of the largest of `shares` [classes], of equals as `rank_of_class` has it."""
        if not shares.size:
            return None
        rounded = shares.round(SHARE_DIGITS)
        equal = np.flatnonzero(rounded == rounded.max())
        if equal.size == 1:
            return int(equal[0])
        logprobs, leaves = self.answer_logprobs, self.count_shares
        return min(
            equal.tolist(),
            key=lambda one: rank_of_class(
                float(shares[one]), float(logprobs[one]), float(leaves[one]), one
            ),
        )

    @cached_property
    def answer_logprobs(self) -> Doubles:
        """Log-probability of each answer class, nats, float64 [classes]; NaN where unknown.

        Log of the mean, over its leaves by path weight, of the probability of the answer's tokens
        given the path (`answer_log_prob`). Leaves in which these were not found are left out.
        """
        known = (self.answer >= 0) & ~np.isnan(self.answer_log_prob)
        answer = self.answer[known]
        log_probs = np.maximum(self.answer_log_prob[known], _LEAST_LOG_PROB)
        weight = np.maximum(self.weight[known], _LEAST_WEIGHT)
        best = np.full(self.classes, -np.inf)
        np.maximum.at(best, answer, log_probs)
        likely = np.bincount(answer, weight * np.exp(log_probs - best[answer]), self.classes)
        total = np.bincount(answer, weight, self.classes)
        found = np.full(self.classes, np.nan)
        some = total > 0
        found[some] = best[some] + np.log(likely[some] / total[some])
        found.flags.writeable = False
        return found

    @property
    def words(self) -> Doubles:
        """The old name of `answer_logprobs`."""
        warn_of_old_name("LeafTable.words", "answer_logprobs")
        return self.answer_logprobs

    @property
    def tokens_decoded(self) -> int:
        """Generated tokens, shared ones once."""
        return int((self.tokens - self.start).sum())

    @property
    def codes(self) -> int:
        """Codes of arithmetic sampling that the tree started with, 1 without any."""
        return int(self._codes().size)

    def capped(self, leaves: int, shift: float) -> Self:
        """The tree as it would be with at most so many leaves, reconstructed from this one.

        If `leaves` is less than the number of codes of arithmetic sampling, some of the codes are
        kept and all forks are dropped. The kept codes are far from each other, in the order of
        `farthest_first`, so a smaller tree is a part of a larger one.

        Otherwise the leaves made last are dropped until at most `leaves` are left. The weight of a
        dropped leaf is divided among others in proportion to their weights: for a fork, among the
        leaves whose paths go on where it left them; for an independent or stratified sample, among
        all that are left. The first leaf always stays. With schedule `online` the result is biased
        towards the likeliest tokens, since a branch keeps the likeliest token at a fork.

        Args:
            leaves: 1 or more.
            shift: Which code is kept first, in [0, 1). Draw it uniformly to prefer no code.

        Raises:
            InputError: No leaf would be left.
        """
        if leaves < 1:
            raise InputError(f"a tree cannot be capped at {leaves} leaves: keep 1 or more")
        codes = self._codes()
        if leaves < codes.size:
            return self._thinned(codes, leaves, shift)
        made = np.cumsum(self.count)
        kept = max(1, int(np.searchsorted(made, leaves, side="right")))
        weight = self.weight.copy()
        for one in range(len(self) - 1, kept - 1, -1):
            beside = FORKS[self.fork[one]] in ("independent", "stratified")
            heirs = [at for at in range(one) if beside or self._passes(at, one)]
            total = weight[heirs].sum()
            weight[heirs] += weight[one] * (weight[heirs] / total if total else 1 / len(heirs))
        return self.part(np.arange(kept), weight=weight[:kept] / weight[:kept].sum())

    def part(self, leaves: Ints | slice, **changed: NDArray[Any]) -> Self:
        """Some of the leaves, with columns in place of their own."""
        columns = {name: getattr(self, name)[leaves] for name in _NAMES if name not in changed}
        return type(self)(**columns, **changed)

    def _codes(self) -> Ints:
        """The leaf of every code of arithmetic sampling, neighbours beside each other, [codes].

        Where codes part, each side is an interval: of a leaf's sides the last to part are nearest
        to it. Whether a side lies below or above its leaf, and the order of sides that part at one
        place, is not known. A tree without codes counts as one code.
        """
        stratified = FORKS.index("stratified")
        sides: dict[int, list[int]] = {}
        for leaf in np.flatnonzero(self.fork == stratified).tolist():
            sides.setdefault(int(self.parent[leaf]), []).append(leaf)
        order: list[int] = []
        waiting = [0]
        while waiting:
            leaf = waiting.pop()
            order += [leaf] * int(self.count[leaf])
            waiting += sorted(sides.get(leaf, ()), key=lambda side: int(self.start[side]))
        return np.array(order, np.int64)

    def _thinned(self, codes: Ints, kept: int, shift: float) -> Self:
        """The tree of the codes that come first, without later forks."""
        first = int(shift * codes.size)
        places = (np.array(farthest_first(codes.size)[:kept]) + first) % codes.size
        chosen = codes[places]
        leaves, count = np.unique(chosen, return_counts=True)
        parent, start = np.full(leaves.size, -1), np.zeros(leaves.size, np.int64)
        fork = np.full(leaves.size, FORKS.index("stratified"))
        fork[0] = -1
        ways = [self._way(leaf) for leaf in leaves.tolist()]
        for at in range(1, leaves.size):
            shared = [_common(ways[at], other) for other in ways[:at]]
            parent[at] = int(np.argmax(shared))
            start[at] = shared[parent[at]]
        weight = count / kept
        return self.part(leaves, weight=weight, count=count, parent=parent, start=start, fork=fork)

    def _way(self, leaf: int) -> dict[int, int]:
        """For each ancestor of a leaf, itself included, how many tokens they share."""
        shared = int(self.tokens[leaf])
        found = {leaf: shared}
        while self.parent[leaf] >= 0:
            shared = min(shared, int(self.start[leaf]))
            leaf = int(self.parent[leaf])
            found[leaf] = shared
        return found

    def _passes(self, leaf: int, other: int) -> bool:
        """Whether the path of an earlier leaf holds the token at which `other` left its parent."""
        position, parent = int(self.start[other]), int(self.parent[other])
        while True:
            if leaf == parent:
                return True
            # Before its own start a leaf shares the path of its parent.
            if leaf < 0 or int(self.start[leaf]) <= position:
                return False
            leaf = int(self.parent[leaf])

    def top_weights(self) -> Doubles:
        """Weights of the leaves of the heaviest answer, rescaled to sum 1; of all without one."""
        chosen = self.answer == self.top if self.top is not None else np.ones(len(self), bool)
        weights = np.where(chosen, self.weight, 0.0)
        total = weights.sum()
        return weights / total if total > 0 else np.where(chosen, 1.0 / chosen.sum(), 0.0)

    def as_lists(self) -> dict[str, list[float | int | None]]:
        """Plain lists for JSON; NaN becomes None and floats keep seven digits, weights all."""
        return {name: _listed(getattr(self, name), name) for name in _NAMES}

    @classmethod
    def from_lists(cls, columns: Mapping[str, list[Any]]) -> Self:
        """The inverse of `as_lists`; a measurement that was not taken then is NaN.

        Raises:
            InputError: A column that every tree has is missing, one is unknown, or they have
                different lengths.
        """
        odd = sorted((_NEEDED - set(columns)) | (set(columns) - set(_NAMES)))
        if odd:
            raise InputError(f"leaf columns differ from what is expected: {', '.join(odd)}")
        arrays = {name: _array(name, values) for name, values in columns.items()}
        for name in set(_NAMES) - set(arrays):
            arrays[name] = np.full(len(columns["weight"]), np.nan)
        if len({array.size for array in arrays.values()}) != 1:
            raise InputError("leaf columns have different lengths")
        return cls(**arrays)


def _common(one: Mapping[int, int], other: Mapping[int, int]) -> int:
    """Length of the beginning that two leaves share."""
    return max(min(shared, other[leaf]) for leaf, shared in one.items() if leaf in other)


_LEAST_LOG_PROB: Final = -1e9  # a mean of nothing but impossible answers is a number too
_LEAST_WEIGHT: Final = 1e-300
_NAMES = tuple(one.name for one in fields(LeafTable))
_WHOLE = frozenset({"answer", "count", "finish", "tokens", "parent", "start", "fork"})
_NEEDED = _WHOLE | {"weight"}


def _listed(column: NDArray[Any], name: str) -> list[float | int | None]:
    if name in _WHOLE:
        return [int(value) for value in column]
    digits = 17 if name == "weight" else 7
    return [None if math.isnan(v) else float(f"{v:.{digits}g}") for v in column.tolist()]


def _array(name: str, values: list[Any]) -> NDArray[Any]:
    if name in _WHOLE:
        return np.array(values, dtype=np.int64)
    return np.array([math.nan if v is None else v for v in values], dtype=np.float64)
