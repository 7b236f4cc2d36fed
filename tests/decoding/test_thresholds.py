import json
import os
from pathlib import Path

import pytest

from et_agent.decoding.thresholds import (
    Thresholds,
    find_thresholds,
    save_thresholds,
    thresholds_folder,
)
from et_agent.errors import SettingsError

SHA = "ab" * 32


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path))


def some(**changes: object) -> Thresholds:
    fields: dict[str, object] = {
        "model_sha256": SHA,
        "model_name": "toy",
        "created": "2026-01-01",
        "questions": 3,
        "tokens": 100,
        "temperature": 0.7,
        "source": "test",
        "entropy": tuple(p / 50 for p in range(101)),
        "received": tuple(p / 1000 for p in range(101)),
        "prompt_attention": None,
    }
    return Thresholds.model_validate(fields | changes)


def test_percentiles_are_interpolated() -> None:
    assert some().entropy_at(80) == pytest.approx(1.6)
    assert some().entropy_at(80.5) == pytest.approx(1.61)
    assert some().received_at(100) == pytest.approx(0.1)
    assert some().prompt_attention_at(50) is None


def test_what_was_saved_is_found_by_the_models_fingerprint() -> None:
    path = save_thresholds(some())
    assert path == thresholds_folder() / f"{SHA}.json"
    assert find_thresholds(SHA) == some()
    assert find_thresholds("00" * 32) is None
    assert [p.name for p in path.parent.iterdir()] == [path.name], "nothing else is left behind"


@pytest.mark.fault("flipped bytes")
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b"[]",
        b"{}",
        json.dumps({"schema_version": 9}).encode(),
        some().model_dump_json().replace('"entropy":[0.0', '"entropy":[NaN').encode(),
        some().model_dump_json().replace('"entropy":[0.0,', '"entropy":[').encode(),
    ],
)
def test_a_damaged_pilot_file_is_named(content: bytes) -> None:
    path = thresholds_folder() / f"{SHA}.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=f"{SHA}.*delete it"):
        find_thresholds(SHA)


@pytest.mark.posix
def test_a_pipe_in_place_of_a_pilot_is_not_waited_for() -> None:
    path = thresholds_folder() / f"{SHA}.json"
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    with pytest.raises(SettingsError, match=f"{SHA}.*not a regular file; .*delete it"):
        find_thresholds(SHA)
