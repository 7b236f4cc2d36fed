"""Small and read-only file systems, and what is written to them."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from et_agent import AskResult, MultiChain, ScriptedModel, ask
from et_agent.gate import Decision, Gate, GatePolicy

QUESTION = "How many legs has a cat?"
CHAINS = MultiChain(leaves=4, temperature=1)
TEXTS = {"\\boxed{4}": 0.6, "\\boxed{5}": 0.4}
Mounted = Callable[..., None]


@pytest.fixture(autouse=True)
def _nothing_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ET_AGENT_CONFIG", str(tmp_path / "cache" / "config.toml"))
    monkeypatch.chdir(tmp_path)


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A file system in memory; the test is skipped where none may be mounted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder that takes a megabyte."""
    with mounted(tmp_path / "disk", "size=1m") as folder:
        yield folder


@pytest.fixture(scope="session")
def result() -> AskResult:
    with ScriptedModel.from_texts(TEXTS) as model:
        return ask(model, QUESTION, decoder=CHAINS, kind="number")


@pytest.fixture(scope="session")
def decision(result: AskResult) -> Decision:
    return Gate(GatePolicy(answer_at=0.5)).decide(result)
