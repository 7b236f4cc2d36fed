"""Weights give the true answer distribution on average, over 10,000 seeds; counts do not."""

from typing import Any

import pytest

from et_agent.decoding import EntropyTree, MultiChain
from tests.decoding.play import Toy, bias, grained, play, shares, uneven

SEEDS = 10_000

STRATIFIED = {
    "grained": (grained(), EntropyTree(schedule="stratified", leaves=2, temperature=1)),
    "uneven": (uneven(), EntropyTree(schedule="stratified", leaves=5, temperature=0.7)),
}
_ONLINE: dict[str, Any] = {"schedule": "online", "gap": 1, "temperature": 1.0, "tau": 0.3}
ONLINE = {
    "cap reached": EntropyTree(**_ONLINE | {"roots": 1, "leaves": 3}),
    "cap not reached, gap 2": EntropyTree(**_ONLINE | {"roots": 2, "leaves": 12, "gap": 2}),
    "b=3, T=0.7": EntropyTree(
        **_ONLINE | {"roots": 3, "leaves": 7, "branching": 3, "tau": 0.2, "temperature": 0.7}
    ),
    "exchangeable": EntropyTree(**_ONLINE | {"roots": 1, "leaves": 3, "exchangeable": True}),
}


def errors(toy: Toy, decoder: EntropyTree | MultiChain, seeds: int = SEEDS) -> tuple[float, float]:
    """Largest error in standard errors: by weight, by count."""
    runs = [play(decoder, toy, seed) for seed in range(seeds)]
    truth = toy.truth(decoder.temperature)
    by_weight = bias([shares(run, toy) for run in runs], truth)
    by_count = bias([shares(run, toy, by_count=True) for run in runs], truth)
    return by_weight.largest_z, by_count.largest_z


@pytest.mark.parametrize("name", STRATIFIED)
def test_stratified_is_unbiased(name: str) -> None:
    by_weight, by_count = errors(*STRATIFIED[name])
    assert by_weight < 4
    assert by_count == pytest.approx(by_weight), "each code is a leaf of the same weight"


@pytest.mark.parametrize("name", ONLINE)
def test_online_is_unbiased_and_counting_its_leaves_is_not(name: str) -> None:
    by_weight, by_count = errors(uneven(), ONLINE[name])
    assert by_weight < 4
    assert by_count > 10


def test_online_forks_after_stratified_roots_are_unbiased() -> None:
    decoder = EntropyTree(schedule="online", gap=1, temperature=1, tau=0.3, roots=2, leaves=4)
    assert errors(grained(), decoder, 5_000)[0] < 4


def test_multi_chain_is_unbiased() -> None:
    by_weight, by_count = errors(uneven(), MultiChain(leaves=3, temperature=0.7), 5_000)
    assert by_weight < 4
    assert by_count == pytest.approx(by_weight)
