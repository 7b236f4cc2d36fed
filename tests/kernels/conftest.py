"""Fixtures: the kernels for each instruction set that can be compiled and run here."""

import subprocess
from pathlib import Path

import pytest

from tests.kernels.compiled import SETS, Kernels, compile_kernels


def _features() -> set[str]:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return {flag for line in lines if line.startswith("flags") for flag in line.split()}


@pytest.fixture(scope="session", params=SETS)
def kernels(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    name: str = request.param
    if not SETS[name][1] <= _features():
        pytest.skip(f"this CPU cannot run {name}")
    try:
        return compile_kernels(name, tmp_path_factory.mktemp("kernels"))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no compiler for {name}: {error}")
