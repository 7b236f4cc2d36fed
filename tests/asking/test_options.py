from dataclasses import FrozenInstanceError, fields
from typing import Any, get_type_hints

import pytest

from et_agent import AskOptions, Greedy
from et_agent.answers import AnswerKind
from et_agent.asking.options import DEFAULTS, AskKeywords
from et_agent.decoding.base import DecoderSettings
from et_agent.errors import InputError, QuestionError, SettingsError


def test_keywords_are_the_fields_and_have_their_types() -> None:
    assert get_type_hints(AskKeywords) == get_type_hints(AskOptions)
    assert set(get_type_hints(AskKeywords)) == {field.name for field in fields(AskOptions)}


def test_options_are_frozen_and_changed_in_a_copy() -> None:
    options = DEFAULTS.changed(seed=3, decoder=Greedy())
    assert (options.seed, options.decoder, DEFAULTS.seed) == (3, Greedy(), 0)
    assert options.changed() is options
    with pytest.raises(FrozenInstanceError):
        options.seed = 4  # type: ignore[misc]
    with pytest.raises(SettingsError, match="seed is -1: use a whole number of 0 or more"):
        options.changed(seed=-1)


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"seed": True}, SettingsError, "seed is True: use a whole number of 0 or more"),
        ({"system_prompt": " \n"}, QuestionError, "the system prompt is empty"),
        ({"kind": "poem"}, SettingsError, "no answer kind 'poem': choose one of: number"),
        ({"chat": "Plain"}, SettingsError, "chat is 'Plain': use 'model' or 'plain'"),
        ({"chat": "plain", "tools": [{}]}, SettingsError, "use chat='model'"),
        ({"schema": {}, "tools": [{}]}, SettingsError, "exclude each other: pass one of them"),
        ({"schema": True}, SettingsError, "pass a JSON schema as a dict"),
        ({"stop": "Q"}, SettingsError, "pass a list of stop sequences"),
        ({"calibrator": "best"}, SettingsError, "calibrator is 'best': pass a Calibrator"),
        (
            {"alternatives": 51},
            SettingsError,
            "alternatives is 51: use a whole number from 0 to 50",
        ),
        ({"alternatives": True}, SettingsError, "alternatives is True"),
        ({"decoder": DecoderSettings()}, SettingsError, "DecoderSettings is not a decoder"),
    ],
)
def test_options_that_suit_no_question_are_refused(
    wrong: dict[str, Any], error: type[InputError], says: str
) -> None:
    with pytest.raises(error, match=says):
        AskOptions(**wrong)


def test_unknown_options_are_an_error() -> None:
    with pytest.raises(TypeError, match="temprature"):
        AskOptions(temprature=1)  # type: ignore[call-arg]


def test_kinds_may_be_given_by_name() -> None:
    assert AskOptions(kind="number").kind == AnswerKind.NUMBER
