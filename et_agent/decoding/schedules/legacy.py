"""Spellings of settings in earlier versions, which are still read."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

__all__ = ["FORMER_SETTINGS", "FORMER_VALUES", "with_new_names"]

FORMER_SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "wave": "batch",
        "settle": "stop_above",
        "give_up": "stop_below",
        "least_worth": "least_value",
    }
)
"""From the former name of a setting to its present one."""
FORMER_VALUES: Final[Mapping[tuple[str, object], str]] = MappingProxyType(
    {("value", "worth"): "value_per_token", ("value", "parting"): "disagreement"}
)
"""From a setting and a former value to its present value."""


def with_new_names(
    given: Mapping[str, Any], *, tell: Callable[[str, str], None] | None = None
) -> dict[str, Any]:
    """Settings in today's spelling.

    Args:
        given: Settings by name.
        tell: Called with each former spelling and that of today; None tells nobody: stored data are
            not to blame.

    Raises:
        ValueError: A setting is given in both spellings.
    """
    found: dict[str, Any] = {}
    renamed: list[tuple[str, str]] = []
    for name, value in given.items():
        now = FORMER_SETTINGS.get(name, name)
        if now != name and now in given:
            raise ValueError(
                f"{name} is the old name of {now}, and both are given: leave {name} out"
            )
        if now != name:
            renamed.append((name, now))
        found[now] = value
        if isinstance(value, str) and (now, value) in FORMER_VALUES:
            found[now] = FORMER_VALUES[now, value]
            renamed.append((f"{now}={value!r}", f"{now}={found[now]!r}"))
    if tell is not None:
        for old, new in renamed:
            tell(old, new)
    return found
