"""What the schedules that fork by entropy have in common."""

from et_agent.decoding import EntropyTree, ForkKind
from tests.decoding.play import play, thresholds, tree_of, uneven


def test_tau_comes_from_settings_then_from_the_pilot() -> None:
    pilot = thresholds(tuple(float(p) for p in range(101)))
    sure = EntropyTree(schedule="online", leaves=5, roots=1, gap=1, percentile=50)
    assert len(play(sure, uneven(), thresholds=pilot).tree.forks) == 0  # tau = 50 nats
    unsure = EntropyTree(schedule="online", leaves=5, roots=1, gap=1, percentile=0)
    assert len(play(unsure, uneven(), thresholds=pilot).tree.forks) > 0
    given_tau = EntropyTree(schedule="online", leaves=5, roots=1, gap=1, tau=0.1)
    assert len(play(given_tau, uneven(), thresholds=pilot).tree.forks) > 0


def test_exchangeable_sides_get_half_each() -> None:
    for schedule in ("online", "rounds", "breadth_first"):
        decoder = tree_of(
            schedule,
            value="mass_per_token",
            roots=1,
            leaves=6,
            tau=0.2,
            gap=1,
            exchangeable=True,
            temperature=1,
        )
        tree = play(decoder, uneven(), 1).tree
        assert tree.forks
        for fork in tree.forks:
            assert fork.kind is ForkKind.EXCHANGEABLE
            assert (fork.share, [share for _, share in fork.children]) == (0.5, [0.5])
