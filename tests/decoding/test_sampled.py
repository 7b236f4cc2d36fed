"""Runs of whole replies."""

import math

import pytest

from et_agent.decoding import EntropyTree, Greedy, MultiChain
from et_agent.decoding.base import RunInputs
from et_agent.decoding.sampled import ChainDecoder, SampledRun
from et_agent.decoding.stopping import ToCome
from et_agent.decoding.tree import Finish, Tree
from et_agent.engines.sampled import END, Sample, Token


def sample(*tokens: int, finish: str = "stop") -> Sample:
    made = tuple(Token(token, -0.5, (-0.5, -1.5)) for token in tokens)
    return Sample(made, "stop" if finish == "stop" else "length")


def run_of(decoder: ChainDecoder, rule: float | None = None) -> SampledRun:
    def stops(tree: Tree, to_come: ToCome) -> float:
        assert all(branch.finish is not None for branch in tree.branches)
        assert rule is not None
        return rule

    inputs = RunInputs(
        prompt_length=1,
        stop_tokens={END},
        stopping_rule=None if rule is None else stops,
        read_leaf=lambda tokens: tuple(tokens),
    )
    return decoder.start_sampling(inputs)


def test_chains_that_come_in_any_order_are_one_tree() -> None:
    run = run_of(MultiChain(leaves=4))
    assert run.wanted() == range(4)
    for number in (2, 0, 3, 1):
        run.take(number, sample(10 + number, END))
    assert not run.wanted()
    assert run.finished
    assert not run.cancelled
    assert [branch.tokens[0] for branch in run.tree.branches] == [10, 11, 12, 13]
    assert run.tree.weights().tolist() == [0.25] * 4
    first = run.tree.branches[0]
    assert first.finish is Finish.STOP
    assert math.isnan(first.entropies[0])
    assert first.statistics[0].lead == pytest.approx(math.exp(-0.5) - math.exp(-1.5))
    assert math.isnan(first.statistics[0].confidence)  # of two alternatives it is not known


def test_a_smaller_run_is_a_part_of_a_larger_one() -> None:
    assert run_of(MultiChain(leaves=2)).wanted() == range(2)
    assert run_of(MultiChain(leaves=5, stop_risk=0.01), rule=1.0).wanted() == range(3)


def test_a_run_that_is_decided_asks_for_no_more() -> None:
    run = run_of(MultiChain(leaves=9, stop_risk=0.01), rule=0.0)
    for number in run.wanted():
        run.take(number, sample(5, END))
    assert not run.wanted()
    assert run.stopped == "decided"
    assert run.tree.leaf_count() == 3
    assert run.tree.weights().tolist() == pytest.approx([1 / 3] * 3)


def test_a_run_that_is_not_decided_goes_on_to_its_end() -> None:
    run = run_of(MultiChain(leaves=5, stop_risk=0.01), rule=1.0)
    while chains := run.wanted():
        for number in chains:
            run.take(number, sample(5, END))
    assert run.tree.leaf_count() == 5
    assert run.stopped is None


def test_a_cancelled_run_keeps_what_came_in_the_order_of_the_chains() -> None:
    run = run_of(MultiChain(leaves=4))
    run.wanted()
    run.take(3, sample(13, END))
    run.take(1, sample(11, END))
    run.cancel()
    assert run.cancelled
    assert [branch.tokens[0] for branch in run.tree.branches] == [11, 13]
    assert run.tree.weights().sum() == 1.0


def test_a_run_that_is_cancelled_before_anything_came_has_one_leaf_without_tokens() -> None:
    run = run_of(MultiChain(leaves=4))
    run.cancel()
    assert [branch.finish for branch in run.tree.branches] == [Finish.CANCELLED]
    assert not run.wanted()


def test_greedy_is_one_chain_at_temperature_zero() -> None:
    run = run_of(Greedy())
    assert run.wanted() == range(1)
    assert run.sampling_temperature == 0.0


def test_what_a_limit_cuts_off_did_not_end() -> None:
    run = run_of(Greedy())
    run.take(0, sample(5, finish="length"))
    assert run.tree.branches[0].finish is Finish.LENGTH


def test_trees_need_more_than_replies() -> None:
    assert isinstance(MultiChain(), ChainDecoder)
    assert not isinstance(EntropyTree(), ChainDecoder)
