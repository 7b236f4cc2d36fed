"""Files from outside: what is packed, named by a person, without an end or damaged."""

import gzip
import lzma
import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from et_agent.calibration import Calibrator
from et_agent.errors import StoreError
from et_agent.evaluation import RunStore
from et_agent.storage import decompressed, read_given, user_path, write_atomically

TEXT = b"words and more words " * 50
PACKERS = pytest.mark.parametrize("pack", [gzip.compress, lzma.compress], ids=["gzip", "xz"])
Pack = Callable[[bytes], bytes]


@PACKERS
def test_what_was_packed_is_read(pack: Pack) -> None:
    assert decompressed(pack(TEXT), most=len(TEXT)) == TEXT
    assert decompressed(pack(b""), most=0) == b""


@PACKERS
def test_a_small_file_that_holds_too_much_is_refused(pack: Pack) -> None:
    bomb = pack(bytes(20_000_000))
    assert len(bomb) < 50_000
    with pytest.raises(OSError, match="more than 1,000 bytes"):
        decompressed(bomb, most=1000)


@PACKERS
def test_what_is_damaged_or_cut_short_is_refused(pack: Pack) -> None:
    packed = pack(TEXT)
    for at in range(len(packed)):
        broken = packed[:at] + bytes([packed[at] ^ 0x55]) + packed[at + 1 :]
        try:
            assert decompressed(broken, most=10_000) == TEXT, at  # a flag or a time in the header
        except OSError:
            continue
    for end in (0, 1, 10, len(packed) // 2, len(packed) - 1):
        with pytest.raises(OSError, match=r"damaged|cut short"):
            decompressed(packed[:end], most=10_000)


def test_something_else_is_refused() -> None:
    with pytest.raises(OSError, match="damaged"):
        decompressed(b"words", most=10)


@PACKERS
def test_what_follows_is_refused_and_never_lost(pack: Pack) -> None:
    assert decompressed(pack(TEXT) + bytes(8), most=10_000) == TEXT
    with pytest.raises(OSError, match="something follows"):
        decompressed(pack(TEXT) + pack(TEXT), most=10_000)


def test_a_file_that_a_person_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "one").write_bytes(b"text")
    assert read_given("~/one") == read_given(tmp_path / "one", most=4) == b"text"
    assert user_path("~nobody-of-that-name/x") == Path("~nobody-of-that-name/x")
    for path, most in (
        (tmp_path / "one", 3),
        (tmp_path, 9),
        ("~nobody-of-that-name/x", 9),
        ("a\0b", 9),
        ("x" * 5000, 9),
    ):
        with pytest.raises(OSError, match=r"."):
            read_given(path, most=most)


@pytest.mark.posix
def test_a_pipe_is_read_and_what_has_no_end_is_not(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="larger than 1,000 bytes"):
        read_given("/dev/zero", most=1000)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="nothing was written"):
        read_given(tmp_path / "pipe")
    read, write = os.pipe()

    def slowly() -> None:
        for _ in range(3):
            time.sleep(0.05)
            os.write(write, b"part ")
        os.close(write)

    threading.Thread(target=slowly).start()
    assert read_given(f"/dev/fd/{read}") == b"part " * 3
    os.close(read)


@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="no links to what is open")
def test_what_a_link_of_the_system_leads_to_is_written_to(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as file:
        write_atomically(Path(f"/dev/fd/{file.fileno()}"), "text")
    assert (tmp_path / "out").read_text() == "text"
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b", "x" * 5000, "folder"])
def test_what_no_file_can_be_called_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="cannot be written") as told:
        write_atomically(tmp_path / name, "x", error=StoreError)
    assert str(told.value).encode()
    with pytest.raises(OSError, match=r"."):
        write_atomically(tmp_path / name, "x")


@pytest.mark.posix
@pytest.mark.parametrize("link", [False, True])
def test_what_is_no_file_is_written_to_and_stays_what_it_is(tmp_path: Path, link: bool) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    path = tmp_path / "link" if link else pipe
    if link:
        path.symlink_to(pipe)
    with pytest.raises(StoreError, match="cannot be written"):
        write_atomically(path, "nobody reads", error=StoreError)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(path, "text")
    assert os.read(reader, 9) == b"text"
    os.close(reader)
    assert pipe.is_fifo()
    with pytest.raises(StoreError, match="not a regular file"):
        RunStore(path)
    assert {one.name for one in tmp_path.iterdir()} <= {"pipe", "link"}


@pytest.mark.posix
def test_a_device_stays_one(tmp_path: Path) -> None:
    """Of its own making: a mistake here would take one from the whole system."""
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        write_atomically(device, "text")
    except PermissionError:
        pytest.skip("no device can be made here")
    Calibrator.general(1).save(device)
    assert device.is_char_device()
