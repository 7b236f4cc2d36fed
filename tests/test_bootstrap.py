import importlib.util
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

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
setup_report = load("setup_report")
bootstrap = load("bootstrap")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, tmp_path)
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


def test_only_other_cmake_args_ask_for_another_build() -> None:
    stamp = {"cmake_args": "-DGGML_CUDA=on"}
    assert not bootstrap.has_other_flags(stamp, {})
    assert not bootstrap.has_other_flags(stamp, {"CMAKE_ARGS": "-DGGML_CUDA=on"})
    assert bootstrap.has_other_flags(stamp, {"CMAKE_ARGS": "-DGGML_VULKAN=on"})
    assert bootstrap.has_other_flags({}, {"CMAKE_ARGS": "-DGGML_VULKAN=on"})


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
    environment.write_stamp(bootstrap.stamp_key(ROOT) | place | origin)


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
