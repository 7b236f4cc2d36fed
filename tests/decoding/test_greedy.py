from et_agent.decoding import Finish, Greedy
from tests.decoding.play import play, uneven


def test_greedy_takes_the_most_likely_token_at_any_temperature_and_seed() -> None:
    for temperature, seed in ((0.7, 0), (5.0, 1)):
        run = play(Greedy(temperature=temperature), uneven(), seed)
        assert run.tree.path(0) == [1, 0, 3]
        assert len(run.tree.branches) == 1
        assert run.tree.branches[0].finish is Finish.STOP
        assert not run.may_fork(0)
    assert not Greedy().reads_attention
