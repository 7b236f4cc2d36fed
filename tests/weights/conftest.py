import socket
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from et_agent.weights import transfer
from tests.weights.fetching import PARTS, pieces_of
from tests.weights.index_server import Index, serving_index, wheels_of


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of its own, and no settings of this machine but those that a test makes."""
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path / "cache"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(transfer, "RETRY_SECONDS", 0.01)
    yield tmp_path / "cache"
    huggingface_hub.close_session()


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """A package index with the pieces of the small file."""
    with serving_index(wheels_of(PARTS, pieces_of())) as running:
        monkeypatch.setenv("ET_AGENT_INDEX", running.url)
        yield running


@pytest.fixture
def unused_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
