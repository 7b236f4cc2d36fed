import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from et_agent.decoding import EntropyTree, Finish, ForkKind, Greedy, MultiChain, Run
from et_agent.decoding.base import sum_and_sample
from et_agent.errors import EtAgentError, SettingsError
from tests.decoding.play import from_table, play, random_toy, shape, thresholds, uneven


@st.composite
def decoders(draw: st.DrawFn) -> EntropyTree | MultiChain | Greedy:
    temperature = draw(st.sampled_from([1.0, 0.7, 2.0, 0.05]))
    leaves = draw(st.integers(1, 9))
    kind = draw(st.sampled_from(["tree"] * 8 + ["chains", "greedy"]))
    if kind == "chains":
        return MultiChain(leaves=leaves, temperature=temperature)
    if kind == "greedy":
        return Greedy(temperature=temperature)
    exchangeable = draw(st.booleans())
    schedule = draw(st.sampled_from(["online", "stratified", "rounds", "breadth_first"]))
    tau = draw(st.sampled_from([0.0, 0.3, 1.0]))
    wave = draw(st.none() | st.integers(1, 4)) if schedule == "rounds" else None
    return EntropyTree(
        schedule=schedule,
        temperature=temperature,
        leaves=leaves,
        roots=draw(st.integers(1, 9)),
        branching=2 if exchangeable else draw(st.integers(2, 4)),
        exchangeable=exchangeable,
        tau=tau if schedule == "online" else draw(st.sampled_from([None, tau])),
        gap=draw(st.integers(1, 3)),
        value=draw(st.sampled_from(["entropy", "mass", "mass_per_token", "parting"])),
        max_tokens=draw(st.sampled_from([1, 3, 50])),
        wave=wave,
        settle=None if wave is None else 1.0,
    )


def check_sound(run: Run) -> None:
    """What must hold after every single tell."""
    tree = run.tree
    weights = tree.weights()
    assert abs(math.fsum(weights.tolist()) - 1.0) < 1e-9
    assert (weights >= 0).all()
    for one in tree.forks:
        assert abs(one.share + sum(share for _, share in one.children) - 1.0) < 1e-9
    places = [(fork.branch, fork.position) for fork in tree.forks]
    assert len(set(places)) == len(places)
    assert len({branch.lineage for branch in tree.branches}) == len(tree.branches)
    leaves = getattr(run.settings, "leaves", 1)
    assert tree.leaf_count() <= leaves
    running = set(run.runnable())
    for branch in tree.branches:
        parallel = (branch.statistics, branch.log_probs, branch.probabilities)
        assert {len(column) for column in parallel} == {len(branch.tokens)}
        assert (branch.finish is None) == (branch.id in running)
        assert branch.end <= run.max_tokens


@settings(max_examples=120, deadline=None)
@given(decoder=decoders(), toy=st.integers(0, 40), seed=st.integers(0, 3), data=st.data())
def test_weights_sum_to_one_after_every_tell_and_any_cancel(
    decoder: EntropyTree | MultiChain | Greedy, toy: int, seed: int, data: st.DataObject
) -> None:
    order = np.random.default_rng(data.draw(st.integers(0, 9)))
    stop_after = data.draw(st.none() | st.integers(1, 20))
    tells = 0

    def watch(run: Run) -> None:
        nonlocal tells
        tells += 1
        check_sound(run)
        if tells == stop_after and run.runnable():
            run.cancel()
            assert (run.cancelled, run.finished) == (True, True)
            assert Finish.CANCELLED in {branch.finish for branch in run.tree.branches}
            check_sound(run)

    run = play(decoder, random_toy(toy), seed, watch=watch, pick=lambda b: int(order.choice(b)))
    assert all(branch.finish is not None for branch in run.tree.branches)
    if not run.cancelled and isinstance(decoder, MultiChain):
        assert run.tree.leaf_count() == decoder.leaves


@settings(max_examples=60, deadline=None)
@given(decoder=decoders(), toy=st.integers(0, 40), seed=st.integers(0, 3), order=st.integers(0, 99))
def test_the_same_seed_gives_the_same_tree_in_whatever_order_branches_are_told(
    decoder: EntropyTree | MultiChain | Greedy, toy: int, seed: int, order: int
) -> None:
    script = random_toy(toy)
    generator = np.random.default_rng(order)
    shuffled = play(decoder, script, seed, pick=lambda b: int(generator.choice(b)))
    assert shape(shuffled) == shape(play(decoder, script, seed))


def test_other_seeds_give_other_trees() -> None:
    decoder = EntropyTree(schedule="stratified", leaves=4, temperature=1)
    assert len({shape(play(decoder, uneven(), seed)) for seed in range(20)}) > 5


def test_stratified_leaves_have_equal_weight_a_code_and_share_beginnings() -> None:
    decoder = EntropyTree(schedule="stratified", leaves=16, temperature=1)
    for seed in range(20):
        run = play(decoder, uneven(), seed)
        tree = run.tree
        assert tree.leaf_count() == 16
        for branch, weight in zip(tree.branches, tree.weights(), strict=True):
            assert weight == pytest.approx(branch.codes / 16, abs=1e-12)
        # p(1) = 0.6 of 16 codes, spread evenly: 9 or 10 of them, never fewer or more.
        first = sum(b.codes for b in tree.branches if tree.path(b.id)[0] == 1)
        assert first in (9, 10)
        assert tree.tokens_decoded < tree.tokens_as_chains
        assert {fork.kind for fork in tree.forks} == {ForkKind.STRATIFIED}
        assert not any(run.may_fork(branch.id) for branch in tree.branches)


def test_a_code_stays_a_code_until_its_interval_holds_no_other() -> None:
    toy = from_table(
        {(): {0: 0.9, 1: 0.1}, (0,): {2: 0.5, 3: 0.5}, (1,): {2: 1.0}}, {2: "A", 3: "B"}
    )
    decoder = EntropyTree(schedule="stratified", leaves=2, temperature=1)
    for seed in range(50):
        run = play(decoder, toy, seed)
        firsts = sorted(run.tree.path(b.id)[0] for b in run.tree.branches)
        if firsts == [0, 0]:
            answers = sorted(toy.answer(tuple(run.tree.path(b.id))) for b in run.tree.branches)
            # Codes 0.5 / 0.9 of the interval apart: they cannot both fall into one half.
            assert answers == ["A", "B"]


def test_tau_comes_from_settings_then_from_the_pilot() -> None:
    pilot = thresholds(tuple(float(p) for p in range(101)))
    sure = EntropyTree(schedule="online", leaves=5, roots=1, gap=1, percentile=50)
    assert len(play(sure, uneven(), thresholds=pilot).tree.forks) == 0  # tau = 50 nats
    unsure = EntropyTree(schedule="online", leaves=5, roots=1, gap=1, percentile=0)
    assert len(play(unsure, uneven(), thresholds=pilot).tree.forks) > 0
    given_tau = EntropyTree(schedule="online", leaves=5, roots=1, gap=1, tau=0.1)
    assert len(play(given_tau, uneven(), thresholds=pilot).tree.forks) > 0


def test_online_needs_a_threshold_fixed_beforehand() -> None:
    with pytest.raises(SettingsError, match="et-agent pilot"):
        play(EntropyTree(schedule="online"), uneven())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"leaves": 0}, "leaves"),
        ({"leaves": 257}, "leaves"),
        ({"roots": 0}, "roots"),
        ({"branching": 1}, "branching"),
        ({"branching": 0}, "branching"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
        ({"temperature": math.inf}, "temperature"),
        ({"temperature": 1e-40}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"percentile": 101}, "percentile"),
        ({"tau": -0.1}, "tau"),
        ({"tau": math.nan}, "tau"),
        ({"gap": 0}, "gap"),
        ({"settle": 0}, "settle"),
        ({"wave": 0, "settle": 1}, "wave"),
        ({"wave": 2}, "wave=2 stops nothing by itself"),
        ({"give_up": 1}, "give_up"),
        ({"give_up": 0.6, "settle": 0.6}, "must be below settle=0.6"),
        ({"wave": 2, "settle": 1, "schedule": "stratified"}, "schedule='rounds'"),
        ({"settle": 0.9, "schedule": "online"}, "schedule='rounds'"),
        ({"give_up": 0.3, "schedule": "breadth_first"}, "schedule='rounds'"),
        ({"schedule": "best"}, "schedule"),
        ({"leafs": 3}, "leafs"),
        ({"exchangeable": True, "branching": 3}, "branching=2"),
        ({"importance": "prompt"}, "use 'received'"),
        ({"importance": "received", "schedule": "online"}, "use 'prompt'"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(
    wrong: dict[str, object], message: str
) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        EntropyTree(**wrong)
    assert isinstance(caught.value, EtAgentError | ValueError)


def test_settings_are_frozen_and_tell_what_they_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        EntropyTree().leaves = 3  # type: ignore[misc]
    assert EntropyTree(value="entropy").reads_attention
    assert not EntropyTree().reads_attention
    assert not EntropyTree(importance="none").reads_attention
    assert not EntropyTree(schedule="stratified").reads_attention


@given(
    st.lists(st.floats(0, 1), min_size=0, max_size=5).map(lambda p: [x / max(1, sum(p)) for x in p])
)
def test_shares_of_sum_and_sample_sum_to_one_and_are_not_negative(known: list[float]) -> None:
    shares = sum_and_sample(known)
    assert len(shares) == len(known) + 1
    assert math.fsum(shares) == pytest.approx(1.0, abs=1e-12)
    assert min(shares) >= 0
    assert shares[:-1] == pytest.approx(known, abs=1e-12)


def test_probabilities_that_float32_makes_a_little_too_large_are_scaled() -> None:
    shares = sum_and_sample([0.7, 0.30000006])
    assert math.fsum(shares) == pytest.approx(1.0, abs=1e-12)
    assert shares[-1] == 0.0
