"""Entropy-Tree (arXiv 2601.15296): reasoning paths that fork only where the model is unsure.

The settings live here, and the part that all schedules share: roots from arithmetic sampling and the
drawing of tokens. When to fork is a schedule of its own in `schedules.py`.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from pydantic import Field, model_validator

from et_agent.arrays import Doubles
from et_agent.decoding.base import DecoderSettings, Run, RunInputs, side
from et_agent.decoding.sampling import Distribution
from et_agent.decoding.tree import Alternatives, Branch, ForkKind
from et_agent.errors import SettingsError

__all__ = ["Coded", "EntropyTree", "ForkValue", "Importance", "Schedule", "TreeRun", "Verdict"]

Schedule = Literal["rounds", "online", "stratified", "breadth_first"]
Importance = Literal["auto", "none", "received", "prompt"]
ForkValue = Literal["worth", "entropy", "mass", "mass_per_token", "parting"]


Verdict = Literal["settled", "given up"]

SURE: Final = 0.02
"""Below this entropy, nats, a token is all but certain."""
_PERCENTILE: Final = 80.0
_ROUNDING: Final = 1e-9
"""Two of three leaves are two thirds, whatever order their weights are summed in."""
_LEAST_TO_GIVE_UP: Final = 4
"""Fewer leaves may differ by chance where the model is sure enough."""


class EntropyTree(DecoderSettings):
    """A tree of reasoning paths that forks where token entropy is high.

    Schedules (what is unbiased and what is not, measured in `benchmarks/results/bias.json`):

    - `stratified`: exact samples, spread evenly by arithmetic sampling (arXiv 2210.15458); shared
      beginnings are decoded once. Unbiased.
    - `online`: forks start when their token is decoded and look at nothing later. Unbiased.
    - `rounds` (default): stratified roots, then rounds of forks at the best positions of finished
      chains. Biased a little, since the choice of a position has seen what came after it: the mean
      of p(a|x) is off by 0.006 or less on two scripted models and by 0.028 on the third.
    - `breadth_first`: as published, one chain, forks level by level. With tau fixed beforehand off
      by 0.009 or less, with tau a percentile of the question's own tokens by 0.02 to 0.18; its
      standard deviation is 1.2 to 1.6 times that of `rounds`, since one root decides everything.

    Leaves of forks must be weighted: counting them is off by up to 0.5 on the same models.
    """

    schedule: Schedule = "rounds"
    """When to fork."""
    leaves: int = Field(default=16, ge=1, le=256)
    """Leaves at most; fewer where the model is sure everywhere."""
    roots: int = Field(default=8, ge=1, le=256)
    """Arithmetic-sampling codes that start the tree (capped at `leaves`); `stratified` always
    starts with all leaves and `breadth_first` with one."""
    branching: int = Field(default=2, ge=2, le=8)
    """Sides of a fork (b in the paper)."""
    tau: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Least entropy of a fork, nats at temperature 1; None takes it from `percentile`."""
    percentile: float | None = Field(default=None, ge=0, le=100, allow_inf_nan=False)
    """Percentile of the pilot's token entropies that gives tau; None is 80, but for value `worth` no
    threshold at all."""
    importance: Importance = "auto"
    """Attention filter. `received`: mean attention that a position received from later queries, for
    schedules that fork finished chains. `prompt`: share of the deciding query's attention on the
    prompt, for `online`. `auto`: the one that fits the schedule, where the model gives attention;
    none with value `worth`."""
    delta: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Least importance of a fork; None takes it from `importance_percentile`."""
    importance_percentile: float = Field(default=25.0, ge=0, le=100, allow_inf_nan=False)
    """Percentile of the pilot's importances that gives delta."""
    value: ForkValue = "worth"
    """How `rounds` ranks positions: `worth`, what a fork takes off the squared error of p(a|x) by
    token, over what one more chain would; `entropy`; `mass`, entropy x path weight;
    `mass_per_token`, the same per token to redo; `parting`, that again x how much the answers behind
    it disagree."""
    least_worth: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """`rounds` with `worth`: least worth of a fork; where none has it, the tree stays smaller."""
    gap: int = Field(default=16, ge=1)
    """`online`: least number of tokens between two forks of a path, so that forks spread out."""
    exchangeable: bool = False
    """Fork into a second sample of the same distribution with half the weight, instead of distinct
    sides by sum-and-sample. Which is more precise differs by model (`benchmarks/results/bias.json`):
    on the scripted ones mostly distinct sides with `rounds`, mostly exchangeable ones with `online`."""
    settle: float | None = Field(default=None, gt=0, le=1, allow_inf_nan=False)
    """`rounds`: decode no more once the leading answer has this share; None never stops early. It adds
    bias towards the leading answer: on scripted models up to 0.06 at 0.9, with `wave` up to 0.09
    (`benchmarks/results/bias.json`). Leaves are read as the question suggests, and two spellings of
    one expression count as two answers."""
    give_up: float | None = Field(
        default=None, gt=0, lt=1, allow_inf_nan=False, exclude_if=lambda share: share is None
    )
    """`rounds`: decode no more once four leaves or more have no answer with a larger share than this:
    they will hardly agree any more. None never gives up. It adds bias away from the leading answer:
    at 0.5 in waves of two up to 0.05."""
    wave: int | None = Field(default=None, ge=1, exclude_if=lambda wave: wave is None)
    """`rounds` with `settle` or `give_up`: roots decoded at a time, two or more at first, so that what
    the first say can stop it; None decodes all at once. It takes fewer tokens in more steps: what
    narrow batches cost in seconds, other questions beside it make up for."""

    @model_validator(mode="after")
    def _check(self) -> "EntropyTree":
        if self.exchangeable and self.branching != 2:
            raise ValueError("exchangeable forks have two sides: set branching=2")
        stops = (self.wave, self.settle, self.give_up)
        if self.schedule != "rounds" and any(one is not None for one in stops):
            raise ValueError(
                "wave, settle and give_up stop rounds: leave them out, or set schedule='rounds'"
            )
        if self.wave is not None and self.settle is None and self.give_up is None:
            raise ValueError(
                f"wave={self.wave} stops nothing by itself: set settle (0.8, say), give_up or both"
            )
        if self.settle is not None and self.give_up is not None and self.give_up >= self.settle:
            raise ValueError(
                f"give_up={self.give_up} must be below settle={self.settle}: a share between them "
                "goes on"
            )
        if self.importance == "prompt" and self.schedule != "online":
            raise ValueError("importance='prompt' needs schedule='online'; use 'received'")
        if self.importance == "received" and self.schedule == "online":
            raise ValueError(
                "importance='received' needs later tokens, which schedule='online' has not seen: "
                "use 'prompt'"
            )
        return self

    @property
    def reads_attention(self) -> bool:
        """Whether attention can change which forks are made."""
        if self.importance == "auto" and self.by_worth:
            # Importance tells nothing of whether a fork changes the answer (docs/experiments.md).
            return False
        return self.importance != "none" and self.schedule != "stratified"

    @property
    def by_worth(self) -> bool:
        """Whether forks are chosen by their worth."""
        return self.schedule == "rounds" and self.value == "worth"

    @property
    def entropy_percentile(self) -> float | None:
        """The percentile that gives tau; None for no threshold."""
        if self.percentile is None:
            return None if self.by_worth else _PERCENTILE
        return self.percentile

    @property
    def least_leaves(self) -> int:
        """The fewest leaves, each code one, at which `settle` or `give_up` may stop it."""
        if self.settle is None and self.give_up is None:
            return self.leaves
        least = 1 if self.settle is not None else _LEAST_TO_GIVE_UP
        sizes = self.sizes(min(self.roots, self.leaves))
        return next((size for size in sizes if size >= least), min(least, self.leaves))

    def sizes(self, codes: int) -> list[int]:
        """How many of so many codes the tree has after each wave; all at once without waves."""
        if self.wave is None:
            return [codes]
        return [*range(min(max(2, self.wave), codes), codes, self.wave), codes]

    def verdict(self, lead: float, leaves: int) -> Verdict | None:
        """Whether the leading answer's share stops `rounds`, and which way.

        Args:
            lead: The share, by path weight.
            leaves: Leaves that have it or not, each code one.
        """
        if self.settle is not None and lead >= self.settle - _ROUNDING:
            return "settled"
        if self.give_up is None or leaves < _LEAST_TO_GIVE_UP or lead > self.give_up + _ROUNDING:
            return None
        return "given up"

    def start(self, inputs: RunInputs) -> Run:
        """Begin decoding one question.

        Raises:
            SettingsError: `online` without tau and without a pilot of this model.
        """
        from et_agent.decoding.schedules import BreadthFirstRun, OnlineRun, RoundsRun

        match self.schedule:
            case "stratified":
                return TreeRun(self, inputs, roots=self.leaves)
            case "online":
                return OnlineRun(self, inputs, roots=min(self.roots, self.leaves))
            case "rounds":
                return RoundsRun(self, inputs, roots=min(self.roots, self.leaves))
            case "breadth_first":
                return BreadthFirstRun(self, inputs, roots=1)


@dataclass(frozen=True, slots=True)
class Coded:
    """Codes inside a branch's interval, rescaled to [0, 1), and that interval."""

    codes: Doubles
    width: float
    low: float = 0.0


class TreeRun(Run):
    """Codes of arithmetic sampling grow a tree; by itself this is the `stratified` schedule.

    N codes are spread evenly over [0, 1) and shifted together by one random number. Each step sends
    every code to the token whose interval holds it; where codes part, the branch forks. Every code
    is an exact sample of the model's distribution, so equal shares a code are unbiased
    (arXiv 2210.15458).

    A branch samples freely, from a stream of its own, once its interval is no wider than 1/N: the
    codes are 1/N apart, so wherever its code lies in the interval, it is alone there, and that it is
    alone says nothing about what comes next. A code that only happens to be alone in a wider
    interval goes on as a code: its neighbours' absence tells where in the interval it lies, and a
    fresh draw in its place would be biased.
    """

    settings: EntropyTree

    def __init__(self, settings: EntropyTree, inputs: RunInputs, *, roots: int) -> None:
        super().__init__(settings, inputs)
        self._spacing = 1.0 / roots
        codes = self._first_codes((np.arange(roots) + self.uniform(0)) / roots)
        self.tree.branches[0].codes = codes.size
        self._coded: dict[int, Coded] = {}
        if roots > 1:
            self._coded[0] = Coded(codes, 1.0)
        self.tau: float | None = settings.tau
        percentile = settings.entropy_percentile
        if self.tau is None and percentile is None:
            self.tau = SURE
        elif self.tau is None and percentile is not None and inputs.thresholds is not None:
            self.tau = inputs.thresholds.entropy_at(percentile)

    def _take(self, branch: Branch, distribution: Distribution) -> None:
        coded = self._coded.pop(branch.id, None)
        if coded is None:
            self._take_free(branch, distribution)
        else:
            self._take_coded(branch, distribution, coded)

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
            if part.size > 1 or width > self._spacing:
                self._coded[owner.id] = Coded(part, width, low)
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

    def _draw_alternatives(
        self, branch: Branch, token: int, distribution: Distribution
    ) -> Alternatives:
        """The sides that a fork at the token being decoded would have."""
        if self.settings.exchangeable:
            fresh = distribution.draw(self.uniform(branch.id))
            return Alternatives(top=(), rest=None, fresh=side(fresh, distribution))
        top = distribution.top(self.settings.branching - 2, excluding=[token])
        rest = distribution.draw_excluding(self.uniform(branch.id), [token, *top])
        return Alternatives(
            top=tuple(side(t, distribution) for t in top),
            rest=None if rest is None else side(rest, distribution),
            fresh=None,
        )

    def _require_tau(self) -> float:
        if self.tau is None:
            raise SettingsError(
                f"schedule={self.settings.schedule!r} needs an entropy threshold that is fixed "
                "beforehand, and this model has no pilot: run `et-agent pilot --model … "
                "--questions FILE`, or pass tau (nats, for example 0.5)"
            )
        return self.tau
