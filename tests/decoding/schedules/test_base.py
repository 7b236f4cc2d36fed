"""What holds for every schedule, and which settings are refused."""

import copy
import math
import pickle
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from et_agent.decoding import EntropyTree, Finish, Greedy, MultiChain, Run
from et_agent.decoding.base import Decoder
from et_agent.decoding.schedules import Rounds
from et_agent.decoding.schedules.keywords import Schedule, TreeKeywords
from et_agent.errors import EtAgentError, SettingsError
from tests.decoding.play import (
    play,
    random_toy,
    shape,
    tree_of,
)


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
    schedule = draw(st.sampled_from(sorted(EntropyTree.schedules)))
    tau = draw(st.sampled_from([0.0, 0.3, 1.0]))
    batch = draw(st.none() | st.integers(1, 4)) if schedule == "rounds" else None
    return tree_of(
        schedule,
        temperature=temperature,
        leaves=leaves,
        roots=draw(st.integers(1, 9)),
        branching=2 if exchangeable else draw(st.integers(2, 4)),
        exchangeable=exchangeable,
        tau=tau if schedule == "online" else draw(st.sampled_from([None, tau])),
        gap=draw(st.integers(1, 3)),
        value=draw(st.sampled_from(["entropy", "mass", "mass_per_token", "disagreement"])),
        **_of_overlapped(draw) if schedule == "overlapped" else {},
        max_tokens=draw(st.sampled_from([1, 3, 50])),
        batch=batch,
        stop_above=None if batch is None else 1.0,
    )


def _of_overlapped(draw: st.DrawFn) -> dict[str, float]:
    return {
        "root_share": draw(st.sampled_from([0.2, 0.75, 1.0])),
        "least_value": draw(st.sampled_from([0.0, 0.3])),
    }


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
    running = {branch.id for branch in tree.branches if branch.finish is None}
    assert set(run.runnable()) <= running
    assert run.finished == (not running) == (not run.runnable())
    for branch in tree.branches:
        parallel = (branch.statistics, branch.log_probs, branch.probabilities)
        assert {len(column) for column in parallel} == {len(branch.tokens)}
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
        ({"stop_above": 0}, "stop_above"),
        ({"batch": 0, "stop_above": 1}, "batch"),
        ({"batch": 2}, "batch=2 stops nothing by itself"),
        ({"stop_below": 1}, "stop_below"),
        ({"stop_below": 0.6, "stop_above": 0.6}, "must be less than stop_above=0.6"),
        ({"batch": 2, "stop_above": 1, "schedule": "stratified"}, "schedule='rounds'"),
        ({"stop_above": 0.9, "schedule": "online"}, "schedule='rounds'"),
        ({"stop_below": 0.3, "schedule": "breadth_first"}, "schedule='rounds'"),
        ({"schedule": "best"}, "schedule"),
        ({"leafs": 3}, "leafs"),
        ({"exchangeable": True, "branching": 3}, "branching=2"),
        ({"importance": "prompt"}, "use 'received'"),
        ({"importance": "received", "schedule": "online"}, "use 'prompt'"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        EntropyTree(**wrong)
    assert isinstance(caught.value, EtAgentError | ValueError)


def test_settings_are_frozen_and_tell_what_they_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        EntropyTree().leaves = 3  # type: ignore[misc]
    assert EntropyTree(value="entropy").reads_attention
    assert not EntropyTree().reads_attention
    assert not EntropyTree(schedule="rounds").reads_attention
    assert not EntropyTree(importance="none").reads_attention
    assert not EntropyTree(schedule="stratified").reads_attention


SCHEDULES = sorted(EntropyTree.schedules)
STRANGERS = [
    (schedule, other, setting)
    for schedule, made in EntropyTree.schedules.items()
    for other, another in EntropyTree.schedules.items()
    for setting in sorted(another.model_fields.keys() - made.model_fields.keys())
]


@pytest.mark.parametrize(("schedule", "other", "setting"), STRANGERS)
def test_the_setting_of_another_schedule_is_refused(
    schedule: Schedule, other: str, setting: str
) -> None:
    default = EntropyTree.schedules[other].model_fields[setting].default
    with pytest.raises(SettingsError) as caught:
        EntropyTree(schedule=schedule, **{setting: default})
    told = str(caught.value)
    assert f"{setting} does nothing with schedule={schedule!r}: leave it out" in told
    assert f"schedule={other!r}" in told.partition("or set")[2]


def test_all_pairs_take_part_of_which_one_has_what_the_other_lacks() -> None:
    pairs = {(schedule, other) for schedule, other, _ in STRANGERS}
    assert ("rounds", "online") in pairs
    assert ("online", "rounds") in pairs
    assert len(pairs) == 17


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_constructor_makes_the_class_of_the_schedule(schedule: Schedule) -> None:
    made = EntropyTree.schedules[schedule]
    decoder = EntropyTree(schedule=schedule, leaves=3)
    assert type(decoder) is made
    assert decoder == made(leaves=3)
    assert isinstance(decoder, Decoder)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_default_that_is_given_changes_nothing(schedule: Schedule) -> None:
    for name, field in EntropyTree.schedules[schedule].model_fields.items():
        given_settings: dict[str, Any] = {"schedule": schedule, name: field.default}
        assert EntropyTree(**given_settings) == EntropyTree(schedule=schedule)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_it_is_the_same_after_copying_pickling_and_printing(schedule: Schedule) -> None:
    decoder = EntropyTree(schedule=schedule, leaves=3, temperature=1)
    for again in (
        copy.copy(decoder),
        copy.deepcopy(decoder),
        decoder.model_copy(),
        pickle.loads(pickle.dumps(decoder)),
        eval(repr(decoder), {"EntropyTree": EntropyTree}),
        EntropyTree.model_validate(decoder.model_dump()),
        EntropyTree.model_validate_json(decoder.model_dump_json()),
    ):
        assert type(again) is type(decoder)
        assert again == decoder
        assert hash(again) == hash(decoder)
    changed = decoder.model_copy(update={"leaves": 4})
    assert type(changed) is type(decoder)
    assert changed != decoder


class Holder(BaseModel):
    """A model of somebody else's with a tree in it."""

    tree: EntropyTree = Field(default_factory=EntropyTree)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_plain_data_become_the_class_of_their_schedule(schedule: Schedule) -> None:
    held = Holder.model_validate({"tree": {"schedule": schedule, "leaves": 3}})
    assert held.tree == EntropyTree(schedule=schedule, leaves=3)
    assert Holder(tree=held.tree).tree is held.tree
    assert Holder.model_validate_json(held.model_dump_json()) == held


@pytest.mark.parametrize(
    "tree", [{"schedule": "best"}, {"schedule": "online", "batch": 2}, {"leaves": 0}, 3]
)
def test_plain_data_that_no_class_takes(tree: object) -> None:
    with pytest.raises(ValidationError):
        Holder.model_validate({"tree": tree})
    with pytest.raises(ValidationError):
        EntropyTree.model_validate(tree)


def test_the_schema_tells_all_schedules_apart() -> None:
    for schema in (EntropyTree.model_json_schema(), Holder.model_json_schema()):
        classes = {
            one["properties"]["schedule"]["const"]: set(one["properties"])
            for one in schema["$defs"].values()
        }
        assert sorted(classes) == SCHEDULES
        assert "gap" in classes["online"]
        assert "gap" not in classes["rounds"]


def test_a_class_of_the_users_own_stays_one_and_stands_for_no_schedule() -> None:
    class Own(Rounds):
        """Rounds that do something else too."""

    own = Own(leaves=3)
    assert type(own) is Own
    assert repr(own).startswith("Own(")
    assert type(EntropyTree(schedule="rounds")) is Rounds
    assert Holder(tree=own).tree is own


def test_keywords_are_the_fields_of_all_schedules_and_have_their_types() -> None:
    keywords = get_type_hints(TreeKeywords)
    assert set(get_args(keywords.pop("schedule"))) == set(EntropyTree.schedules)
    fields = {
        name: field.annotation
        for made in EntropyTree.schedules.values()
        for name, field in made.model_fields.items()
        if name != "schedule"
    }
    assert keywords == fields


@pytest.mark.parametrize(
    ("idle", "message"),
    [
        (
            {"delta": 0.1},
            "delta=0.1 does nothing with importance='auto' and value='value_per_token'",
        ),
        ({"importance_percentile": 50}, "importance_percentile=50.0 does nothing with importance"),
        ({"delta": 0.1}, "leave it out, or set importance='received'"),
        (
            {"tau": 0.5, "percentile": 50},
            "tau=0.5 and percentile=50.0 set the same value: use only",
        ),
        (
            {"importance": "received", "delta": 0.1, "importance_percentile": 50},
            "delta=0.1 and importance_percentile=50.0 set the same value",
        ),
        (
            {"value": "mass", "least_value": 3},
            "least_value=3.0 does nothing with value='mass': leave it out, or set value='value_per",
        ),
        ({"importance": "none", "delta": 0.2}, "delta=0.2 does nothing with importance='none'"),
        (
            {"schedule": "online", "importance": "none", "delta": 0.2},
            "with importance='none': leave it out, or set importance='prompt'",
        ),
        (
            {"schedule": "breadth_first", "importance": "none", "importance_percentile": 50},
            "with importance='none': leave it out, or set importance='received'",
        ),
        ({"schedule": "online", "tau": 0.5, "percentile": 50}, "tau=0.5 and percentile=50.0"),
    ],
)
def test_settings_that_would_change_nothing_are_refused(idle: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        EntropyTree(**idle)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "used",
    [
        {"delta": 0.1, "importance": "received"},
        {"delta": 0.1, "value": "mass"},
        {"delta": 0.1, "schedule": "online"},
        {"importance_percentile": 50, "schedule": "breadth_first"},
        {"least_value": 3},
        {"tau": 0.5},
        {"percentile": 50},
    ],
)
def test_settings_that_change_something_are_taken(used: dict[str, Any]) -> None:
    assert EntropyTree(**used) == EntropyTree.model_validate(EntropyTree(**used).model_dump())


def test_defaults_that_are_given_with_all_other_settings_are_no_contradiction() -> None:
    for given_settings in (
        TreeKeywords(value="mass", importance="none"),
        TreeKeywords(schedule="online", importance="none", tau=0.5),
    ):
        decoder = EntropyTree(**given_settings)
        every = decoder.model_dump()
        assert every["importance_percentile"] == 25
        assert EntropyTree.model_validate(every) == decoder


def test_a_copy_may_have_another_schedule() -> None:
    online = EntropyTree(schedule="online", gap=3, leaves=5)
    assert online.model_copy(update={"schedule": "rounds"}) == EntropyTree(
        schedule="rounds", leaves=5
    )
    assert online.model_copy(update={"leaves": 6}) == EntropyTree(
        schedule="online", gap=3, leaves=6
    )
    with pytest.raises(SettingsError, match="gap does nothing"):
        online.model_copy(update={"schedule": "rounds", "gap": 4})


def test_a_copy_knows_former_names() -> None:
    with pytest.warns(DeprecationWarning, match="settle") as told:
        copy = EntropyTree().model_copy(update={"settle": 0.8})
    assert copy == EntropyTree(stop_above=0.8)
    assert told[0].filename == __file__


def test_a_subclass_needs_a_schedule() -> None:
    class Mine(EntropyTree):
        extra: int = 1

    with pytest.raises(
        SettingsError, match="derive it from one of BreadthFirst, Online, Overlapped"
    ):
        Mine(leaves=3)
