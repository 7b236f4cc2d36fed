"""What is kept of token paths: found by tokens, bounded in bytes, least recently used first out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.arrays import Bytes
from et_agent.engines.prefix_store import PrefixStore, StoredNode

ROW = 4


def rows_of(tokens: list[int]) -> Bytes:
    """Rows that tell which token they are of."""
    return np.array(tokens, dtype=np.int32).view(np.uint8).reshape(len(tokens), ROW)


def tokens_of(rows: Bytes) -> list[int]:
    found: list[int] = np.ascontiguousarray(rows).view(np.int32).ravel().tolist()
    return found


def keep(store: PrefixStore, tokens: list[int], prompt: int = 0) -> int:
    """Keep a path as a cache does: only what is not there yet."""
    kept = store.match(tokens)
    if kept < len(tokens):
        store.insert(tokens, rows_of(tokens[kept:]), prompt=prompt)
    return kept


def check(store: PrefixStore) -> None:
    """Nodes hold their own rows; children begin differently; the count of bytes is right."""
    nodes = list(store.nodes())
    assert len(nodes) == len(store)
    assert store.tokens == sum(len(node.tokens) for node in nodes)
    assert store.bytes == sum(node.rows.nbytes for node in nodes) <= store.memory
    for node in nodes:
        assert node.tokens == tokens_of(node.rows)
        assert all(child.parent is node for child in node.children.values())
        assert all(child.tokens[0] == first for first, child in node.children.items())
        assert (
            not node.prompt or node.parent is None or not node.parent.tokens or node.parent.prompt
        )


PATHS = st.lists(st.integers(0, 2), min_size=1, max_size=12)


@given(
    st.integers(0, 40), st.lists(st.tuples(PATHS, st.integers(0, 12), st.booleans()), max_size=30)
)
def test_whatever_is_kept_is_read_back_and_the_memory_bounds_it(
    memory: int, steps: list[tuple[list[int], int, bool]]
) -> None:
    store = PrefixStore(memory * ROW)
    for tokens, prompt, only_look in steps:
        if only_look:
            kept = store.match(tokens)
            if kept:
                assert tokens_of(store.read(tokens, kept)) == tokens[:kept]
        else:
            keep(store, tokens, min(prompt, len(tokens)))
            assert store.match(tokens) == min(memory, len(tokens)), "the newest is there"
        check(store)


def test_paths_share_their_beginning_and_only_what_is_new_is_stored() -> None:
    store = PrefixStore(1000)
    assert keep(store, [1, 2, 3, 4, 5], prompt=3) == 0
    assert keep(store, [1, 2, 3, 9]) == 3
    assert store.tokens == 6
    assert store.match([1, 2, 3, 9, 9]) == 4
    assert store.match([2]) == 0
    assert tokens_of(store.read([1, 2, 3, 9], 4)) == [1, 2, 3, 9]
    assert tokens_of(store.read([1, 2, 3, 9], 2)) == [1, 2]
    assert {tuple(node.tokens) for node in store.nodes() if node.prompt} == {(1, 2, 3)}


def test_the_least_recently_used_end_is_dropped_first() -> None:
    store = PrefixStore(6 * ROW)
    for tokens in ([1, 2, 3], [1, 2, 4], [7]):
        keep(store, tokens)
    store.match([1, 2, 3])
    keep(store, [8, 8])
    assert [store.match(tokens) for tokens in ([1, 2, 3], [1, 2, 4], [7], [8, 8])] == [3, 2, 1, 2]


def test_what_does_not_follow_what_is_kept_is_not_kept() -> None:
    store = PrefixStore(100)
    store.insert([1, 2, 3], rows_of([3]), prompt=0)
    assert len(store) == 0
    keep(store, [1, 2])
    store.insert([1, 2, 3], np.zeros((1, 8), dtype=np.uint8), prompt=0)
    assert store.match([1, 2, 3]) == 2, "rows of another size"
    store.clear()
    assert (store.bytes, store.tokens, store.match([1])) == (0, 0, 0)


def test_a_part_of_rows_does_not_keep_the_others_alive() -> None:
    store = PrefixStore(3 * ROW)
    rows = rows_of([1, 2, 3, 4])
    store.insert([1, 2, 3, 4], rows, prompt=1)
    assert store.tokens == 3
    assert not any(np.shares_memory(node.rows, rows) for node in store.nodes())


def test_a_node_is_itself() -> None:
    node = StoredNode([1], rows_of([1]), None)
    assert node != StoredNode([1], rows_of([1]), None)
    with pytest.raises(KeyError):
        PrefixStore(1).read([1], 1)
