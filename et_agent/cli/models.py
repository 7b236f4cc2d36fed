"""`et-agent models`: list, pull, path, info."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from et_agent.cli.guard import command

if TYPE_CHECKING:
    from et_agent.cli.capabilities import Capability
    from et_agent.weights.gguf import GgufInfo

__all__ = ["models_app"]

models_app = typer.Typer(help="List and download models, and show what a model file supports.")

_NAME = typer.Argument(metavar="NAME|hf:…", help="A catalog name, or hf:owner/repo/file.gguf.")
_SPEC = typer.Argument(metavar="PATH|NAME", help="A GGUF file, a catalog name, or hf:….")
_JSON = typer.Option("--json", help="Print JSON.")


@models_app.callback(invoke_without_command=True)
def _root(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


def _print_json(data: object) -> None:
    import sys

    from et_agent.cli.terminal import write_line

    unicode = (sys.stdout.encoding or "utf-8").lower().startswith("utf")
    write_line(json.dumps(data, ensure_ascii=not unicode, indent=2))


@models_app.command("list")
@command
def list_(as_json: Annotated[bool, _JSON] = False) -> int:
    """List the catalog."""
    from et_agent.weights.catalog import DEFAULT_MODEL, list_models

    listed = list_models()
    if as_json:
        _print_json(
            [
                {
                    "name": one.entry.name,
                    "title": one.entry.title,
                    "size": one.entry.size,
                    "licence": one.entry.licence,
                    "instruct": one.entry.instruct,
                    "sha256": one.entry.sha256,
                    "path": str(one.path),
                    "cached": one.cached,
                    "default": one.entry.name == DEFAULT_MODEL,
                }
                for one in listed
            ]
        )
        return 0
    from rich.table import Table
    from rich.text import Text

    from et_agent.cli.terminal import output_console, print_block
    from et_agent.storage import cache_dir
    from et_agent.weights.download import human_bytes

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("name", "size", "licence", "cached", ""):
        table.add_column(name, justify="right" if name == "size" else "left", no_wrap=True)
    for one in listed:
        entry, marks = one.entry, []
        if entry.name == DEFAULT_MODEL:
            marks.append("default")
        if not entry.instruct:
            marks.append("base model")
        table.add_row(
            Text(entry.name, style="bold"),
            human_bytes(entry.size),
            entry.licence,
            Text("yes", style="green") if one.cached else Text("no", style="dim"),
            ", ".join(marks),
        )
    console = output_console()
    print_block(console, table)
    console.print(Text(f"cache: {cache_dir()}", style="dim"), soft_wrap=True)
    return 0


@models_app.command()
@command
def pull(name: Annotated[str, _NAME]) -> int:
    """Download a model into the cache. An interrupted download is resumed."""
    from et_agent.cli.terminal import visible, write_line
    from et_agent.cli.transfer import shown_transfer
    from et_agent.weights.catalog import locate

    with shown_transfer() as progress:
        located = locate(name, progress=progress)
    write_line(visible(str(located.path)))
    return 0


@models_app.command()
@command
def path(name: Annotated[str, _NAME]) -> int:
    """Print the path of a model's file and nothing else. The file must exist already."""
    from et_agent.cli.terminal import write_line
    from et_agent.cli.transfer import shown_transfer
    from et_agent.weights.catalog import locate

    with shown_transfer() as progress:
        located = locate(name, download=False, progress=progress)
    write_line(str(located.path))
    return 0


@models_app.command()
@command
def info(spec: Annotated[str, _SPEC], as_json: Annotated[bool, _JSON] = False) -> int:
    """Show what a model file contains and supports, without loading it."""
    from et_agent.cli.capabilities import capabilities_of
    from et_agent.cli.transfer import shown_transfer
    from et_agent.decoding.thresholds import find_thresholds
    from et_agent.weights.catalog import fingerprint_of, locate
    from et_agent.weights.gguf import read_gguf

    with shown_transfer() as progress:
        located = locate(spec, download=False, progress=progress)
        header = read_gguf(located.path)
        sha256 = fingerprint_of(located, header.parts, progress=progress)
    capabilities = capabilities_of(header, find_thresholds(sha256))
    facts = _facts(header, located.name, sha256)
    if as_json:
        _print_json(
            facts
            | {
                "features": {
                    one.name: {"possible": one.possible, "reason": one.reason}
                    for one in capabilities
                }
            }
        )
    else:
        _print_info(facts, capabilities)
    return 0


def _facts(header: "GgufInfo", name: str, sha256: str) -> dict[str, Any]:
    return {
        "name": name,
        "path": str(header.path),
        "title": header.name,
        "architecture": header.architecture,
        "parameters": header.n_params,
        "quantisation": header.quantisation,
        "size": header.n_bytes,
        "layers": header.n_layers,
        "context": header.context_length,
        "vocabulary": header.n_vocab,
        "chat_template": header.chat_template is not None,
        "sliding_window": header.sliding_window,
        "sha256": sha256,
    }


def _print_info(facts: dict[str, Any], capabilities: "list[Capability]") -> None:
    from rich.table import Table
    from rich.text import Text

    from et_agent.cli.terminal import one_line, output_console, print_block
    from et_agent.weights.download import human_bytes

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        match value:
            case None:
                text = "none" if name == "sliding_window" else "unknown"
            case bool():
                text = "yes" if value else "no"
            case int() if name == "size":
                text = human_bytes(value)
            case int():
                text = f"{value:,}"
            case _:
                text = one_line(str(value))
        table.add_row(name.replace("_", " "), Text(text))
    for one in capabilities:
        mark = Text(
            "yes  " if one.possible else "no   ", style="green" if one.possible else "yellow"
        )
        table.add_row(one.name, mark + Text(one.reason))
    print_block(output_console(), table)
