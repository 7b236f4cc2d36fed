"""Arithmetic sampling (arXiv 2210.15458): codes spread evenly over [0, 1) choose the tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from et_agent.arrays import Doubles
from et_agent.decoding.base import DecoderSettings, Run, RunInputs, side
from et_agent.decoding.sampling import Distribution
from et_agent.decoding.tree import Branch, ForkKind

__all__ = ["BatchedRun", "Coded", "CodedRun", "farthest_first", "is_one"]


@dataclass(frozen=True, slots=True)
class Coded:
    """Codes inside a branch's interval, rescaled to [0, 1), that interval, and what parts the codes."""

    codes: Doubles
    width: float
    spacing: float
    low: float = 0.0


def is_one(answers: int) -> bool:
    """Whether there is one answer per thought; such settings are written as before there were more."""
    return answers == 1


class CodedRun(Run):
    """Codes of arithmetic sampling grow a tree.

    N codes are spread evenly over [0, 1) and shifted together by one random number. Each step sends
    every code to the token whose interval holds it; where codes part, the branch forks. Every code
    is an exact sample of the model's distribution, so equal shares per code are unbiased
    (arXiv 2210.15458).

    A branch samples freely, from its own random stream, once its interval is no wider than 1/N.
    Codes are 1/N apart, so such an interval holds one code at most, wherever that code lies. A code
    may also be alone in a wider interval. It then still follows its code: that no neighbour lies in
    the interval limits where in it the code can lie, so a fresh draw would be biased.

    With K answers per thought, c codes that have come to an answer together are replaced by c K new
    ones, spread evenly over what the model may answer after their thought. A thought's expected weight
    is its probability whatever c is, and so is that of each answer after it: unbiased for any K.

    Args:
        settings: Temperature and token limit are used.
        inputs: The question.
        roots: N, the number of codes, at least 1.
        answers: K, the answers per thought.
    """

    def __init__(
        self, settings: DecoderSettings, inputs: RunInputs, *, roots: int, answers: int = 1
    ) -> None:
        super().__init__(settings, inputs)
        self._answers = answers
        self._thinking = {0} if answers > 1 else set[int]()
        codes = self._first_codes((np.arange(roots) + self.uniform(0)) / roots)
        self.tree.branches[0].codes = codes.size
        self._coded: dict[int, Coded] = {}
        if roots > 1:
            self._coded[0] = Coded(codes, 1.0, 1.0 / roots)

    def _take(self, branch: Branch, distribution: Distribution) -> None:
        if branch.id in self._thinking and self.answer_start(branch) is not None:
            self._spread(branch)
        coded = self._coded.pop(branch.id, None)
        if coded is None:
            self._take_free(branch, distribution)
        else:
            self._take_coded(branch, distribution, coded)

    def leaves_to_be(self) -> int:
        """Leaves, with those that thoughts which have not ended will get."""
        return sum(
            branch.codes
            * (self._answers if branch.id in self._thinking and branch.finish is None else 1)
            for branch in self.tree.branches
        )

    def _spread(self, branch: Branch) -> None:
        """Let a thought have its answers: new codes for the branch, from its own random stream."""
        self._thinking.discard(branch.id)
        branch.codes *= self._answers
        codes = (np.arange(branch.codes) + self.uniform(branch.id)) / branch.codes
        self._coded[branch.id] = Coded(codes, 1.0, 1.0 / branch.codes)

    def _take_free(self, branch: Branch, distribution: Distribution) -> None:
        """The next token of a branch that samples freely."""
        token = distribution.draw(self.uniform(branch.id))
        self._keep_alternatives(branch, token, distribution)
        self._append(branch, side(token, distribution), distribution)

    def _take_coded(self, branch: Branch, distribution: Distribution, coded: Coded) -> list[Branch]:
        """Send a branch's codes on; fork where they part. Returns the new branches."""
        parts = list(distribution.send(coded.codes))
        starts = np.cumsum([0, *(part.size for _, part in parts)])
        firsts = dict(zip((token for token, _ in parts), coded.codes[starts[:-1]], strict=True))
        # The branch itself goes with the most codes, so that long trunks keep one branch.
        parts.sort(key=lambda part: -part[1].size)
        sides = [side(token, distribution) for token, _ in parts]
        children: list[Branch] = []
        if len(parts) == 1:
            self._append(branch, sides[0], distribution)
        else:
            shares = [part.size / coded.codes.size for _, part in parts]
            children = self._fork_here(branch, ForkKind.STRATIFIED, sides, shares, distribution)
        for owner, one, (token, part) in zip([branch, *children], sides, parts, strict=True):
            owner.codes = part.size
            width = coded.width * one.probability
            low = coded.low + coded.width * float(firsts[token]) - width * float(part[0])
            self._note_interval(owner.id, low, width)
            if part.size > 1 or width > coded.spacing:
                self._coded[owner.id] = Coded(part, width, coded.spacing, low)
        if branch.id in self._thinking:
            self._thinking.update(child.id for child in children)
        return children

    def _first_codes(self, codes: Doubles) -> Doubles:
        """The codes that the tree starts with, sorted; all of them by default."""
        return codes

    def _note_interval(self, branch: int, low: float, width: float) -> None:
        """Told of the interval of codes that chose each token; by default nothing is done."""

    def _keep_alternatives(self, branch: Branch, token: int, distribution: Distribution) -> None:
        """Draw and keep side tokens where the schedule may fork later; by default nowhere.

        Asked of free draws only: where codes of one branch went the same way, the tokens they did
        not take have their share in the branches of other shifts already, and a fork would count
        them twice.
        """


class BatchedRun(CodedRun):
    """Some of the N codes of arithmetic sampling come later than others.

    The first code is drawn at random. Each next one lies far from all before (`farthest_first`).
    A tree of the first n codes is therefore as unbiased as one of all N, and after all batches the
    tree is the one of N codes at once. A later code follows the branches whose intervals hold it.
    Where it leaves them, a branch forks off. The model then decodes the token before the fork once
    more, since its distribution was not kept.

    Args:
        settings: Temperature and token limit are used.
        inputs: The question.
        roots: N, the number of codes, at least 1.
        sizes: How many codes the tree has after each batch, the last of them N; None for one batch.
    """

    def __init__(
        self,
        settings: DecoderSettings,
        inputs: RunInputs,
        *,
        roots: int,
        sizes: Sequence[int] | None = None,
    ) -> None:
        self._sizes = sizes
        self._waiting: list[Doubles] = []
        self._spacing = 1.0 / roots
        # Of each own token that codes chose, the interval of the codes that would.
        self._intervals: dict[int, list[tuple[float, float]]] = {}
        super().__init__(settings, inputs, roots=roots)

    def _first_codes(self, codes: Doubles) -> Doubles:
        if self._sizes is None:
            return codes
        start = int(self.uniform(0) * codes.size)
        order = np.roll(codes, -start)[farthest_first(codes.size)]
        first, *self._waiting = np.split(order, self._sizes[:-1])
        return np.sort(first)

    def _note_interval(self, branch: int, low: float, width: float) -> None:
        self._intervals.setdefault(branch, []).append((low, width))

    def _send_batch(self) -> None:
        """Let the next batch of codes grow the tree, none of whose branches runs."""
        parting: dict[tuple[int, int], list[float]] = {}
        for code in sorted(self._waiting.pop(0).tolist()):
            branch, position = self._leaves_at(code)
            if position is None:
                branch.codes += 1
            else:
                parting.setdefault((branch.id, position), []).append(code)
        for (branch_id, position), codes in parting.items():
            own = position - self.tree.branches[branch_id].start
            low, width = self._intervals[branch_id][own - 1] if own else (0.0, 1.0)
            child = self.tree.graft(branch_id, position, len(codes))
            self._inherit_attention(child, decided=False)
            rescaled = np.clip((np.array(codes) - low) / width, 0.0, np.nextafter(1.0, 0.0))
            self._coded[child.id] = Coded(rescaled, width, self._spacing, low)
            self._running[child.id] = child
        self.tree.share_by_codes()

    def _leaves_at(self, code: float) -> tuple[Branch, int | None]:
        """Where a new code leaves all branches: its last one and the position; None if nowhere."""
        branches = self.tree.branches
        branch, index = branches[0], 0
        while True:
            intervals = self._intervals.get(branch.id, [])
            while index < len(intervals) and _holds(intervals[index], code):
                index += 1
            if index == len(intervals):
                return branch, None
            position = branch.start + index
            for other in self.tree.sides(branch.id, position):
                if _holds(self._intervals[other][0], code):
                    branch, index = branches[other], 0
                    break
            else:
                return branch, position


def _holds(interval: tuple[float, float], code: float) -> bool:
    low, width = interval
    return low <= code < low + width


def farthest_first(size: int) -> list[int]:
    """The numbers below `size`, in an order in which each is far, on a circle, from those before.

    Codes that are decoded in batches come in this order. It follows the van der Corput sequence,
    which reverses binary digits. If `size` is a power of two, the first 1, 2, 4, 8 and so on are
    evenly spread.
    """
    bits = max(1, (size - 1).bit_length())
    turned = (int(f"{number:0{bits}b}"[::-1], 2) for number in range(2**bits))
    found = dict.fromkeys(number * size // 2**bits for number in turned)
    return list(found)
