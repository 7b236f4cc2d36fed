"""When overlapped forks, and how many steps it takes."""

from collections.abc import Sequence

import numpy as np
import pytest

from et_agent.decoding import EntropyTree, Run, RunInputs
from et_agent.decoding.tree import Finish, Fork, ForkKind
from tests.decoding.play import Path, Toy, chain_toy, play, shape

NUMBERS = (3, 4)


def reasoning() -> Toy:
    """Paths as long as a model's: 100 to 320 tokens, unsure words early, unsure numbers late."""

    def rows(path: Path) -> list[float]:
        at = len(path)
        ends = 0.0 if at < 100 else 0.012
        if at % 20 == 19:  # a number, mostly clear from what was said before
            sure = 0.55 if at % 60 == 59 else 0.97
            row = [0.0, 0.0, 0.0, sure, 1 - sure, 0.0]
        elif at < 8:
            row = [0.0, 0.3, 0.3, 0.0, 0.0, 0.4]
        else:
            row = [0.0, 0.9995, 0.0005, 0.0, 0.0, 0.0]
        return [ends, *((1 - ends) * p for p in row[1:])]

    def answer(path: Path) -> str:
        numbers = [token for token in path if token in NUMBERS]
        return str(numbers[-1]) if path[-1] == 0 and numbers else "none"

    return Toy(rows, frozenset({0}), answer)


def reads_numbers(path: Sequence[int]) -> list[bool]:
    return [token in NUMBERS for token in path]


def play_in_steps(decoder: EntropyTree, toy: Toy, seed: int) -> tuple[Run, list[int]]:
    """Run a tree whose branches are all in every batch; returns the widths of the steps."""
    inputs = RunInputs(
        prompt_length=1, stop_tokens=toy.stop_tokens, seed=seed, read_tokens=reads_numbers
    )
    run = decoder.start(inputs)
    widths = []
    while not run.finished:
        branches = run.runnable()
        widths.append(len(branches))
        for branch in branches:
            path = tuple(run.tree.path(branch))
            run.tell(branch, toy.distribution(path, run.temperature), None)
    return run, widths


def distinct_forks(run: Run) -> list[Fork]:
    return [one for one in run.tree.forks if one.kind is ForkKind.DISTINCT]


def test_a_tree_takes_few_more_steps_than_its_longest_path_and_they_are_wide() -> None:
    toy, decoder = reasoning(), EntropyTree(schedule="overlapped", temperature=1)
    forks, widths, ratios = 0, [], []
    for seed in range(8):
        run, steps = play_in_steps(decoder, toy, seed)
        assert run.tree.leaf_count() <= decoder.leaves
        forks += len(distinct_forks(run))
        widths.append(sum(steps) / len(steps))
        ratios.append(len(steps) / max(branch.end for branch in run.tree.branches))
    assert forks > 12
    assert max(ratios) <= 1.25
    assert np.mean(ratios) < 1.1
    # Most paths end long before the longest: 16 chains are 9 wide here.
    assert np.mean(widths) > 6


def test_forks_are_near_the_end_and_at_tokens_that_bear_on_the_answer() -> None:
    toy, decoder = reasoning(), EntropyTree(schedule="overlapped", temperature=1)
    for seed in range(4):
        run, _ = play_in_steps(decoder, toy, seed)
        for fork in distinct_forks(run):
            branch = run.tree.branches[fork.branch]
            assert branch.end - fork.position <= 64
            assert fork.position % 60 == 59
            assert branch.finish is Finish.STOP
            assert len(fork.children) == 1


@pytest.mark.parametrize(("least", "leaves"), [(0.0, 8), (1e9, 6)])
def test_a_fork_that_is_worth_less_than_asked_for_is_not_made(least: float, leaves: int) -> None:
    decoder = EntropyTree(schedule="overlapped", temperature=1, leaves=8, least_value=least)
    for seed in range(5):
        run = play(decoder, chain_toy([0.6] * 12), seed)
        assert run.tree.leaf_count() == leaves


@pytest.mark.parametrize(("says", "position"), [(True, 8), (False, 2)])
def test_a_token_that_speaks_of_the_answer_is_worth_more(says: bool, position: int) -> None:
    toy = chain_toy([0.999, 0.999, 0.6, 0.999, 0.999, 0.999, 0.999, 0.999, 0.6, 0.999])
    decoder = EntropyTree(
        schedule="overlapped", leaves=2, root_share=0.5, temperature=1, least_value=0.0
    )

    def speaks(path: Sequence[int]) -> list[bool]:
        return [at == 8 for at in range(len(path))]

    for seed in range(5):
        run = play(decoder, toy, seed, read_tokens=speaks if says else None)
        assert [fork.position for fork in run.tree.forks] == [position]


def test_the_best_of_the_paths_that_end_together_get_the_leaves_that_are_left() -> None:
    """Both paths may fork at their second token; there is one leaf for them."""

    def rows(path: Path) -> list[float]:
        if not path:
            return [0.0, 0.5, 0.5]
        if len(path) == 1:
            return [0.0, 0.5, 0.5] if path[0] == 1 else [0.0, 0.9, 0.1]
        return [1.0, 0.0, 0.0]

    toy = Toy(rows, frozenset({0}), str)
    decoder = EntropyTree(
        schedule="overlapped", temperature=1, leaves=3, root_share=0.67, least_value=0.0
    )
    for seed in range(20):
        run = play(decoder, toy, seed, read_tokens=lambda path: [True] * len(path))
        (fork,) = distinct_forks(run)
        assert fork.position == 1
        assert run.tree.path(fork.branch)[0] == 1


def test_a_path_that_the_token_limit_cut_off_is_not_forked() -> None:
    decoder = EntropyTree(
        schedule="overlapped", temperature=1, leaves=8, least_value=0.0, max_tokens=5
    )
    run = play(decoder, chain_toy([0.6] * 12))
    assert {branch.finish for branch in run.tree.branches} == {Finish.LENGTH}
    assert distinct_forks(run) == []


def test_a_path_stays_in_the_cache_until_it_is_forked() -> None:
    decoder = EntropyTree(schedule="overlapped", temperature=1, leaves=8, least_value=0.0)
    generator = np.random.default_rng(1)
    seen: set[int] = set()

    def watch(run: Run) -> None:
        seen.update(branch.id for branch in run.tree.branches if run.may_fork(branch.id))
        if run.finished:
            assert not any(run.may_fork(branch.id) for branch in run.tree.branches)

    toy = chain_toy([0.6] * 6)
    play(decoder, toy, watch=watch, pick=lambda branches: int(generator.choice(branches)))
    assert seen


def test_the_same_tree_whether_batches_hold_one_branch_or_all() -> None:
    toy, decoder = reasoning(), EntropyTree(schedule="overlapped", temperature=1)
    generator = np.random.default_rng(4)
    whole, _ = play_in_steps(decoder, toy, 3)
    single = play(
        decoder,
        toy,
        3,
        pick=lambda branches: int(generator.choice(branches)),
        read_tokens=reads_numbers,
    )
    assert shape(single) == shape(whole)
