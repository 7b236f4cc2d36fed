"""A plugin of pytest: the report says which fault a test injects."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Note the fault of each test."""
    for item in items:
        if (mark := item.get_closest_marker("fault")) is not None:
            item.user_properties.append(("fault", mark.args[0]))
