"""Key-values of token paths that are no longer in an engine's cache, kept to go on from.

The store is a radix tree over tokens (as in SGLang, arXiv 2312.07104). A node holds a run of tokens
and the key-values of these positions, as the engine gave them. Paths that begin alike share the nodes
of their beginning. The store takes a bounded number of bytes; beginnings that were not used for the
longest time are dropped first.

It holds copies. To drop one never touches a sequence in the engine's cache.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from et_agent.arrays import Bytes

__all__ = ["PREFIX_MEMORY", "PrefixStore", "StoredNode", "common_prefix_length"]

PREFIX_MEMORY: Final = 64 << 20
"""Bytes of kept key-values at most, unless said otherwise: 5,000 tokens of Qwen2.5-0.5B."""


def common_prefix_length(one: list[int], other: list[int]) -> int:
    """Count the first tokens that two lists have in common, by comparing halves of what is left."""
    low, high = 0, min(len(one), len(other))
    if one[:high] == other[:high]:
        return high
    # All before `low` is the same, and something before `high` is not.
    while high - low > 1:
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low


@dataclass(eq=False, slots=True)
class StoredNode:
    """A run of tokens in the tree.

    Attributes:
        tokens: The tokens, at least one, except in the root.
        rows: uint8 [tokens, bytes of a position], their key-values.
        parent: What comes before; None for the root.
        prompt: Whether the tokens were part of a prompt.
        children: What follows, by first token.
    """

    tokens: list[int]
    rows: Bytes
    parent: "StoredNode | None"
    prompt: bool = False
    children: dict[int, "StoredNode"] = field(default_factory=dict)


class PrefixStore:
    """The tree. Not safe in several threads at once: an engine uses it in its owner thread.

    Args:
        memory: Bytes of key-values at most.

    Attributes:
        note: What users should know about it; empty for nothing.
        changed: Whether prompts were added since this was set to False.
    """

    def __init__(self, memory: int) -> None:
        self.memory = memory
        self.note = ""
        self.changed = False
        self.clear()

    def clear(self) -> None:
        """Drop everything."""
        self._root = StoredNode([], np.empty((0, 0), dtype=np.uint8), None)
        # Least recently used first. Parents are moved to the end after their children, so the first
        # one has no children.
        self._by_use: OrderedDict[int, StoredNode] = OrderedDict()
        self.bytes = 0

    @property
    def tokens(self) -> int:
        """Number of tokens that are kept."""
        return sum(len(node.tokens) for node in self._by_use.values())

    def __len__(self) -> int:
        """Number of nodes."""
        return len(self._by_use)

    def nodes(self) -> Iterator[StoredNode]:
        """All nodes but the root, parents before children."""
        waiting = list(self._root.children.values())
        while waiting:
            node = waiting.pop()
            yield node
            waiting += node.children.values()

    def match(self, tokens: list[int]) -> int:
        """Count the first tokens of a path that are kept, and note that they were used."""
        node, length = self._walk(tokens)
        self._use(node)
        return length

    def read(self, tokens: list[int], length: int) -> Bytes:
        """Key-values of the first `length` tokens of a path, uint8 [length, bytes of a position].

        `length` is 1 or more, and at most what `match` gave.
        """
        parts, node, at = [], self._root, 0
        while at < length:
            node = node.children[tokens[at]]
            parts.append(node.rows[: length - at])
            at += len(node.tokens)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def insert(self, tokens: list[int], rows: Bytes, *, prompt: int) -> None:
        """Keep the key-values of a path.

        Nothing happens if the tokens before them are not kept.

        Args:
            tokens: Tokens of the path.
            rows: uint8 [n, bytes of a position], key-values of its last n tokens.
            prompt: How many of the tokens are a prompt.
        """
        node, at = self._walk(tokens)
        start = len(tokens) - len(rows)
        if at < start or (self._by_use and rows.size and rows.shape[1] != self._row_bytes):
            return
        end = min(len(tokens), self.memory // rows.shape[1]) if rows.size else at
        for stop in (min(prompt, end), end):
            if at < stop:
                part = rows[at - start : stop - start]
                # A part is copied, so that it does not keep all of the rows alive.
                part = part if len(part) == len(rows) else part.copy()
                node = self._add(self._cut(node, tokens, at), tokens[at:stop], part)
                at = stop
        self._mark(tokens, min(prompt, at))
        self._use(node)
        while self.bytes > self.memory:
            self._drop(next(iter(self._by_use.values())))

    @property
    def _row_bytes(self) -> int:
        return int(next(iter(self._by_use.values())).rows.shape[1])

    def _walk(self, tokens: list[int]) -> tuple[StoredNode, int]:
        """The last node that a path goes into, and how many of its tokens are kept."""
        node, at = self._root, 0
        while at < len(tokens) and (child := node.children.get(tokens[at])) is not None:
            node = child
            shared = common_prefix_length(child.tokens, tokens[at : at + len(child.tokens)])
            at += shared
            if shared < len(child.tokens):
                break
        return node, at

    def _cut(self, node: StoredNode, tokens: list[int], at: int) -> StoredNode:
        """The node that ends after `at` tokens of a path, cut off the one that goes on if need be."""
        start, one = 0, node.parent
        while one is not None:
            start += len(one.tokens)
            one = one.parent
        keep = at - start
        if keep == len(node.tokens) or node.parent is None:
            return node
        head = StoredNode(node.tokens[:keep], node.rows[:keep].copy(), node.parent, node.prompt)
        node.parent.children[tokens[start]] = head
        node.tokens, node.rows, node.parent = node.tokens[keep:], node.rows[keep:].copy(), head
        head.children[node.tokens[0]] = node
        self._by_use[id(head)] = head
        return head

    def _add(self, parent: StoredNode, tokens: list[int], rows: Bytes) -> StoredNode:
        node = parent.children[tokens[0]] = StoredNode(tokens, rows, parent)
        self._by_use[id(node)] = node
        self.bytes += rows.nbytes
        return node

    def _mark(self, tokens: list[int], length: int) -> None:
        """Note that the first tokens of a path are a prompt."""
        node, at = self._walk(tokens[:length])
        one: StoredNode | None = self._cut(node, tokens, at)
        while one is not None and not one.prompt:
            one.prompt, one = True, one.parent
            self.changed = True

    def _use(self, node: StoredNode) -> None:
        one: StoredNode | None = node
        while one is not None and one.parent is not None:
            self._by_use.move_to_end(id(one))
            one = one.parent

    def _drop(self, node: StoredNode) -> None:
        assert node.parent is not None
        assert not node.children
        del node.parent.children[node.tokens[0]]
        del self._by_use[id(node)]
        self.bytes -= node.rows.nbytes
