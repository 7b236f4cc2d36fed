"""The notebook's cells are run in their order, on a scripted model."""

import json
from typing import Any

import pytest

from tests.docs.pages import ROOT
from tests.docs.snippets import run

NOTEBOOK = ROOT / "examples" / "tour.ipynb"


@pytest.mark.usefixtures("models")
def test_every_cell_of_the_tour_runs(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    codes = ["".join(one["source"]) for one in cells if one["cell_type"] == "code"]
    for code in codes:
        run(code, names, NOTEBOOK.name)
    assert "<" in names["sure"]._repr_html_(), "a notebook shows the tree"
    said = capsys.readouterr().out
    assert "36 share" in said
    assert "answer 36 - " in said
    assert "abstain None - " in said
    assert "own 1 " in said
    assert len(codes) >= 8
