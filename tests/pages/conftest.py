"""Results to look at, and a browser that draws them."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from et_agent.asking import ask
from et_agent.decoding import EntropyTree
from et_agent.engines.scripted import ScriptedModel
from et_agent.results import AskResult
from tests.cli.conftest import TEXTS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

QUESTION = "How many clips were sold?"
BROWSERS = ("chromium", "chromium-headless-shell", "google-chrome")


@pytest.fixture(scope="session")
def result() -> AskResult:
    with closing(ScriptedModel.from_texts(TEXTS)) as model:
        decoder = EntropyTree(leaves=12, temperature=1)
        return ask(model, QUESTION, decoder=decoder, alternatives=3)


@pytest.fixture(scope="package")
def browser() -> Iterator["Browser"]:
    """Headless Chromium; tests that need it are skipped where there is none.

    Its driver runs an event loop in this thread: no `asyncio.run` until the package's tests are over.
    """
    from shutil import which

    playwright = pytest.importorskip("playwright.sync_api")
    found = next((path for name in BROWSERS if (path := which(name))), None)
    if found is None:
        pytest.skip(f"no browser on the path: {', '.join(BROWSERS)}")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=found)
        yield opened
        opened.close()


Open = Callable[..., "Page"]


@pytest.fixture
def open_page(browser: "Browser", tmp_path: Path) -> Iterator[Open]:
    """Open HTML in the browser; what its console says, or what it asks the network for, fails."""
    complaints: list[str] = []
    pages: list[Any] = []

    def opened(html: str, **settings: Any) -> "Page":
        file = tmp_path / f"page{len(pages)}.html"
        file.write_text(html, encoding="utf-8")

        def note_request(request: Any) -> None:
            if request.url != file.as_uri():
                complaints.append(request.url)

        def note_dialog(dialog: Any) -> None:
            complaints.append("a dialog")
            dialog.dismiss()

        page = browser.new_page(**settings)
        pages.append(page)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", note_dialog)
        page.on("request", note_request)
        page.goto(file.as_uri())
        return page

    yield opened
    for page in pages:
        page.close()
    assert complaints == []
