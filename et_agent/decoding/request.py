"""A question on its way through the scheduler, and what the cache has to know of its paths."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from et_agent.decoding.base import Run
from et_agent.decoding.constraint import Constraint
from et_agent.decoding.tree import Tree
from et_agent.engines.sampled import AnyModel
from et_agent.errors import DecodeError
from et_agent.waiting import Birthplace, outcome

__all__ = ["BranchPath", "Request", "StepCallback", "harmless"]

_log = logging.getLogger("et_agent.decoding")

StepCallback = Callable[["Request"], None]


@dataclass(slots=True, eq=False)
class BranchPath:
    """The path of tokens of a tree's branch, as `prefix_cache.TokenPath` has it.

    Attributes:
        owner: Arrival number of the request.
        number: The branch.
        prompt: Tokens before those of the tree.
        tree: The tree.
        read: Positions that were decoded so far, at least once.
    """

    owner: int
    number: int
    prompt: list[int]
    tree: Tree
    read: int = 0

    @property
    def finished(self) -> bool:
        """Whether the branch has ended."""
        return self.tree.branches[self.number].finish is not None

    @property
    def tokens(self) -> list[int]:
        """Its tokens so far, prompt included; put together each time."""
        return [*self.prompt, *self.tree.path(self.number)]


@dataclass(eq=False)
class Request:
    """A question on its way: wait for it, look at it, cancel it.

    Attributes:
        model: The model that decodes it.
        deadline: `time.perf_counter()` at which it is cancelled; None for never.
        prompt: Prompt tokens.
        run: The decoder's run; read-only for others than the scheduler.
        constraint: Which tokens its paths may take; None for all.
        steps: Decode calls that this question took part in.
        cost: Its share of the time of those calls, by tokens, seconds; the costs of questions that
            share batches sum to the time that passed.
        recomputed: Tokens that were decoded again because their cache entries had been given up.
        cached: Tokens of the prompt that this question did not decode: they were in the cache when it
            began, or another one decoded them.
        arrival: Number among all requests of a scheduler, by when they came; -1 before.
        started, ended: `time.perf_counter()` at the first batch and at the end; None before.
    """

    model: AnyModel
    prompt: list[int]
    run: Run
    on_step: StepCallback | None = None
    constraint: Constraint | None = None
    steps: int = 0
    cost: float = 0.0
    recomputed: int = 0
    cached: int = 0
    arrival: int = -1
    started: float | None = None
    ended: float | None = None
    deadline: float | None = None
    _future: "Future[Run]" = field(default_factory=Future)
    _cancel: bool = False
    _paths: dict[int, BranchPath] = field(default_factory=dict)
    _birthplace: Birthplace = field(
        default_factory=lambda: Birthplace("this question was asked", "ask it in this process")
    )

    @property
    def seconds(self) -> float:
        """Wall time from this question's first batch to its end, or to now."""
        if self.started is None:
            return 0.0
        return (self.ended or time.perf_counter()) - self.started

    @property
    def done(self) -> bool:
        """Whether the run has ended, for whatever reason."""
        return self._future.done()

    def add_done_callback(self, callback: Callable[["Request"], None]) -> None:
        """Call back when the run has ended, in the owner thread or, if it has, at once."""
        self._future.add_done_callback(lambda _: callback(self))

    def cancel(self) -> None:
        """Stop within one step; what was decoded so far stays in the run's tree."""
        self._cancel = True

    def result(self, timeout: float | None = None) -> Run:
        """Wait for the run.

        Raises:
            TimeoutError: It took longer than `timeout` seconds.
            InputError: This is a model's own thread, and the run has not ended.
            ModelClosedError: The question was asked before this process was forked.
            EtAgentError: Decoding failed.
        """
        if not self.done:
            self._birthplace.require()
        return outcome(self._future, timeout)

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompt, and those that are given after it."""
        return len(self.prompt) + self.run.given_tokens

    @property
    def tokens_decoded(self) -> int:
        """Generated tokens."""
        return self.run.tree.tokens_decoded

    @property
    def reasoning_tokens(self) -> int | None:
        """Generated tokens of thoughts, where the server tells; None where its paths do."""
        return None

    @property
    def cancelled(self) -> bool:
        """Whether it was told to stop."""
        return self._cancel

    @property
    def attention(self) -> bool:
        """Whether its run keeps attention, where the model gives any."""
        return self.run.tree.attention is not None and bool(self.model.info.attention_layers)

    @property
    def longest(self) -> int:
        """Positions that its paths may have."""
        return len(self.prompt) + self.run.most_tokens

    def path(self, branch: int) -> BranchPath:
        """A branch's path for the cache; the same object each time."""
        found = self._paths.get(branch)
        if found is None:
            start = len(self.prompt) + self.run.tree.branches[branch].start
            found = BranchPath(self.arrival, branch, self.prompt, self.run.tree, read=start)
            self._paths[branch] = found
        return found

    def end(self, error: BaseException | None = None) -> None:
        """Tell those who wait that the run has ended, or what stopped it."""
        self.ended = time.perf_counter()
        try:
            if error is None:
                self._future.set_result(self.run)
            else:
                self._future.set_exception(harmless(error))
        except BaseException as raised:
            # A callback of the caller's own: it must not stop the thread that serves all questions.
            _log.warning("a callback at the end of a question raised %r", raised)


def harmless(error: BaseException) -> Exception:
    """An error as one that ends no thread, task or process of whoever waits for a question."""
    if isinstance(error, Exception):
        return error
    found = DecodeError(
        f"decoding was stopped by {type(error).__name__}, which a callback or a script raised: raise "
        "an exception that is an error, or cancel the question"
    )
    found.__cause__ = error
    return found
