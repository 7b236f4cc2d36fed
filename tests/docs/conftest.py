"""The world of the documents' snippets: a folder with files, and models that play back texts."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import pytest

import et_agent
from et_agent import ScriptedModel
from et_agent.cli import guard
from et_agent.cli import loading as commands
from et_agent.engines import loading
from et_agent.runnables import loading as shared
from et_agent.templates.reasoning import ReasoningFormat
from tests.docs.files import FILES
from tests.docs.replies import replies
from tests.docs.shell import Shell

LARGER, THINKING = "qwen2.5-coder-1.5b", "qwen3-0.6b"


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty home, and the files that documents name in the folder at work."""
    for name in ("CACHE", "DATA", "RUNS"):
        monkeypatch.setenv(f"ET_AGENT_{name}", str(tmp_path / "home" / name.lower()))
    monkeypatch.setenv("ET_AGENT_CONFIG", str(tmp_path / "home" / "config.toml"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "100")
    work = tmp_path / "work"
    work.mkdir()
    for name, text in FILES.items():
        (work / name).write_text(text, "utf-8")
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[None]:
    """Whatever loads a model gets a scripted one, by whatever name."""
    made = []

    def load(name: str | None = None, **_: Any) -> ScriptedModel:
        sure: Mapping[str, float] = {"Ida Brandt": 1.0}
        if name == THINKING:
            form = ReasoningFormat("<think>", "</think>", thinks=True)
            thought = {"<think>\n15 of 100.\n</think>\n\nSo it is \\boxed{36}": 1.0}
            made.append(ScriptedModel.from_texts(thought, reasoning=form))
        else:
            made.append(ScriptedModel.from_texts((lambda _: sure) if name == LARGER else replies))
        return made[-1]

    def open_model(name: str | None = None, **_: Any) -> AbstractContextManager[ScriptedModel]:
        return closing(load(name))

    monkeypatch.setattr("langchain_et_agent._engines._HELD", {})
    monkeypatch.setattr(shared, "_SHARED", WeakValueDictionary())
    monkeypatch.setattr(et_agent, "load_model", load)
    monkeypatch.setattr(loading, "load_model", load)
    monkeypatch.setattr(commands, "open_model", open_model)
    monkeypatch.setattr("builtins.input", lambda _="": "1")
    yield
    guard.reset()
    for model in made:
        model.close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, models: None) -> Iterator[None]:
    """OpenAI's client reaches a server in this process."""
    import openai
    from et_agent_server import ServerSettings, create_app
    from fastapi.testclient import TestClient

    model = ScriptedModel.from_texts(replies)
    app = create_app({"qwen2.5-coder-0.5b": model}, ServerSettings())
    with closing(model), TestClient(app, base_url="http://127.0.0.1:8000") as client:
        monkeypatch.setattr(openai, "OpenAI", partial(openai.OpenAI, http_client=client))
        yield


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capsys, monkeypatch)
