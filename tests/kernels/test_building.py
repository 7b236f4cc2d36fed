import errno
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from et_agent.errors import KernelError
from et_agent.kernels import building
from et_agent.kernels.building import build, find_build, is_off, switch
from et_agent.kernels.instructions import usable
from et_agent.kernels.library import VARIABLE, attach
from tests.kernels.conftest import Compiler

pytestmark = pytest.mark.usefixtures("cache", "features", "checked")


def left(cache: Path) -> list[str]:
    folder = cache / "kernels"
    return sorted(one.name for one in folder.iterdir()) if folder.is_dir() else []


def test_a_build_is_kept_and_found(llama: Path, cache: Path, compiler: Compiler) -> None:
    calls = compiler("echo library > $out")
    found = build()
    assert found.instructions == "avx512-vnni"
    assert found.compiler == "test compiler 1.0"
    assert found.library.read_text() == "library\n"
    assert left(cache) == [found.key]
    assert build() == found == find_build(usable()[0], llama)
    assert calls.read_text() == "called\n"


def test_it_is_made_again_on_request(llama: Path, compiler: Compiler) -> None:
    calls = compiler("echo library > $out")
    build()
    build(again=True)
    assert calls.read_text() == "called\ncalled\n"


@pytest.mark.parametrize(
    "commands",
    [
        "exit 1",
        "echo part > $out; exit 1",
        "echo part > $out; kill -9 $$",
        "true",
        r"printf '\377\376' >&2; exit 1",
    ],
    ids=["fails", "fails half-way", "is killed", "writes nothing", "says what is no text"],
)
def test_a_compiler_that_fails_leaves_nothing(
    llama: Path, cache: Path, compiler: Compiler, commands: str
) -> None:
    compiler(f"echo 'x.cpp:1: error: no such thing' >&2; {commands}")
    with pytest.raises(KernelError, match=r"no such thing.*another compiler"):
        build()
    assert left(cache) == []
    assert "are not built" in attach.__wrapped__().reason


def test_no_compiler(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(KernelError, match=r"no C\+\+ compiler: install .*et-agent kernels build"):
        build()
    for named in ("nosuch-c++", 'g++ "', " ", "/tmp"):
        monkeypatch.setenv("CXX", named)
        said = re.escape(f"CXX names {named}, which is no compiler here")
        with pytest.raises(KernelError, match=said):
            build()


@pytest.mark.fault("disk full")
def test_a_full_disk(
    llama: Path, cache: Path, compiler: Compiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler("echo library > $out")

    def fail(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(KernelError, match=r"No space left.*free some space"):
        build()
    assert left(cache) == []


@pytest.mark.fault("disk full")
def test_a_full_disk_that_the_compiler_finds(llama: Path, cache: Path, compiler: Compiler) -> None:
    compiler(
        """[ "$LC_ALL" = C ] && echo "x.s: fatal error: No space left on device" >&2; exit 1"""
    )
    with pytest.raises(KernelError, match=r"No space left.*free some space in .*TMPDIR") as caught:
        build()
    assert "another compiler" not in str(caught.value)
    assert left(cache) == []


def test_no_library_to_attach_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_CPP_LIB_PATH", str(tmp_path))
    with pytest.raises(KernelError, match=r"no libggml-cpu\.so"):
        build()


def test_no_kernels_for_this_cpu(llama: Path, features: set[str]) -> None:
    features -= {"avx2"}
    with pytest.raises(KernelError, match="x86 CPUs with AVX2"):
        build()
    assert attach.__wrapped__().fix == ""


def test_a_wrong_library_is_kept_from_use(
    llama: Path, compiler: Compiler, checked: list[str]
) -> None:
    compiler("echo library > $out")
    checked[0] = "Q5_0 times 1 tokens: 7.00 times llama.cpp's error"
    for _ in range(2):
        with pytest.raises(KernelError, match="are wrong: Q5_0"):
            build()
    kernels = attach.__wrapped__()
    assert not kernels.in_use
    assert "did not pass their check: Q5_0" in kernels.reason


def test_another_llama_cpp_has_no_build(llama: Path, compiler: Compiler) -> None:
    compiler("echo library > $out")
    build()
    llama.write_bytes(b"another version")
    assert find_build(usable()[0], llama) is None
    kernels = attach.__wrapped__()
    assert "of another CPU, llama.cpp" in kernels.reason
    assert "et-agent kernels build" in kernels.fix


def test_a_cpu_that_lost_a_feature(llama: Path, compiler: Compiler, features: set[str]) -> None:
    compiler("echo library > $out")
    build()
    features -= {"avx512_vnni", "avx_vnni"}
    assert [one.name for one in usable()] == ["avx2"]
    assert "are not built" in attach.__wrapped__().reason
    features -= {"avx"}  # of no use to the kernels, but another CPU
    assert find_build(usable()[0], llama) is None


@pytest.mark.fault("flipped bytes")
def test_a_compiler_that_hangs(
    llama: Path, cache: Path, compiler: Compiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "_SECONDS", 0.2)
    compiler("sleep 20")
    with pytest.raises(KernelError, match=r"did not end within 0\.2 s"):
        build()
    assert left(cache) == []


@pytest.mark.parametrize("what", ["library", "manifest"])
def test_a_damaged_build_is_none(llama: Path, compiler: Compiler, what: str) -> None:
    compiler("echo library > $out")
    found = build()
    file = found.library if what == "library" else found.library.with_name("build.json")
    file.write_bytes(file.read_bytes()[:-3])
    assert find_build(usable()[0], llama) is None
    assert build() == found


def test_a_manifest_of_another_version_is_none(llama: Path, compiler: Compiler) -> None:
    compiler("echo library > $out")
    manifest = build().library.with_name("build.json")
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "more": 1}))
    assert find_build(usable()[0], llama) is None
    manifest.write_text("[" * 100_000)
    assert find_build(usable()[0], llama) is None


@pytest.mark.fault("two processes on one file")
def test_two_builds_at_once_compile_once(llama: Path, compiler: Compiler) -> None:
    calls = compiler("sleep 0.5; echo library > $out")
    said: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: build(say=said.append), range(2))
    assert one == other
    assert calls.read_text() == "called\n"
    assert "waiting for another build of the kernels" in said


def test_what_was_cut_short_is_removed(llama: Path, cache: Path, compiler: Compiler) -> None:
    compiler("echo library > $out")
    (cache / "kernels" / ".building-left-behind").mkdir(parents=True)
    one = build()
    llama.write_bytes(b"another version, of another environment")
    other = build()
    assert left(cache) == sorted([one.key, other.key])


def test_a_library_that_cannot_be_loaded(llama: Path, compiler: Compiler) -> None:
    compiler("echo library > $out")
    build()
    kernels = attach.__wrapped__()
    assert not kernels.in_use
    assert "cannot be loaded" in kernels.reason
    assert "--again" in kernels.fix


def test_off_and_on(llama: Path) -> None:
    switch(on=False)
    assert is_off()
    kernels = attach.__wrapped__()
    assert (kernels.reason, kernels.name) == ("the kernels are switched off", "llama.cpp")
    assert "et-agent kernels build" in kernels.explained
    switch(on=True)
    switch(on=True)
    assert not is_off()


@pytest.mark.parametrize(
    ("value", "reason"),
    [("off", "ET_AGENT_KERNELS is off"), ("sse", "is none of off, avx512-vnni")],
)
def test_the_variable(
    llama: Path, value: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, value)
    assert reason in attach.__wrapped__().reason


@pytest.mark.parametrize("what", ["file", "file/below", "link", "loop"])
def test_the_cache_folder_cannot_be_written(
    what: str, tmp_path: Path, llama: Path, compiler: Compiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler("echo library > $out")
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "file" / "absent")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path / what))
    with pytest.raises(KernelError, match=r"cannot be kept.*move away what is in its place"):
        build()
    with pytest.raises(KernelError, match="cannot be changed"):
        switch(on=False)
