import pytest

from et_agent.decoding import Finish, ForkKind, MultiChain, RunInputs
from et_agent.errors import SettingsError
from tests.decoding.play import play, random_toy, uneven


def test_chains_share_the_prompt_only_and_weigh_the_same() -> None:
    tree = play(MultiChain(leaves=7, temperature=1), uneven(), 3).tree
    assert tree.leaf_count() == len(tree.branches) == 7
    assert tree.weights() == pytest.approx([1 / 7] * 7, abs=1e-12)
    (fork,) = tree.forks
    assert (fork.position, fork.kind) == (0, ForkKind.INDEPENDENT)
    assert tree.tokens_decoded == tree.tokens_as_chains


def test_one_chain_is_no_fork() -> None:
    run = play(MultiChain(leaves=1), uneven())
    assert run.tree.forks == []
    assert not run.may_fork(0)


def test_a_larger_run_of_the_same_seed_holds_the_smaller_one() -> None:
    toy = random_toy(2)
    few = play(MultiChain(leaves=3, temperature=1), toy, 5).tree
    many = play(MultiChain(leaves=8, temperature=1), toy, 5).tree
    assert [few.path(b) for b in range(3)] == [many.path(b) for b in range(3)]


def test_chains_differ_from_one_another_and_from_seed_to_seed() -> None:
    toy = random_toy(2, vocabulary=6)
    paths = {
        tuple(
            map(
                tuple,
                (play(MultiChain(leaves=4, temperature=2), toy, s).tree.path(b) for b in range(4)),
            )
        )
        for s in range(8)
    }
    assert len(paths) > 4
    assert any(len(set(one)) > 1 for one in paths)


def test_the_token_limit_and_the_room_cut_chains_off() -> None:
    toy = random_toy(2, depth=9)
    for run in (
        play(MultiChain(leaves=5, max_tokens=2, temperature=1), toy),
        play(MultiChain(leaves=5, max_tokens=50, temperature=1), toy, room=2),
    ):
        assert {branch.end for branch in run.tree.branches} <= {1, 2}
        assert Finish.LENGTH in {branch.finish for branch in run.tree.branches}
        assert run.tree.weights().sum() == pytest.approx(1.0)


def test_bad_settings() -> None:
    with pytest.raises(SettingsError, match="leaves"):
        MultiChain(leaves=0)
    with pytest.raises(SettingsError, match="temperature"):
        MultiChain(temperature=float("nan"))


def test_a_second_cancel_changes_nothing() -> None:
    run = MultiChain(leaves=2).start(RunInputs(prompt_length=1, stop_tokens={0}))
    run.cancel()
    run.cancel()
    assert run.cancelled
    assert run.finished
