"""What a check says that ends well, badly or not at all; the child is a shell script here."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from et_agent.errors import KernelError
from et_agent.kernels import checking
from et_agent.kernels.building import build
from et_agent.kernels.checking import check_library
from et_agent.kernels.library import attach
from tests.kernels.conftest import Compiler

Child = Callable[[str], None]


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Child:
    """Makes the child process of shell commands."""

    def make(commands: str) -> None:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{commands}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return make


@pytest.mark.parametrize(
    ("commands", "verdict"),
    [
        ("""echo '{"problems": []}'""", ""),
        ("""echo noise; echo '{"problems": ["Q5_0", "Q6_K", "Q8_0"]}'""", "Q5_0 and 2 more"),
        ("kill -SEGV $$", "they crashed with signal 11"),
        ("kill -ILL $$", "they crashed with signal 4"),
    ],
)
def test_a_check_that_ends_is_a_verdict(child: Child, commands: str, verdict: str) -> None:
    child(commands)
    assert check_library(Path("kernels"), Path("llama")) == verdict


@pytest.mark.parametrize(
    ("commands", "why"),
    [
        ("kill -KILL $$", "stopped from outside, perhaps for lack of memory"),
        ("kill -TERM $$", "stopped from outside"),
        ("exec sleep 20", r"did not end within 0\.3 s"),
        ("echo MemoryError >&2; exit 1", "ended with code 1 and said: MemoryError"),
        (r"printf '\377\n' >&2; exit 1", "ended with code 1 and said: \ufffd"),
        ("true", "ended with code 0 and said: nothing"),
    ],
)
@pytest.mark.usefixtures("cache", "features")
def test_a_check_that_does_not_end_is_none_and_nothing_is_kept(
    llama: Path,
    compiler: Compiler,
    child: Child,
    monkeypatch: pytest.MonkeyPatch,
    commands: str,
    why: str,
) -> None:
    monkeypatch.setattr(checking, "_SECONDS", 0.3)
    compiler("echo library > $out")
    child(commands)
    with pytest.raises(KernelError, match=rf"could not be checked: .*{why}.*; try again"):
        build()
    assert "are not built" in attach.__wrapped__().reason
    child("""echo '{"problems": []}'""")
    assert build().checked == ""


def test_files_of_the_folder_are_not_taken_for_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('not numpy')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KernelError, match=r"said: OSError: .*absent\.so"):
        check_library(tmp_path / "kernels.so", tmp_path / "absent.so")
