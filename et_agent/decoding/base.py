"""What all decoders share: settings, the ask/tell protocol of a run, and growing a tree.

A decoder never calls a model. Its run is asked which branches want their next token (`runnable`) and
is told, branch by branch, the distribution and the attention that came back (`tell`). The order and
the grouping of the calls are the caller's business, so many runs can share one batch.
"""

import math
from collections.abc import Callable, Hashable, Sequence, Set
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from et_agent.decoding.family import CalibrationFamily
from et_agent.decoding.sampling import Distribution, TokenStatistics
from et_agent.decoding.stopping import Stop, StoppingRule, ToCome
from et_agent.decoding.thresholds import Thresholds
from et_agent.decoding.tree import Branch, Finish, ForkKind, Lineage, Side, Tree
from et_agent.errors import SettingsError
from et_agent.renaming import old_names
from et_agent.validation import explained

if TYPE_CHECKING:
    from et_agent.decoding.direct import Lettered
    from et_agent.decoding.thinking import Thoughts

__all__ = [
    "Decoder",
    "DecoderSettings",
    "LeafReader",
    "Run",
    "RunInputs",
    "TokenReader",
    "side",
    "sum_and_sample",
]

TokenReader = Callable[[Sequence[int]], Sequence[bool]]
"""The tokens of a finished path to whether each says something of the answer: a number or a word of
it."""
LeafReader = Callable[[Sequence[int]], Hashable | None]
"""Reads the answer key off a finished path's tokens; None when the path gives no answer."""


class DecoderSettings(BaseModel):
    """Settings of every decoder."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    ignored_in_fingerprint: ClassVar[frozenset[str]] = frozenset({"leaves", "max_tokens"})
    """Settings that may differ from those that a calibrator was fitted with. The token limit affects
    only the paths that reach it, and the weight that it cuts off is a feature. The leaves may be any
    number in the range that the calibrator was fitted with. All other settings matter, unless the
    calibrator was fitted to a decoder of the same family."""
    calibration_family: ClassVar[CalibrationFamily | None] = None
    """Decoders whose calibrators it shares, and the settings that matter then. A class that inherits
    this is not in the family, since it may grow other trees: it has to declare it itself."""
    stopping: ClassVar[frozenset[str]] = frozenset()
    """Settings that may stop a run early. A stopped run equals a complete run at the size that it had
    then. A calibrator fitted to complete runs therefore applies to stopped ones, but one fitted to
    stopped runs does not apply to complete ones."""

    temperature: float = Field(default=0.7, ge=0.001, le=10, allow_inf_nan=False)
    """Sampling temperature, by which logits are divided. Path weights are probabilities at this
    temperature. For the most likely tokens use `Greedy`, not a temperature near 0."""

    max_tokens: int = Field(default=320, ge=1)
    """Longest path in generated tokens. A longer path is cut off and keeps its weight."""

    def __init__(self, **settings: object) -> None:
        """Check the settings.

        Raises:
            SettingsError: A setting is unknown, out of range or contradicts another one.
        """
        try:
            super().__init__(**settings)
        except ValidationError as error:
            raise SettingsError(explained(f"{self.__repr_name__()} settings", error)) from error

    def __repr_name__(self) -> str:
        """What makes it, in its `repr`, in messages and in stored data."""
        return type(self).__name__

    @property
    def reads_attention(self) -> bool:
        """Whether attention can change what is decoded."""
        return False


class RunInputs:
    """What a decoder needs to know about one question before it starts.

    Args:
        prompt_length: Prompt tokens, at least 1.
        stop_tokens: Tokens that end a branch.
        seed: Any integer >= 0; the same seed, model and machine give the same tree.
        thresholds: Pilot thresholds of the model; None when there are none.
        read_leaf: Tells schedules that look at answers what a finished path says.
        read_tokens: Tells them which of its tokens say something of the answer.
        room: Positions after the prompt that the context has; caps `max_tokens`.
        ends: Tells whether a path has ended although its last token is not a stop token.
        attention: Whether attention is to be kept although the decoder does not need it.
        lettered: The question's options, if it has any and the decoder reads their letters.
        stopping_rule: Tells runs with `stop_risk` what more leaves may change; None never stops them.
        thoughts: Tells thoughts and answers apart, where the model thinks. `max_tokens` then counts the
            answer.
        alternatives: Most likely tokens that the tree keeps for every position; 0 keeps none.
    """

    def __init__(
        self,
        *,
        prompt_length: int,
        stop_tokens: Set[int],
        seed: int = 0,
        thresholds: Thresholds | None = None,
        read_leaf: LeafReader | None = None,
        read_tokens: TokenReader | None = None,
        room: int | None = None,
        ends: Callable[[Sequence[int]], bool] | None = None,
        attention: bool = False,
        lettered: "Lettered | None" = None,
        stopping_rule: StoppingRule | None = None,
        thoughts: "Thoughts | None" = None,
        alternatives: int = 0,
    ) -> None:
        self.prompt_length = prompt_length
        self.stop_tokens = frozenset(stop_tokens)
        self.seed = seed
        self.thresholds = thresholds
        self.read_leaf = read_leaf
        self.read_tokens = read_tokens
        self.room = room
        self.ends = ends
        self.attention = attention
        self.lettered = lettered
        self.stopping_rule = stopping_rule
        self.thoughts = thoughts
        self.alternatives = alternatives


@runtime_checkable
class Decoder(Protocol):
    """Frozen settings that can start a run."""

    @property
    def temperature(self) -> float:
        """Temperature of the run's draws."""
        ...

    @property
    def reads_attention(self) -> bool:
        """Whether the decoder's decisions use attention."""
        ...

    def start(self, inputs: RunInputs) -> "Run":
        """Begin decoding one question."""
        ...


class Run:
    """A decoding run: a tree, and the bookkeeping that all decoders need to grow it.

    Subclasses implement `_take`; those that fork finished branches also `_fork_more`.

    Attributes:
        generates: Whether its paths are of tokens that the model generates.
    """

    generates: ClassVar[bool] = True
    stopped: Stop | None = None
    """Why it stopped early; None if it did not."""

    def __init__(self, settings: DecoderSettings, inputs: RunInputs) -> None:
        self.settings = settings
        self.inputs = inputs
        self.tree = Tree(inputs.prompt_length)
        if inputs.attention or settings.reads_attention:
            self.tree.read_attention()
        self.temperature = settings.temperature
        self.max_tokens = settings.max_tokens
        """Longest path in tokens, its thoughts included."""
        if inputs.thoughts is not None:
            self.max_tokens += inputs.thoughts.longest
        if inputs.room is not None:
            self.max_tokens = min(self.max_tokens, inputs.room)
        self._answer_starts: dict[int, int] = {}
        self.cancelled = False
        self._generators: dict[Lineage, np.random.Generator] = {}
        self._running: dict[int, Branch] = {0: self.tree.branches[0]}
        self._leaf_keys: dict[int, Hashable | None] = {}

    @property
    def finished(self) -> bool:
        """Whether nothing is left to decode."""
        return not self._running

    @property
    def most_tokens(self) -> int:
        """Tokens after the prompt that a path may have, given ones included."""
        return self.max_tokens

    @property
    def given_tokens(self) -> int:
        """Tokens after the prompt that are read, not generated."""
        return 0

    def runnable(self) -> list[int]:
        """Branches that want their next token, oldest first."""
        return list(self._running)

    def may_fork(self, branch: int) -> bool:
        """Whether a finished branch may still be forked, so that its cache entries are of use."""
        del branch
        return False

    def tell(
        self,
        branch: int,
        distribution: Distribution,
        attention: NDArray[np.float32] | None,
        near: NDArray[np.float32] | None = None,
    ) -> None:
        """Take the next-token distribution of a branch, and the attention of its last token.

        Args:
            branch: One of `runnable()`.
            distribution: The branch's next token, at this run's temperature.
            attention: float32 [prompt + path], the deciding query over its own path; None without.
                It is kept where the decoder or `inputs` ask for it.
            near: float32 [layers, heads, 2], what it gives the token before it and itself; None
                when that is not known.
        """
        if attention is not None and self.tree.attention is not None:
            self.tree.attention.note(branch, attention, near)
        if self.inputs.alternatives:
            likely = distribution.top(self.inputs.alternatives)
            self.tree.note_likely(branch, [side(token, distribution) for token in likely])
        self._take(self._running[branch], distribution)
        while not self._running and self._fork_more():
            pass

    def _take(self, branch: Branch, distribution: Distribution) -> None:
        """Give a branch its next token, or fork it."""
        raise NotImplementedError  # pragma: no cover

    def _fork_more(self) -> bool:
        """Called when no branch runs any more: fork finished ones, or return False."""
        return False

    def _is_decided(self, most: float | None, to_come: ToCome) -> bool:
        """Whether what is to come changes what is decided with a probability of at most `most`."""
        rule = self.inputs.stopping_rule
        return most is not None and rule is not None and rule(self.tree, to_come) <= most

    def cancel(self) -> None:
        """Stop: running branches end where they are and keep their weights."""
        self.cancelled |= not self.finished
        for branch in self._running.values():
            branch.finish = Finish.CANCELLED
        self._running.clear()

    def uniform(self, branch: int) -> float:
        """A uniform number in [0, 1) from the branch's own stream.

        One stream a lineage keeps a tree the same however its batches were put together; branch
        ids would not do, since they follow the order in which branches happened to fork.
        """
        return self._uniform(self.tree.branches[branch].lineage)

    def _uniform(self, lineage: Lineage) -> float:
        generator = self._generators.get(lineage)
        if generator is None:
            sequence = np.random.SeedSequence(entropy=self.inputs.seed, spawn_key=lineage)
            generator = self._generators[lineage] = np.random.Generator(np.random.PCG64(sequence))
        return generator.random()

    def leaf_key(self, branch: int) -> Hashable | None:
        """What a finished branch answers, None when nothing or when no reader was given."""
        if self.inputs.read_leaf is None:
            return None
        if branch not in self._leaf_keys:
            self._leaf_keys[branch] = self.inputs.read_leaf(self.tree.path(branch))
        return self._leaf_keys[branch]

    def _append(self, branch: Branch, side: Side, distribution: Distribution) -> None:
        """Give a branch its next token and end it where it must."""
        self._note(branch, side, distribution.statistics)

    def _note(self, branch: Branch, side: Side, statistics: TokenStatistics) -> None:
        branch.tokens.append(side.token)
        branch.statistics.append(statistics)
        branch.log_probs.append(side.log_prob)
        branch.probabilities.append(side.probability)
        if self._has_stopped(branch):
            branch.finish = Finish.STOP
        elif branch.end >= self._longest(branch):
            branch.finish = Finish.LENGTH
        if branch.finish is None:
            self._running[branch.id] = branch
        else:
            self._running.pop(branch.id, None)

    def _longest(self, branch: Branch) -> int:
        """Length at which a path is cut off, tokens."""
        start = self.answer_start(branch)
        if start is None:
            return self.max_tokens
        return min(self.max_tokens, start + self.settings.max_tokens)

    def answer_start(self, branch: Branch) -> int | None:
        """Tokens of a path before its answer, 0 without thoughts; None as long as it thinks."""
        thoughts = self.inputs.thoughts
        if thoughts is None:
            return 0
        if branch.id not in self._answer_starts:
            start = thoughts.answer_start(self.tree.path(branch.id))
            if start is None:
                return None
            self._answer_starts[branch.id] = start
        return self._answer_starts[branch.id]

    def _has_stopped(self, branch: Branch) -> bool:
        inputs = self.inputs
        if branch.tokens[-1] in inputs.stop_tokens:
            return True
        return inputs.ends is not None and inputs.ends(self.tree.path(branch.id))

    def _fork_here(
        self,
        branch: Branch,
        kind: ForkKind,
        sides: Sequence[Side],
        shares: Sequence[float],
        distribution: Distribution,
    ) -> list[Branch]:
        """Fork a branch at the token being decoded; it takes the first side itself."""
        children = self.tree.fork(
            branch.id, branch.end, kind, distribution.statistics.entropy, shares[0], shares[1:]
        )
        for child in children:
            self._inherit_attention(child)
        for side_branch, side in zip([branch, *children], sides, strict=True):
            self._append(side_branch, side, distribution)
        return children

    def _fork_back(
        self, branch: Branch, position: int, kind: ForkKind, sides: Sequence[Side], share: float
    ) -> list[Branch]:
        """Fork a decoded position into `sides`, which share 1 - `share` by sum-and-sample.

        All but the last side get their probability; the last stands for everything else.
        """
        index = position - branch.start
        kept, *shares = sum_and_sample([share, *(one.probability for one in sides[:-1])])
        statistics = branch.statistics[index]
        children = self.tree.fork(branch.id, position, kind, statistics.entropy, kept, shares)
        for child, side in zip(children, sides, strict=True):
            self._inherit_attention(child)
            self._note(child, side, statistics)
        return children

    def _inherit_attention(self, child: Branch, *, decided: bool = True) -> None:
        if self.tree.attention is not None:
            self.tree.attention.inherit(child.id, decided=decided)


def sum_and_sample(probabilities: Sequence[float]) -> list[float]:
    """Shares of sides with these probabilities and, last, of the one that stands for the rest.

    They sum to 1 and none is negative, even where float32 probabilities sum to a little more.
    """
    rest = max(0.0, 1.0 - math.fsum(probabilities))
    total = math.fsum([*probabilities, rest])
    return [one / total for one in (*probabilities, rest)]


def side(token: int, distribution: Distribution) -> Side:
    """`token` with its probabilities under `distribution`."""
    return Side(token, distribution.probability(token), distribution.log_probability(token))


__getattr__ = old_names(__name__, {"RunRequest": "RunInputs"})
