"""A server over scripted models, asked through sockets; no settings or calibrators of the user."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from et_agent_server import ServerSettings, create_app

from et_agent import ScriptedModel

from .support import TEXTS, Served, listening


@pytest.fixture(autouse=True)
def _nothing_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path))
    monkeypatch.setenv("ET_AGENT_CONFIG", str(tmp_path / "config.toml"))


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel.from_texts(TEXTS) as scripted:
        yield scripted


Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server: `serve(models, leaves=4, …)`."""
    running: list[Served] = []

    def start(models: Any, **settings: Any) -> Served:
        named = models if isinstance(models, dict) else {"scripted": models}
        made = ServerSettings(**{"port": 0, "leaves": 4, "grace_seconds": 1, **settings})
        running.append(listening(create_app(named, made), made))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture
def server(model: ScriptedModel, serve: Serve) -> Served:
    return serve(model)
