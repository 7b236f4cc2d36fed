"""Options of a command by what the library calls them, for messages."""

import typing
from collections.abc import Callable, Mapping
from typing import Final

import typer
from typer.models import OptionInfo

from et_agent.cli.decoders import decoder_options, option

__all__ = ["options_of"]

_OTHER_NAMES: Final[Mapping[str, str]] = {"system": "system_prompt"}
"""What the library calls some parameters of commands."""


def options_of(body: Callable[..., object]) -> dict[str, str]:
    """The option of each parameter of a command's function, by the name that the library gives it."""
    found = {}
    if typer.Context in typing.get_type_hints(body).values():
        # Its options are more than its parameters: see `DecoderCommand`.
        found = {one.field: option(one.field) for one in decoder_options()}
    for name, hint in typing.get_type_hints(body, include_extras=True).items():
        for made in getattr(hint, "__metadata__", ()):
            if isinstance(made, OptionInfo):
                found[_OTHER_NAMES.get(name, name)] = _spelled(name, made)
    return found


def _spelled(name: str, made: OptionInfo) -> str:
    # In `Annotated`, Typer takes the default for the first name.
    given = [one for one in (made.default, *(made.param_decls or ())) if isinstance(one, str)]
    long = (one.partition("/")[0] for one in given if one.startswith("--"))
    return next(long, "--" + name.replace("_", "-"))
