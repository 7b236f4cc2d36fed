"""The schedules of the entropy tree that fork by entropy: online, rounds, breadth-first."""

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from et_agent.decoding.base import RunInputs, side, sum_and_sample
from et_agent.decoding.entropy_tree import SURE, Coded, EntropyTree, TreeRun, Verdict
from et_agent.decoding.sampling import Distribution
from et_agent.decoding.tree import Branch, ForkKind, Lineage, Side
from et_agent.decoding.waves import WavesRun
from et_agent.errors import SettingsError

__all__ = ["BreadthFirstRun", "OnlineRun", "RoundsRun"]

# Tokens added to those to redo: a step of the batch costs more than its tokens when few are left.
_FEW = 8
# Below this the chosen token has all the float32 probability there is, and no side can be drawn.
_CERTAIN = 1e-6


class OnlineRun(TreeRun):
    """Forks start when their token is decoded; tau and delta are fixed beforehand.

    Unbiased: at every step the weighted branches' expectation equals what it was before, whatever
    was revealed so far decided about the fork (sum-and-sample, method notes).

    The leaves that are not roots are shared out among the codes, and at each fork among its sides.
    So the first branches cannot use them all up, and a branch's forks hang on nothing that other
    branches do, hence not on how batches were put together.
    """

    def __init__(self, settings: EntropyTree, inputs: RunInputs, *, roots: int) -> None:
        super().__init__(settings, inputs, roots=roots)
        self._spare = {0: settings.leaves - roots}
        self._tau = self._require_tau()
        self._delta = self._least_prompt_attention()

    def _least_prompt_attention(self) -> float | None:
        settings = self.settings
        if settings.importance == "none":
            return None
        if settings.delta is not None:
            return settings.delta
        thresholds = self.inputs.thresholds
        found = None
        if thresholds is not None:
            found = thresholds.prompt_attention_at(settings.importance_percentile)
        if found is None and settings.importance == "prompt":
            raise SettingsError(
                "importance='prompt' needs a least share of attention that is fixed beforehand, and "
                "this model has no pilot that measured it: run `et-agent pilot --model … "
                "--questions FILE`, or pass delta (for example 0.2)"
            )
        return found

    def _take_coded(self, branch: Branch, distribution: Distribution, coded: Coded) -> list[Branch]:
        children = super()._take_coded(branch, distribution, coded)
        self._share_out(self._spare[branch.id], [branch, *children])
        return children

    def _take_free(self, branch: Branch, distribution: Distribution) -> None:
        if not self._wants_fork(branch, distribution):
            super()._take_free(branch, distribution)
            return
        if self.settings.exchangeable:
            tokens = [distribution.draw(self.uniform(branch.id)) for _ in range(2)]
            kind, shares = ForkKind.EXCHANGEABLE, [0.5, 0.5]
        else:
            tokens = distribution.top(self._width(branch) - 1)
            rest = distribution.draw_excluding(self.uniform(branch.id), tokens)
            if rest is not None:
                tokens.append(rest)
            kind = ForkKind.DISTINCT
            shares = sum_and_sample([distribution.probability(token) for token in tokens[:-1]])
        sides = [side(token, distribution) for token in tokens]
        if len(sides) == 1:
            self._append(branch, sides[0], distribution)
            return
        children = self._fork_here(branch, kind, sides, shares, distribution)
        self._share_out(self._spare[branch.id] - len(children), [branch, *children])

    def _share_out(self, spare: int, owners: Sequence[Branch]) -> None:
        """Give branches their part of the leaves that may still be made, evenly by codes."""
        total, before = sum(owner.codes for owner in owners), 0
        for owner in owners:
            after = before + owner.codes
            self._spare[owner.id] = spare * after // total - spare * before // total
            before = after

    def _width(self, branch: Branch) -> int:
        return min(self.settings.branching, 1 + self._spare[branch.id])

    def _wants_fork(self, branch: Branch, distribution: Distribution) -> bool:
        if distribution.statistics.entropy < self._tau or self._width(branch) < 2:
            return False
        last = max(branch.forked, default=-self.settings.gap)
        if branch.end - last < self.settings.gap:
            return False
        if self._delta is None or self.tree.attention is None:
            return True
        to_prompt = self.tree.attention.of(branch.id).prompt
        return not to_prompt or to_prompt[-1] >= self._delta


@dataclass(frozen=True, slots=True)
class _Candidate:
    branch: Branch
    position: int
    value: float


def _rank(candidate: _Candidate) -> tuple[float, Lineage, int]:
    return (-candidate.value, candidate.branch.lineage, candidate.position)


class _BackwardRun(WavesRun):
    """Forks positions of finished chains, for which side tokens were drawn when they were decoded.

    Sums are taken by `math.fsum`, which does not depend on the order of the branches: rounding must
    not let batches change the ranking of positions.
    """

    def may_fork(self, branch: int) -> bool:
        """Finished branches are what is forked, as long as there are leaves to be had."""
        del branch
        return not self.finished and self.tree.leaf_count() < self.settings.leaves

    def _keep_alternatives(self, branch: Branch, token: int, distribution: Distribution) -> None:
        # Without a threshold, for every token that is not all but certain.
        least = SURE if self.tau is None else max(self.tau, _CERTAIN)
        if distribution.statistics.entropy < least:
            return
        drawn = self._draw_alternatives(branch, token, distribution)
        if drawn.top or drawn.rest is not None or drawn.fresh is not None:
            branch.alternatives[branch.end] = drawn

    def _least_entropy(self, branches: Iterable[Branch]) -> float:
        if self.tau is not None:
            return self.tau
        seen = [entropy for branch in branches for entropy in branch.entropies]
        percentile = self.settings.entropy_percentile
        assert percentile is not None  # or there would be a tau
        return float(np.percentile(seen, percentile)) if seen else math.inf

    def _least_importance(self, branches: Iterable[Branch]) -> float | None:
        settings, attention = self.settings, self.tree.attention
        if attention is None or not settings.reads_attention:
            return None
        if settings.delta is not None:
            return settings.delta
        thresholds = self.inputs.thresholds
        if thresholds is not None and thresholds.received is not None:
            return thresholds.received_at(settings.importance_percentile)
        seen = np.concatenate([attention.importance(branch.id) for branch in branches])
        seen = seen[np.isfinite(seen)]
        return float(np.percentile(seen, settings.importance_percentile)) if seen.size else None

    def _positions(self, branch: Branch, tau: float, delta: float | None) -> list[int]:
        """Positions of a branch that may be forked: unsure, important, and not forked before."""
        importance = None
        if delta is not None and self.tree.attention is not None:
            importance = self.tree.attention.importance(branch.id)
        positions = []
        for position in branch.alternatives:
            index = position - branch.start
            if position in branch.forked or branch.statistics[index].entropy < tau:
                continue
            if delta is not None and importance is not None:
                got = importance[index]
                if math.isfinite(got) and got < delta:
                    continue
            positions.append(position)
        return positions

    def _fork_at(self, candidate: _Candidate, room: int) -> None:
        branch, position = candidate.branch, candidate.position
        alternatives = branch.alternatives.pop(position)
        if alternatives.fresh is not None:
            self._fork_back(branch, position, ForkKind.EXCHANGEABLE, [alternatives.fresh], 0.5)
            return
        kept = branch.probabilities[position - branch.start]
        sides = list(alternatives.top)
        if alternatives.rest is not None:
            sides.append(alternatives.rest)
        if len(sides) > room:
            sides = [self._one_of(sides, 1.0 - kept, branch)]
        self._fork_back(branch, position, ForkKind.DISTINCT, sides, kept)

    def _one_of(self, sides: list[Side], mass: float, branch: Branch) -> Side:
        """One side for all, when there is room for no more; the last stands for the rest."""
        left = self.uniform(branch.id) * mass
        for one in sides[:-1]:
            left -= one.probability
            if left < 0:
                return one
        return sides[-1]


class BreadthFirstRun(_BackwardRun):
    """As published: one chain, then level by level forks on the chains of the last level.

    Biased: positions are chosen by looking at finished chains. On three scripted models with 8
    leaves (`benchmarks/results/bias.json`) the mean of p(a|x) is off by 0.009 or less, two standard
    errors, when tau is fixed beforehand; by 0.18, 0.12 and 0.02 when tau is a percentile of the
    question's own tokens, as published, since a chain then says where it may be forked. Everything
    hangs on one root: the standard deviation is 0.14 to 0.27, where `rounds` has 0.09 to 0.17.
    """

    def __init__(self, settings: EntropyTree, inputs: RunInputs, *, roots: int) -> None:
        super().__init__(settings, inputs, roots=roots)
        self._level: list[Branch] = [self.tree.branches[0]]

    def _fork_more(self) -> bool:
        level, known = self._level, len(self.tree.branches)
        tau, delta = self._least_entropy(level), self._least_importance(level)
        candidates = [
            _Candidate(branch, position, branch.statistics[position - branch.start].entropy)
            for branch in level
            for position in self._positions(branch, tau, delta)
        ]
        candidates.sort(key=_rank)
        for candidate in candidates:
            room = self.settings.leaves - self.tree.leaf_count()
            if room < 1:
                break
            self._fork_at(candidate, room)
        self._level = self.tree.branches[known:]
        return bool(self._level)


class RoundsRun(_BackwardRun):
    """Stratified roots, then rounds of forks at the best positions of all finished chains.

    Biased, slightly: which position is forked depends on what came after it. On three scripted
    models with 8 leaves from 4 roots (`benchmarks/results/bias.json`) the mean of p(a|x) is off by
    0.0003, 0.006 and 0.028 (standard errors 0.001, 0.001, 0.003) when ranked by `worth`, whatever it
    is (paths of these models are so short that no fork is worth a chain); by `mass_per_token` by
    0.0003, 0.002 and 0.014; by `entropy` alone by 0.0003, 0.014 and 0.039. With tau from the
    question's own tokens it is up to 0.02, with `settle`=0.9 up to 0.06 (in waves 0.08), from one root
    up to 0.04. Positions that several codes of arithmetic sampling passed together are not forked (see
    `TreeRun`). With `wave` the roots come a few at a time (`WavesRun`), and `settle` and `give_up` are
    asked in between.
    """

    stopped: Verdict | None = None
    """Whether the leading answer's share stopped it, being large or small."""

    def __init__(self, settings: EntropyTree, inputs: RunInputs, *, roots: int) -> None:
        super().__init__(settings, inputs, roots=roots)
        self._said: dict[int, Sequence[bool]] = {}

    def _fork_more(self) -> bool:
        room = self.settings.leaves - self.tree.leaf_count()
        if room < 1:
            return False
        self.stopped = self._verdict()
        if self.stopped is not None:
            return False
        if self._waiting:
            self._send_wave()
            return True
        known = len(self.tree.branches)
        for candidate in self._best_of_each():
            room = self.settings.leaves - self.tree.leaf_count()
            if room < 1:
                break
            self._fork_at(candidate, room)
        return len(self.tree.branches) > known

    def _verdict(self) -> Verdict | None:
        settings = self.settings
        stops = settings.settle is not None or settings.give_up is not None
        if self.inputs.read_leaf is None or not stops:
            return None
        shares: dict[Hashable, float] = {}
        for branch in self.tree.branches:
            key = self.leaf_key(branch.id)
            if key is not None:
                shares[key] = shares.get(key, 0.0) + self.tree.weight(branch.id)
        return settings.verdict(max(shares.values(), default=0.0), self.tree.leaf_count())

    def _best_of_each(self) -> list[_Candidate]:
        """The best position of every branch, best first: one fork a chain a round."""
        branches = self.tree.branches
        tau, delta = self._least_entropy(branches), self._least_importance(branches)
        weights = self.tree.weights()
        ends = np.array([branch.end for branch in branches])
        mean_end = math.fsum((weights * ends).tolist())
        best: list[_Candidate] = []
        for branch in branches:
            positions = self._positions(branch, tau, delta)
            if not positions:
                continue
            shared = np.array([self.tree.shared(branch.id, other.id) for other in branches])
            ranked = [
                _Candidate(branch, p, self._value(branch, p, shared > p, weights, mean_end))
                for p in positions
            ]
            best.append(max(ranked, key=lambda c: (c.value, -c.position)))
        if self.settings.value == "worth":
            best = [one for one in best if one.value >= self.settings.least_worth]
        return sorted(best, key=_rank)

    def _value(
        self,
        branch: Branch,
        position: int,
        through: "np.ndarray[tuple[int], np.dtype[np.bool_]]",
        weights: "np.ndarray[tuple[int], np.dtype[np.float64]]",
        mean_end: float,
    ) -> float:
        entropy = branch.statistics[position - branch.start].entropy
        if self.settings.value == "entropy":
            return entropy
        mass = math.fsum(weights[through].tolist())
        if self.settings.value == "worth":
            return self._worth(branch, position, mass, weights, mean_end)
        if self.settings.value == "mass":
            return entropy * mass
        # Half a mean chain is added to the tokens to redo, or forks in the last words, which can
        # change nothing, would look like bargains.
        redo = branch.end - position + 0.5 * mean_end
        value = entropy * mass / redo
        if self.settings.value == "parting":
            value *= 1.0 + self._disagreement(through, weights)
        return value

    def _worth(
        self,
        branch: Branch,
        position: int,
        mass: float,
        weights: "np.ndarray[tuple[int], np.dtype[np.float64]]",
        mean_end: float,
    ) -> float:
        """What a fork takes off the squared error of p(a|x), by token, over what a chain would.

        A path's answer of weight w becomes p a + (1 - p) b, with b from the other side. With mu_a and
        mu_b the answer distributions of the sides, the expected squared error falls from
        w^2 (1 - |p mu_a + (1 - p) mu_b|^2) to w^2 (p^2 (1 - |mu_a|^2) + (1 - p)^2 (1 - |mu_b|^2)): by
        2 w^2 p (1 - p) P(a != b). One chain more than n takes P(a != a') / (n (n + 1)) off. A second
        sample of everything that gets half the weight takes w^2 (1 - p) P(a != b) / 2 off.

        P(a != b) / P(a != a') was measured on forks at random positions (docs/experiments.md): it is
        about 1 for tokens that say something of the answer, wherever they are, and for others falls
        from 1 at the beginning to 0 at the end.
        """
        p = branch.probabilities[position - branch.start]
        spread = 0.5 * (1.0 - p) if self.settings.exchangeable else 2.0 * p * (1.0 - p)
        changes = 1.0 if self._says(branch, position) else 1.0 - position / branch.end
        chains = 1.0 / math.fsum((weights * weights).tolist())
        of_a_chain = 1.0 / (chains * (chains + 1.0)) / mean_end
        return mass * mass * spread * changes / (branch.end - position + _FEW) / of_a_chain

    def _says(self, branch: Branch, position: int) -> bool:
        """Whether the token there says something of the answer."""
        if self.inputs.read_tokens is None:
            return False
        if branch.id not in self._said:
            self._said[branch.id] = self.inputs.read_tokens(self.tree.path(branch.id))
        return self._said[branch.id][position]

    def _disagreement(
        self,
        through: "np.ndarray[tuple[int], np.dtype[np.bool_]]",
        weights: "np.ndarray[tuple[int], np.dtype[np.float64]]",
    ) -> float:
        """Entropy, in nats, of the answers of the leaves behind a position."""
        parts: dict[Hashable | None, list[float]] = {}
        for index in np.flatnonzero(through).tolist():
            parts.setdefault(self.leaf_key(index), []).append(float(weights[index]))
        shares = [math.fsum(part) for part in parts.values()]
        total = math.fsum(shares)
        return -math.fsum(s / total * math.log(s / total) for s in shares if s > 0)
