"""A scripted model, callbacks that remember, and a cache without pilots or calibrators."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from langchain_core.callbacks import BaseCallbackHandler
from numpy.typing import NDArray

from et_agent import ScriptedModel
from et_agent.engines.scripted import VOCABULARY
from et_agent.results import AskResult

TEXTS = {"So \\boxed{4}": 0.5, "Well, the answer is 4.": 0.2, "So \\boxed{5}": 0.3}
QUESTION = "How many legs has a cat?"
LENGTH = 90_000
"""Tokens of an answer that takes long."""


class Recorder(BaseCallbackHandler):
    """What callbacks were told: (event, name of the run), errors, tags, custom events."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.errors: list[BaseException] = []
        self.outputs: list[Any] = []
        self.tags: dict[str, list[str]] = {}
        self.metadata: dict[str, dict[str, Any]] = {}
        self.parents: dict[str, str | None] = {}
        self.custom: list[tuple[str, Any]] = []
        self._names: dict[Any, str] = {}

    def on_chain_start(self, serialized: Any, inputs: Any, *, run_id: Any, **more: Any) -> None:
        name = self._names[run_id] = more["name"]
        self.told.append(("start", name))
        self.tags[name] = more["tags"]
        self.metadata[name] = more["metadata"]
        self.parents[name] = self._names.get(more["parent_run_id"])

    def on_chain_end(self, outputs: Any, *, run_id: Any, **more: Any) -> None:
        self.told.append(("end", self._names[run_id]))
        self.outputs.append(outputs)

    def on_chain_error(self, error: BaseException, *, run_id: Any, **more: Any) -> None:
        self.told.append(("error", self._names[run_id]))
        self.errors.append(error)

    def on_custom_event(self, name: str, data: Any, *, run_id: Any, **more: Any) -> None:
        assert run_id in self._names
        self.custom.append((name, data))


def endless(begun: set[str] | None = None) -> ScriptedModel:
    """A model that never ends by itself, a token a step, each some hundred microseconds.

    `begun` gets the prompts that are decoded and have a token after them.
    """
    row = np.full(VOCABULARY, -1e9, dtype=np.float32)
    row[ord("a")] = 0.0

    def script(prompt: str, tokens: Sequence[int]) -> NDArray[np.float32]:
        if begun is not None and tokens:
            begun.add(prompt)
        return row.copy()

    return ScriptedModel(script, context=100_000)


def ended(model: ScriptedModel) -> bool:
    """Wait until nothing is decoded any more: whether that was before `LENGTH` tokens."""
    model.submit(lambda: None).result(timeout=120)  # its thread is free: the scheduler has ended
    return model.decoded < LENGTH


async def aended(model: ScriptedModel) -> bool:
    """`ended` while the event loop runs, which closes what LangChain drops."""
    return await asyncio.to_thread(ended, model)


def held(model: ScriptedModel) -> threading.Event:
    """Keep the model's thread busy until the event is set."""
    event = threading.Event()
    model.submit(lambda: event.wait(10))
    return event


def timeless(result: AskResult) -> dict[str, Any]:
    """A result without what differs from run to run: the time, and what it shared with others."""
    found = result.model_dump()
    for name in ("seconds", "tokens_per_second", "steps", "cached_tokens"):
        del found["usage"][name]
    return found


@pytest.fixture(autouse=True)
def _own_cache(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "model" not in request.keywords:  # the small model is found in the user's cache
        monkeypatch.setenv("ET_AGENT_CACHE", str(request.getfixturevalue("tmp_path")))


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel.from_texts(TEXTS) as scripted:
        yield scripted


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()
