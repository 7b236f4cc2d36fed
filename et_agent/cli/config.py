"""`et-agent config`: the user's settings."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from et_agent.cli.guard import command

if TYPE_CHECKING:
    from rich.table import Table

    from et_agent.cli.printed import Settings

__all__ = ["config_app"]

config_app = typer.Typer(help="Settings that hold where no option is given: model, threads, …")

_KEY = typer.Argument(metavar="KEY", help="A setting; see `et-agent config list`.")
_JSON = typer.Option("--json", help="Print JSON.")


@config_app.callback(invoke_without_command=True)
def _root(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@config_app.command("set", context_settings={"ignore_unknown_options": True})  # -1 is a value
@command
def set_(
    key: Annotated[str, _KEY],
    value: Annotated[str, typer.Argument(metavar="VALUE", help="A number or a text.")],
) -> int:
    """Write a setting to your file. A model is looked for first; a path becomes absolute."""
    import os

    from et_agent import config
    from et_agent.cli.terminal import say, visible, write_line
    from et_agent.storage import config_file
    from et_agent.weights.catalog import settled

    name = config.known_key(key)
    kept = settled(value) if name == "model" else value
    written = getattr(config.set_value(name, kept), name)
    write_line(f"{name} = {visible(str(written))}  ({visible(str(config_file()))})")
    variable = config.variable_of(name)
    if os.environ.get(variable):
        say(f"note: {variable} is set and goes before it")
    return 0


@config_app.command("get")
@command
def get(key: Annotated[str, _KEY]) -> int:
    """Print the value of a setting and nothing else; an empty line where the default holds."""
    from et_agent import config
    from et_agent.cli.terminal import visible, write_line

    value = getattr(config.read_config(), config.known_key(key))
    write_line("" if value is None else visible(str(value)))
    return 0


@config_app.command("unset")
@command
def unset(key: Annotated[str, _KEY]) -> int:
    """Remove a setting from your file, so that the default holds again."""
    from et_agent import config
    from et_agent.cli.terminal import say, visible
    from et_agent.storage import config_file

    if not config.unset_value(key):
        say(f"{visible(key)} is not set in {visible(str(config_file()))}")
    return 0


@config_app.command("path")
@command
def path() -> int:
    """Print the path of your settings file, which need not exist."""
    from et_agent.cli.terminal import write_line
    from et_agent.storage import config_file

    write_line(str(config_file()))
    return 0


@config_app.command("list")
@command
def list_(as_json: Annotated[bool, _JSON] = False) -> int:
    """List the settings with their values and where those come from, and all environment variables."""
    from et_agent import config
    from et_agent.cli.terminal import visible, write_line

    settings = config.read_config()
    rows = {key: (value, config.source_of(key)) for key, value in settings.model_dump().items()}
    if as_json:
        found: Settings = {
            "settings": {
                key: {"value": value, "from": where} for key, (value, where) in rows.items()
            },
            "variables": {name: config.shown_variable(name) for name in config.VARIABLES},
        }
        write_line(json.dumps(found, indent=2))
        return 0
    from rich.table import Table
    from rich.text import Text

    from et_agent.cli.terminal import output_console, print_block

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("setting", "value", "from"):
        table.add_column(name, overflow="fold")
    for key, (value, where) in rows.items():
        if value is None:
            shown, where = Text(_default(key), style="dim"), "default"
        else:
            shown = Text(visible(str(value)))
        table.add_row(Text(key, style="bold"), shown, Text(visible(where or ""), style="dim"))
    console = output_console()
    print_block(console, table)
    console.print()
    print_block(console, _variables())
    return 0


@config_app.command("env")
@command
def env(as_json: Annotated[bool, _JSON] = False) -> int:
    """List all environment variables, what they set, and what they hold now."""
    from et_agent import config
    from et_agent.cli.terminal import output_console, print_block, write_line

    if as_json:
        write_line(
            json.dumps({name: config.shown_variable(name) for name in config.VARIABLES}, indent=2)
        )
    else:
        print_block(output_console(), _variables())
    return 0


def _default(key: str) -> str:
    """What holds where a setting is not set."""
    from et_agent.engines.prefix_store import PREFIX_MEMORY
    from et_agent.weights.catalog import DEFAULT_MODEL

    defaults = {
        "model": DEFAULT_MODEL,
        "threads": "as `et-agent tune` found, or all cores",
        "prefix_memory": str(PREFIX_MEMORY >> 20),
    }
    return defaults[key]


def _variables() -> "Table":
    from rich.table import Table
    from rich.text import Text

    from et_agent import config
    from et_agent.cli.terminal import visible

    variables = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("environment variable", "what it sets"):
        variables.add_column(name, overflow="fold", no_wrap=name.startswith("environment"))
    for name, what in config.VARIABLES.items():
        value = config.shown_variable(name)
        now = (
            Text(" (not set)", "dim") if value is None else Text(f"\nnow {visible(value)}", "green")
        )
        variables.add_row(name, Text(what) + now)
    return variables
