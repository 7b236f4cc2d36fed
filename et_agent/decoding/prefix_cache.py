"""Which beginnings of token paths lie in the engine's cache, and which of them give way.

A path's place in the cache is itself only a cache. When cells or sequence ids run out, the least
urgent paths lose theirs and go on later from the longest beginning that is left. A context too small
for a whole tree therefore costs time, not leaves.

What the cache holds is known by its tokens: which beginning a path can go on from is found by
comparing them, whichever question they belong to. A path that loses its place, or has ended, leaves
its key-values in the engine's `PrefixStore`. A later path goes on from there if that has more of its
beginning than the engine's sequences. Whose the paths are decides only how urgent they are.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from et_agent.engines.base import Capacity, Engine
from et_agent.engines.prefix_store import PrefixStore, common_prefix_length
from et_agent.errors import ContextError

__all__ = ["PrefixCache", "Slot", "TokenPath", "common_prefix_length"]

_WORTH_WAITING: Final = 4
"""Tokens that must be gained by waiting for another question to decode a common beginning."""
_WORTH_RESTORING: Final = 4
"""Tokens that must be gained by restoring key-values rather than forking a sequence."""


class TokenPath(Protocol):
    """A path of tokens, prompt included; the same object as long as it lives."""

    @property
    def owner(self) -> int:
        """Number of the question that wants it; smaller ones came first and are more urgent."""
        ...

    @property
    def number(self) -> int:
        """Number among the paths of its owner; smaller ones are more urgent."""
        ...

    @property
    def prompt(self) -> list[int]:
        """Its first tokens, which all paths of its owner have; the same object each time."""
        ...

    @property
    def finished(self) -> bool:
        """Whether it has ended, so that others begin from it at most."""
        ...

    @property
    def tokens(self) -> list[int]:
        """Its tokens so far, prompt included; put together each time."""
        ...


@dataclass(slots=True)
class _Entry:
    """A sequence of the engine's cache, and the tokens that lie in it."""

    sequence: int
    tokens: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Slot:
    """Where the next tokens of a path go.

    Attributes:
        sequence: The sequence.
        start: Position of the first token; those before are in the cache.
        count: Tokens.
    """

    sequence: int
    start: int
    count: int


class PrefixCache:
    """The engine's sequences and the paths whose beginnings they hold. Owner thread only.

    A batch is put together by `begin_batch` and a `reserve` for each path, most urgent first; once it
    is decoded, `append` tells of the tokens.

    Args:
        engine: Gives the engine.

    Attributes:
        attention: Whether the engine reads attention.
    """

    def __init__(self, engine: Callable[[], Engine]) -> None:
        self._engine = engine
        self._capacity = Capacity(0, 0)
        self.attention = False
        self._free_sequences: list[int] = []
        self._entries: dict[TokenPath, _Entry] = {}
        self.begin_batch()

    def __len__(self) -> int:
        """Paths that have a sequence."""
        return len(self._entries)

    @property
    def longest(self) -> int:
        """Positions that a path may have."""
        return self._capacity.longest

    def configure(self, longest: int, *, attention: bool = False) -> None:
        """Get the engine ready for paths of `longest` positions; no path has a place then.

        Args:
            longest: Positions.
            attention: Whether the engine reads attention from here on.

        Raises:
            ContextError: There is no memory for it; the cache holds nothing then.
        """
        for path in list(self._entries):
            self.release(path)
        self._capacity = Capacity(0, 0)
        self._empty()
        self._capacity = self._engine().configure(longest, attention=attention)
        self.attention = attention
        self._empty()

    def _empty(self) -> None:
        self._entries.clear()
        self._free_sequences = list(range(self._capacity.sequences))[::-1]

    def begin_batch(self) -> None:
        """Begin a batch, for which nothing is reserved yet."""
        self._kept: set[TokenPath] = set()
        self._reserved = 0
        self._growth = 0

    def reserve(self, path: TokenPath, *, length: int, most: int, growth: int) -> Slot | None:
        """Find room for the next tokens of a path in the batch that is being put together.

        Args:
            path: The path.
            length: Its tokens.
            most: Tokens that the batch still takes, 1 or more.
            growth: Cells that the path may still need after these tokens.

        Returns:
            Where the tokens go, and how many; None when there is no room for them now.

        Raises:
            ContextError: There is no room although the batch is empty.
        """
        self._kept.add(path)
        slot = self._slot(path, length, most)
        if slot is None:
            self._kept.discard(path)
        else:
            self._reserved += slot.count
            self._growth += growth
        return slot

    def _slot(self, path: TokenPath, length: int, most: int) -> Slot | None:
        entry = self._entries.get(path)
        known = entry is not None
        if entry is None:
            entry = None if self._awaits(path) else self._enter(path, length, most)
            if entry is None:
                return None
        count = min(length - len(entry.tokens), most)
        if known:
            fits = self._make_room(count)
        else:
            # It waits until the paths that are in the cache have room for what they may still need:
            # to push it out again half-way would cost more than the wait.
            fits = self._make_room(count + self._growth, path)
            if not fits:
                self.release(path)
        return Slot(entry.sequence, len(entry.tokens), count) if fits else None

    def _awaits(self, path: TokenPath) -> bool:
        """Whether an earlier question is about to decode more of the prompt that a path begins with.

        The earliest question waits for none, so there is always one that goes on.
        """
        for other, entry in self._entries.items():
            there = len(entry.tokens)
            if other.owner < path.owner and there + _WORTH_WAITING < len(other.prompt):
                common = common_prefix_length(other.prompt, path.prompt)
                if common >= there + _WORTH_WAITING:
                    return True
        return False

    def _enter(self, path: TokenPath, length: int, most: int) -> _Entry | None:
        """Give a path a sequence with the longest beginning that is there, its last token left out."""
        tokens = path.tokens[: length - 1]
        source, shared = self._nearest(path, tokens)
        if not self._free_sequences:
            keep = self._kept if source is None else self._kept | {source}
            victim = self._victim(keep, finished_only=self._reserved > 0, after=path)
            if victim is None:
                if self._reserved or source is None:
                    return None
                # The only sequence holds what is to be forked: begin again from the prompt.
                victim, source, shared = source, None, 0
            self.release(victim)
        store = self._engine().prefixes
        kept = 0 if store is None else store.match(tokens)
        # What is restored shares no cells with the source: a little more of a long one is not worth it.
        if store is not None and kept - shared > _WORTH_RESTORING + shared // 64:
            if self._has_room(kept + min(length - kept, most) + self._growth, path):
                entry = self._restore(path, store, tokens[:kept])
                if entry is not None:
                    return entry
            elif self._reserved:
                return None
            if source is not None and source not in self._entries:
                source, shared = None, 0
        sequence = self._free_sequences.pop()
        if source is not None:
            self._engine().fork(self._entries[source].sequence, sequence, shared)
        entry = self._entries[path] = _Entry(sequence, tokens[:shared])
        return entry

    def _restore(self, path: TokenPath, store: PrefixStore, tokens: list[int]) -> _Entry | None:
        """Give a path a sequence with a beginning that is kept; None if that cannot be had."""
        if store.match(tokens) < len(tokens):
            return None  # dropped for what gave way meanwhile
        sequence = self._free_sequences.pop()
        if not self._engine().restore(sequence, store.read(tokens, len(tokens))):
            self._free_sequences.append(sequence)
            return None
        entry = self._entries[path] = _Entry(sequence, tokens)
        return entry

    def _nearest(self, path: TokenPath, tokens: list[int]) -> tuple[TokenPath | None, int]:
        """Find what is there that has the most of a path's first tokens, and how many."""
        best: tuple[TokenPath | None, int] = (None, 0)
        own = [(other, one) for other, one in self._entries.items() if other.owner == path.owner]
        for other, entry in own or self._entries.items():
            # What is known to be the same need not be compared.
            known = min(len(path.prompt), len(entry.tokens), len(tokens)) if own else 0
            shared = known + common_prefix_length(entry.tokens[known:], tokens[known:])
            if shared > best[1]:
                best = (other, shared)
        return best

    def _make_room(self, count: int, newcomer: TokenPath | None = None) -> bool:
        """Whether `count` more cells are to be had, giving up other paths' cells if need be.

        A newcomer, which is not in the cache yet, pushes out finished paths of its own and later
        owners only, unless nothing else is going.
        """
        fits = self._has_room(count, newcomer)
        if not fits and not self._reserved:
            raise self.too_small()
        return fits

    def _has_room(self, count: int, newcomer: TokenPath | None) -> bool:
        needed = count + self._reserved
        gentle = newcomer is not None and self._reserved > 0
        while self._engine().free_positions < needed:
            after = newcomer if gentle else None
            victim = self._victim(self._kept, finished_only=gentle, after=after)
            if victim is None:
                return False
            self.release(victim)
        return True

    def _victim(
        self, keep: set[TokenPath], *, finished_only: bool, after: TokenPath | None
    ) -> TokenPath | None:
        """The least urgent path outside `keep`, finished ones first."""
        candidates = (
            path
            for path in self._entries
            if path not in keep
            and (after is None or path.owner >= after.owner)
            and (path.finished or not finished_only)
        )
        return max(candidates, key=lambda p: (p.finished, p.owner, p.number), default=None)

    def too_small(self) -> ContextError:
        """The error of a context in which not even one path has room."""
        return ContextError(
            f"the context of {self._engine().info.context} cells is too small for this question: "
            "use a larger context"
        )

    def append(self, path: TokenPath, tokens: Sequence[int]) -> None:
        """Note that tokens of a path were decoded, after those that were there."""
        self._entries[path].tokens += tokens

    def __contains__(self, path: TokenPath) -> bool:
        return path in self._entries

    def paths(self, owner: int) -> list[TokenPath]:
        """The paths of an owner that are in the cache."""
        return [path for path in self._entries if path.owner == owner]

    def release(self, path: TokenPath) -> None:
        """Give up a path's sequence; cells that no other one shares become free.

        Its key-values are kept, as far as the store has them not yet.
        """
        entry = self._entries.pop(path)
        engine, tokens = self._engine(), entry.tokens
        store = engine.prefixes
        kept = len(tokens) if store is None else store.match(tokens)
        if store is None or kept == len(tokens):
            engine.release(entry.sequence)
        else:
            rows = engine.park(entry.sequence, kept)
            if rows is not None:
                store.insert(tokens, rows, prompt=len(path.prompt))
        self._free_sequences.append(entry.sequence)

    def clear(self) -> None:
        """Give up all paths, whatever state the engine is in."""
        for entry in self._entries.values():
            with contextlib.suppress(Exception):  # what broke the engine may break this too
                self._engine().release(entry.sequence)
        self._empty()
