"""A command line over a scripted model."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from typing import Any

import pytest

from et_agent.cli import guard, loading
from et_agent.cli.main import main
from et_agent.engines.scripted import ScriptedModel

TEXTS: Mapping[str, float] = {
    "First half of 48 is 24. So 48 + 24 = 72. \\boxed{72}": 0.5,
    "First half of 48 is 24. So it is 24. \\boxed{24}": 0.2,
    "Twice 48 is 96. \\boxed{96}": 0.2,
    "I do not know": 0.1,
}


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


Run = Callable[..., Outcome]
Install = Callable[..., ScriptedModel]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[None]:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path / "cache"))
    yield
    guard.reset()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> Outcome:
        code = main(arguments)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a scripted model in the place of every model; gives the model."""
    models: list[ScriptedModel] = []

    def put(texts: Any = TEXTS, **settings: Any) -> ScriptedModel:
        model = ScriptedModel.from_texts(texts, **settings)
        models.append(model)

        def open_model(*_: object, **__: object) -> AbstractContextManager[ScriptedModel]:
            return closing(model)

        monkeypatch.setattr(loading, "open_model", open_model)
        return model

    yield put
    for model in models:
        model.close()
