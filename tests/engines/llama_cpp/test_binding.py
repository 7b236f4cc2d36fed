import os
import subprocess
import sys

import pytest

SHOW = "import os; import {}; print(os.environ.get('GOMP_SPINCOUNT'))"


def spins(module: str, **environment: str) -> str:
    """What a process of its own has set after importing a module."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GOMP_", "OMP_"))}
    made = subprocess.run(
        [sys.executable, "-c", SHOW.format(module)],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout.strip()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "3000"),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "active"}, "None"),
    ],
)
def test_waiting_threads_sleep_soon_unless_the_user_says_otherwise(
    environment: dict[str, str], expected: str
) -> None:
    assert spins("et_agent.engines.llama_cpp.model", **environment) == expected


def test_importing_the_package_sets_nothing() -> None:
    assert spins("et_agent") == "None"
