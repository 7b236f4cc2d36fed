"""Former spellings of settings work and say what they are called now."""

import warnings
from typing import Any

import pytest

from et_agent.decoding import EntropyTree
from et_agent.decoding.schedules.keywords import Schedule
from et_agent.decoding.schedules.legacy import FORMER_SETTINGS, FORMER_VALUES, with_new_names
from et_agent.errors import SettingsError

SPELLINGS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (
        {"settle": 0.8},
        {"stop_above": 0.8},
        "settle is deprecated and will be removed: use stop_above",
    ),
    (
        {"give_up": 0.3},
        {"stop_below": 0.3},
        "give_up is deprecated and will be removed: use stop_below",
    ),
    (
        {"wave": 2, "stop_above": 1},
        {"batch": 2, "stop_above": 1},
        "wave is deprecated and will be removed: use batch",
    ),
    (
        {"least_worth": 2.0},
        {"least_value": 2.0},
        "least_worth is deprecated and will be removed: use least_value",
    ),
    (
        {"value": "worth"},
        {"value": "value_per_token"},
        "'worth' is deprecated and will be removed: use value='value_per_token'",
    ),
    (
        {"value": "parting"},
        {"value": "disagreement"},
        "'parting' is deprecated and will be removed: use value='disagreement'",
    ),
]


def test_all_former_spellings_are_tried_here() -> None:
    tried = {name for former, _, _ in SPELLINGS for name in former}
    assert tried >= FORMER_SETTINGS.keys()
    assert len(SPELLINGS) == len(FORMER_SETTINGS) + len(FORMER_VALUES)


@pytest.mark.parametrize(("former", "now", "says"), SPELLINGS)
def test_a_former_spelling_works_and_warns_who_wrote_it(
    former: dict[str, Any], now: dict[str, Any], says: str
) -> None:
    with pytest.warns(DeprecationWarning, match=says) as told:
        made = EntropyTree(**former)
    assert made == EntropyTree(**now)
    assert [one.filename for one in told] == [__file__]
    with pytest.warns(DeprecationWarning, match=says):
        assert EntropyTree.model_validate(former) == made


@pytest.mark.parametrize(("former", "now"), FORMER_SETTINGS.items())
def test_a_setting_is_read_by_its_former_name_too(former: str, now: str) -> None:
    made = EntropyTree(batch=2, stop_above=0.8, stop_below=0.3, least_value=2)
    with pytest.warns(
        DeprecationWarning, match=f"{former} is deprecated and will be removed: use {now}"
    ) as told:
        assert getattr(made, former) == getattr(made, now)
    assert [one.filename for one in told] == [__file__]
    with pytest.raises(AttributeError, match="waves"):
        _ = made.waves  # type: ignore[attr-defined]


@pytest.mark.parametrize("schedule", EntropyTree.schedules)
@pytest.mark.parametrize(("former", "now"), FORMER_SETTINGS.items())
def test_every_schedule_has_the_former_names_with_their_defaults(
    schedule: Schedule, former: str, now: str
) -> None:
    with pytest.warns(DeprecationWarning, match=f"{former} is deprecated .*use {now}") as told:
        found = getattr(EntropyTree(schedule=schedule), former)
    assert found == getattr(EntropyTree(schedule="rounds"), now)
    assert [one.filename for one in told] == [__file__]


def test_a_former_spelling_with_another_schedule_is_refused_by_the_name_of_today() -> None:
    with (
        pytest.warns(
            DeprecationWarning, match="settle is deprecated and will be removed: use stop_above"
        ),
        pytest.raises(SettingsError, match="stop_above does nothing with schedule='online'"),
    ):
        EntropyTree(schedule="online", settle=0.8)  # type: ignore[call-arg]


def test_both_spellings_at_once_are_refused() -> None:
    with pytest.raises(SettingsError, match="leave settle out"):
        EntropyTree(settle=0.8, stop_above=0.8)  # type: ignore[call-arg]


def test_stored_settings_get_their_new_names_without_a_word() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert with_new_names({"wave": 2, "value": "worth", "tau": None}) == {
            "batch": 2,
            "value": "value_per_token",
            "tau": None,
        }
