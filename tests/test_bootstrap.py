import importlib.util
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

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


# They import one another by these names, as scripts do; each after what it needs.
toolchain = load("toolchain")
cpu_flags = load("cpu_flags")
setup_report = load("setup_report")
bootstrap = load("bootstrap")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / bootstrap.INTEGRATION).mkdir(parents=True)
    shutil.copy(ROOT / bootstrap.INTEGRATION / "pyproject.toml", tmp_path / bootstrap.INTEGRATION)
    return tmp_path


def pins(name: str) -> set[str]:
    return set(re.findall(r"^[\w-]+==[^\s;]+", (ROOT / name).read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("  [12/193] /usr/bin/g++ -O3 -c ggml.cpp", (12, 193)),
        ("[193/193] Linking CXX shared library", (193, 193)),
        ("  [ 7%] Building C object ggml.c.o", (7, 100)),
        ("  [100%] Built target llama", (100, 100)),
        ("  -- Configuring done", None),
        ("warning: array[12/193]", None),
        ("", None),
    ],
)
def test_build_step(line: str, step: tuple[int, int] | None) -> None:
    assert setup_report.read_build_step(line) == step


def test_progress_line() -> None:
    line = setup_report.progress_line(50, 200, 60)
    assert line == "[######..................]  25%  1:00 elapsed, about 3:00 left"
    assert "left" not in setup_report.progress_line(0, 200, 1)
    assert "left" not in setup_report.progress_line(200, 200, 240)


def test_build_without_a_terminal_prints_each_tenth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup_report, "check_compilers", lambda environ: None)
    stream = io.StringIO()
    report = setup_report.PipReport(setup_report.Display(stream, live=False))
    report.feed("  Building wheel for llama-cpp-python (pyproject.toml): started")
    for step in range(1, 194):
        report.feed(f"  [{step}/193] /usr/bin/g++ -c some.cpp")
        report.tick()
    report.feed(
        "  Building wheel for llama-cpp-python (pyproject.toml): finished with status 'done'"
    )
    first, *tenths, last = stream.getvalue().splitlines()
    assert "building llama.cpp from source" in first
    assert len(tenths) == 10
    assert "llama.cpp built in" in last
    assert "\r" not in stream.getvalue()


def test_stamp_follows_locks_and_packaging_only(project: Path) -> None:
    key = bootstrap.stamp_key(project)
    assert bootstrap.is_current(key, key, "dev")
    assert not bootstrap.is_current({}, key, "runtime")

    pyproject = project / "pyproject.toml"
    text = pyproject.read_text("utf-8")
    pyproject.write_text(text.replace("line-length = 100", "line-length = 99"), "utf-8")
    assert bootstrap.stamp_key(project) == key
    pyproject.write_text(text.replace('"rich>=14"', '"rich>=15"'), "utf-8")
    assert bootstrap.stamp_key(project)["project"] != key["project"]

    with (project / "requirements-dev.lock").open("a", encoding="utf-8") as lock:
        lock.write("# changed\n")
    changed = bootstrap.stamp_key(project)
    assert changed["dev"] != key["dev"]
    assert changed["runtime"] == key["runtime"]

    integration = project / bootstrap.INTEGRATION / "pyproject.toml"
    text = integration.read_text("utf-8")
    integration.write_text(text.replace('"langgraph>=1.2,<2"', '"langgraph>=1.3,<2"'), "utf-8")
    later = bootstrap.stamp_key(project)
    assert later["dev"] != changed["dev"]
    assert later == {**changed, "dev": later["dev"]}


def test_development_has_the_integration_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = bootstrap.Environment(tmp_path, setup_report.Display(io.StringIO(), live=False))
    commands: list[list[str]] = []
    monkeypatch.setattr(environment, "run", lambda command, failure: commands.append(command))
    environment.install_project("runtime")
    environment.install_project("dev")
    runtime, dev = ([one for one in command if str(ROOT) in one] for command in commands)
    assert runtime == [str(bootstrap.BUILD_LOCK), str(ROOT)]
    assert dev == [*runtime, str(ROOT / bootstrap.INTEGRATION)]


def test_the_development_lock_has_what_the_integration_depends_on() -> None:
    text = (ROOT / bootstrap.INTEGRATION / "pyproject.toml").read_text("utf-8")
    project = tomllib.loads(text)["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["agents"]]
    names = {re.split(r"[<>=]", one)[0] for one in wanted} - {"et-agent"}
    assert names <= {pin.partition("==")[0] for pin in pins("requirements-dev.lock")}


def test_only_other_cmake_args_ask_for_another_build() -> None:
    build = cpu_flags.Build(cmake_args="-DGGML_CUDA=on")
    assert build.is_asked_for("", "")
    assert build.is_asked_for("-DGGML_CUDA=on", "")
    assert not build.is_asked_for("-DGGML_VULKAN=on", "")
    assert not cpu_flags.Build().is_asked_for("-DGGML_VULKAN=on", "")


def test_a_cpu_asks_for_a_build_that_was_probed() -> None:
    probed = cpu_flags.Build(cpu_flags="-fno-dse", probe="v2")
    assert probed.is_asked_for("", "v2")
    assert probed.is_asked_for("", "")
    assert not probed.is_asked_for("", "v3")
    assert not cpu_flags.Build.from_stamp({"runtime": "ab"}).is_asked_for("", "v2")
    assert cpu_flags.probe_version(amx=False) == ""
    assert cpu_flags.probe_version(amx=True)


def test_a_stamp_keeps_the_build() -> None:
    build = cpu_flags.Build("-DGGML_CUDA=on", "-fno-dse", "v2")
    assert cpu_flags.Build.from_stamp({"runtime": "ab", **asdict(build)}) == build


def test_amx_is_read_from_the_first_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    cpuinfo = tmp_path / "cpuinfo"
    assert not cpu_flags.has_amx(cpuinfo)
    cpuinfo.write_text("processor: 0\nflags\t: fpu amx_tile amx_int8\n", "utf-8")
    assert cpu_flags.has_amx(cpuinfo)
    cpuinfo.write_text("processor: 0\nflags\t: fpu avx2\n\nflags: amx_tile\n", "utf-8")
    assert not cpu_flags.has_amx(cpuinfo)
    cpuinfo.write_text("flags: amx_tile\n", "utf-8")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert not cpu_flags.has_amx(cpuinfo)


@pytest.mark.parametrize(
    ("outcomes", "flags", "message"),
    [
        (["NO_CODE"], (), "makes no AMX code"),
        (["WORKS"], (), "works"),
        (["FAILS", "WORKS"], cpu_flags.KEEP_STORES, "-fno-dse"),
        (["FAILS", "FAILS", "WORKS"], cpu_flags.NO_AMX, "-mno-amx-tile"),
        (["FAILS", "NO_CODE", "WORKS"], cpu_flags.NO_AMX, "-mno-amx-tile"),
        (["FAILS", "FAILS", "NO_CODE"], (), "no flags help"),
    ],
)
def test_flags_follow_from_the_probes(
    outcomes: list[str], flags: tuple[str, ...], message: str
) -> None:
    left = iter(outcomes)
    chosen, reason = cpu_flags.choose_flags(lambda source, flags: cpu_flags.Outcome[next(left)])
    assert chosen == flags
    assert message in reason
    assert not list(left)


def test_cpu_flags_follow_the_users_own() -> None:
    build = cpu_flags.Build("-DGGML_CUDA=on", "-fno-dse -fno-dce", "v2")
    assert build.environ({"CXXFLAGS": "-g", "CMAKE_ARGS": ""}) == {
        "CMAKE_ARGS": "-DGGML_CUDA=on",
        "CFLAGS": "-fno-dse -fno-dce",
        "CXXFLAGS": "-g -fno-dse -fno-dce",
    }
    assert cpu_flags.Build().environ({"CXXFLAGS": "-g"}) == {}


def test_each_build_but_the_ordinary_has_its_own_cache() -> None:
    builds = (
        cpu_flags.Build("-DGGML_CUDA=on"),
        cpu_flags.Build(cpu_flags="-DGGML_CUDA=on"),
        cpu_flags.Build(probe="v2"),
        cpu_flags.Build("-DGGML_CUDA=on", "-fno-dse", "v2"),
    )
    names = {build.cache_name() for build in builds}
    assert len(names) == len(builds)
    assert all(re.fullmatch(r"et-agent-[0-9a-f]{12}", name) for name in names)
    assert cpu_flags.Build().cache_name() == ""


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
    assert cpu_flags.is_native(cmake_args) is native


def test_the_compiler_is_the_one_cmake_takes() -> None:
    environ = {"CXX": "ccache g++-13"}
    assert cpu_flags.cxx_compiler(environ, "") == "ccache g++-13"
    assert cpu_flags.cxx_compiler(environ, "-DCMAKE_CXX_COMPILER=/opt/clang++") == "/opt/clang++"


@pytest.mark.parametrize(
    ("body", "outcome"),
    [("return 0;", "WORKS"), ("__builtin_trap();", "FAILS"), ("#error", "NO_CODE")],
)
def test_a_program_is_built_and_run(tmp_path: Path, body: str, outcome: str) -> None:
    compiler = cpu_flags.cxx_compiler({}, "")
    if not compiler:
        pytest.skip("no C++ compiler")
    source = f"int main() {{\n{body}\n}}\n"
    found = cpu_flags.run_program(compiler, ["-O1"], source, tmp_path)
    assert found is cpu_flags.Outcome[outcome]
    assert not list(tmp_path.iterdir())


def test_without_a_compiler_nothing_is_probed(tmp_path: Path) -> None:
    probe = cpu_flags.compiler_probe({"CXX": "nothing-cxx"}, "", tmp_path)
    assert cpu_flags.choose_flags(probe)[0] == ()


def recorded_environment(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, amx: bool, outcome: str = "FAILS"
) -> Any:
    """Make an environment that installs nothing, on a CPU and with a compiler as given."""

    def probe(source: str, flags: tuple[str, ...]) -> Any:
        return cpu_flags.Outcome["WORKS" if flags else outcome]

    monkeypatch.setattr(cpu_flags, "has_amx", lambda: amx)
    monkeypatch.setattr(cpu_flags, "compiler_probe", lambda environ, cmake_args, folder: probe)
    for name in ("CMAKE_ARGS", "CFLAGS", "CXXFLAGS"):
        monkeypatch.delenv(name, raising=False)
    environment = bootstrap.Environment(path, setup_report.Display(io.StringIO(), live=False))
    (path / "bin").mkdir(parents=True)
    pip = path / "bin" / "python"
    pip.write_text(f"#!/bin/sh\necho '{path / 'cache'}'\n", "utf-8")
    pip.chmod(0o755)
    monkeypatch.setattr(environment, "installed", [], raising=False)
    monkeypatch.setattr(environment, "has_wheel", lambda: True)
    monkeypatch.setattr(environment, "imports_llama", lambda: True)
    monkeypatch.setattr(environment, "install_project", lambda lock: None)
    monkeypatch.setattr(
        environment,
        "install_locked",
        lambda lock, *options: environment.installed.append((lock.name, *options)),
    )
    return environment


def install_llama(path: Path) -> None:
    folder = path / "lib" / "python3" / "site-packages"
    (folder / f"{bootstrap.llama_release()}.dist-info").mkdir(parents=True)


KEY = {"runtime": "r", "dev": "d", "project": "p"}


def test_a_cpu_with_amx_builds_in_a_cache_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = recorded_environment(tmp_path, monkeypatch, amx=True)
    build = bootstrap.bring_up(environment, {}, KEY, "runtime")
    assert environment.installed == [("requirements.lock",)]
    assert build.cpu_flags == environment.variables["CXXFLAGS"] == " ".join(cpu_flags.KEEP_STORES)
    assert environment.variables["PIP_CACHE_DIR"] == str(tmp_path / "cache" / build.cache_name())
    assert environment.display.stream.getvalue().count("this CPU has AMX") == 1


def test_an_unprobed_environment_is_rebuilt_in_its_llama_part_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = recorded_environment(tmp_path, monkeypatch, amx=True)
    install_llama(tmp_path)
    build = bootstrap.bring_up(environment, KEY, KEY, "dev")
    part = ("llama-cpp-python.lock", "--force-reinstall", "--no-deps")
    assert environment.installed == [part]

    stamp = {**KEY, "dev": "older", **asdict(build)}
    environment.installed.clear()
    monkeypatch.setattr(cpu_flags, "compiler_probe", None)
    assert bootstrap.bring_up(environment, stamp, KEY, "dev") == build
    assert environment.installed == [("requirements-dev.lock",)]
    assert "CXXFLAGS" in environment.variables


def test_a_build_for_any_cpu_gets_no_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = recorded_environment(tmp_path, monkeypatch, amx=True)
    monkeypatch.setenv("CMAKE_ARGS", "-DGGML_NATIVE=OFF")
    assert bootstrap.bring_up(environment, {}, KEY, "runtime").cpu_flags == ""
    assert "CXXFLAGS" not in environment.variables
    assert environment.display.stream.getvalue() == ""


def test_a_cpu_without_amx_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = recorded_environment(tmp_path, monkeypatch, amx=False)
    assert bootstrap.bring_up(environment, {}, KEY, "runtime") == cpu_flags.Build()
    assert environment.variables == {}


def test_pinned_takes_one_package_with_its_hashes() -> None:
    lock = "pip==26.3 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n    # via x\nrich==1\n"
    assert bootstrap.pinned(lock, "pip") == (
        "pip==26.3 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
    )
    with pytest.raises(toolchain.SetupError, match="make lock"):
        bootstrap.pinned(lock, "numpy")


def test_locks_agree_and_name_no_host() -> None:
    assert pins("requirements.lock") < pins("requirements-dev.lock")
    for lock in ROOT.glob("requirements*.lock"):
        text = lock.read_text("utf-8")
        assert "://" not in text
        assert all("--hash=" in block for block in re.split(r"\n(?=\w)", text))


def test_install_command_follows_the_distribution() -> None:
    commands = {"debian": "apt", "macos": "xcode"}
    assert toolchain.install_command(commands, "Darwin", {}) == "xcode"
    assert toolchain.install_command(commands, "Linux", {"ID": "debian"}) == "apt"
    mint = {"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}
    assert toolchain.install_command(commands, "Linux", mint) == "apt"
    assert toolchain.install_command(commands, "Linux", {"ID": "void"}) == ""


def test_no_compiler_is_an_error_with_a_fix() -> None:
    with pytest.raises(toolchain.SetupError, match=r"no C compiler works here \(tried nothing-c\)"):
        toolchain.check_compilers({"CC": "nothing-c"})


def test_a_build_without_a_compiler_ends_at_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "nothing-c")
    report = setup_report.PipReport(setup_report.Display(io.StringIO(), live=False))
    with pytest.raises(toolchain.SetupError, match="nothing-c"):
        report.feed("  Building wheel for llama-cpp-python (pyproject.toml): started")


def test_remove_leaves_foreign_folders_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep", "utf-8")
    environment = bootstrap.Environment(tmp_path, setup_report.Display(io.StringIO(), live=False))
    with pytest.raises(toolchain.SetupError, match="not made by this script"):
        environment.remove()
    assert (tmp_path / "mine.txt").read_text("utf-8") == "keep"

    environment.log.touch()
    environment.remove()
    assert not tmp_path.exists()


def test_failure_names_cause_and_log() -> None:
    output = "x.cpp:1: error: bad\n" + "note\n" * 50 + "write: No space left on device\n"
    text = setup_report.describe_failure(output, Path("/v/bootstrap.log"), "It failed.")
    assert text.startswith("x.cpp:1: error: bad")
    assert text.count("note") < 25
    assert "It failed. The disk is full" in text
    assert "/v/bootstrap.log" in text


def fake_environment(path: Path) -> None:
    """Lay out a finished environment whose et-agent prints its arguments as JSON."""
    (path / "bin").mkdir(parents=True)
    (path / "bin" / "python").symlink_to(sys.executable)
    tool = path / "bin" / "et-agent"
    show = "import json, sys; print(json.dumps(sys.argv[1:]))"
    tool.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c '{show}' \"$@\"\n", "utf-8")
    tool.chmod(0o755)
    environment = bootstrap.Environment(path, setup_report.Display(io.StringIO(), live=False))
    interpreter = os.path.realpath(sys.executable)
    version = platform.python_version()
    place = {"path": str(path.resolve()), "root": str(ROOT)}
    origin = {"python": interpreter, "version": version}
    probe = {"probe": cpu_flags.probe_version(amx=cpu_flags.has_amx())}
    environment.write_stamp(bootstrap.stamp_key(ROOT) | place | origin | probe)


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
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n", "utf-8")
    old.chmod(0o755)
    run = make("ask", "Q=why?", f"PYTHON={old}")
    assert run.returncode == 2
    assert f"no Python 3.11 or newer among: {old}" in run.stderr


@needs_make
def test_a_newer_python_is_found_past_an_old_one(tmp_path: Path) -> None:
    fake_environment(tmp_path / "venv")
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python3").write_text("#!/bin/sh\nexit 1\n", "utf-8")
    (folder / "python3.12").write_text(f"#!/bin/sh\nexec '{sys.executable}' \"$@\"\n", "utf-8")
    for name in ("python3", "python3.12"):
        (folder / name).chmod(0o755)
    for name in ("python3.14", "python3.13"):
        (folder / name).symlink_to(folder / "python3")
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    run = make("ask", "Q=why?", f"VENV={tmp_path / 'venv'}", PATH=path)
    assert json.loads(run.stdout) == ["ask", "--", "why?"]
