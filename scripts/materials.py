"""Write what et-agent is made of: docs/licences.md, and docs/sbom.cdx.json.

Versions, hashes and who needs what come from requirements.lock, licences from the installed packages,
so it runs in the project's environment (`make materials`). The same lock gives the same files.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
LOCK: Final = ROOT / "requirements.lock"
TABLE: Final = ROOT / "docs" / "licences.md"
BILL: Final = ROOT / "docs" / "sbom.cdx.json"
OWN: Final = re.compile(r"et-agent \(pyproject\.toml(?::(\w+))?\)")
NEEDED: Final = {"runtime": "use", "build": "set-up", "dev": "development", "docs": "documents"}

VENDOR: Final = "et_agent/pages/vendor"
NOT_TOLD: Final = "not told"
"""Of packages for another system or Python, and of those that name no licence."""
_SPELLED: Final = {
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "ISC License (ISCL)": "ISC",
    "Python Software Foundation License": "PSF-2.0",
}


@dataclass(slots=True)
class Package:
    """A locked package.

    Attributes:
        name: Its name.
        version: Its version.
        marker: Where it is installed; empty for everywhere.
        hashes: SHA-256 of its files.
        parents: Names of packages that need it, and groups of ours.
        needed: What it is needed for.
    """

    name: str
    version: str
    marker: str
    hashes: list[str] = field(default_factory=list)
    parents: set[str] = field(default_factory=set)
    needed: set[str] = field(default_factory=set)


def vendored() -> list[tuple[str, str, str, str]]:
    """Code that comes inside another package: name, version if known, licence, where it lies."""
    rows = re.findall(
        r"^\| (d3-\w+) \| ([\d.]+) ", (ROOT / VENDOR / "README.md").read_text("utf-8"), re.M
    )
    drawn = [(name, version, "ISC", VENDOR) for name, version in rows]
    return [*drawn, ("llama.cpp and ggml", "", "MIT", "the sources of llama-cpp-python")]


def locked(text: str) -> list[Package]:
    """The packages of a lock, with what each is needed for."""
    found: list[Package] = []
    for line in text.splitlines():
        if match := re.match(r"([\w.-]+)==([^\s;\\]+)(?: ; ([^\\]+))?", line):
            found.append(Package(match[1], match[2], (match[3] or "").strip()))
        elif match := re.search(r"--hash=sha256:(\w+)", line):
            found[-1].hashes.append(match[1])
        elif match := re.match(r"    #(?: via)?\s+(\S.*)", line):
            own = OWN.fullmatch(match[1])
            parent = f":{own[1] or 'runtime'}" if own else match[1]
            found[-1].parents.add(parent)
    by_name: dict[str, list[Package]] = {}
    for one in found:
        by_name.setdefault(one.name, []).append(one)
    for one in found:
        one.needed = _needs(one.name, by_name, set())
    return found


def _needs(name: str, packages: dict[str, list[Package]], seen: set[str]) -> set[str]:
    if name in seen:
        return set()
    seen.add(name)
    parents = {parent for one in packages.get(name, []) for parent in one.parents}
    found = {parent[1:] for parent in parents if parent.startswith(":")}
    return found.union(*(_needs(one, packages, seen) for one in parents if not one.startswith(":")))


def licence(name: str) -> str:
    """The licence that an installed package names."""
    try:
        told = metadata.metadata(name).json
    except metadata.PackageNotFoundError:
        return NOT_TOLD
    if expression := told.get("license_expression"):
        return str(expression)
    classified = [
        one.rpartition(" :: ")[2]
        for one in told.get("classifier", [])
        if one.startswith("License ::") and not one.endswith("OSI Approved")
    ]
    short = str(told.get("license", "")).strip().partition("\n")[0]
    named = classified or ([short] if 0 < len(short) < 60 else [])
    if not named:
        return NOT_TOLD
    return " AND ".join(sorted({_SPELLED.get(one, one) for one in named}))


def table(packages: list[Package]) -> str:
    """The page of licences."""
    lines = [
        "# Licences",
        "",
        "Written by `make materials` from requirements.lock and the packages' own metadata.",
        "What is needed for use comes with et-agent and its extras; the rest is for set-up and for",
        f"development, that of the integrations included. “{NOT_TOLD}” stands where a package is",
        "installed on other systems only, or names no licence.",
        "",
        "| package | version | licence | needed for |",
        "|---|---|---|---|",
    ]
    for one in packages:
        needed = ", ".join(said for key, said in NEEDED.items() if key in one.needed)
        lines.append(f"| {one.name} | {one.version} | {licence(one.name)} | {needed} |")
    for name, version, terms, where in vendored():
        lines.append(f"| {name} (in {where}) | {version} | {terms} | use |")
    return "\n".join(lines) + "\n"


def bill(packages: list[Package], text: str) -> dict[str, Any]:
    """The bill of materials of what is needed for use."""
    components: list[dict[str, Any]] = [
        {
            "type": "library",
            "bom-ref": f"pkg:pypi/{one.name}@{one.version}",
            "name": one.name,
            "version": one.version,
            "purl": f"pkg:pypi/{one.name}@{one.version}",
            "licenses": _licences(licence(one.name)),
            "hashes": [{"alg": "SHA-256", "content": sha256} for sha256 in one.hashes],
            **({"properties": [{"name": "marker", "value": one.marker}]} if one.marker else {}),
        }
        for one in packages
        if "runtime" in one.needed
    ]
    components += [
        {
            "type": "library",
            "bom-ref": name,
            "name": name,
            **({"version": version} if version else {}),
            "licenses": _licences(terms),
            "properties": [{"name": "lies in", "value": where}],
        }
        for name, version, terms, where in vendored()
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, text)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "et-agent",
                "name": "et-agent",
                "licenses": [{"expression": "Apache-2.0 AND ISC"}],
            }
        },
        "components": components,
    }


def _licences(terms: str) -> list[dict[str, Any]]:
    """Terms as CycloneDX has them: an SPDX expression, a name, or nothing."""
    if terms == NOT_TOLD:
        return []
    spdx = re.fullmatch(r"[\w.+-]+(?: (?:AND|OR|WITH) [\w.+-]+)*", terms)
    return [{"expression": terms}] if spdx and terms != "BSD" else [{"license": {"name": terms}}]


def main() -> None:
    """Write both files."""
    text = LOCK.read_text("utf-8")
    packages = locked(text)
    TABLE.write_text(table(packages), "utf-8")
    made = json.dumps(bill(packages, text), indent=1, ensure_ascii=False)
    BILL.write_text(made + "\n", "utf-8")


if __name__ == "__main__":
    main()
