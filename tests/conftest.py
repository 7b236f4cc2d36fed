"""Fixtures: the small real model, loaded once and shared; a cache apart from the user's."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from et_agent.kernels import attach
from et_agent.weights.catalog import locate

if TYPE_CHECKING:
    from et_agent.engines.llama_cpp.model import LlamaCppModel

SMALL_MODEL = "smollm2-135m"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out, on Windows, what only POSIX systems can do."""
    if os.name != "posix":
        for item in items:
            if item.get_closest_marker("posix"):
                item.add_marker(pytest.mark.skip(reason="needs a POSIX system"))


@pytest.fixture(scope="session", autouse=True)
def no_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's settings out of the tests."""
    before = {key: value for key, value in os.environ.items() if key.startswith("ET_AGENT_")}
    for name in ("ET_AGENT_MODEL", "ET_AGENT_THREADS", "ET_AGENT_PREFIX_MEMORY"):
        os.environ.pop(name, None)
    os.environ["ET_AGENT_CONFIG"] = str(tmp_path_factory.mktemp("settings") / "config.toml")
    yield
    os.environ.pop("ET_AGENT_CONFIG")
    os.environ.update(before)


@pytest.fixture(scope="session", autouse=True)
def attached_kernels() -> None:
    """Attach those of this machine, before a test names another cache folder."""
    attach()


@pytest.fixture(scope="session")
def small_model_path() -> Path:
    return locate(SMALL_MODEL).path


@pytest.fixture(scope="session")
def small_model() -> Iterator["LlamaCppModel"]:
    # Imported here, so that unit tests alone need no llama.cpp.
    from et_agent.engines.loading import load_model

    with load_model(SMALL_MODEL, context=4096, max_sequences=32) as model:
        yield model
