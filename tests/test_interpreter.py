"""Interpreters that et-agent cannot work in are refused by name."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = ("_interpreters", "_xxsubinterpreters")


def said(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    return done.stdout + done.stderr


@pytest.mark.fault("subinterpreter")
def test_a_subinterpreter_is_refused() -> None:
    name = next((one for one in MODULES if importlib.util.find_spec(one)), None)
    if name is None:
        pytest.skip("this Python has no subinterpreters")
    told = said(
        f"import {name} as interpreters\n"
        "made = interpreters.create()\n"
        "code = 'try:\\n import et_agent\\nexcept ImportError as error:\\n print(error, flush=True)'\n"
        "interpreters.run_string(made, code)\n"
        "import et_agent\n"
        "print('the main one works', flush=True)\n"
    )
    assert "et-agent does not work in a subinterpreter" in told
    assert "the main one works" in told


@pytest.mark.fault("Python without a global lock")
@pytest.mark.parametrize(("enabled", "works"), [(True, True), (False, False)])
def test_python_without_its_global_lock_is_refused(enabled: bool, works: bool) -> None:
    told = said(
        f"import sys; sys._is_gil_enabled = lambda: {enabled}\nimport et_agent; print('works')"
    )
    assert ("works\n" in told) == works
    assert ("start Python with PYTHON_GIL=1" in told) != works
