import json
from typing import Any, Final

import pytest

from et_agent.decoding import DecoderSettings, EntropyTree, Greedy, MultiChain
from et_agent.decoding.naming import (
    described,
    from_description,
    has_name,
    migrated,
    settings_class,
)
from et_agent.decoding.schedules.legacy import with_new_names
from et_agent.errors import SettingsError


@pytest.mark.parametrize(
    ("name", "decoder"),
    [
        ("EntropyTree", EntropyTree(leaves=3)),
        ("EntropyTree", EntropyTree(leaves=3, tau=0.5)),
        ("EntropyTree", EntropyTree(schedule="online", gap=2)),
        ("EntropyTree", EntropyTree(schedule="stratified")),
        ("EntropyTree", EntropyTree(schedule="breadth_first", branching=3)),
        ("MultiChain", MultiChain(leaves=2)),
        ("Greedy", Greedy(max_tokens=9)),
    ],
)
def test_there_and_back(name: str, decoder: DecoderSettings) -> None:
    given = json.loads(json.dumps(described(decoder)))
    assert given["name"] == name
    assert given.keys() - {"name"} <= type(decoder).model_fields.keys()
    assert from_description(given) == decoder
    assert has_name(decoder)


def test_a_setting_that_runs_from_before_do_not_know_is_told_only_where_it_is_used() -> None:
    assert not {"batch", "stop_below"} & set(described(EntropyTree(schedule="rounds")))
    batches = EntropyTree(batch=2, stop_above=0.6)
    assert described(batches)["batch"] == 2
    assert from_description(described(batches)) == batches


FLAT: Final[dict[str, Any]] = {
    "name": "EntropyTree",
    "schedule": "rounds",
    "temperature": 0.7,
    "max_tokens": 320,
    "leaves": 16,
    "roots": 8,
    "branching": 2,
    "tau": None,
    "percentile": None,
    "importance": "auto",
    "delta": None,
    "importance_percentile": 25.0,
    "value": "worth",
    "least_worth": 1.0,
    "gap": 16,
    "exchangeable": False,
    "settle": None,
}
"""As an earlier version described `EntropyTree()`, which was `rounds`."""


@pytest.mark.parametrize(
    ("changed", "now"),
    [
        ({}, {"schedule": "rounds"}),
        ({"gap": 3}, {"schedule": "rounds"}),
        ({"value": "parting"}, {"value": "disagreement"}),
        (
            {"wave": 4, "settle": 0.8, "give_up": 0.34, "least_worth": 2.0},
            {"batch": 4, "stop_above": 0.8, "stop_below": 0.34, "least_value": 2.0},
        ),
        ({"schedule": "online", "gap": 3}, {"schedule": "online", "gap": 3}),
        ({"schedule": "stratified", "leaves": 9}, {"schedule": "stratified", "leaves": 9}),
        ({"schedule": "breadth_first", "tau": 0.5}, {"schedule": "breadth_first", "tau": 0.5}),
    ],
)
def test_descriptions_of_before_are_read_without_a_word(
    changed: dict[str, Any], now: dict[str, Any]
) -> None:
    decoder = EntropyTree(**now)
    assert from_description(FLAT | changed) == decoder
    assert migrated(FLAT | changed) == described(decoder)
    assert migrated(described(decoder)) == described(decoder)


def test_what_a_description_of_before_lacks_it_goes_on_lacking() -> None:
    older = {name: value for name, value in FLAT.items() if name != "least_worth"}
    assert "least_value" not in migrated(older)
    assert migrated({"name": "Beam", "wave": 3}) == {"name": "Beam", "wave": 3}


def test_the_setting_of_another_schedule_is_dropped_only_where_all_are_there() -> None:
    with pytest.raises(SettingsError, match="gap does nothing with schedule='rounds'"):
        from_description({"name": "EntropyTree", "schedule": "rounds", "gap": 3})


@pytest.mark.parametrize(
    "given", [{}, {"leaves": 3}, {"roots": 4}, {"wave": 2, "settle": 0.8}, {"gap": 3}]
)
def test_a_description_without_a_schedule_means_what_the_constructor_does(
    given: dict[str, Any],
) -> None:
    decoder = from_description({"name": "EntropyTree", **given})
    assert decoder == EntropyTree(**with_new_names(given))
    assert settings_class({"name": "EntropyTree", **given}) is type(decoder)


def test_a_whole_description_of_before_means_rounds_without_a_schedule_too() -> None:
    unnamed = {name: value for name, value in FLAT.items() if name != "schedule"}
    assert from_description(unnamed) == EntropyTree(schedule="rounds")
    assert "gap" not in migrated(unnamed)


def test_what_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="'Beam': use one of EntropyTree, MultiChain, Greedy"):
        from_description({"name": "Beam"})
    with pytest.raises(ValueError, match="None: use one of"):
        from_description({"leaves": 3})
    with pytest.raises(SettingsError, match="beams"):
        from_description({"name": "Greedy", "beams": 2})


def test_a_decoder_of_the_users_own_has_no_name() -> None:
    own = type("Greedy", (Greedy,), {})  # the name alone does not make it one of ours

    assert not has_name(own())
