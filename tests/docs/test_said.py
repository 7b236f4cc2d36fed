"""What README and the first page show as printed, and README's tables, are what the code gives."""

import pytest

from benchmarks.readme import documents
from tests.docs.pages import ROOT


def test_pages_show_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    found = documents()
    for (page, name), lines in found.items():
        text = (ROOT / page).read_text("utf-8")
        opening = text.index(f"<!-- {name}:")
        shown = text[text.index("-->", opening) + 3 : text.index(f"<!-- {name} end -->")]
        assert shown == "\n".join(["", *lines, ""]), f"{page}: run `python -m benchmarks.readme`"
    assert len(found) == 7
