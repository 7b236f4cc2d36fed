"""Help in two steps: the options that matter, and with `--help-all` every one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar, Final

import typer
from typer.core import TyperCommand

__all__ = ["HelpAll", "ShortHelpCommand", "with_plain_flags"]

_ALL: Final = "et_agent.help_all"


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

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help, the short one unless all was asked for."""
        if ctx.meta.get(_ALL):
            super().format_help(ctx, formatter)
            return
        with self._only_shown(ctx) as left_out:
            self.epilog = f"{left_out} more options: {ctx.command_path} --help-all"
            super().format_help(ctx, formatter)

    @contextmanager
    def _only_shown(self, ctx: Any) -> Iterator[int]:
        """Hide the other options for a while; gives how many there are."""
        kept = {*self.shown, "help", "help_all"}
        parameters: list[Any] = list(self.get_params(ctx))
        others: list[Any] = [
            one
            for one in parameters
            if one.param_type_name == "option" and not one.hidden and one.name not in kept
        ]
        for one in others:
            one.hidden = True
        try:
            yield len(others)
        finally:
            for one in others:
                one.hidden = False


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
