import re
from pathlib import Path

import pytest

from et_agent.errors import SettingsError
from et_agent.pages import draw_tree_picture
from et_agent.results import AskResult
from tests.pages.test_html import hostile


def test_the_picture_has_all_leaves_and_answers(result: AskResult, tmp_path: Path) -> None:
    text = draw_tree_picture(result, tmp_path / "tree.svg").read_text("utf-8")
    for shown in ("72", "96", "24", "no answer", "50%", "entropy of the fork (nats)"):
        assert f">{shown}<" in text


@pytest.mark.parametrize("text", ["$x^{$", "\\frac{", "<script>", "\u202eevil", "a\nb\x00", "%s_^"])
def test_any_answer_can_be_drawn(text: str, result: AskResult, tmp_path: Path) -> None:
    drawn = draw_tree_picture(hostile(result, text), tmp_path / "tree.svg").read_text("utf-8")
    assert "<script" not in drawn
    assert not re.search("[\u202e\x00]", drawn)
    assert draw_tree_picture(hostile(result, text), tmp_path / "tree.png").stat().st_size > 10_000


def test_what_cannot_be_drawn_is_told(result: AskResult, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"end it with \.svg, \.png, \.pdf"):
        draw_tree_picture(result, tmp_path / "tree.docx")
    with pytest.raises(SettingsError, match="carries no tree"):
        draw_tree_picture(result.model_copy(update={"tree": None}), tmp_path / "tree.svg")
