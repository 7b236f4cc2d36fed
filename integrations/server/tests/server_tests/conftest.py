"""A server over scripted models, asked through sockets; no settings or calibrators of the user."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from et_agent_server import ServerSettings, create_app

from et_agent import ScriptedModel

from .support import TEXTS, Served, listening


@pytest.fixture(autouse=True, scope="module")
def _nothing_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("user")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ET_AGENT_CACHE", str(folder))
        patch.setenv("ET_AGENT_CONFIG", str(folder / "config.toml"))
        yield


@pytest.fixture(autouse=True)
def _nothing_learnt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test labels moves no other test's confidence: calibrators, and replies beside them."""
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


Serve = Callable[..., Served]


def _starter() -> Iterator[Serve]:
    running: list[Served] = []

    def start(models: Any, **settings: Any) -> Served:
        named = models if isinstance(models, dict) else {"scripted": models}
        made = ServerSettings(**{"port": 0, "leaves": 4, "grace_seconds": 1, **settings})
        running.append(listening(create_app(named, made), made))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture(autouse=True)
def _seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests without a seed get 1, 2, …, so that no test hangs on a draw."""
    numbers = count(1)
    monkeypatch.setattr("et_agent_server.calls.secrets.randbelow", lambda _: next(numbers))


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server: `serve(models, leaves=4, …)`."""
    yield from _starter()


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """One for all tests of a module."""
    with ScriptedModel.from_texts(TEXTS) as model:
        starting = _starter()
        yield next(starting)(model)
        next(starting, None)
