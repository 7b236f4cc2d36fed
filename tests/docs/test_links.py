"""Links of the documents lead somewhere, in the repository and on the site."""

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from posixpath import normpath
from typing import Any

import pytest

from tests.docs.pages import PAGES, ROOT
from tests.test_bootstrap import load

docs_site = load("docs_site")

LINK = re.compile(r"(?:\]\(|href=\"|src=\"|srcset=\")([^)\"\s]+)[)\"]")
FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(text: str) -> set[str]:
    """The anchors that a forge gives headings."""
    found: set[str] = set()
    for heading in HEADING.findall(FENCED.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.add(name if name not in found else f"{name}-1")
    return found


def links(page: str) -> Iterator[tuple[str, str]]:
    """File and anchor of each link of a page to something in the repository."""
    text = re.sub(r"`[^`\n]+`", "", FENCED.sub("", (ROOT / page).read_text("utf-8")))
    for url in LINK.findall(text):
        if not re.match(r"[a-z]+:", url):
            path, _, anchor = url.partition("#")
            target = f"{Path(page).parent.as_posix()}/{path}" if path else page
            yield normpath(target), anchor


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page: str) -> None:
    for target, anchor in links(page):
        assert (ROOT / target).exists(), f"there is no {target}"
        if anchor:
            assert anchor in anchors((ROOT / target).read_text("utf-8")), f"{target}#{anchor}"


def test_a_page_of_the_site_finds_what_is_beside_the_documents() -> None:
    text = "[a](../README.md#x) ![b](../LICENSE) [c](../examples) [d](https://x) [e](faq.md)\n"
    page, wanted = docs_site.staged(text + "```\n[a](../README.md)\n```\n", "docs/a.md", "a.md")
    assert page == (
        "[a](index.md#x) ![b](files/LICENSE) c [d](https://x) [e](faq.md)\n"
        "```\n[a](../README.md)\n```\n"
    )
    assert wanted == {"LICENSE"}
    with pytest.raises(docs_site.SiteError, match=r"links to nowhere\.md"):
        docs_site.staged("[a](nowhere.md)", "docs/a.md", "a.md")


def nav_pages(entries: Any) -> Iterator[str]:
    for entry in entries:
        for what in entry.values() if isinstance(entry, dict) else [entry]:
            yield from [what] if isinstance(what, str) else nav_pages(what)


def test_the_navigation_names_every_page_once() -> None:
    config = tomllib.loads((ROOT / "docs" / docs_site.CONFIG).read_text("utf-8"))
    named = [one for one in nav_pages(config["project"]["nav"]) if one != "REFERENCE"]
    assert sorted(named) == sorted({page for page, _ in docs_site.pages()} | {docs_site.COMMANDS})


def test_the_reference_has_what_is_public() -> None:
    page = docs_site.reference("et_agent", "…")
    assert "::: et_agent.ask\n" in page
    assert "::: et_agent_server.create_app\n" in docs_site.reference("et_agent_server", "…")
    with pytest.raises(docs_site.SiteError, match="no __all__"):
        docs_site.reference("et_agent.nosuch", "…")
    told = docs_site.commands()
    assert "## `et-agent gate ask`" in told
    assert "`--answer-at`" in told


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("zensical") is None, reason="`make docs` installs what builds the site"
)
def test_the_site_is_built_without_a_warning(capfd: pytest.CaptureFixture[str]) -> None:
    assert docs_site.main() == 0, capfd.readouterr()
    assert (docs_site.SITE / "index.html").exists()
    assert sys.modules.get("zensical") is None
