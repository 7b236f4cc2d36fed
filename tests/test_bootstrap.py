import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from et_agent.extras import compiler_hint

pytest.importorskip("fcntl", reason="set-up by make is for POSIX systems")

ROOT = Path(__file__).resolve().parent.parent
AWKWARD = "cost $5, $$5? `x` \"y\" 'z' #w \\ $(shell exit 1) $(HOME) 100 % \\\nsecond line"

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


# One imports the other by this name, as scripts do.
llama_build = load("llama_build")
bootstrap = load("bootstrap")


# --- the lock


def pins() -> dict[str, str]:
    """Give the blocks of the lock by package."""
    text = (ROOT / bootstrap.LOCK).read_text("utf-8")
    return {block.partition("==")[0]: block for block in re.split(r"\n(?=\w)", text)}


def test_the_lock_has_hashes_and_names_no_host() -> None:
    assert all("--hash=sha256:" in block for block in pins().values())
    assert "://" not in (ROOT / bootstrap.LOCK).read_text("utf-8")


def test_the_lock_has_what_both_projects_name() -> None:
    wanted = {"uv"}
    for name in bootstrap.INPUTS[1:]:
        data = tomllib.loads((ROOT / name).read_text("utf-8"))
        project = data["project"]
        wanted.update(project["dependencies"], data["build-system"]["requires"])
        groups = data.get("dependency-groups", {})
        wanted.update(*project["optional-dependencies"].values(), *groups.values())
    names = {re.split(r"[<>=\[]", one)[0] for one in wanted}
    assert names - {"et-agent"} <= pins().keys()


def test_pinned_takes_one_package_with_its_hashes() -> None:
    lock = "uv==0.13 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n    # via x\nrich==1\n"
    assert bootstrap.pinned(lock, "uv") == (
        "uv==0.13 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
    )


# --- the build of llama.cpp


def test_features_are_those_of_the_first_cpu(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    assert len(llama_build.cpu_features(cpuinfo)) == 1
    cpuinfo.write_text("processor: 0\nflags\t: fpu avx2 amx_tile smep\n\nflags: avx512f\n", "utf-8")
    assert llama_build.cpu_features(cpuinfo)[1:] == ["amx_tile", "avx2"]
    cpuinfo.write_text("Features : fp asimd sve crc32\n", "utf-8")
    assert llama_build.cpu_features(cpuinfo)[1:] == ["asimd", "sve"]


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The features that this machine seems to have, changeable."""
    features = ["x86_64", "avx2"]
    monkeypatch.setattr(llama_build, "cpu_features", lambda: features)
    return features


def test_only_other_cmake_args_or_another_cpu_ask_for_another_build(cpu: list[str]) -> None:
    build = llama_build.choose_build({"CMAKE_ARGS": "-DGGML_CUDA=on"}, None, print)
    assert build.serves("")
    assert build.serves("-DGGML_CUDA=on")
    assert not build.serves("-DGGML_VULKAN=on")
    portable = llama_build.choose_build({"CMAKE_ARGS": "-DGGML_NATIVE=OFF"}, None, print)
    cpu.append("avx512f")
    assert not build.serves("")
    assert portable.serves("")


def test_a_later_build_keeps_the_users_flags(cpu: list[str]) -> None:
    present = llama_build.Build("-DGGML_CUDA=on", "another")
    assert llama_build.choose_build({}, present, print) == llama_build.Build(
        "-DGGML_CUDA=on", "x86_64 avx2"
    )


@pytest.mark.parametrize(
    ("outcomes", "flags", "message"),
    [
        ([None], (), "makes no AMX code"),
        ([True], (), "works"),
        ([False, True], llama_build.KEEP_STORES, "-fno-dse"),
        ([False, False, True], llama_build.NO_AMX, "-mno-amx-tile"),
        ([False, None, True], llama_build.NO_AMX, "-mno-amx-tile"),
        ([False, False, None], (), "no flags help"),
    ],
)
def test_flags_follow_from_the_probes(
    outcomes: list[bool | None], flags: tuple[str, ...], message: str
) -> None:
    left = iter(outcomes)
    chosen, reason = llama_build.choose_flags(lambda source, flags: next(left))
    assert chosen == flags
    assert message in reason
    assert not list(left)


@pytest.mark.parametrize("amx", [True, False])
@pytest.mark.parametrize("cmake_args", ["", "-DGGML_NATIVE=OFF", "-DCMAKE_CXX_FLAGS=-g"])
def test_only_a_native_build_with_amx_is_probed(
    cpu: list[str], monkeypatch: pytest.MonkeyPatch, amx: bool, cmake_args: str
) -> None:
    monkeypatch.setattr(llama_build, "compiler_probe", lambda *_: lambda source, flags: bool(flags))
    cpu += ["amx_tile"] * amx
    said: list[str] = []
    build = llama_build.choose_build({"CMAKE_ARGS": cmake_args}, None, said.append)
    probed = amx and cmake_args != "-DGGML_NATIVE=OFF"
    assert build.flags == " ".join(llama_build.KEEP_STORES) * probed
    assert len(said) == probed * (1 + ("CXX_FLAGS" in cmake_args))
    monkeypatch.setattr(llama_build, "compiler_probe", None)
    assert llama_build.choose_build({}, build, said.append) is build


def test_cpu_flags_follow_the_users_own() -> None:
    build = llama_build.Build("-DGGML_CUDA=on", "x", "-fno-dse -fno-dce")
    assert build.environ({"CXXFLAGS": "-g", "CMAKE_ARGS": ""}) == {
        "CMAKE_ARGS": "-DGGML_CUDA=on",
        "CFLAGS": "-fno-dse -fno-dce",
        "CXXFLAGS": "-g -fno-dse -fno-dce",
    }
    assert llama_build.Build().environ({"CXXFLAGS": "-g"}) == {}


def test_each_build_has_its_own_place_in_the_cache() -> None:
    parts = (("a", "", ""), ("", "a", ""), ("", "", "a"), ("a", "a", ""), ("", "", ""))
    settings = {llama_build.Build(*part).setting() for part in parts}
    assert len(settings) == len(parts)
    assert all(one.startswith("llama-cpp-python:cmake.define.ET_AGENT_BUILD=") for one in settings)


@pytest.mark.parametrize(
    ("cmake_args", "native"),
    [
        ("", True),
        ("-DGGML_CUDA=on", True),
        ("-DGGML_NATIVE=OFF", False),
        ("-DGGML_CUDA=on -DGGML_NATIVE:BOOL=off -DX=1", False),
        ("-D GGML_NATIVE=0", False),
        ("-DGGML_NATIVE=OFF -DGGML_NATIVE=ON", True),
        ("-DMY_GGML_NATIVE=OFF", True),
        ("-DX='unclosed -DGGML_NATIVE=OFF", False),
    ],
)
def test_a_native_build_is_the_default(cmake_args: str, native: bool) -> None:
    assert llama_build.is_native(cmake_args) is native


def test_the_compiler_is_the_one_cmake_takes() -> None:
    environ = {"CXX": "ccache g++-13"}
    assert llama_build.cxx_compiler(environ, "") == "ccache g++-13"
    assert llama_build.cxx_compiler(environ, "-DCMAKE_CXX_COMPILER=/opt/clang++") == "/opt/clang++"


@pytest.mark.parametrize(
    ("body", "outcome"),
    [("return 0;", True), ("__builtin_trap();", False), ("#error", None)],
)
def test_a_program_is_built_and_run(body: str, outcome: bool | None) -> None:
    compiler = llama_build.cxx_compiler({}, "")
    if not compiler:
        pytest.skip("no C++ compiler")
    source = f"int main() {{\n{body}\n}}\n"
    assert llama_build.run_program(compiler, ["-O1"], source) is outcome


def test_without_a_compiler_nothing_is_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_build, "works", lambda *_: False)
    for environ in ({"CXX": "nothing-cxx"}, {}):
        assert llama_build.compiler_probe(environ, "")("int main() {}", ()) is None


def test_no_compiler_is_an_error_with_a_fix() -> None:
    said = llama_build.missing_compiler({"CC": "nothing-c"})
    assert "no C compiler works here (tried nothing-c)" in said
    assert compiler_hint() in said
    assert "docs/install.md" in said
    assert (ROOT / "docs" / "install.md").is_file()
    if llama_build.cxx_compiler({}, ""):
        assert llama_build.missing_compiler({}) == ""


# --- the environment


class Recorded(bootstrap.Environment):  # type: ignore[misc, name-defined]
    """An environment that installs nothing; `loads` tells whether llama.cpp loads, in turn."""

    def __init__(self, path: Path, loads: tuple[bool, ...] = (True, True)) -> None:
        super().__init__(path)
        self.loads = list(loads)
        self.installed: list[tuple[str, ...]] = []
        self.cached = True
        self.kernels = 0

    def create(self) -> None:
        (self.path / "bin").mkdir(parents=True)
        self.python.symlink_to(sys.executable)
        (self.path / "bin" / "et-agent").touch()

    def install(self, build: Any, *what: str) -> None:
        self.installed.append(what)

    def has_cached_llama(self, build: Any) -> bool:
        return self.cached

    def install_ready_llama(self, index: str) -> None:
        self.installed.append(("ready", index))

    def uninstall_llama(self) -> None:
        self.installed.append(("uninstall",))

    def loads_llama(self) -> bool:
        return self.loads.pop(0)

    def build_kernels(self) -> None:
        self.kernels += 1


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is missing of compilers, if anything."""
    missing: list[str] = []
    monkeypatch.setattr(bootstrap, "missing_compiler", lambda environ: "".join(missing))
    for name in ("CMAKE_ARGS", "CFLAGS", "CXXFLAGS", "LLAMA_INDEX", "PYTHON"):
        monkeypatch.delenv(name, raising=False)
    return missing


def test_a_second_set_up_runs_nothing(tmp_path: Path, compiler: list[str], cpu: list[str]) -> None:
    environment = Recorded(tmp_path / "venv")
    bootstrap.set_up(environment, "runtime")
    bootstrap.set_up(environment, "runtime")
    assert environment.installed == [bootstrap.SETS["runtime"]]
    assert environment.kernels == 1
    environment.loads = [True, True]
    bootstrap.set_up(environment, "dev")
    bootstrap.set_up(environment, "runtime")
    assert environment.installed[1:] == [bootstrap.SETS["dev"]]
    environment.loads = [True, True]
    cpu.append("avx512f")
    bootstrap.set_up(environment, "runtime")
    assert environment.installed[2:] == [("uninstall",), bootstrap.SETS["runtime"]]


def test_sets_are_added_to_those_that_are_there(
    tmp_path: Path, compiler: list[str], cpu: list[str]
) -> None:
    environment = Recorded(tmp_path / "venv", loads=(True,) * 4)
    for wanted in ("dev", "docs", "dev", "runtime"):
        bootstrap.set_up(environment, wanted)
    assert environment.installed == [bootstrap.SETS["dev"], bootstrap.SETS["docs"]]


def test_what_was_cut_short_is_made_anew_in_the_same_build(
    tmp_path: Path, compiler: list[str], cpu: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = Recorded(tmp_path / "venv", loads=())
    monkeypatch.setenv("CMAKE_ARGS", "-DGGML_CUDA=on")
    with pytest.raises(IndexError):
        bootstrap.set_up(environment, "runtime")
    assert not environment.is_current("runtime")
    monkeypatch.delenv("CMAKE_ARGS")
    assert environment.state()["build"]["cmake_args"] == "-DGGML_CUDA=on"
    assert environment.state()["sets"] == []


def test_the_state_follows_the_lock_and_the_projects(tmp_path: Path) -> None:
    for name in bootstrap.INPUTS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    seen = {bootstrap.inputs(tmp_path)}
    for name in bootstrap.INPUTS:
        with (tmp_path / name).open("a", encoding="utf-8") as file:
            file.write("# changed\n")
        seen.add(bootstrap.inputs(tmp_path))
    (tmp_path / bootstrap.KERNELS).mkdir(parents=True)
    (tmp_path / bootstrap.KERNELS / "products.cpp").touch()
    seen.add(bootstrap.inputs(tmp_path))
    assert len(seen) == 6


def test_kernels_that_cannot_be_built_stop_no_set_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []

    def fail(command: list[str]) -> None:
        ran.append(command[1:])
        raise bootstrap.SetupError("no compiler")

    monkeypatch.setattr(bootstrap, "run", fail)
    bootstrap.Environment(tmp_path).build_kernels()
    assert ran == [["-m", "et_agent.kernels"]]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"path": "elsewhere", "sets": ["dev"]}'])
def test_a_state_that_makes_no_sense_counts_as_none(tmp_path: Path, text: str) -> None:
    environment = bootstrap.Environment(tmp_path)
    environment.state_file.write_text(text, "utf-8")
    assert environment.state() == {}
    assert not environment.is_current("dev")


def test_without_a_compiler_only_a_cached_build_will_do(
    tmp_path: Path, compiler: list[str]
) -> None:
    compiler.append("no compiler: install one")
    environment = Recorded(tmp_path)
    bootstrap.bring_up(environment, llama_build.Build(), "runtime", rebuild=False)
    assert environment.installed == [bootstrap.SETS["runtime"]]
    environment.cached = False
    with pytest.raises(bootstrap.SetupError, match="install one"):
        bootstrap.bring_up(environment, llama_build.Build(), "runtime", rebuild=False)


def test_a_ready_made_wheel_needs_no_compiler(
    tmp_path: Path, compiler: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler.append("no compiler: install one")
    monkeypatch.setenv("LLAMA_INDEX", "wheels")
    environment = Recorded(tmp_path, loads=(True,))
    bootstrap.bring_up(environment, llama_build.Build(), "runtime", rebuild=False)
    assert environment.installed == [("ready", "wheels"), bootstrap.SETS["runtime"]]


def test_a_ready_made_wheel_is_asked_of_that_index_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(bootstrap, "install_packages", commands.append)
    environment = bootstrap.Environment(tmp_path)
    environment.install_ready_llama("https://index.example/cpu")
    environment.install_ready_llama(str(tmp_path))
    assert commands[0][-3:-1] == ["--default-index", "https://index.example/cpu"]
    assert commands[1][-4:-1] == ["--no-index", "--find-links", str(tmp_path)]
    for command in commands:
        assert command[command.index("--only-binary") + 1] == llama_build.LLAMA
        assert command[-1].startswith(f"{llama_build.LLAMA}==")

    def fail(command: list[str]) -> None:
        raise bootstrap.SetupError("uv failed")

    monkeypatch.setattr(bootstrap, "install_packages", fail)
    with pytest.raises(bootstrap.SetupError, match="LLAMA_INDEX=nowhere has no wheel of llama-cpp"):
        environment.install_ready_llama("nowhere")


def test_steps_are_numbered(
    tmp_path: Path, compiler: list[str], cpu: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    bootstrap.set_up(Recorded(tmp_path / "venv"), "runtime")
    said = capsys.readouterr().err.splitlines()
    assert [line[:5] for line in said[:-1]] == ["[1/4]", "[2/4]", "[3/4]", "[4/4]"]
    assert said[-1].startswith("ready in ")


def test_a_cached_build_that_does_not_load_is_built_again(
    tmp_path: Path, compiler: list[str]
) -> None:
    environment = Recorded(tmp_path, loads=(False, True))
    bootstrap.bring_up(environment, llama_build.Build(), "runtime", rebuild=False)
    last = environment.installed[-1]
    assert {"--no-cache", "--no-deps", "--reinstall-package"} <= set(last)
    environment.loads = [False, False]
    with pytest.raises(bootstrap.SetupError, match="does not load"):
        bootstrap.bring_up(environment, llama_build.Build(), "runtime", rebuild=False)
    environment.cached, environment.loads = False, [True]
    bootstrap.bring_up(environment, llama_build.Build(), "runtime", rebuild=False)
    assert environment.installed[-1] == bootstrap.SETS["runtime"]


def test_the_cache_is_asked_without_network_and_without_a_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = bootstrap.Environment(tmp_path)
    calls: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(bootstrap, "run", lambda *call: calls.append(call))
    assert environment.has_cached_llama(llama_build.Build())
    ((command, variables),) = calls
    assert {"--offline", "--no-deps"} <= set(command)
    assert (variables["CC"], variables["CXX"]) == ("false", "false")

    def fail(command: list[str], variables: dict[str, str]) -> None:
        raise bootstrap.SetupError("not there")

    monkeypatch.setattr(bootstrap, "run", fail)
    assert not environment.has_cached_llama(llama_build.Build())


def test_remove_leaves_foreign_folders_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep", "utf-8")
    environment = bootstrap.Environment(tmp_path)
    with pytest.raises(bootstrap.SetupError, match="not made by this script"):
        environment.remove()
    assert (tmp_path / "mine.txt").read_text("utf-8") == "keep"

    environment.state_file.touch()
    (tmp_path / "lib").mkdir()
    environment.remove()
    assert not list(tmp_path.iterdir())


def test_two_set_ups_wait_for_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order: list[str] = []

    def second() -> None:
        with bootstrap.only_one(tmp_path):
            order.append("second")

    with bootstrap.only_one(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        deadline = time.monotonic() + 10
        while not (said := capsys.readouterr().err):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert said == "waiting for another set-up to end\n"


# --- uv


def program(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n", "utf-8")
    path.chmod(0o755)
    return path


def test_the_systems_uv_is_taken_if_it_is_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = bootstrap.Environment(tmp_path / "venv")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment.find_uv() == ""
    own = program(tmp_path / "venv" / "bin" / "uv", "echo 'uv 0.13.9 (some build)'")
    assert environment.find_uv() == str(own)
    program(tmp_path / "uv", "echo 'uv 0.4.30'")
    assert environment.find_uv() == str(own)
    program(tmp_path / "uv", "echo 'uv 1.0.0'")
    assert environment.find_uv() == "uv"


def test_pips_settings_reach_uv(tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = file:///a/simple\ntimeout = 9\ncert = /c.pem\n"
        "extra-index-url =\n  file:///b/simple\n  file:///c/simple\n"
        "[install]\nfind-links = /x /y\n",
        "utf-8",
    )
    environ = {
        "HOME": str(tmp_path),
        "XDG_CONFIG_DIRS": str(tmp_path),
        "PIP_CONFIG_FILE": str(config),
        "UV_HTTP_TIMEOUT": "7",
    }
    found = bootstrap.uv_environ(environ)
    assert found["UV_DEFAULT_INDEX"] == "file:///a/simple"
    assert found["UV_INDEX"] == "file:///b/simple file:///c/simple"
    assert found["UV_FIND_LINKS"] == "/x,/y"
    assert found["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert found["SSL_CERT_FILE"] == "/c.pem"
    assert found["UV_HTTP_TIMEOUT"] == "7"
    plain = bootstrap.uv_environ({"HOME": str(tmp_path), "PIP_CONFIG_FILE": os.devnull})
    assert not [name for name in plain if name.startswith("UV_")]


def test_a_lock_is_not_made_of_this_machines_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They hold files for one Python, and no hash of any other would be in the lock."""
    shared = "simple.example"
    environ = {
        "HOME": str(tmp_path),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_EXTRA_INDEX_URL": f"file:///opt/some/simple {shared}",
        "PIP_FIND_LINKS": "/opt/wheels",
    }
    assert bootstrap.uv_environ(environ)["UV_FIND_LINKS"] == "/opt/wheels"
    assert bootstrap.published(environ) == {"UV_INDEX": shared, "UV_FIND_LINKS": ""}


def test_a_new_lock_keeps_versions_and_asks_for_hashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / bootstrap.LOCK
    lock.write_text(
        "a==1 ; os_name == 'nt' \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n    # via c\n",
        "utf-8",
    )
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    seen: list[str] = []

    def compile(command: list[str], variables: dict[str, str]) -> None:
        new = Path(command[command.index("-o") + 1])
        seen.append(new.read_text("utf-8"))
        if len(seen) == 2:
            raise bootstrap.SetupError("no network")
        new.write_text("the new lock", "utf-8")

    monkeypatch.setattr(bootstrap, "run", compile)
    monkeypatch.setattr(bootstrap.Environment, "find_uv", lambda self: "uv")
    bootstrap.make_lock(bootstrap.Environment(tmp_path), ())
    assert seen == ["a==1 ; os_name == 'nt'\n    # via c\n"]
    assert lock.read_text("utf-8") == "the new lock"
    with pytest.raises(bootstrap.SetupError):
        bootstrap.make_lock(bootstrap.Environment(tmp_path), ())
    assert lock.read_text("utf-8") == "the new lock"


@pytest.mark.parametrize("set_of_packages", ["runtime", "dev"])
def test_uv_installs_what_is_asked_by_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, set_of_packages: str
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(bootstrap, "install_packages", lambda command, _: commands.append(command))
    build = llama_build.Build("-DX=1")
    what = bootstrap.SETS[set_of_packages]
    bootstrap.Environment(tmp_path).install(build, *what)
    (command,) = commands
    assert command[-len(what) :] == list(what)
    for option in ("--constraints", "--build-constraints"):
        assert command[command.index(option) + 1] == bootstrap.LOCK
    assert "--verify-hashes" in command
    assert build.setting() in command


def test_a_failed_command_is_an_error_and_a_long_one_shows_the_time(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(bootstrap.SetupError, match="false failed"):
        bootstrap.run(["false"])
    monkeypatch.setattr(bootstrap, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(sys, "stderr", os.fdopen(os.dup(2), "w"))
    bootstrap.run(["sh", "-c", "echo words; sleep 0.3"])
    sys.stderr.close()
    out, err = capfd.readouterr()
    assert out == ""
    assert "words" in err
    assert "… 0:00" in err


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            ["Resolved 80 packages in 9ms", "Installed 83 packages in 1.20s", " + a==1"],
            "83 packages",
        ),
        (["Prepared 1 package in 1ms", "Installed 1 package in 2ms"], "1 package"),
        (["Audited 83 packages in 1ms"], "nothing new"),
    ],
)
def test_an_installation_is_told_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], said: list[str], told: str
) -> None:
    uv = program(tmp_path / "uv", "\n".join(f"echo '{line}' >&2" for line in said))
    bootstrap.install_packages([str(uv)])
    out, err = capfd.readouterr()
    assert out == ""
    assert err == f"  {told}, 0:00\n"


def test_of_a_build_it_is_told_how_far_it_is(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "HEARTBEAT_SECONDS", 0.2)
    lines = ("DEBUG [109/178] a.c", "DEBUG [110/178] b.c", "DEBUG [some] words")
    said = "\n".join(f"echo '{line}' >&2" for line in lines)
    uv = program(tmp_path / "uv", f"{said}\nsleep 0.5\necho 'Installed 1 package in 1ms'")
    bootstrap.install_packages([str(uv)])
    first, *_, last = capfd.readouterr().err.splitlines()
    assert first == "  … 0:00, built 110 of 178 files"
    assert last == "  1 package, 0:00"


def test_of_an_installation_that_fails_all_is_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    uv = program(
        tmp_path / "uv", "echo 'first lines'; echo 'DEBUG x'; echo 'the cause' >&2; exit 1"
    )
    with pytest.raises(bootstrap.SetupError, match="as it says above"):
        bootstrap.install_packages([str(uv)])
    assert capfd.readouterr().err == "first lines\nthe cause\n"


def test_an_interrupt_ends_what_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = subprocess.Popen.wait
    calls: list[float | None] = []

    def interrupted(self: Any, timeout: float | None = None) -> int:
        calls.append(timeout)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return wait(self, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        bootstrap.run(["sleep", "30"])
    assert time.monotonic() - started < 10
    assert len(calls) > 1


# --- make


def fake_environment(path: Path) -> None:
    """Lay out a finished environment whose et-agent prints its arguments as JSON."""
    (path / "bin").mkdir(parents=True)
    (path / "bin" / "python").symlink_to(sys.executable)
    show = "import json, sys; print(json.dumps(sys.argv[1:]))"
    program(path / "bin" / "et-agent", f"exec '{sys.executable}' -c '{show}' \"$@\"")
    build = llama_build.Build(cpu=llama_build.cpu_of(""))
    bootstrap.Environment(path.resolve()).write_state(build, ("runtime",))


def make(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    unset = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "CMAKE_ARGS", "PYTHON")
    inherited = {name: value for name, value in os.environ.items() if name not in unset}
    return subprocess.run(
        ["make", "-s", *arguments],
        cwd=ROOT,
        env={**inherited, "LC_ALL": "C", **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@needs_make
def test_ask_hands_the_question_on_as_typed(tmp_path: Path) -> None:
    venv = tmp_path / "with space" / "venv"
    fake_environment(venv)
    runs = (
        make("ask", f"Q={AWKWARD}", "ARGS=--json --system 'be brief'", f"VENV={venv}"),
        make("ask", VENV=str(venv), Q=AWKWARD, ARGS="--json --system 'be brief'"),
    )
    for run in runs:
        assert run.stderr == ""
        assert json.loads(run.stdout) == ["ask", "--json", "--system", "be brief", "--", AWKWARD]


@needs_make
def test_ask_without_a_question_is_a_usage_error() -> None:
    for question in ("Q=", "Q=  "):
        run = make("ask", question)
        assert run.returncode == 2
        assert 'usage: make ask Q="your question"' in run.stderr
        assert run.stderr.count("\n") == 1


@needs_make
def test_an_old_python_is_refused_by_name(tmp_path: Path) -> None:
    old = program(tmp_path / "python3", "exit 1")
    run = make("ask", "Q=why?", f"PYTHON={old}")
    assert run.returncode == 2
    assert f"no Python 3.11 or newer among: {old}" in run.stderr


@needs_make
def test_a_newer_python_is_found_past_an_old_one(tmp_path: Path) -> None:
    fake_environment(tmp_path / "venv")
    folder = tmp_path / "bin"
    program(folder / "python3", "exit 1")
    program(folder / "python3.12", f"exec '{sys.executable}' \"$@\"")
    for name in ("python3.14", "python3.13"):
        (folder / name).symlink_to(folder / "python3")
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    run = make("ask", "Q=why?", f"VENV={tmp_path / 'venv'}", PATH=path)
    assert json.loads(run.stdout) == ["ask", "--", "why?"]
