"""Runs many decoders over one model in shared batches.

The scheduler alone talks to the model. At every step it asks the runs which branches want a token,
fills one batch up to the model's best width, decodes it in the model's owner thread and hands every
run what came back. Runs that came first go first; later ones fill the rest of the batch, so several
questions share it, and a new question joins at any step.

What of their paths lies in the model's cache is the affair of `prefix_cache.py`. The cache is made for
the longest path to come, anew when a longer one joins.
"""

import functools
import threading
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from et_agent.arguments import checks_arguments
from et_agent.decoding.base import Decoder, RunInputs
from et_agent.decoding.constraint import Constraint
from et_agent.decoding.prefix_cache import PrefixCache
from et_agent.decoding.request import BranchPath, Request, StepCallback
from et_agent.decoding.sampling import StepDistributions
from et_agent.engines.base import Batch, LanguageModel, Step
from et_agent.errors import (
    BusyError,
    ContextError,
    DecodeError,
    ModelClosedError,
    PromptTooLongError,
    QuestionError,
)
from et_agent.made_once import MadeOnce
from et_agent.renaming import old_names
from et_agent.waiting import Birthplace, in_model_thread, model_thread
from et_agent.wording import counted

__all__ = ["Scheduler", "scheduler_of"]


_SHORTEST_STEP: Final = 0.2
"""Seconds that a batch may take near a deadline: shorter ones would take all questions' time."""


@dataclass(slots=True)
class _Row:
    """One branch's part of the next batch: tokens to place, the last one's logits wanted if `done`."""

    request: Request
    path: BranchPath
    sequence: int
    start: int
    tokens: list[int]
    done: bool


def _living(reference: "weakref.ref[LanguageModel]") -> LanguageModel:
    # Weak, since the registry below would otherwise keep every model alive; questions in work hold
    # their model.
    model = reference()
    if model is None:
        raise ModelClosedError("the model of this scheduler is gone: load it again")
    return model


class Scheduler:
    """Shares one model's batches among runs. Use `scheduler_of`: there is one scheduler per model.

    Args:
        model: The model.
        width: Rows in a batch at most; the model's best width if None.
    """

    def __init__(self, model: LanguageModel, *, width: int | None = None) -> None:
        info = model.info
        self._living = functools.partial(_living, weakref.ref(model))
        self._cache = PrefixCache(self._living)
        self._width = min(width or info.best_width, info.max_outputs, info.max_sequences)
        self._lock = threading.Lock()
        self._birthplace = Birthplace(f"{info.name} was loaded", "load it in this process")
        self._arriving: list[Request] = []
        self._arrivals = 0
        self._requests: list[Request] = []
        self._running = False
        self._distributions = StepDistributions(threads=info.threads)
        self._mean_path = 128.0
        self._token_seconds = 0.0

    @property
    def _model(self) -> LanguageModel:
        return self._living()

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
            QuestionError: The prompt is empty.
            PromptTooLongError: It leaves no room in the context, or given continuations do not fit
                into it.
        """
        info = self._model.info
        if not prompt:
            raise QuestionError("the prompt is empty: ask something")
        if len(prompt) >= info.context:
            raise PromptTooLongError(
                f"the prompt has {len(prompt)} tokens and the context {info.context}: shorten the "
                f"question or use a context of {len(prompt) + 512} or more"
            )
        if len(prompt) >= info.longest_path:
            raise PromptTooLongError(
                f"the prompt has {len(prompt)} tokens and a path of {info.name} at most "
                f"{info.longest_path} (what it was trained for): shorten the question or "
                "choose another model"
            )
        inputs.room = min(info.context, info.longest_path) - len(prompt)
        run = decoder.start(inputs)
        if run.most_tokens > inputs.room:
            raise PromptTooLongError(
                f"the texts to go on from have up to {run.most_tokens} tokens after a prompt of "
                f"{len(prompt)}, and {info.name} takes {inputs.room}: shorten the question or use a "
                "larger context"
            )
        return Request(self._model, list(prompt), run, on_step, constraint)

    def queue(self, *requests: Request) -> None:
        """Let prepared questions be decoded, all of them or none.

        Raises:
            BusyError: More would wait or be decoded than `ModelInfo.max_pending` allows.
            ModelClosedError: The model was closed.
        """
        self._birthplace.require()
        with self._lock:
            self._require_room(_questions(requests))
            if not self._running:
                self._model.submit(self._serve)
                self._running = True
            for request in requests:
                request.arrival = self._arrivals = self._arrivals + 1
            self._arriving += requests

    def _require_room(self, more: int) -> None:
        most = self._model.info.max_pending
        waiting = _questions([*self._arriving, *self._requests])
        # What a question itself asks next comes from the model's thread: it was let in already.
        if most is not None and waiting + more > most and not in_model_thread():
            raise BusyError(
                f"{self._model.info.name} is busy: {counted(waiting, 'question')} waiting or being "
                f"decoded, {more} more asked, and {most} may at once: ask again later, or load it with "
                "a larger max_pending"
            )

    @property
    def pending(self) -> int:
        """Requests that wait or are decoded."""
        with self._lock:
            return len(self._arriving) + len(self._requests)

    @property
    def paths_in_cache(self) -> int:
        """Paths that have a sequence of the model's cache now; none when nothing is decoded."""
        return len(self._cache)

    def _serve(self) -> None:
        """The loop, in the model's owner thread, until no question is left."""
        with model_thread():
            self._serve_all()

    def _serve_all(self) -> None:
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
                    self._configure(newcomers, idle=idle)
                self._step()
            except BaseException as error:
                # Not only Exception: a caller that waits must hear of whatever stopped the loop.
                self._fail(error)

    def _configure(self, newcomers: Sequence[Request], *, idle: bool) -> None:
        """Let the model have a cache that suits questions that join.

        While others are in work only when a path would not fit, or when attention is asked for and
        was not so far: they lose their places.
        """
        going = [request for request in newcomers if not request.cancelled]
        longest = max((request.longest for request in going), default=0)
        attention = any(request.attention for request in going)
        before = self._cache.longest, self._cache.attention
        if not idle:
            longest, attention = max(longest, before[0]), attention or before[1]
            if (longest, attention) == before:
                return
        try:
            self._cache.configure(longest, attention=attention)
        except ContextError as error:
            for request in newcomers:
                if idle or request.longest > before[0] or request.attention > before[1]:
                    self._retire(request, error)
            if self._requests:
                self._cache.configure(before[0], attention=before[1])

    def _step(self) -> None:
        now = time.perf_counter()
        for request in list(self._requests):
            if request.deadline is not None and now >= request.deadline:
                request.cancel()
            if request.cancelled:
                request.run.cancel()
            if request.run.finished:
                self._retire(request)
        rows = self._choose(self._most_tokens(now))
        if not rows:
            if self._requests:
                raise self._cache.too_small()
            return
        began = time.perf_counter()
        outputs = self._decode(rows)
        per_token = (time.perf_counter() - began) / sum(len(row.tokens) for row in rows)
        known = self._token_seconds or per_token
        self._token_seconds = 0.7 * known + 0.3 * per_token
        for row in rows:
            row.request.cost += per_token * len(row.tokens)
        for request in {id(row.request): row.request for row in rows}.values():
            request.steps += 1
        for request in {id(row.request): row.request for row in outputs}.values():
            try:
                if request.on_step is not None:
                    request.on_step(request)
            except BaseException as error:  # sys.exit() too: it ends this question alone
                self._retire(request, error)
            if request.run.finished:
                self._retire(request)
            else:
                self._release_ended(request)

    def _decode(self, rows: list[_Row]) -> list[_Row]:
        """Decode one batch and tell the runs; returns the rows that had outputs."""
        step = self._model.decode(_batch(rows))
        for row in rows:
            self._cache.append(row.path, row.tokens)
        outputs = [row for row in rows if row.done]
        if outputs:
            self._tell(outputs, step)
        return outputs

    def _tell(self, outputs: list[_Row], step: Step) -> None:
        logits, wanted = step.rows, (len(outputs), self._model.info.vocabulary)
        if logits.shape != wanted:
            raise DecodeError(f"the model gave logits {logits.shape} and not {wanted}: reload it")
        order = range(len(outputs)) if step.order is None else step.order.tolist()
        temperatures = [1.0] * len(outputs)
        for row, at in zip(outputs, order, strict=True):
            temperatures[at] = row.request.run.temperature
            if row.request.constraint is not None and not row.request.done:
                try:
                    _constrain(row, row.request.constraint, logits[at])
                except Exception as error:
                    self._retire(row.request, error)
        distributions = self._distributions.analyse(logits, temperatures)
        for index, (row, at) in enumerate(zip(outputs, order, strict=True)):
            if row.request.done:
                continue
            attention = near = None
            if step.attention is not None and row.request.attention:
                attention, near = step.attention.row(index), step.attention.near(index)
            try:
                row.request.run.tell(row.path.number, distributions[at], attention, near)
            except Exception as error:
                # One question's broken decoder must not stop the others.
                self._retire(row.request, error)

    def _most_tokens(self, now: float) -> int:
        """Tokens of the next batch at most: it should end before the next deadline, or soon after."""
        most = self._model.info.max_batch
        deadlines = [one.deadline for one in self._requests if one.deadline is not None]
        if not deadlines or not self._token_seconds:
            return most
        # Half of what is left, since the estimate may be wrong on a machine that others load.
        seconds = max(_SHORTEST_STEP, (min(deadlines) - now) / 2)
        return min(most, max(1, int(seconds / self._token_seconds)))

    def _choose(self, most: int) -> list[_Row]:
        """The next batch: most urgent branches first, up to the width and what the cache holds."""
        rows: list[_Row] = []
        tokens_left, outputs_left = most, self._width
        self._cache.begin_batch()
        for request in self._requests:
            # Lengths of paths to come, by the mean of those so far.
            expected = min(round(self._mean_path), request.run.max_tokens)
            for branch in request.run.runnable():
                if not tokens_left or not outputs_left:
                    return rows
                row = self._plan(request, request.path(branch), tokens_left, expected)
                if row is not None:
                    rows.append(row)
                    tokens_left -= len(row.tokens)
                    outputs_left -= row.done
        return rows

    def _plan(
        self, request: Request, path: BranchPath, tokens_left: int, expected: int
    ) -> _Row | None:
        """What a branch needs in this batch; None when the cache has no room for it now."""
        branch = request.run.tree.branches[path.number]
        total = len(request.prompt) + branch.end
        slot = self._cache.reserve(
            path, length=total, most=tokens_left, growth=max(8, expected - branch.end)
        )
        if slot is None:
            return None
        if request.started is None:
            request.started = time.perf_counter()
            request.cached = min(slot.start, len(request.prompt))
        start, end = slot.start, slot.start + slot.count
        if start == total - 1:
            # A branch that leaves another may have no token of its own yet.
            tokens = branch.tokens[-1:] or path.tokens[-1:]
        else:
            tokens = path.tokens[start:end]
            # What was given, and not generated, is read for the first time in a block as well.
            again = min(end, total - 1, path.read)
            request.recomputed += max(0, again - max(start, len(request.prompt)))
        path.read = max(path.read, end)
        return _Row(request, path, slot.sequence, start, tokens, end == total)

    def _release_ended(self, request: Request) -> None:
        """Free what no later fork can use: few cells keep attention short in a shared cache."""
        if any(request.path(branch) not in self._cache for branch in request.run.runnable()):
            return  # a branch that has just forked off may begin from one that ended
        for path in self._cache.paths(request.arrival):
            if path.finished and not request.run.may_fork(path.number):
                self._cache.release(path)

    def _retire(self, request: Request, error: BaseException | None = None) -> None:
        if request not in self._requests:
            return
        self._requests.remove(request)
        try:
            for path in self._cache.paths(request.arrival):
                self._cache.release(path)
        finally:  # a model that was closed meanwhile must not leave the caller waiting
            if request.run.generates:
                ends = [branch.end for branch in request.run.tree.branches]
                # A running mean: the questions of one caller tend to be of one kind.
                self._mean_path = 0.7 * self._mean_path + 0.3 * sum(ends) / len(ends)
            if request.run.tree.attention is not None:
                request.run.tree.attention.forget_rows()
            request.end(error)

    def _fail(self, error: BaseException) -> None:
        """Give every question in work the error and start over with an empty cache."""
        failed, self._requests = self._requests, []
        self._cache.clear()
        for request in failed:
            request.end(error)


def _questions(requests: Sequence[Request]) -> int:
    """How many of them are questions, and not what is asked about one besides."""
    return sum(request.run.generates for request in requests)


def _constrain(row: _Row, constraint: Constraint, logits: NDArray[np.float32]) -> None:
    """Rule out what may not come next; logits stay as they are when nothing may."""
    allowed = constraint.allowed(row.request.run.tree.path(row.path.number))
    if allowed is None:
        return
    if not np.isfinite(logits.max(where=allowed, initial=-np.inf)):
        raise DecodeError("the grammar allows no token that the model could say: simplify it")
    logits[~allowed] = -np.inf


def _batch(rows: list[_Row]) -> Batch:
    # Lists, since most rows are of one token.
    tokens: list[int] = []
    positions: list[int] = []
    sequences: list[int] = []
    outputs: list[bool] = []
    for row in rows:
        size = len(row.tokens)
        tokens += row.tokens
        positions += range(row.start, row.start + size)
        sequences += [row.sequence] * size
        outputs += [False] * (size - 1)
        outputs.append(row.done)
    numbers = np.array([tokens, positions, sequences], dtype=np.int32)
    return Batch(numbers[0], numbers[1], numbers[2], np.array(outputs, dtype=np.bool_))


_SCHEDULERS: MadeOnce[LanguageModel, Scheduler] = MadeOnce(Scheduler)


@checks_arguments
def scheduler_of(model: LanguageModel) -> Scheduler:
    """The one scheduler of a model, so that all callers share its batches."""
    return _SCHEDULERS.of(model)


__getattr__ = old_names(__name__, {"Ticket": "Request"})
