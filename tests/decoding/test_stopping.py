"""Runs that stop once all is decided: what they ask, and that a lossless bound loses nothing."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from et_agent.calibration.foresight import Standing
from et_agent.decoding import EntropyTree, MultiChain, Run, RunInputs, Tree
from et_agent.decoding.stopping import ToCome, batch_sizes
from et_agent.errors import SettingsError
from tests.decoding.play import Toy, play, random_toy, shape, shares, uneven

DECODERS: dict[str, Any] = {
    "chains": lambda **more: MultiChain(leaves=9, temperature=1, **more),
    "roots": lambda **more: EntropyTree(
        schedule="rounds", leaves=8, roots=8, temperature=1, **more
    ),
    "forks": lambda **more: EntropyTree(
        schedule="rounds", leaves=12, roots=6, least_value=0, temperature=1, **more
    ),
}


class Votes:
    """A rule that knows the bound alone: 0 where no vote can change the leading answer, else 1."""

    def __init__(self, toy: Toy) -> None:
        self.toy = toy
        self.asked: list[tuple[int, ToCome]] = []

    def __call__(self, tree: Tree, to_come: ToCome) -> float:
        assert all(branch.finish is not None for branch in tree.branches)
        assert tree.weights().sum() == pytest.approx(1.0)
        self.asked.append((tree.leaf_count(), to_come))
        leaves = tree.leaf_count()
        votes = Counter[str]()
        for branch in tree.branches:
            answer = self.toy.answer(tuple(tree.path(branch.id)))
            votes[answer] += round(leaves * tree.weight(branch.id), 9)  # type: ignore[assignment]
        standing = Standing(
            tuple(float(count) for _, count in votes.most_common()),
            float(leaves),
            to_come.leaves,
            to_come.forks,
            leaves * float(tree.weights().max()),
        )
        return 0.0 if standing.settled else 1.0


def stopped(decoder: Any, toy: Toy, seed: int, rule: Any) -> Run:
    return play(decoder, toy, seed, stopping_rule=rule)


def leading(run: Run, toy: Toy) -> str:
    found = shares(run, toy)
    return max(found, key=lambda answer: found[answer])


@pytest.mark.parametrize("name", DECODERS)
@given(seed=st.integers(0, 2000))
@settings(max_examples=60, deadline=None)
def test_a_lossless_bound_loses_no_answer(name: str, seed: int) -> None:
    toy = random_toy(seed % 40, vocabulary=4, depth=4)
    rule = Votes(toy)
    ended = stopped(DECODERS[name](stop_risk=0.0), toy, seed, rule)
    whole = stopped(DECODERS[name](stop_risk=0.0), toy, seed, lambda *_: 1.0)
    assert ended.tree.tokens_decoded <= whole.tree.tokens_decoded
    if ended.stopped == "decided":
        assert leading(ended, toy) == leading(whole, toy)
    assert not ended.cancelled


@pytest.mark.parametrize("name", ["chains", "roots"])
def test_it_stops_somewhere(name: str) -> None:
    toy = uneven()
    runs = [stopped(DECODERS[name](stop_risk=0.0), toy, seed, Votes(toy)) for seed in range(40)]
    assert any(run.stopped == "decided" for run in runs)


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("batch", [None, 1, 2, 3])
def test_a_rule_that_never_stops_leaves_the_whole_tree(name: str, batch: int | None) -> None:
    toy = random_toy(3)
    run = stopped(DECODERS[name](stop_risk=0.5, batch=batch), toy, 4, lambda *_: 1.0)
    assert run.stopped is None
    if name == "chains":
        assert shape(run) == shape(play(DECODERS[name](), toy, 4))
    else:
        assert run.tree.leaf_count() <= run.settings.leaves  # type: ignore[attr-defined]


def test_what_is_to_come_is_told() -> None:
    toy = random_toy(3)
    rule = Votes(toy)
    stopped(MultiChain(leaves=5, stop_risk=0.0, batch=2), toy, 1, lambda t, c: (rule(t, c), 1)[1])
    assert rule.asked == [(3, ToCome(2))]
    rule = Votes(toy)
    stopped(MultiChain(leaves=7, stop_risk=0.0, batch=2), toy, 1, lambda t, c: (rule(t, c), 1)[1])
    assert rule.asked == [(3, ToCome(4)), (5, ToCome(2))]
    rule = Votes(toy)
    decoder = EntropyTree(leaves=8, roots=4, batch=3, stop_risk=0.0, temperature=1)
    stopped(decoder, toy, 1, lambda t, c: (rule(t, c), 1)[1])
    assert rule.asked[0] == (3, ToCome(1, forks=4))
    assert rule.asked[1] == (4, ToCome(0, forks=4))


def test_at_the_first_leaves() -> None:
    for make in DECODERS.values():
        run = stopped(make(stop_risk=0.01), random_toy(1), 0, lambda *_: 0.01)
        assert (run.tree.leaf_count(), run.stopped) == (3, "decided")
        assert make(stop_risk=0.01).least_leaves == 3
        assert make(stop_risk=0.01, batch=4).least_leaves == 4


def test_without_a_rule_nothing_stops() -> None:
    run = play(MultiChain(leaves=4, stop_risk=0.9), random_toy(1))
    assert run.tree.leaf_count() == 4


def test_settings() -> None:
    assert EntropyTree(stop_risk=0.01).schedule == "rounds"  # type: ignore[attr-defined]
    assert "stop_risk" not in EntropyTree(stop_above=0.6).model_dump()
    for make in (MultiChain, EntropyTree):
        with pytest.raises(SettingsError, match="stop_risk"):
            make(batch=2)
        with pytest.raises(SettingsError, match="stop_risk"):
            make(stop_risk=1.0)
    assert RunInputs(prompt_length=1, stop_tokens=set()).stopping_rule is None


@given(st.integers(1, 40), st.none() | st.integers(1, 9))
def test_batches_end_with_all(leaves: int, batch: int | None) -> None:
    sizes = batch_sizes(leaves, batch)
    assert sizes[-1] == leaves
    assert sizes == sorted(set(sizes))
    assert sizes[0] >= min(3, leaves)
