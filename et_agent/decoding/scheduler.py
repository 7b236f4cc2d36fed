"""Runs many decoders over one model in shared batches.

The scheduler alone talks to the model. At every step it asks the runs which branches want a token,
fills one batch up to the model's best width, decodes it in the model's owner thread and hands every
run what came back. Runs that came first go first; later ones fill the rest of the batch, so several
questions share it, and a new question joins at any step.

A branch's place in the model's cache is only a cache: when cells or sequence ids run out, the least
urgent branches lose theirs and are decoded again from the longest beginning that is left. A context
too small for a whole tree therefore costs time, not leaves. The model arranges its cache for the
longest path to come, anew when a longer one joins.
"""

import contextlib
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from et_agent.decoding.base import Decoder, Run, RunInputs
from et_agent.decoding.sampling import StepDistributions
from et_agent.engines.base import Batch, Capacity, Constraint, LanguageModel, Step
from et_agent.errors import ContextError, DecodeError, ModelClosedError, QuestionError
from et_agent.renaming import old_names

__all__ = ["Request", "Scheduler", "scheduler_of"]

StepCallback = Callable[["Request"], None]


@dataclass(slots=True)
class _Place:
    """A branch's sequence in the model's cache and how many of its tokens are there."""

    sequence: int
    length: int


_Key = tuple["Request", int]


@dataclass(slots=True)
class _Row:
    """One branch's part of the next batch: tokens to place, the last one's logits wanted if `done`."""

    request: "Request"
    branch: int
    sequence: int
    start: int
    tokens: list[int]
    done: bool


@dataclass(eq=False)
class Request:
    """A question on its way: wait for it, look at it, cancel it.

    Attributes:
        model: The model that decodes it.
        prompt: Prompt tokens.
        run: The decoder's run; read-only for others than the scheduler.
        constraint: Which tokens its paths may take; None for all.
        steps: Decode calls that this question took part in.
        cost: Its share of the time of those calls, by tokens, seconds; the costs of questions that
            share batches sum to the time that passed.
        recomputed: Tokens that were decoded again because their cache entries had been given up.
        started, ended: `time.perf_counter()` at the first batch and at the end; None before.
    """

    model: LanguageModel
    prompt: Sequence[int]
    run: Run
    on_step: StepCallback | None = None
    constraint: Constraint | None = None
    steps: int = 0
    cost: float = 0.0
    recomputed: int = 0
    started: float | None = None
    ended: float | None = None
    _future: "Future[Run]" = field(default_factory=Future)
    _cancel: bool = False
    _places: dict[int, _Place] = field(default_factory=dict)

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
            EtAgentError: Decoding failed.
        """
        return self._future.result(timeout)


class Scheduler:
    """Shares one model's batches among runs. Use `scheduler_of`: one scheduler a model.

    Args:
        model: The model.
        width: Rows in a batch at most; the model's best width if None.
    """

    def __init__(self, model: LanguageModel, *, width: int | None = None) -> None:
        info = model.info
        self._model_reference = weakref.ref(model)
        self._width = min(width or info.best_width, info.max_outputs, info.max_sequences)
        self._lock = threading.Lock()
        self._arriving: list[Request] = []
        self._requests: list[Request] = []
        self._running = False
        self._room = Capacity(0, 0)
        self._free_sequences: list[int] = []
        self._distributions = StepDistributions()
        self._mean_path = 128.0

    @property
    def _model(self) -> LanguageModel:
        # Weak, since the registry below would otherwise keep every model alive; questions in work
        # hold their model.
        model = self._model_reference()
        if model is None:
            raise ModelClosedError("the model of this scheduler is gone: load it again")
        return model

    def submit(
        self,
        prompt: Sequence[int],
        decoder: Decoder,
        inputs: RunInputs,
        *,
        on_step: StepCallback | None = None,
    ) -> Request:
        """Prepare a question and queue it.

        Raises:
            QuestionError: The prompt is empty or leaves no room in the context.
            ModelClosedError: The model was closed.
        """
        request = self.prepare(prompt, decoder, inputs, on_step=on_step)
        self.queue(request)
        return request

    def prepare(
        self,
        prompt: Sequence[int],
        decoder: Decoder,
        inputs: RunInputs,
        *,
        on_step: StepCallback | None = None,
        constraint: Constraint | None = None,
    ) -> Request:
        """Check a question and start its run, but decode nothing yet.

        Args:
            prompt: Prompt tokens, at least one.
            decoder: How to decode it.
            inputs: What the decoder must know; its `room` is filled in here.
            on_step: Called in the owner thread after each step that moved this question; keep it
                short.
            constraint: Which tokens the paths may take. The logits of others are set to -inf before
                entropies, shares and draws, so that a tree forks among what is allowed only.

        Raises:
            QuestionError: The prompt is empty or leaves no room in the context, or given
                continuations do not fit into it.
        """
        info = self._model.info
        if not prompt:
            raise QuestionError("the prompt is empty: ask something")
        if len(prompt) >= info.context:
            raise QuestionError(
                f"the prompt has {len(prompt)} tokens and the context {info.context}: shorten the "
                f"question or use a context of {len(prompt) + 512} or more"
            )
        if len(prompt) >= info.longest_path:
            raise QuestionError(
                f"the prompt has {len(prompt)} tokens and a path of {info.name} at most "
                f"{info.longest_path} (training length or sliding window): shorten the question or "
                "choose another model"
            )
        inputs.room = min(info.context, info.longest_path) - len(prompt)
        run = decoder.start(inputs)
        if run.most_tokens > inputs.room:
            raise QuestionError(
                f"the texts to go on from have up to {run.most_tokens} tokens after a prompt of "
                f"{len(prompt)}, and {info.name} takes {inputs.room}: shorten the question or use a "
                "larger context"
            )
        return Request(self._model, prompt, run, on_step, constraint)

    def queue(self, *requests: Request) -> None:
        """Let prepared questions be decoded, all of them or none.

        Raises:
            ModelClosedError: The model was closed.
        """
        with self._lock:
            if not self._running:
                self._model.submit(self._serve)
                self._running = True
            self._arriving += requests

    def _serve(self) -> None:
        """The loop, in the model's owner thread, until no question is left."""
        while True:
            with self._lock:
                newcomers, idle = self._arriving, not self._requests
                self._requests = [*self._requests, *newcomers]
                self._arriving = []
                if not self._requests:
                    self._running = False
                    return
            try:
                if newcomers:
                    self._arrange(newcomers, idle=idle)
                self._step()
            except BaseException as error:
                # Not only Exception: a caller that waits must hear of whatever stopped the loop.
                self._fail(error)

    def _arrange(self, newcomers: Sequence[Request], *, idle: bool) -> None:
        """Let the model have a cache that suits questions that join.

        While others are in work only when a path would not fit: they lose their places.
        """
        longest = max((_longest(t) for t in newcomers if not t._cancel), default=0)
        if not idle and longest <= self._room.longest:
            return
        before = self._room.longest
        try:
            self._rearrange(longest)
        except ContextError as error:
            for request in newcomers:
                if idle or _longest(request) > before:
                    self._retire(request, error)
            if self._requests:
                self._rearrange(before)

    def _rearrange(self, longest: int) -> None:
        for request in self._requests:
            request._places.clear()
        self._room, self._free_sequences = Capacity(0, 0), []
        self._room = self._model.configure(longest)
        self._free_sequences = list(range(self._room.sequences))[::-1]

    def _step(self) -> None:
        for request in list(self._requests):
            if request._cancel:
                request.run.cancel()
            if request.run.finished:
                self._retire(request)
        rows = self._choose()
        if not rows:
            if self._requests:
                raise self._too_small()
            return
        began = time.perf_counter()
        outputs = self._decode(rows)
        per_token = (time.perf_counter() - began) / sum(len(row.tokens) for row in rows)
        for row in rows:
            row.request.cost += per_token * len(row.tokens)
        for request in {id(row.request): row.request for row in rows}.values():
            request.steps += 1
        for request in {id(row.request): row.request for row in outputs}.values():
            try:
                if request.on_step is not None:
                    request.on_step(request)
            except Exception as error:
                self._retire(request, error)
            if request.run.finished:
                self._retire(request)
            else:
                self._release_ended(request)

    def _decode(self, rows: list[_Row]) -> list[_Row]:
        """Decode one batch and tell the runs; returns the rows that had outputs."""
        step = self._model.decode(_batch(rows))
        for row in rows:
            row.request._places[row.branch].length += len(row.tokens)
        outputs = [row for row in rows if row.done]
        if outputs:
            self._tell(outputs, step)
        return outputs

    def _tell(self, outputs: list[_Row], step: Step) -> None:
        for row, logits in zip(outputs, step.logits, strict=True):
            if row.request.constraint is not None and not row.request.done:
                try:
                    _constrain(row, row.request.constraint, logits)
                except Exception as error:
                    self._retire(row.request, error)
        temperatures = [row.request.run.temperature for row in outputs]
        distributions = self._distributions.analyse(step.logits, temperatures)
        for index, (row, distribution) in enumerate(zip(outputs, distributions, strict=True)):
            if row.request.done:
                continue
            attention = near = None
            if step.attention is not None:
                attention, near = step.attention.row(index), step.attention.near(index)
            try:
                row.request.run.tell(row.branch, distribution, attention, near)
            except Exception as error:
                # One question's broken decoder must not stop the others.
                self._retire(row.request, error)

    def _choose(self) -> list[_Row]:
        """The next batch: most urgent branches first, up to the width and what the cache holds."""
        rows: list[_Row] = []
        tokens_left, outputs_left = self._model.info.max_batch, self._width
        chosen: set[_Key] = set()
        for request in self._requests:
            for branch in request.run.runnable():
                if not tokens_left or not outputs_left:
                    return rows
                chosen.add((request, branch))
                row = self._plan(request, branch, tokens_left, rows, chosen)
                if row is None:
                    chosen.discard((request, branch))
                    continue
                rows.append(row)
                tokens_left -= len(row.tokens)
                outputs_left -= row.done
        return rows

    def _plan(
        self, request: Request, branch: int, tokens_left: int, rows: list[_Row], chosen: set[_Key]
    ) -> _Row | None:
        """What a branch needs in this batch; None when the cache has no room for it now."""
        tree = request.run.tree
        total = len(request.prompt) + tree.branches[branch].end
        place = request._places.get(branch)
        if place is not None:
            count = min(total - place.length, tokens_left)
            if not self._make_room(count, rows, chosen):
                return None
        else:
            place = self._find_place(request, branch, total - 1, rows, chosen)
            if place is None:
                return None
            count = min(total - place.length, tokens_left)
            # It waits until the branches that are in the cache have room for what they may still
            # need: to push it out again half-way would cost more than the wait.
            if not self._make_room(count + self._growth(rows), rows, chosen, request):
                self._drop(request, branch)
                return None
        if request.started is None:
            request.started = time.perf_counter()
        start, end = place.length, place.length + count
        if start == total - 1:
            # A branch that leaves another may have no token of its own yet.
            own = tree.branches[branch].tokens[-1:]
            tokens = own or [*request.prompt, *tree.path(branch)][-1:]
        else:
            tokens = [*request.prompt, *tree.path(branch)][start:end]
            request.recomputed += max(0, min(end, total - 1) - max(start, len(request.prompt)))
        return _Row(request, branch, place.sequence, start, tokens, end == total)

    def _growth(self, rows: list[_Row]) -> int:
        """Cells that branches in work will still need, by the mean length of paths so far."""
        growth = 0
        for row in rows:
            run = row.request.run
            expected = min(round(self._mean_path), run.max_tokens)
            growth += max(8, expected - run.tree.branches[row.branch].end)
        return growth

    def _find_place(
        self, request: Request, branch: int, limit: int, rows: list[_Row], chosen: set[_Key]
    ) -> _Place | None:
        """A sequence that shares the longest cached beginning of a branch, at most `limit` tokens."""
        source, shared = self._nearest(request, branch, limit)
        if not self._free_sequences:
            keep = chosen if source is None else chosen | {(request, source)}
            victim = self._victim(keep, finished_only=bool(rows), after=request)
            if victim is None:
                if rows or source is None:
                    return None
                # The only sequence holds what is to be forked: begin again from the prompt.
                victim, source, shared = (request, source), None, 0
            self._drop(*victim)
        sequence = self._free_sequences.pop()
        if source is not None:
            self._model.fork(request._places[source].sequence, sequence, shared)
        place = request._places[branch] = _Place(sequence, shared)
        return place

    @staticmethod
    def _nearest(request: Request, branch: int, limit: int) -> tuple[int | None, int]:
        """The cached branch of the same tree that shares the most, and how many tokens."""
        best: tuple[int | None, int] = (None, 0)
        for other, place in request._places.items():
            common = len(request.prompt) + request.run.tree.shared(branch, other)
            shared = min(place.length, common, limit)
            if shared > best[1]:
                best = (other, shared)
        return best

    def _make_room(
        self, count: int, rows: list[_Row], keep: set[_Key], newcomer: Request | None = None
    ) -> bool:
        """Whether `count` more cells are to be had, giving up other branches' cells if need be.

        A newcomer, which is not in the cache yet, pushes out finished branches of its own and later
        questions only, unless nothing else is going.
        """
        needed = count + sum(len(row.tokens) for row in rows)
        gentle = newcomer is not None and bool(rows)
        while self._model.free_cells < needed:
            victim = self._victim(keep, finished_only=gentle, after=newcomer if gentle else None)
            if victim is None:
                if rows:
                    return False
                raise self._too_small()
            self._drop(*victim)
        return True

    def _too_small(self) -> ContextError:
        return ContextError(
            f"the context of {self._model.info.context} cells is too small for this question: "
            "use a larger context"
        )

    def _victim(
        self, keep: set[_Key], *, finished_only: bool, after: Request | None
    ) -> _Key | None:
        """The least urgent cached branch outside `keep`, finished ones first."""
        first = 0 if after is None else self._requests.index(after)
        for finished in (True,) if finished_only else (True, False):
            for request in reversed(self._requests[first:]):
                for branch in sorted(request._places, reverse=True):
                    ended = request.run.tree.branches[branch].finish is not None
                    if ended == finished and (request, branch) not in keep:
                        return request, branch
        return None

    def _drop(self, request: Request, branch: int) -> None:
        place = request._places.pop(branch)
        self._model.release(place.sequence)
        self._free_sequences.append(place.sequence)

    def _release_ended(self, request: Request) -> None:
        """Free what no later fork can use: few cells keep attention short in a shared cache."""
        if any(branch not in request._places for branch in request.run.runnable()):
            return  # a branch that has just forked off may begin from one that ended
        for branch in list(request._places):
            if request.run.tree.branches[branch].finish is None or request.run.may_fork(branch):
                continue
            self._drop(request, branch)

    def _retire(self, request: Request, error: BaseException | None = None) -> None:
        if request not in self._requests:
            return
        self._requests.remove(request)
        try:
            for branch in list(request._places):
                self._drop(request, branch)
        finally:  # a model that was closed meanwhile must not leave the caller waiting
            ends = [branch.end for branch in request.run.tree.branches]
            # A running mean: the questions of one caller tend to be of one kind.
            self._mean_path = 0.7 * self._mean_path + 0.3 * sum(ends) / len(ends)
            request.run.tree.forget_rows()
            request.ended = time.perf_counter()
            if error is None:
                request._future.set_result(request.run)
            else:
                request._future.set_exception(error)

    def _fail(self, error: BaseException) -> None:
        """Give every question in work the error and start over with an empty cache."""
        failed, self._requests = self._requests, []
        for place in [place for request in failed for place in request._places.values()]:
            with contextlib.suppress(Exception):  # what broke the model may break this too
                self._model.release(place.sequence)
        self._free_sequences = list(range(self._room.sequences))[::-1]
        for request in failed:
            request._places.clear()
            request.ended = time.perf_counter()
            request._future.set_exception(error)


def _longest(request: Request) -> int:
    """Positions that a question's paths may have."""
    return len(request.prompt) + request.run.most_tokens


def _constrain(row: _Row, constraint: Constraint, logits: NDArray[np.float32]) -> None:
    """Rule out what may not come next; logits stay as they are when nothing may."""
    allowed = constraint.allowed(row.request.run.tree.path(row.branch))
    if allowed is None:
        return
    if not np.isfinite(logits.max(where=allowed, initial=-np.inf)):
        raise DecodeError("the grammar allows no token that the model could say: simplify it")
    logits[~allowed] = -np.inf


def _batch(rows: list[_Row]) -> Batch:
    count = sum(len(row.tokens) for row in rows)
    tokens = np.empty(count, dtype=np.int32)
    positions = np.empty(count, dtype=np.int32)
    sequences = np.empty(count, dtype=np.int32)
    outputs = np.zeros(count, dtype=np.bool_)
    at = 0
    for row in rows:
        size = len(row.tokens)
        tokens[at : at + size] = row.tokens
        positions[at : at + size] = np.arange(row.start, row.start + size)
        sequences[at : at + size] = row.sequence
        at += size
        outputs[at - 1] = row.done
    return Batch(tokens, positions, sequences, outputs)


_SCHEDULERS: "weakref.WeakKeyDictionary[LanguageModel, Scheduler]" = weakref.WeakKeyDictionary()
_SCHEDULERS_LOCK = threading.Lock()


def scheduler_of(model: LanguageModel) -> Scheduler:
    """The one scheduler of a model, so that all callers share its batches."""
    with _SCHEDULERS_LOCK:
        scheduler = _SCHEDULERS.get(model)
        if scheduler is None:
            scheduler = _SCHEDULERS[model] = Scheduler(model)
        return scheduler


__getattr__ = old_names(__name__, {"Ticket": "Request"})
