from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from et_agent.decoding import Branch, EntropyTree, Finish, ForkKind, MultiChain, Run, Tree
from tests.decoding.play import play, random_toy

PROMPT = 3


@cache
def attention_row(path: tuple[int, ...]) -> NDArray[np.float32]:
    """A row that sums to 1 over prompt and path, another one for every path."""
    raw = np.random.default_rng([7, *path]).exponential(size=PROMPT + len(path))
    return np.asarray(raw / raw.sum(), dtype=np.float32)


def grown(*lengths: int) -> Tree:
    tree = Tree(PROMPT)
    extend(tree.branches[0], lengths[0])
    return tree


def extend(branch: Branch, count: int) -> None:
    """Tokens that tell branch and position."""
    branch.tokens += [100 * branch.id + branch.end + i for i in range(count)]


def fork(tree: Tree, branch: int, position: int, share: float, *others: float) -> list[Branch]:
    return tree.fork(branch, position, ForkKind.DISTINCT, 1.0, share, others)


def test_a_tree_begins_as_one_leaf_with_all_the_weight() -> None:
    tree = Tree(PROMPT)
    assert tree.weights().tolist() == [1.0]
    assert tree.leaf_count() == 1
    assert tree.path(0) == []


def test_forks_in_any_order_of_positions_multiply_their_shares() -> None:
    tree = grown(10)
    (late,) = fork(tree, 0, 8, 0.5, 0.5)
    extend(late, 4)
    (early,) = fork(tree, 0, 2, 0.8, 0.2)  # the late fork lies behind this one
    extend(early, 6)
    (nested,) = fork(tree, late.id, 10, 0.25, 0.75)
    extend(nested, 1)
    (before,) = fork(tree, 0, 5, 0.6, 0.4)
    extend(before, 2)
    expected = [0.5 * 0.8 * 0.6, 0.5 * 0.8 * 0.6 * 0.25, 0.2, 0.8 * 0.5 * 0.6 * 0.75, 0.8 * 0.4]
    assert tree.weights() == pytest.approx(expected)
    assert tree.weights().sum() == pytest.approx(1.0, abs=1e-12)
    assert tree.path(nested.id) == [*range(8), 108, 109, 310]
    assert [branch.lineage for branch in tree.branches] == [
        (),
        (8, 0),
        (2, 0),
        (8, 0, 10, 0),
        (5, 0),
    ]


def test_what_is_shared_ends_at_the_fork() -> None:
    tree = grown(10)
    (late,) = fork(tree, 0, 8, 0.5, 0.5)
    extend(late, 4)
    (early,) = fork(tree, 0, 2, 0.8, 0.2)
    extend(early, 6)
    (nested,) = fork(tree, late.id, 10, 0.25, 0.75)
    extend(nested, 3)
    assert tree.shared(0, 0) == 10
    assert tree.shared(0, late.id) == tree.shared(late.id, 0) == 8
    assert tree.shared(nested.id, 0) == 8
    assert tree.shared(nested.id, late.id) == 10
    assert tree.shared(early.id, nested.id) == tree.shared(nested.id, early.id) == 2
    assert [b.id for b in tree.through(0, 7)] == [0, late.id, nested.id]
    assert [b.id for b in tree.through(0, 8)] == [0]
    assert [b.id for b in tree.through(0, 1)] == [0, late.id, early.id, nested.id]
    assert [b.id for b in tree.through(late.id, 9)] == [late.id, nested.id]


def test_a_fork_is_refused_where_it_would_break_the_weights() -> None:
    tree = grown(5)
    fork(tree, 0, 3, 0.5, 0.5)
    with pytest.raises(ValueError, match="sum to"):
        fork(tree, 0, 2, 0.5, 0.4)
    with pytest.raises(ValueError, match="sum to"):
        fork(tree, 0, 2, float("nan"), 0.4)
    with pytest.raises(ValueError, match="does not lie on branch"):
        fork(tree, 0, 6, 0.5, 0.5)
    with pytest.raises(ValueError, match="does not lie on branch"):
        fork(tree, 1, 2, 0.5, 0.5)
    with pytest.raises(ValueError, match="was forked before"):
        fork(tree, 0, 3, 0.5, 0.5)
    assert len(tree.branches) == 2


def test_tokens_are_counted_once_in_the_tree_and_each_time_in_chains() -> None:
    tree = grown(6)
    (child,) = fork(tree, 0, 4, 0.5, 0.5)
    extend(child, 3)
    child.codes = 2
    assert tree.tokens_decoded == 9
    assert tree.tokens_as_chains == 6 + 2 * 7
    assert tree.leaf_count() == 3


DECODERS: list[EntropyTree | MultiChain] = [
    EntropyTree(schedule="stratified", leaves=6, temperature=1),
    EntropyTree(schedule="online", leaves=8, roots=3, tau=0.2, gap=1, temperature=1),
    EntropyTree(schedule="online", leaves=8, roots=1, tau=0.1, gap=2, branching=3),
    EntropyTree(schedule="rounds", leaves=10, roots=2, tau=0.1, temperature=1),
    EntropyTree(leaves=10, roots=8, tau=0.1, temperature=1, wave=2, settle=1),
    EntropyTree(schedule="breadth_first", leaves=10, tau=0.1, branching=3, temperature=1),
    MultiChain(leaves=4, temperature=1),
]


def matrix(path: list[int]) -> NDArray[np.float64]:
    """Attention of every deciding query of a finished path, [queries, prompt + path]."""
    rows = np.zeros((len(path), PROMPT + len(path)))
    for decided in range(len(path)):
        rows[decided, : PROMPT + decided] = attention_row(tuple(path[:decided]))
    return rows


def check_attention(run: Run) -> None:
    for branch in run.tree.branches:
        path = run.tree.path(branch.id)
        full = matrix(path)
        queries = PROMPT + np.arange(len(path)) - 1  # where each deciding query sits
        later = queries[:, None] > np.arange(full.shape[1])[None, :]
        received = (full * later).sum(axis=0)
        assert branch.received is not None
        assert branch.received.size == PROMPT + len(path) - 1
        np.testing.assert_allclose(branch.received, received[:-1], rtol=2e-3, atol=1e-5)
        own = slice(PROMPT + branch.start, None)
        count = later.sum(axis=0)[own]
        importance = run.tree.importance(branch.id)
        assert np.array_equal(np.isfinite(importance), count > 0)
        np.testing.assert_allclose(
            importance[count > 0], (received[own] / np.maximum(count, 1))[count > 0], rtol=2e-3
        )
        to_prompt = full[branch.start :, :PROMPT].sum(axis=1)
        np.testing.assert_allclose(branch.prompt_attention, to_prompt, rtol=2e-3)


@settings(max_examples=40, deadline=None)
@given(
    decoder=st.sampled_from(DECODERS),
    toy=st.integers(0, 30),
    seed=st.integers(0, 5),
    data=st.data(),
)
def test_attention_equals_brute_force_on_full_matrices(
    decoder: EntropyTree | MultiChain, toy: int, seed: int, data: st.DataObject
) -> None:
    script = random_toy(toy)
    order = np.random.default_rng(data.draw(st.integers(0, 99)))
    run = play(
        decoder,
        script,
        seed,
        pick=lambda branches: int(order.choice(branches)),
        attention=attention_row,
        prompt_length=PROMPT,
    )
    check_attention(run)
    run.tree.forget_rows()
    assert not any(branch.attention_rows for branch in run.tree.branches)
    assert run.tree.branches[0].received is not None


def test_importance_is_unknown_without_attention() -> None:
    run = play(DECODERS[3], random_toy(1))
    assert all(np.isnan(run.tree.importance(b.id)).all() for b in run.tree.branches)
    assert all(branch.finish is Finish.STOP for branch in run.tree.branches)
