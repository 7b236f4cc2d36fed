from collections.abc import Iterator

import pytest

from et_agent.answers import MathWorker


@pytest.fixture(scope="session")
def worker() -> Iterator[MathWorker]:
    """One worker for all tests that need verdicts but no hangs."""
    with MathWorker(seconds=10.0) as shared:
        yield shared
