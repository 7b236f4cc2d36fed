"""Several answers per thought, and forks in one part of a path."""

from typing import Any

import pytest

from et_agent.decoding import EntropyTree
from et_agent.decoding.naming import described
from et_agent.decoding.schedules.keywords import ForkPart
from et_agent.decoding.schedules.overlapped import Overlapped
from et_agent.errors import SettingsError
from tests.decoding.play import (
    ToyThoughts,
    bias,
    chain_toy,
    play,
    random_toy,
    shares,
    thresholds,
    uneven,
)

SEEDS = 800


@pytest.mark.parametrize(("leaves", "answers"), [(4, 2), (6, 3), (8, 8), (5, 2)])
@pytest.mark.parametrize("toy", [uneven(), random_toy(3)], ids=["uneven", "random"])
def test_several_answers_per_thought_are_unbiased(toy: Any, leaves: int, answers: int) -> None:
    decoder = EntropyTree(
        schedule="stratified", leaves=leaves, answers_per_thought=answers, temperature=0.7
    )
    runs = [play(decoder, toy, seed, thoughts=ToyThoughts(1)) for seed in range(SEEDS)]
    assert bias([shares(run, toy) for run in runs], toy.truth(0.7)).largest_z < 4
    for run in runs[:100]:
        assert run.tree.weights().sum() == pytest.approx(1.0)
        assert run.tree.leaf_count() <= answers * max(1, round(leaves / answers))


def test_thoughts_are_decoded_once_for_all_their_answers() -> None:
    toy = chain_toy([0.5] * 12)
    decoder = EntropyTree(schedule="stratified", leaves=16, answers_per_thought=4)
    shared = play(decoder, toy, thoughts=ToyThoughts(9)).tree
    apart = play(EntropyTree(schedule="stratified", leaves=16), toy).tree
    assert shared.leaf_count() == apart.leaf_count() == 16
    assert shared.tokens_decoded < 0.6 * apart.tokens_decoded
    for fork in shared.forks:
        assert fork.position < 3 or fork.position >= 9


def test_forks_are_added_to_several_answers_up_to_the_leaves() -> None:
    decoder = Overlapped(leaves=8, root_share=0.5, answers_per_thought=2, least_value=0)
    for seed in range(50):
        run = play(decoder, chain_toy([0.6] * 8), seed, thoughts=ToyThoughts(4))
        assert run.tree.leaf_count() <= 8
        assert run.tree.weights().sum() == pytest.approx(1.0)


@pytest.mark.parametrize("part", ["thought", "answer"])
@pytest.mark.parametrize(
    "settings",
    [
        {"schedule": "overlapped", "least_value": 0, "root_share": 0.25},
        {"schedule": "rounds", "least_value": 0, "roots": 2},
        {"schedule": "online", "tau": 0.1, "gap": 1, "roots": 2, "importance": "none"},
        {"schedule": "breadth_first", "tau": 0.1, "importance": "none"},
    ],
)
def test_forks_are_in_the_part_that_is_asked_for(settings: dict[str, Any], part: ForkPart) -> None:
    decoder = EntropyTree(leaves=8, fork_in=part, temperature=1, **settings)
    forked = 0
    for seed in range(20):
        run = play(
            decoder,
            chain_toy([0.5] * 10),
            seed,
            thoughts=ToyThoughts(6),
            thresholds=thresholds(),
        )
        forks = [one.position for one in run.tree.forks if one.kind.value != "stratified"]
        forked += len(forks)
        assert all((position < 6) == (part == "thought") for position in forks)
    assert forked


@pytest.mark.parametrize("settings", [{"answers_per_thought": 2}, {"fork_in": "thought"}])
def test_without_thoughts_such_settings_are_refused(settings: dict[str, Any]) -> None:
    for thoughts in (None, ToyThoughts(0, state="closed")):
        with pytest.raises(SettingsError, match="is for models that think"):
            play(EntropyTree(**settings), uneven(), thoughts=thoughts)


def test_defaults_are_written_as_before_there_were_parts() -> None:
    assert not {"answers_per_thought", "fork_in"} & described(EntropyTree()).keys()
    changed = described(EntropyTree(answers_per_thought=2, fork_in="answer"))
    assert (changed["answers_per_thought"], changed["fork_in"]) == (2, "answer")
