"""Decoders written in one line: `entropy-tree`, `entropy-tree:schedule=online,roots=4`."""

from et_agent.decoding import Greedy
from et_agent.decoding.base import DecoderSettings
from et_agent.decoding.naming import DECODERS
from et_agent.errors import SettingsError

__all__ = ["parse_decoder"]


def parse_decoder(spec: str, **shared: object) -> DecoderSettings:
    """The settings that a line describes.

    Args:
        spec: A decoder's name, perhaps with fields of its settings after a colon.
        shared: Fields for every decoder that has them; those of the line come first. A temperature
            of 0 is greedy decoding.

    Raises:
        SettingsError: There is no such decoder or field, or a value is out of range.
    """
    name, _, rest = spec.partition(":")
    decoder = DECODERS.get(name.strip())
    if decoder is None:
        raise SettingsError(f"there is no decoder {name!r}: choose one of {', '.join(DECODERS)}")
    fields: dict[str, object] = {
        key: value
        for key, value in shared.items()
        if key in decoder.model_fields and value is not None
    }
    for part in filter(None, (part.strip() for part in rest.split(","))):
        key, equals, value = part.partition("=")
        if not equals:
            raise SettingsError(f"{spec!r}: {part!r} is not a setting; write field=value")
        # None is how `tau` and the like say "from the pilot".
        fields[key.strip()] = None if value.strip().lower() == "none" else value.strip()
    if decoder is not Greedy and _is_zero(fields.get("temperature")):
        # Both decoders' limit, which they have no draws for.
        return Greedy(**{key: fields[key] for key in ("max_tokens",) if key in fields})
    return decoder(**fields)


def _is_zero(temperature: object) -> bool:
    try:
        return float(str(temperature)) == 0
    except ValueError:
        return False
