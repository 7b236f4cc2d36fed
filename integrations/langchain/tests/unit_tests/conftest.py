"""A scripted chat model, and no settings, pilots or calibrators of the user's own."""

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_et_agent import ChatEntropyTree

from et_agent import ScriptedModel

from .support import TEXTS


@pytest.fixture(autouse=True)
def _no_pilots(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path))
    monkeypatch.setenv("ET_AGENT_CONFIG", str(tmp_path / "config.toml"))


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel.from_texts(TEXTS) as scripted:
        yield scripted


@pytest.fixture
def chat(model: ScriptedModel) -> ChatEntropyTree:
    return ChatEntropyTree(engine=model, leaves=8, seed=3)
