"""Licences and the bill of materials follow the lock, and everything in it has a hash."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "scripts"))

import materials  # noqa: E402  (a script, not a package)

PACKAGES = materials.locked(materials.LOCK.read_text("utf-8"))
BILL: dict[str, Any] = json.loads(materials.BILL.read_text("utf-8"))


def test_every_locked_package_has_hashes_and_a_use() -> None:
    assert len(PACKAGES) > 100
    for one in PACKAGES:
        assert one.hashes, one.name
        assert all(len(sha256) == 64 for sha256 in one.hashes), one.name
        assert one.needed <= set(materials.NEEDED), one.name
        assert one.needed, one.name
    needed = {one.name: one.needed for one in PACKAGES}
    assert needed["numpy"] >= {"runtime"}
    assert needed["uv"] == {"build"}
    assert needed["pytest"] == {"dev"}


def test_the_files_are_those_of_the_lock() -> None:
    text = materials.TABLE.read_text("utf-8")
    for one in PACKAGES:
        assert f"| {one.name} | {one.version} | " in text, "run `make materials`"
    listed = {one["name"]: one for one in BILL["components"]}
    wanted = {one.name: one for one in PACKAGES if "runtime" in one.needed}
    vendored = {name for name, *_ in materials.vendored()}
    assert set(listed) == set(wanted) | vendored, "run `make materials`"
    for name in wanted:
        hashes = {one["content"] for one in listed[name]["hashes"]}
        same = [one for one in PACKAGES if one.name == name]
        assert any(set(one.hashes) == hashes for one in same), name


def test_the_bill_keeps_to_the_schema_of_its_format() -> None:
    validation = pytest.importorskip("cyclonedx.validation.json")
    version = importlib.import_module("cyclonedx.schema").SchemaVersion.from_version(
        BILL["specVersion"]
    )
    validator = validation.JsonStrictValidator(version)
    assert validator.validate_str(json.dumps(BILL)) is None
    broken = {**BILL, "components": [{**BILL["components"][0], "type": "thing"}]}
    assert validator.validate_str(json.dumps(broken)) is not None


def test_what_comes_with_et_agent_may_be_passed_on() -> None:
    """No licence that would bind who uses et-agent; nothing whose licence nobody knows."""
    unknown = set()
    for one in BILL["components"]:
        terms = json.dumps(one["licenses"])
        assert "GPL" not in terms, one["name"]
        if not one["licenses"]:
            unknown.add(one["name"])
    assert unknown <= {"colorama", "httpx2-jsfetch"}, "of other systems"


def test_the_packages_and_their_parents_are_read_off_a_lock() -> None:
    text = (
        "a==1 ; sys_platform == 'win32' \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n"
        "    # via\n    #   b\n    #   et-agent (pyproject.toml:dev)\n"
        "b==2.0 \\\n    --hash=sha256:22\n    # via et-agent (pyproject.toml)\n"
    )
    first, second = materials.locked(text)
    assert (first.name, first.version, first.marker) == ("a", "1", "sys_platform == 'win32'")
    assert first.hashes == ["00", "11"]
    assert (first.needed, second.needed) == ({"runtime", "dev"}, {"runtime"})


@pytest.mark.parametrize(
    ("terms", "form"),
    [
        ("MIT", [{"expression": "MIT"}]),
        ("MIT AND Apache-2.0", [{"expression": "MIT AND Apache-2.0"}]),
        ("BSD", [{"license": {"name": "BSD"}}]),
        ("not told", []),
    ],
)
def test_licences_are_expressions_or_names(terms: str, form: list[Any]) -> None:
    assert materials._licences(terms) == form
