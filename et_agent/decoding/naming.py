"""Decoders as plain data, `{"name": "EntropyTree", "leaves": 8}`: how results and stores keep them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from et_agent.decoding.base import DecoderSettings
from et_agent.decoding.entropy_tree import EntropyTree
from et_agent.decoding.greedy import Greedy
from et_agent.decoding.multi_chain import MultiChain

__all__ = ["DECODERS", "described", "from_description", "has_name"]

DECODERS: Final[Mapping[str, type[DecoderSettings]]] = MappingProxyType(
    {"entropy-tree": EntropyTree, "multi-chain": MultiChain, "greedy": Greedy}
)
"""Every decoder by its name on the command line."""
_CLASSES: Final = {made.__name__: made for made in DECODERS.values()}


def has_name(decoder: DecoderSettings) -> bool:
    """Whether `from_description` can make it again: it is one of et-agent's own."""
    return _CLASSES.get(type(decoder).__name__) is type(decoder)


def described(decoder: DecoderSettings) -> dict[str, Any]:
    """The class's name and all settings, which are JSON types."""
    return {"name": type(decoder).__name__, **decoder.model_dump(mode="json")}


def from_description(given: Mapping[str, Any]) -> DecoderSettings:
    """The decoder that `described` gave, or one with some of its settings.

    Raises:
        ValueError: There is no such name.
        SettingsError: A setting is unknown or out of range.
    """
    settings = dict(given)
    name = settings.pop("name", None)
    made = _CLASSES.get(str(name))
    if made is None:
        raise ValueError(f'"name" is {name!r}: use one of {", ".join(_CLASSES)}')
    return made(**settings)
