"""Help in two steps: the options that matter, and with `--help-all` every one."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final

import typer
from typer.core import TyperCommand

from et_agent.wording import noun

__all__ = ["HelpAll", "ShortHelpCommand", "with_plain_flags"]

_ALL: Final = "et_agent.help_all"
_BRIEF: Final[Mapping[str, str]] = MappingProxyType(
    {
        "model": "A name, a GGUF file or an address.",
        "leaves": "Largest number of paths.",
        "kind": "number, text, date, …, long; or auto.",
        "passages": "Answer from this text alone.",
        "as_json": "Print JSON.",
    }
)
"""What short helps say of options that several commands have."""
_CHANGED: Final = (
    "hidden",
    "help",
    "show_default",
    "rich_help_panel",
    "secondary_opts",
)


def _print_all(context: typer.Context, wanted: bool) -> None:
    if wanted:
        context.meta[_ALL] = True
        print(context.get_help(), end="")
        raise typer.Exit


HelpAll = Annotated[
    bool,
    typer.Option(
        "--help-all",
        metavar="",
        is_eager=True,
        callback=_print_all,
        help="Show all options.",
    ),
]
"""The option, for a parameter of the command's function."""


class ShortHelpCommand(TyperCommand):
    """A command whose `--help` shows only some of its options."""

    shown: ClassVar[frozenset[str]]
    """Names of the parameters that `--help` shows, besides arguments and the help options."""
    brief: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """What it says of some of them, where the first sentence of the whole help is too long."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help, the short one unless all was asked for."""
        if ctx.meta.get(_ALL):
            super().format_help(ctx, formatter)
            return
        with self._only_shown(ctx) as left_out:
            self.epilog = (
                f"{left_out} more {noun(left_out, 'option')}: {ctx.command_path} --help-all"
            )
            super().format_help(ctx, formatter)

    @contextmanager
    def _only_shown(self, ctx: Any) -> Iterator[int]:
        """Hide the other options for a while and shorten these; gives how many are hidden."""
        kept = {*self.shown, "help", "help_all"}
        options: list[Any] = [
            one
            for one in list[Any](self.get_params(ctx))
            if one.param_type_name == "option" and not one.hidden
        ]
        before = [(one, {name: getattr(one, name) for name in _CHANGED}) for one in options]
        try:
            for one in options:
                one.hidden = one.name not in kept
                self._shorten(one)
            yield sum(one.hidden for one in options)
        finally:
            for one, values in before:
                for name, value in values.items():
                    setattr(one, name, value)

    def _shorten(self, one: Any) -> None:
        """Say it in one line if that is possible, without default, group and opposite."""
        first = re.sub(";$", ".", re.split(r"(?<=[.;])\s", one.help or "")[0])
        one.help = {**_BRIEF, **self.brief}.get(one.name, first)
        one.show_default = False
        one.rich_help_panel = None
        one.secondary_opts = []


def with_plain_flags(command: Any) -> Any:
    """A command, and all below it, whose flags stand in the help without a type: they take no value."""
    for one in command.params:
        if getattr(one, "is_flag", False) and one.metavar is None:
            one.metavar = ""
    made = command.get_help_option

    def help_option(context: Any) -> Any:
        found = made(context)
        if found is not None:
            found.metavar = ""
        return found

    command.get_help_option = help_option
    for one in getattr(command, "commands", {}).values():
        with_plain_flags(one)
    return command
