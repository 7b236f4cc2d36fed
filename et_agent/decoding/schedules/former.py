"""Spellings of settings in earlier versions, which are still read."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from et_agent.renaming import warn_of_old_name

__all__ = ["FORMER_SETTINGS", "FORMER_VALUES", "respelled"]

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


def respelled(given: Mapping[str, Any], *, stacklevel: int | None = None) -> dict[str, Any]:
    """Settings in today's spelling.

    Args:
        given: Settings by name.
        stacklevel: As for `warnings.warn` in the caller, for warnings of former spellings; None for
            no warning, as for stored data.

    Raises:
        ValueError: A setting is given in both spellings.
    """

    def tell(former: str, now: str) -> None:
        if stacklevel is not None:
            warn_of_old_name(former, now, stacklevel=stacklevel + 3)

    found: dict[str, Any] = {}
    for name, value in given.items():
        now = FORMER_SETTINGS.get(name, name)
        if now != name and now in given:
            raise ValueError(
                f"{name} is the old name of {now}, and both are given: leave {name} out"
            )
        if now != name:
            tell(name, now)
        found[now] = value
        if isinstance(value, str) and (now, value) in FORMER_VALUES:
            found[now] = FORMER_VALUES[now, value]
            tell(f"{now}={value!r}", f"{now}={found[now]!r}")
    return found
