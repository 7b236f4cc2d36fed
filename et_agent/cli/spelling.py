"""Errors of the library in the words of the command line: options in place of Python's names."""

import re
import typing
from collections.abc import Callable, Mapping
from typing import Final

import typer
from typer.models import OptionInfo

__all__ = ["options_of", "with_options"]

_OTHER_NAMES: Final[Mapping[str, str]] = {"system": "system_prompt"}
"""What the library calls some parameters of commands."""


def options_of(body: Callable[..., object]) -> dict[str, str]:
    """The option of each parameter of a command's function, by the name that the library gives it."""
    found = {}
    if typer.Context in typing.get_type_hints(body).values():
        # Its options are more than its parameters: see `DecoderCommand`.
        from et_agent.cli.decoders import decoder_options, option

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


def with_options(message: str, options: Mapping[str, str]) -> str:
    """A message with options in place of `name=value`, of names that are no words, and of its subject.

    Args:
        message: What the library says.
        options: Options by the library's names.
    """
    if not options:
        return message

    def found(match: re.Match[str]) -> str:
        name, value = match["name"], match["value"]
        if value is not None:
            return f"{options[name]} {value}"
        rest = message[match.end() :]
        subject = (match.start() == 0 and rest.startswith(" is ")) or rest.startswith(": Input ")
        return options[name] if "_" in name or subject else name

    names = "|".join(map(re.escape, options))
    value = r"(?:='?(?P<value>[\w.+-]*\w)'?)?"
    return re.sub(rf"(?<![\w./-])(?P<name>{names})\b{value}", found, message)
