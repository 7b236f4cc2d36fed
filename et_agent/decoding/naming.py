"""Decoders as plain data, `{"name": "EntropyTree", "leaves": 8}`: how results and stores keep them.

Data of earlier versions are read here too, for everyone: settings have the spelling of `legacy.py`,
and an `EntropyTree` has the settings of all schedules, whichever it decoded with. `described` names
the schedule and always did. Data without one, which somebody wrote, mean what the constructor does.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, get_args

from et_agent.decoding.base import DecoderSettings
from et_agent.decoding.direct import Direct
from et_agent.decoding.greedy import Greedy
from et_agent.decoding.multi_chain import MultiChain
from et_agent.decoding.schedules import EntropyTree
from et_agent.decoding.schedules.keywords import Schedule
from et_agent.decoding.schedules.legacy import with_new_names

__all__ = [
    "CLASSES",
    "DECODERS",
    "described",
    "from_description",
    "has_name",
    "migrated",
    "settings_class",
]

DECODERS: Final[Mapping[str, type[DecoderSettings]]] = MappingProxyType(
    {"entropy-tree": EntropyTree, "multi-chain": MultiChain, "greedy": Greedy, "direct": Direct}
)
"""Every decoder by its name on the command line."""
CLASSES: Final[tuple[type[DecoderSettings], ...]] = (
    *(EntropyTree.schedules[name] for name in get_args(Schedule)),
    MultiChain,
    Greedy,
    Direct,
)
"""Every class of settings; the entropy tree has one for each schedule, the default first."""
_NAMES: Final = {made.__name__: made for made in DECODERS.values()}
_FLAT: Final = frozenset({"gap", "value", "roots", "branching", "importance_percentile"})
"""Settings of different schedules that a description has all of only if it is of an earlier version."""


def has_name(decoder: DecoderSettings) -> bool:
    """Whether `from_description` can make it again: it is one of et-agent's own."""
    return type(decoder) in CLASSES


def described(decoder: DecoderSettings) -> dict[str, Any]:
    """The class's name, `EntropyTree` for all schedules, and its settings, which are JSON types."""
    return {"name": decoder.__repr_name__(), **decoder.model_dump(mode="json")}


def settings_class(given: Mapping[str, Any]) -> type[DecoderSettings] | None:
    """The class whose settings a description has, that of the schedule for a tree; None if unknown."""
    made = _NAMES.get(str(given.get("name")))
    if made is not EntropyTree:
        return made
    if "schedule" in given:
        return EntropyTree.schedules.get(str(given["schedule"]))
    return EntropyTree.class_for(given)


def migrated(given: Mapping[str, Any]) -> dict[str, Any]:
    """A description, perhaps of an earlier version, as `described` has it now.

    A setting that is not there stays away: what was decoded before there was one need not have been
    decoded with its default.
    """
    made = settings_class(given)
    if made is None or not issubclass(made, EntropyTree):
        return dict(given)
    found = with_new_names(given)
    if found.keys() >= _FLAT:
        others = {name for one in EntropyTree.schedules.values() for name in one.model_fields}
        found = {k: v for k, v in found.items() if k in made.model_fields or k not in others}
    return found


def from_description(given: Mapping[str, Any]) -> DecoderSettings:
    """The decoder that `described` gave, in this version or before, or one with some of its settings.

    Raises:
        ValueError: There is no such name.
        SettingsError: A setting is unknown, out of range or of another schedule.
    """
    settings = migrated(given)
    name = settings.pop("name", None)
    made = _NAMES.get(str(name))
    if made is None:
        raise ValueError(f'"name" is {name!r}: use one of {", ".join(_NAMES)}')
    return made(**settings)
