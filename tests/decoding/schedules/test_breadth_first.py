"""When breadth_first forks."""

from et_agent.decoding import EntropyTree
from tests.decoding.play import chain_toy, new_forks, play


def test_breadth_first_forks_all_unsure_positions_of_a_level_most_unsure_first() -> None:
    toy = chain_toy([0.9, 0.6, 0.99, 0.75])
    decoder = EntropyTree(schedule="breadth_first", leaves=3, tau=0.2, temperature=1)
    run = play(decoder, toy)
    assert new_forks(run, 0) == [(0, 1), (0, 3)]
    wide = EntropyTree(schedule="breadth_first", leaves=50, tau=0.2, temperature=1)
    tree = play(wide, toy).tree
    assert [(f.branch, f.position) for f in tree.forks[:3]] == [(0, 1), (0, 3), (0, 0)]
    assert 2 not in {f.position for f in tree.forks}
