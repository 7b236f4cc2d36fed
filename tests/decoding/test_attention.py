"""Attention sums of trees against brute force on whole matrices."""

from functools import cache

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from et_agent.decoding import EntropyTree, Finish, MultiChain, Run
from tests.decoding.play import play, random_toy

PROMPT = 3


@cache
def attention_row(path: tuple[int, ...]) -> NDArray[np.float32]:
    """A row that sums to 1 over prompt and path, another one for every path."""
    raw = np.random.default_rng([7, *path]).exponential(size=PROMPT + len(path))
    return np.asarray(raw / raw.sum(), dtype=np.float32)


DECODERS: list[EntropyTree | MultiChain] = [
    EntropyTree(schedule="stratified", leaves=6, temperature=1),
    EntropyTree(schedule="online", leaves=8, roots=3, tau=0.2, gap=1, temperature=1),
    EntropyTree(schedule="online", leaves=8, roots=1, tau=0.1, gap=2, branching=3),
    EntropyTree(schedule="rounds", leaves=10, roots=2, tau=0.1, temperature=1),
    EntropyTree(leaves=10, roots=8, tau=0.1, temperature=1, batch=2, stop_above=1),
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
    book = run.tree.attention
    assert book is not None
    for branch in run.tree.branches:
        own_attention = book.of(branch.id)
        path = run.tree.path(branch.id)
        full = matrix(path)
        queries = PROMPT + np.arange(len(path)) - 1  # where each deciding query sits
        later = queries[:, None] > np.arange(full.shape[1])[None, :]
        received = (full * later).sum(axis=0)
        assert own_attention.received is not None
        assert own_attention.received.size == PROMPT + len(path) - 1
        np.testing.assert_allclose(own_attention.received, received[:-1], rtol=2e-3, atol=1e-5)
        own = slice(PROMPT + branch.start, None)
        count = later.sum(axis=0)[own]
        importance = book.importance(branch.id)
        assert np.array_equal(np.isfinite(importance), count > 0)
        np.testing.assert_allclose(
            importance[count > 0], (received[own] / np.maximum(count, 1))[count > 0], rtol=2e-3
        )
        to_prompt = full[branch.start :, :PROMPT].sum(axis=1)
        np.testing.assert_allclose(own_attention.prompt, to_prompt, rtol=2e-3)


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
    assert run.tree.attention is not None
    run.tree.attention.forget_rows()
    for branch in run.tree.branches:
        assert not run.tree.attention.of(branch.id).rows
        assert run.tree.attention.of(branch.id).received is not None


def test_importance_is_unknown_where_the_model_gives_no_attention() -> None:
    run = play(DECODERS[3], random_toy(1), asks_attention=True)
    book = run.tree.attention
    assert book is not None
    assert all(np.isnan(book.importance(b.id)).all() for b in run.tree.branches)
    assert all(branch.finish is Finish.STOP for branch in run.tree.branches)


def test_nothing_is_kept_unless_the_decoder_or_an_estimator_asks() -> None:
    blind = play(
        EntropyTree(leaves=6), random_toy(1), asks_attention=False, attention=attention_row
    )
    assert blind.tree.attention is None
    reading = EntropyTree(value="entropy", leaves=6)
    run = play(reading, random_toy(1), asks_attention=False, attention=attention_row)
    assert run.tree.attention is not None
    assert run.tree.attention.of(0).prompt
