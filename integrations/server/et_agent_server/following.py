"""The texts of chains while they are decoded, from the model's thread to an event loop.

One path is what `et_agent.asking.streaming` follows; these are several choices at once.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from et_agent.decoding.request import Request

__all__ = ["ChainFollower", "Piece", "Said"]

_END: Final = None
_MOST_WAITING: Final = 64
"""Steps that may wait for a slow client; further ones are left out, since each has the whole path."""


class Said(Protocol):
    """Tells the thought and the text of a path, as far as they are certain if it has not ended."""

    def __call__(self, tokens: Sequence[int], /, *, ended: bool) -> tuple[str, str]:
        """Thought and text."""
        ...


@dataclass(frozen=True, slots=True)
class Piece:
    """What a step added to a choice.

    Attributes:
        choice: Number of the choice.
        text: What comes after the earlier texts; certain to be in the reply.
        thought: The same of its thought.
    """

    choice: int
    text: str
    thought: str


@dataclass(frozen=True, slots=True)
class _Grown:
    """A chain that has more tokens than before."""

    choice: int
    said: Said
    tokens: tuple[int, ...]
    ended: bool


class ChainFollower:
    """Tells the texts of independent chains as they come, in larger pieces where the client is slow.

    What is not told yet when all requests have ended is left to who asks for their texts.

    Args:
        works: Requests that have not begun, whose steps nobody else follows, and what reads their
            paths.
        chains: How many chains each has.

    Attributes:
        sent: Text and thought of each choice that were told so far, chains of the first request first.
    """

    def __init__(self, works: Sequence[tuple[Request, Said]], chains: int) -> None:
        self.sent = [("", "")] * (len(works) * chains)
        self._chains, self._going = chains, len(works)
        self._loop = asyncio.get_running_loop()
        self._steps: asyncio.Queue[list[_Grown] | None] = asyncio.Queue()
        for at, (request, said) in enumerate(works):
            self._follow(request, said, at * chains)

    def _follow(self, request: Request, said: Said, first: int) -> None:
        lengths = [0] * self._chains

        def note(request: Request) -> None:
            grown, tree = [], request.run.tree
            for branch in tree.branches[: self._chains]:
                if branch.end > lengths[branch.id]:
                    lengths[branch.id] = branch.end
                    path, ended = tuple(tree.path(branch.id)), branch.finish is not None
                    grown.append(_Grown(first + branch.id, said, path, ended))
            if grown:
                self._put(grown)

        if request.run.generates:
            request.on_step = note
        request.add_done_callback(lambda _: self._put(_END))

    def _put(self, step: list[_Grown] | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            self._loop.call_soon_threadsafe(self._take, step)

    def _take(self, step: list[_Grown] | None) -> None:
        if step is _END or self._steps.qsize() < _MOST_WAITING:
            self._steps.put_nowait(step)

    async def pieces(self) -> AsyncIterator[Piece]:
        """What each step adds, until all requests have ended."""
        while self._going:
            step = await self._steps.get()
            self._going -= step is _END
            for one in step or ():
                thought, text = one.said(one.tokens, ended=one.ended)
                text_before, thought_before = self.sent[one.choice]
                self.sent[one.choice] = text, thought
                new = Piece(one.choice, text[len(text_before) :], thought[len(thought_before) :])
                if new.text or new.thought:
                    yield new
