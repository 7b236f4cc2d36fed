"""`ask --html`, `--svg`, `--png`, and `et-agent tree`."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Install, Run

QUESTION = "How many clips were sold?"
TREE = ("--temperature", "1", "--leaves", "12")


@pytest.fixture
def stored(run: Run, install: Install, tmp_path: Path) -> Path:
    """A result as `ask --json --tree` prints it."""
    install()
    path = tmp_path / "result.json"
    shown = run("ask", QUESTION, *TREE, "--json", "--tree", "--alternatives", "2")
    path.write_text(shown.out, encoding="utf-8")
    return path


def data_of(page: Path) -> Any:
    text = page.read_text("utf-8")
    return json.loads(text.partition('id="data">')[2].partition("</script>")[0])


def test_ask_writes_a_page_and_pictures(run: Run, install: Install, tmp_path: Path) -> None:
    install()
    html, svg, png = (tmp_path / f"tree.{one}" for one in ("html", "svg", "png"))
    files = ("--html", str(html), "--svg", str(svg), "--png", str(png))
    shown = run("ask", QUESTION, *TREE, *files)
    assert shown.code == 0
    assert "72" in shown.out
    assert [line for line in shown.err.splitlines() if line.startswith("wrote ")] == [
        f"wrote {one}" for one in (html, svg, png)
    ]
    data = data_of(html)
    assert data["decision"]["threshold"] == 0.8
    assert len(data["result"]["tree"]["nodes"][1]["alternatives"][0]) == 3  # the model has no more
    assert "<svg" in svg.read_text("utf-8")
    assert png.read_bytes().startswith(b"\x89PNG")


def test_several_questions_get_a_page_each(run: Run, install: Install, tmp_path: Path) -> None:
    install()
    shown = run("ask", QUESTION, "How many in all?", *TREE, "--html", str(tmp_path / "tree.html"))
    assert shown.code == 0
    assert [data_of(tmp_path / f"tree-{one}.html")["result"]["question"] for one in (1, 2)] == [
        QUESTION,
        "How many in all?",
    ]


def test_alternatives_are_carried_only_when_asked_for(run: Run, install: Install) -> None:
    install()
    plain = json.loads(run("ask", QUESTION, *TREE, "--json", "--tree").out)
    assert {node["pieces"] for node in plain["tree"]["nodes"]} == {None}
    assert {node["alternatives"] for node in plain["tree"]["nodes"]} == {None}


def test_a_stored_result_is_looked_at_again(run: Run, stored: Path, tmp_path: Path) -> None:
    page = tmp_path / "again.html"
    assert run("tree", str(stored), "--html", str(page), "--answer-at", "0.4").code == 0
    data = data_of(page)
    assert data["decision"]["threshold"] == 0.4
    assert data["result"]["tree"]["nodes"][1]["pieces"]
    shown = run("tree", str(stored))
    assert shown.code == 0
    assert "8 leaves" in shown.out


def test_standard_input_and_lines(run: Run, stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = json.loads(stored.read_text("utf-8"))
    lines = "\n".join(json.dumps(document | {"question": one}) for one in ("first", "second"))

    def given(content: str, *arguments: str) -> str:
        stream = io.TextIOWrapper(io.BytesIO(content.encode()))
        monkeypatch.setattr("sys.stdin", stream)
        shown = run("tree", "-", *arguments)
        return shown.out if shown.code == 0 else shown.err

    assert "72" in given(lines, "--line", "2")
    assert "holds 2 results: choose one with --line" in given(lines)
    assert "holds results 1 to 2" in given(lines, "--line", "3")
    assert "line 2 is not JSON" in given(json.dumps(document) + "\n{")


def without_tree(document: dict[str, Any]) -> None:
    document["tree"] = None


def with_a_loop(document: dict[str, Any]) -> None:
    document["tree"]["nodes"][1]["parent"] = 1


def with_a_lost_leaf(document: dict[str, Any]) -> None:
    document["tree"]["leaves"][0]["node"] = 999


def of_a_gate(document: dict[str, Any]) -> None:
    document["trace_id"] = "x"


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (without_tree, "has no tree: print it with `ask --json --tree`"),
        (with_a_loop, "node 1 stands before its parent"),
        (with_a_lost_leaf, "a leaf ends in a node that is not there"),
        (of_a_gate, "is a decision of a gate"),
        (dict.clear, "is no result of `ask --json --tree`"),
    ],
)
def test_what_is_no_result_is_told(damage: Any, told: str, run: Run, stored: Path) -> None:
    document = json.loads(stored.read_text("utf-8"))
    damage(document)
    stored.write_text(json.dumps(document), encoding="utf-8")
    shown = run("tree", str(stored))
    assert shown.code == 2
    assert told in shown.err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"[1, 2", "is not JSON"),
        (b"[]", "is no result"),
        (b"\xff\xfe", "is not valid UTF-8 (byte 1)"),
        (b"[" * 100_000, "nested too deeply"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(
    content: bytes | None, told: str, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "result.json"
    if content is not None:
        path.write_bytes(content)
    shown = run("tree", str(path))
    assert shown.code == 2
    assert told in shown.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--html", "{}/no/tree.html"), "has no folder"),
        (("--html", "{}"), "is a folder"),
        (("--svg", "{}/tree.png"), "let the name end in .svg"),
        (("--png", "{}/tree"), "let the name end in .png"),
        (("--html", "{}/a.svg", "--svg", "{}/a.svg"), "the same file"),
        (("--alternatives", "51"), "from 0 to 50"),
        (("--alternatives", "-1"), "from 0 to 50"),
    ],
)
def test_files_that_cannot_be_written_are_told_before_anything_is_decoded(
    options: tuple[str, ...], told: str, run: Run, tmp_path: Path
) -> None:
    shown = run("ask", QUESTION, *(one.format(tmp_path) for one in options))
    assert shown.code == 2
    assert told in shown.err
