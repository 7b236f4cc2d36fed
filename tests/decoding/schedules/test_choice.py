"""Which schedule a tree has if none is named."""

import json
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from et_agent.decoding import EntropyTree
from et_agent.decoding.schedules import Online, Overlapped, Rounds
from et_agent.decoding.schedules.forking import ForkingTree
from et_agent.decoding.schedules.keywords import Schedule, TreeKeywords
from et_agent.errors import SettingsError

UNNAMED: list[tuple[TreeKeywords, type[EntropyTree]]] = [
    ({}, Overlapped),
    ({"leaves": 3, "temperature": 1.0, "max_tokens": 9}, Overlapped),
    ({"root_share": 0.5}, Overlapped),
    ({"least_value": 2.0}, Overlapped),
    ({"least_value": 2.0, "roots": 4}, Rounds),
    ({"roots": 4}, Rounds),
    ({"roots": 8}, Rounds),  # its default does not make it another tree
    ({"stop_above": 0.6}, Rounds),
    ({"stop_above": None}, Rounds),
    ({"batch": 4, "stop_above": 0.8, "stop_below": 0.34}, Rounds),
    ({"value": "entropy", "tau": 0.2}, Rounds),
    ({"exchangeable": True}, Rounds),
    ({"gap": 3, "leaves": 4}, Online),
    ({"gap": 3, "roots": 4, "branching": 3}, Online),
]


@pytest.mark.parametrize(("given_settings", "wanted"), UNNAMED)
def test_without_a_schedule_the_first_that_has_all_settings_is_taken(
    given_settings: TreeKeywords, wanted: type[EntropyTree]
) -> None:
    made = EntropyTree(**given_settings)
    schedule = wanted.model_fields["schedule"].default
    assert type(made) is wanted
    assert made == EntropyTree(**given_settings | {"schedule": schedule})
    assert EntropyTree.model_validate(given_settings) == made
    assert EntropyTree.model_validate_json(json.dumps(given_settings)) == made


@pytest.mark.parametrize(
    ("torn", "message"),
    [
        ({"roots": 4, "root_share": 0.5}, "roots does nothing with schedule='overlapped'"),
        ({"gap": 3, "batch": 2, "stop_above": 1}, "gap does nothing with schedule='rounds'"),
        ({"gap": 3, "root_share": 0.5}, "leave it out, or set schedule='online'"),
        ({"gap": 3, "leafs": 4}, "leafs"),
    ],
)
def test_settings_that_no_schedule_has_together_are_refused(
    torn: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        EntropyTree(**torn)
    with pytest.raises(ValidationError, match=message):
        EntropyTree.model_validate(torn)


def test_all_schedules_are_looked_through_the_default_first() -> None:
    order = get_args(Schedule)
    assert sorted(order) == sorted(EntropyTree.schedules)
    assert type(EntropyTree()) is EntropyTree.schedules[order[0]]


def test_a_class_of_some_schedules_looks_through_these() -> None:
    assert type(ForkingTree()) is Rounds
    for given_settings in ({"gap": 3}, {"schedule": "online", "gap": 3}):
        made = EntropyTree.model_validate(given_settings)
        assert ForkingTree.model_validate(given_settings) == made
    with pytest.raises(SettingsError, match="schedule is 'stratified': use one of"):
        ForkingTree.class_for({"schedule": "stratified"})


def test_a_copy_is_the_tree_of_all_settings_if_no_schedule_was_named() -> None:
    tree = EntropyTree(leaves=5, temperature=1)
    assert tree.model_copy(update={"leaves": 6}) == EntropyTree(leaves=6, temperature=1)
    stopping = tree.model_copy(update={"stop_above": 0.8})
    assert stopping == EntropyTree(leaves=5, temperature=1, stop_above=0.8)
    assert stopping.model_copy(update={"stop_above": None}) == EntropyTree(
        schedule="rounds", leaves=5, temperature=1
    )
    with pytest.raises(SettingsError, match="roots does nothing with schedule='overlapped'"):
        EntropyTree(root_share=0.5).model_copy(update={"roots": 4})


def test_a_copy_keeps_to_a_schedule_that_was_named() -> None:
    tree = EntropyTree(schedule="overlapped")
    for update in ({"stop_above": 0.8}, {"stop_above": 0.8, "schedule": "overlapped"}):
        with pytest.raises(SettingsError, match=r"stop_above does nothing .*schedule='rounds'"):
            tree.model_copy(update=update)
    both = {"stop_above": 0.8, "schedule": "rounds"}
    assert tree.model_copy(update=both) == EntropyTree(stop_above=0.8)
