"""The shape of the package: no circle among files, no import upward, no file too long."""

import ast
import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "et_agent"
ROOT = PACKAGE.parent
LONGEST_FILE = 450
FLOORS = (
    ("errors", "extras", "interpreter", "renaming", "wording"),
    ("validation", "arrays", "storage", "made_once"),
    ("arguments", "kept", "waiting", "limited_process"),
    ("config",),
    ("weights", "templates", "kernels"),
    ("engines",),
    ("models", "decoding"),
    ("answers",),
    ("grammar", "uncertainty"),
    ("calibration",),
    ("pages", "soundness"),
    ("results",),
    ("scores",),
    ("asking",),
    ("gate",),
    ("runnables",),
    ("evaluation",),
    ("cli",),
)
"""Rooms from the lowest floor up; rooms of one floor know nothing of each other."""


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(path: Path) -> Iterator[str]:
    """Modules of the package that a file imports, inside functions too, but for type checkers."""
    tree = ast.parse(path.read_text("utf-8"))
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (one if one in FILES else node.module for one in whole)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


IMPORTS: Mapping[str, frozenset[str]] = {
    name: frozenset(set(imported(path)) & FILES.keys() - {name}) for name, path in FILES.items()
}


def room_of(module: str) -> str:
    return module.partition(".")[2].partition(".")[0]


def test_there_is_no_circle_among_files() -> None:
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        pytest.fail(f"these files import each other: {' -> '.join(error.args[1])}")


def test_every_room_has_its_floor() -> None:
    assert {room_of(module) for module in FILES} - {""} == {
        one for floor in FLOORS for one in floor
    }


def test_no_import_goes_upward() -> None:
    floor_of = {room: number for number, floor in enumerate(FLOORS) for room in floor}
    upward = [
        f"{module} imports {other}"
        for module, others in IMPORTS.items()
        for other in others
        if room_of(module) and room_of(other) != room_of(module)
        if not room_of(other) or floor_of[room_of(other)] >= floor_of[room_of(module)]
    ]
    assert upward == []


def test_no_file_is_too_long() -> None:
    lengths = {name: len(path.read_text("utf-8").splitlines()) for name, path in FILES.items()}
    assert {name: size for name, size in lengths.items() if size > LONGEST_FILE} == {}


def table_cells() -> Iterator[tuple[str, str]]:
    """Rows of the table "Where things are" in docs/architecture.md: what and where."""
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    section = text.partition("## Where things are")[2].partition("\n## ")[0]
    for line in section.splitlines():
        if line.startswith("| ") and not line.startswith("| what"):
            what, where = re.split(r"(?<!\\)\|", line.strip("|"))
            yield what.strip(), where


@pytest.mark.parametrize(("what", "where"), list(table_cells()))
def test_the_page_names_what_is_there(what: str, where: str) -> None:
    folder = ""
    for name in re.findall(r"`([^`]+)`", where):
        given, _, last = name.rstrip("/").rpartition("/")
        places = [PACKAGE / name, ROOT / name, PACKAGE / folder / name, ROOT / folder / name]
        assert any(one.exists() for one in places), f"{what}: there is no {name}"
        folder = given or (last if name.endswith("/") else folder)


def test_the_page_names_every_room() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    assert [room for floor in FLOORS for room in floor if room not in text] == []
