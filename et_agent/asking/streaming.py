"""The text of a question while it is decoded, then the whole reply with its result.

A stream shows the leading path: the first one that is decoded and, where that forks at its end, the
heaviest side. Which answer wins is known when the tree is done, and the reply is then the leaf of that
answer that says what was shown. Only if another answer wins is the reply another text, and the last
event says so.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from queue import Empty, SimpleQueue
from typing import Final, Literal, Self

from et_agent.arguments import checks_arguments
from et_agent.asking.pending import PendingAnswer, start
from et_agent.decoding.request import Request
from et_agent.decoding.tree import Tree
from et_agent.results import AskResult, Leaf, TreeReport
from et_agent.validation import wait_seconds

__all__ = ["AnswerStream", "LeadingPath", "StreamEnd", "StreamEvent", "TextDelta", "TreeGrown"]

_MOST_WAITING: Final = 64
"""Steps that may wait for a slow reader; further ones are left out, since each has the whole path."""
_PAUSE: Final = 0.25
"""Seconds between two tellings of the tree at least."""
_LEAST_DECODING: Final = 9.0
"""Seconds of decoding for each second that telling of the tree takes, at least."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """What was added to the text that a stream shows.

    Attributes:
        path: The branch of the tree that it is of.
        kind: Whether it belongs to the thought or to the answer.
        text: What comes after the earlier deltas of its kind; not empty.
    """

    path: int
    kind: Literal["thought", "answer"]
    text: str


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """The reply and its result: the last event of a stream.

    Attributes:
        result: What `ask` returns.
        leaf: The leaf that is the reply.
        thought: Its thought; empty for none.
        answer: Its text, without tool calls.
        agrees: Whether the deltas of each kind, joined, are `thought` and `answer`. If not, another
            answer won, and these replace what was shown.
    """

    result: AskResult
    leaf: Leaf
    thought: str
    answer: str
    agrees: bool


@dataclass(frozen=True, slots=True)
class TreeGrown:
    """The tree while it grows.

    Attributes:
        tree: Its nodes and leaves. Leaves that have not ended are "cancelled" and without an answer.
        tokens: Tokens generated so far.
        seconds: Wall time so far.
    """

    tree: TreeReport
    tokens: int
    seconds: float


StreamEvent = TextDelta | StreamEnd
"""What a stream is made of."""


@dataclass(frozen=True, slots=True)
class _Step:
    """The leading path after a step: its branch, its tokens, and whether it has ended."""

    path: int
    tokens: tuple[int, ...]
    ended: bool


class _NewTree(Enum):
    """Says that there is a newer tree, which is kept once."""

    THERE = auto()


class LeadingPath:
    """Follows one path of a growing tree, and the heaviest side where that path forks at its end."""

    def __init__(self) -> None:
        self.branch = 0
        self._length = 0
        self._ended = False

    def grown(self, tree: Tree) -> bool:
        """Whether the path has more tokens than when this was last asked, or has ended since."""
        grown = False
        while not self._ended and (sides := self._sides(tree)):
            self.branch = max(sides, key=tree.weight)  # the first of those that weigh the same
            self._length += 1
            grown = True
        ended = tree.branches[self.branch].finish is not None
        grown, self._ended = grown or ended > self._ended, ended
        return grown

    def _sides(self, tree: Tree) -> list[int]:
        """The branches that go on from where the path was, those with a token there."""
        at = self._length
        sides = [self.branch, *tree.sides(self.branch, at)]
        return [one for one in sides if tree.branches[one].end > at]


class AnswerStream:
    """The text of a question that has not begun, while it is decoded; iterate over it once.

    The same object is an iterator and an asynchronous one. Text is left back as long as it may be the
    beginning of a stop sequence, of a mark of a thought, of a tool call, or of a character. Tool calls
    are no text. Models behind servers give whole replies: their text comes as one delta.

    Leaving the loop or closing the stream stops decoding within one step.

    Args:
        pending: The question. Who follows its steps already is told of them too.
        timeout: Seconds in which the last event has to come; None for no limit.

    Raises:
        ModelClosedError: The model was closed.
    """

    @checks_arguments
    def __init__(self, pending: PendingAnswer, *, timeout: float | None = None) -> None:
        self.pending = pending
        self._grown: deque[TreeGrown] | None = None
        self._due = 0.0
        seconds = wait_seconds(timeout)
        self._limit = None if seconds is None else time.perf_counter() + seconds
        self._steps: SimpleQueue[_Step | _NewTree | None] = SimpleQueue()
        self._wake: Callable[[], None] = lambda: None
        self._leading = LeadingPath()
        self._shown = {"thought": "", "answer": ""}
        self._followed, pending.request.on_step = pending.request.on_step, self._follow
        pending.add_done_callback(lambda _: self._put(None))
        start(pending)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop decoding within one step; does nothing to a question that is answered."""
        self.pending.cancel()

    def __iter__(self) -> Generator[StreamEvent, None, None]:
        """Yield deltas and the end.

        Raises:
            TimeoutError: The time was up.
            EtAgentError: Decoding failed.
        """
        with self:
            while (step := self._next_step()) is not None:
                if isinstance(step, _Step):
                    yield from self._deltas(step)
            yield from self._end()

    async def __aiter__(self) -> AsyncGenerator[StreamEvent, None]:
        """Yield deltas and the end without blocking the event loop; errors as for `__iter__`."""
        async with contextlib.aclosing(self._events()) as events:
            async for event in events:
                if not isinstance(event, TreeGrown):
                    yield event

    async def with_trees(self) -> AsyncGenerator[StreamEvent | TreeGrown, None]:
        """The same, and the tree as it grows, about four times per second at most.

        Who is slow to take events gets the newest tree only.
        """
        self._grown = deque(maxlen=1)
        async with contextlib.aclosing(self._events()) as events:
            async for event in events:
                yield event

    async def _events(self) -> AsyncGenerator[StreamEvent | TreeGrown, None]:
        loop, ready = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed, so nobody listens
                loop.call_soon_threadsafe(ready.set)

        self._wake = wake
        with self:
            while True:
                # Cleared before it is looked for more: a step that comes meanwhile sets it again.
                ready.clear()
                try:
                    step = self._steps.get_nowait()
                except Empty:
                    await asyncio.wait_for(ready.wait(), self._left())
                    continue
                if step is None:
                    break
                for event in self._deltas(step) if isinstance(step, _Step) else self._trees():
                    yield event
            # Reading the leaves may take a while: formulas are compared.
            for last in await asyncio.to_thread(lambda: list(self._end())):
                yield last

    def _follow(self, request: Request) -> None:
        """Called in the model's thread: what a path says is read by who iterates."""
        if request.run.generates:
            self._note(request)
        if self._followed is not None:
            self._followed(request)

    def _note(self, request: Request) -> None:
        tree = request.run.tree
        if self._leading.grown(tree) and self._steps.qsize() < _MOST_WAITING:
            branch = tree.branches[self._leading.branch]
            self._put(_Step(branch.id, tuple(tree.path(branch.id)), branch.finish is not None))
        began = time.perf_counter()
        if self._grown is not None and (began >= self._due or request.run.finished):
            self._grown.append(
                TreeGrown(self.pending.growing_tree(), tree.tokens_decoded, request.seconds)
            )
            self._put(_NewTree.THERE)
            now = time.perf_counter()
            # A large tree takes a while to describe, in the thread that decodes it.
            self._due = now + max(_PAUSE, _LEAST_DECODING * (now - began))

    def _put(self, step: _Step | _NewTree | None) -> None:
        self._steps.put(step)
        self._wake()

    def _left(self) -> float | None:
        return None if self._limit is None else max(0.0, self._limit - time.perf_counter())

    def _next_step(self) -> _Step | _NewTree | None:
        try:
            return self._steps.get(timeout=self._left())
        except Empty:
            raise TimeoutError from None

    def _trees(self) -> Iterator[TreeGrown]:
        assert self._grown is not None
        with contextlib.suppress(IndexError):  # it was told when an older one should have been
            yield self._grown.pop()

    def _deltas(self, step: _Step) -> Iterator[TextDelta]:
        thought, answer = self.pending.said(step.tokens, ended=step.ended)
        yield from self._added(step.path, thought, answer)

    def _added(self, path: int, thought: str, answer: str) -> Iterator[TextDelta]:
        """What is new. Text that changes what was shown is not: the end tells of it."""
        kinds: tuple[tuple[Literal["thought", "answer"], str], ...] = (
            ("thought", thought),
            ("answer", answer),
        )
        for kind, text in kinds:
            shown = self._shown[kind]
            if len(text) > len(shown) and text.startswith(shown):
                self._shown[kind] = text
                yield TextDelta(path, kind, text[len(shown) :])

    def _end(self) -> Iterator[StreamEvent]:
        result = self.pending.result(self._left())
        leaf, agrees = self._reply(result)
        thought, answer = leaf.reasoning or "", self.pending.content(leaf)
        if agrees:  # what was left back, or all of it if the model gives no text before
            yield from self._added(self._leading.branch, thought, answer)
        yield StreamEnd(result, leaf, thought, answer, agrees)

    def _reply(self, result: AskResult) -> tuple[Leaf, bool]:
        """The leaf that is the reply: the heaviest of the answer that goes on with what was shown."""
        best = result.best_leaf
        assert result.tree is not None  # a finished question has one
        assert best is not None
        for leaf in result.tree.leaves:
            goes_on = (leaf.reasoning or "").startswith(self._shown["thought"]) and (
                self.pending.content(leaf).startswith(self._shown["answer"])
            )
            if leaf.answer == best.answer and goes_on:
                return leaf, True
        return best, False
