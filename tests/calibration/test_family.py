"""Decoders that share calibrators: whose trees are alike to them, and what must be the same."""

from typing import Any, Literal

import pytest

from et_agent.calibration import Fingerprint
from et_agent.decoding import DecoderSettings, EntropyTree, MultiChain
from et_agent.decoding.naming import described
from et_agent.decoding.schedules import Overlapped
from et_agent.errors import CalibrationError

OVERLAPPED = EntropyTree(schedule="overlapped")
ALIKE: list[EntropyTree] = [
    OVERLAPPED,
    EntropyTree(schedule="overlapped", root_share=0.5, least_value=0.0),
    EntropyTree(schedule="stratified"),
    EntropyTree(schedule="rounds"),
    EntropyTree(schedule="rounds", roots=4, tau=0.5, branching=3, least_value=2.0),
    EntropyTree(schedule="rounds", exchangeable=True, importance="received", delta=0.1),
]
OTHERS: list[DecoderSettings] = [
    EntropyTree(schedule="rounds", value="mass_per_token"),
    EntropyTree(schedule="rounds", value="entropy", stop_above=0.8),
    EntropyTree(schedule="online"),
    EntropyTree(schedule="breadth_first"),
    MultiChain(),
]


def fingerprint(decoder: dict[str, Any]) -> Fingerprint:
    return Fingerprint.of(
        model="ab" * 32, decoder=decoder, instructions={"number": "Think."}, chat="model"
    )


def of(decoder: DecoderSettings) -> Fingerprint:
    return fingerprint(described(decoder))


@pytest.mark.parametrize("fitted", ALIKE, ids=repr)
@pytest.mark.parametrize("asked", ALIKE, ids=repr)
def test_trees_from_codes_share_their_calibrators(fitted: EntropyTree, asked: EntropyTree) -> None:
    assert of(fitted).problems(of(asked)) == []
    assert of(fitted).joined(of(asked)) == of(fitted)


@pytest.mark.parametrize("one", ALIKE, ids=repr)
@pytest.mark.parametrize("other", OTHERS, ids=repr)
def test_others_share_none_with_them(one: EntropyTree, other: DecoderSettings) -> None:
    assert of(one).problems(of(other))
    assert of(other).problems(of(one))
    with pytest.raises(CalibrationError, match="these runs differ"):
        of(one).joined(of(other))


def test_temperature_and_leaves_go_on_to_matter() -> None:
    rounds = of(EntropyTree(schedule="rounds"))
    assert rounds.problems(of(EntropyTree(schedule="overlapped", temperature=1))) == [
        "decoder temperature 1.0 instead of 0.7"
    ]
    assert rounds.problems(of(EntropyTree(schedule="overlapped", leaves=8))) == [
        "8 leaves instead of 16"
    ]


def test_whole_trees_tell_of_stopped_ones_of_another_schedule_too() -> None:
    whole = of(OVERLAPPED).model_copy(update={"leaves": (2, 16)})
    stopped = of(EntropyTree(batch=2, stop_above=0.6))
    assert whole.problems(stopped) == []
    assert of(OVERLAPPED).problems(stopped) == ["2 to 16 leaves instead of 16"]
    assert stopped.problems(whole) == [
        "decoder batch None instead of 2",
        "decoder stop_above None instead of 0.6",
    ]


def test_a_setting_that_is_not_there_is_no_match() -> None:
    older: dict[str, Any] = described(EntropyTree(schedule="rounds"))
    del older["value"]
    assert fingerprint(older).problems(of(OVERLAPPED)) == [
        "decoder schedule overlapped instead of rounds"
    ]


def test_a_class_that_only_inherits_the_declaration_shares_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(EntropyTree, "schedules", dict(EntropyTree.schedules))

    class Own(Overlapped):
        """Grows as it likes."""

        schedule: Literal["own"] = "own"  # type: ignore[assignment]

    assert "own" in EntropyTree.schedules
    decoder = {**described(OVERLAPPED), "schedule": "own"}
    own = fingerprint(decoder)
    assert own.problems(own) == []
    assert of(OVERLAPPED).problems(own) == ["decoder schedule own instead of overlapped"]
    assert "decoder schedule overlapped instead of own" in own.problems(of(OVERLAPPED))
