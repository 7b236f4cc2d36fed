"""Packed files: what is damaged, cut short or would fill the memory is refused."""

import gzip
import lzma
from collections.abc import Callable

import pytest

from et_agent.storage import decompressed

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
