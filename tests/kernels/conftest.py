"""The compiled kernels; a cache folder, a llama.cpp library in name only and a compiler as a script."""

from collections.abc import Callable
from pathlib import Path

import pytest

from et_agent.errors import KernelError
from et_agent.kernels import building, instructions, library
from et_agent.kernels.instructions import by_name, cpu_features
from tests.kernels.compiled import SETS, Kernels, compile_kernels

Compiler = Callable[[str], Path]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("ET_AGENT_CACHE", str(folder))
    monkeypatch.delenv(library.VARIABLE, raising=False)
    return folder


@pytest.fixture
def llama(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "llama"
    folder.mkdir()
    for name in ("cpu", "base"):
        (folder / f"libggml-{name}.so").write_bytes(name.encode())
    monkeypatch.setenv("LLAMA_CPP_LIB_PATH", str(folder))
    return folder / "libggml-cpu.so"


@pytest.fixture
def features(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """What the CPU has; a test may take away from it."""
    found = {one for kind in by_name().values() for one in kind.features}
    for module in (instructions, building):
        monkeypatch.setattr(module, "cpu_features", lambda: frozenset(found))
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    return found


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compiler:
    """Makes a compiler of shell commands, in which $out is the file to write."""

    def make(commands: str) -> Path:
        path = tmp_path / "c++"
        path.write_text(
            "#!/bin/sh\n"
            '[ "$1" = --version ] && { echo "test compiler 1.0"; exit; }\n'
            f"echo called >> {tmp_path}/calls\n"
            "for out; do :; done\n"
            f"{commands}\n"
        )
        path.chmod(0o755)
        monkeypatch.setenv("CXX", str(path))
        return tmp_path / "calls"

    return make


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the check finds: nothing, unless a test says so."""
    found = [""]
    monkeypatch.setattr(building, "check_library", lambda *_: found[0])
    return found


@pytest.fixture(scope="session", params=SETS)
def kernels(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    """The kernels for each instruction set that can be compiled and run here."""
    wanted = SETS[request.param]
    if not wanted.features <= cpu_features():
        pytest.skip(f"this CPU cannot run {wanted.name}")
    try:
        return compile_kernels(wanted, tmp_path_factory.mktemp("kernels"))
    except KernelError as error:
        pytest.skip(f"no compiler for {wanted.name}: {error}")
