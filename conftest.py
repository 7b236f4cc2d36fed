"""For all tests: nothing is read from the folders of who runs them, and nothing is written there."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def no_own_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Calibrators, runs, chats and settings begin with none; models stay in the cache."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        yield
