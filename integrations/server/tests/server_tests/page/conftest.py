"""A browser, and a server whose model takes its time, so that trees are seen while they grow."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from et_agent import EntropyTree, ScriptedModel
from et_agent.answers import AnswerKind
from et_agent.evaluation.items import Item
from et_agent.evaluation.planning import begin_run
from et_agent.evaluation.running import evaluate
from et_agent.evaluation.store import RunStore
from et_agent.gate import GatePolicy
from tests.pages.conftest import browser

from ..conftest import Serve
from ..support import Served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["browser"]

QUESTION = "How many legs have 3 cats and 2 birds?"
TEXTS = {
    "3 cats have 12 legs, 2 birds have 4. In all \\boxed{16}": 0.5,
    "3 cats have 12 legs, 2 birds have 2. In all \\boxed{14}": 0.3,
    "I do not know": 0.2,
}
POLICY = GatePolicy(answer_at=0.4, cautious=False)


def slow(
    texts: Mapping[str, float] | Callable[[str], Mapping[str, float]],
    *,
    halts_at: int | None = None,
    goes_on: threading.Event | None = None,
) -> ScriptedModel:
    """A model that waits before every token, as real ones do, and at one for a test to let it go on."""
    quick = ScriptedModel.from_texts(texts)

    def script(prompt: str, tokens: Sequence[int]) -> NDArray[np.float32]:
        time.sleep(0.003)
        if goes_on is not None and len(tokens) == halts_at:
            goes_on.wait(60)
        return quick._script(prompt, tokens)

    return ScriptedModel(script)


def sums(prompt: str) -> Mapping[str, float]:
    """Most sums are known for sure; of those with a 7, nothing is."""
    number = int(prompt.rpartition("What is ")[2].partition(" ")[0])
    sure = 0.4 if "7" in str(number) else 0.97
    return {f"\\boxed{{{number + 1}}}": sure, f"\\boxed{{{number}}}": 1 - sure}


@pytest.fixture(scope="session")
def stored_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 150 questions, and one that has none yet."""
    path = tmp_path_factory.mktemp("runs") / "runs.sqlite"
    items = [
        Item(
            id=f"sums/{n}",
            question=f"What is {n} + 1?",
            kind=AnswerKind.NUMBER,
            golds=(str(n + 1),),
        )
        for n in range(150)
    ]
    decoder = EntropyTree(leaves=16, max_tokens=32)
    with ScriptedModel.from_texts(sums) as model, RunStore(path) as store:
        evaluate(model, items, {"tree": decoder}, store, data="sums")
        begin_run(store, model, EntropyTree(leaves=3), "begun", data="sums")
    return path


@pytest.fixture
def site(
    serve: Serve, stored_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Served]:
    """Start a server with stored runs and a log: `site(leaves=…)`, or of another model."""
    monkeypatch.setenv("ET_AGENT_RUNS", str(stored_runs))

    def started(model: ScriptedModel | None = None, **settings: Any) -> Served:
        given = {"leaves": 6, "policy": POLICY, "decisions": str(tmp_path / "log.db"), **settings}
        return serve(model or slow(TEXTS), **given)

    return started


Open = Callable[..., "Page"]


@pytest.fixture
def open_page(browser: "Browser") -> Iterator[Open]:
    """Open a server's page; what its console says, or a request to elsewhere, fails.

    `expected` are parts of what the console may say: browsers tell of every refused request.
    """
    complaints: list[str] = []
    contexts: list[Any] = []

    def opened(server: Served, view: str = "", expected: str | None = None, **more: Any) -> "Page":
        context = browser.new_context(**more)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)

        def said(text: str) -> None:
            if expected is None or expected not in text:
                complaints.append(text)

        def asked(request: Any) -> None:
            if not request.url.startswith(server.url):
                complaints.append(request.url)

        page.on("console", lambda message: said(message.text))
        page.on("pageerror", lambda error: said(str(error)))
        page.on("request", asked)
        page.goto(f"{server.url}/{view}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
