"""Kept prompts in a file: what is written is read back, and nothing else is."""

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from et_agent.engines.prefix_file import PrefixFileError, read_prefixes, write_prefixes
from et_agent.engines.prefix_store import PrefixStore
from tests.engines.test_prefix_store import check, keep, tokens_of

FITS = {"model": "abc", "library": "1"}
FORM = [[[1, 4]]]
BIG = 1 << 20


def written(path: Path) -> PrefixStore:
    store = PrefixStore(BIG)
    keep(store, [1, 2, 3, 4], prompt=3)
    keep(store, [1, 2, 5], prompt=3)
    assert write_prefixes(path, store, FITS, FORM) == 4
    return store


def test_prompts_are_read_back_and_replies_are_not(tmp_path: Path) -> None:
    path = tmp_path / "new" / "prefixes"
    written(path)
    store = PrefixStore(BIG)
    assert read_prefixes(path, store, FITS) == FORM
    check(store)
    assert store.match([1, 2, 3, 4]) == 3
    assert tokens_of(store.read([1, 2, 5], 3)) == [1, 2, 5]
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=8), max_size=8), st.integers(1, 30)
)
def test_any_prompts_are_read_back_as_far_as_there_is_memory(
    tmp_path: Path, prompts: list[list[int]], memory: int
) -> None:
    store = PrefixStore(BIG)
    for prompt in prompts:
        keep(store, prompt, prompt=len(prompt))
    write_prefixes(tmp_path / "file", store, FITS, FORM)
    found, small = PrefixStore(BIG), PrefixStore(4 * memory)
    assert read_prefixes(tmp_path / "file", found, FITS) == FORM
    assert read_prefixes(tmp_path / "file", small, FITS) == FORM
    assert found.tokens == store.tokens
    assert all(found.match(prompt) == len(prompt) for prompt in prompts)
    check(found)
    check(small)


@pytest.mark.parametrize("fits", [{"model": "abd", "library": "1"}, {"model": "abc"}])
def test_a_file_of_another_model_or_library_is_refused(
    tmp_path: Path, fits: dict[str, str]
) -> None:
    written(tmp_path / "file")
    store = PrefixStore(BIG)
    with pytest.raises(PrefixFileError, match="another model or library") as caught:
        read_prefixes(tmp_path / "file", store, fits)
    assert not caught.value.foreign
    assert len(store) == 0


@pytest.mark.fault("flipped bytes")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_is_refused(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "file"
    written(path)
    whole = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        del whole[data.draw(st.integers(0, len(whole) - 1)) :]
    else:
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(whole)
    store = PrefixStore(BIG)
    with pytest.raises(PrefixFileError):
        read_prefixes(path, store, FITS)
    assert len(store) == 0


def test_a_file_of_something_else_must_not_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("what I wanted to remember, at some length so that it is no short file at all")
    with pytest.raises(PrefixFileError, match="no file of prefixes") as caught:
        read_prefixes(path, PrefixStore(BIG), FITS)
    assert caught.value.foreign
    with pytest.raises((PrefixFileError, OSError)):
        read_prefixes(tmp_path, PrefixStore(BIG), FITS)
    with pytest.raises(FileNotFoundError):
        read_prefixes(tmp_path / "none", PrefixStore(BIG), FITS)


@pytest.mark.posix
@pytest.mark.skipif(not hasattr(os, "getuid"), reason="files have no owners here")
def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "file")
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    with pytest.raises(PrefixFileError, match="another user") as caught:
        read_prefixes(tmp_path / "file", PrefixStore(BIG), FITS)
    assert caught.value.foreign


@pytest.mark.posix
def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path(os.devnull)):
        with pytest.raises(PrefixFileError, match="no file"):
            read_prefixes(path, PrefixStore(BIG), FITS)


def test_a_header_that_is_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    header = b"[" * 100_000
    content = b"et-agent prefixes 1\n" + len(header).to_bytes(8, "little") + header
    digest = hashlib.blake2b(content, digest_size=32).digest()
    (tmp_path / "file").write_bytes(content + digest)
    with pytest.raises(PrefixFileError, match="damaged"):
        read_prefixes(tmp_path / "file", PrefixStore(BIG), FITS)
