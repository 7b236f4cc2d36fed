"""What is kept of measurements is not needed: no file in its place stops or delays anything."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from et_agent.engines.llama_cpp import trial, tuning
from et_agent.errors import StoreError
from et_agent.kept import change_kept, read_kept
from et_agent.storage import try_locked
from et_agent.weights import files
from et_agent.weights.staging import read_state


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


FOREIGN: dict[str, Callable[[Path], object]] = {
    "pipe": lambda path: os.mkfifo(path),
    "endless": endless,
    "huge": huge,
    "folder": lambda path: (path / "a").mkdir(parents=True),
    "dangling link": lambda path: path.symlink_to("absent/absent"),
    "link loop": lambda path: path.symlink_to(path),
    "deep": lambda path: path.write_text("[" * 100_000),
    "many digits": lambda path: path.write_text('{"a": ' + "9" * 5000 + "}"),
    "no text": lambda path: path.write_bytes(b"\xff\x00"),
    "a list": lambda path: path.write_text("[1]"),
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


@pytest.mark.posix
@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_file_counts_as_none(
    make: Callable[[Path], object], cache: Path, tmp_path: Path
) -> None:
    for name in ("trials.json", "tuning.json", "checksums.json", "state.json"):
        make(cache / name)
    began = time.perf_counter()
    (tmp_path / "file").write_text("x")
    assert trial._read_verdicts() == {}
    assert tuning.find_tuning("a", "b").threads >= 1
    assert files.recorded_sha256(tmp_path / "file") is None
    assert read_state(cache / "state.json") == {}
    trial._keep_verdict("key", True)
    files.remember_sha256(tmp_path / "file", "0" * 64)
    with contextlib.suppress(StoreError):  # a folder cannot be replaced
        tuning.keep_tuning("a", "b", tuning.Tuning(1, 8))
    assert time.perf_counter() - began < 5


def test_changes_of_others_are_kept(cache: Path) -> None:
    path = cache / "some.json"
    change_kept(path, lambda known: {**known, "a": 1})
    change_kept(path, lambda known: {**known, "b": 1})
    assert read_kept(path) == {"a": 1, "b": 1}


def test_who_holds_a_file_for_long_is_not_waited_for(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("et_agent.kept._PATIENCE", 0.05)
    path = cache / "some.json"
    with try_locked(path.with_name(".some.json.lock")) as held:
        assert held
        change_kept(path, lambda _: {"a": 1})
    assert read_kept(path) == {"a": 1}
