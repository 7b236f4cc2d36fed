"""The tests that inject faults, run and counted by what they inject."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

__all__ = ["injected"]

_ROOT = Path(__file__).parents[2]
_PLACES = ("tests", "integrations/server/tests")


def injected(places: Sequence[str] = _PLACES) -> dict[str, Any]:
    """Run all tests with the mark `fault`; counts by its name, and what failed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-m", "fault", "-p", "no:cacheprovider"]
        command += ["-p", "benchmarks.faults._marks", f"--junitxml={report}", *places]
        subprocess.run(command, cwd=_ROOT, check=False)
        cases = ElementTree.parse(report).iter("testcase")
        found: dict[str, dict[str, Any]] = {}
        failed = []
        for case in cases:
            name = next(one.get("value", "") for one in case.iter("property"))
            row = found.setdefault(name, {"injected": 0, "survived": 0, "skipped": 0, "tests": []})
            kinds = {child.tag for child in case}
            row["skipped"] += "skipped" in kinds
            if "skipped" in kinds:
                continue
            good = not kinds & {"failure", "error"}
            row["injected"] += 1
            row["survived"] += good
            test = f"{case.get('classname')}.{(case.get('name') or '').partition('[')[0]}"
            if test not in row["tests"]:
                row["tests"].append(test)
            if not good:
                failed.append(f"{case.get('classname')}.{case.get('name')}")
    return {"faults": dict(sorted(found.items())), "failed": failed}
