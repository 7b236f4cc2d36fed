"""`et-agent models`: list, pull, path, info."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from et_agent.cli.guard import command

if TYPE_CHECKING:
    from rich.text import Text

    from et_agent.cli.capabilities import Capability
    from et_agent.cli.printed import Feature, KnownModel, LocalFiles, ModelFacts, ModelInfo
    from et_agent.weights.gguf import GgufInfo
    from et_agent.weights.local.finding import LocalModel, LocalModels

__all__ = ["models_app"]

models_app = typer.Typer(help="List and download models, and show what a model file supports.")

_NAME = typer.Argument(metavar="NAME|hf:…", help="A catalog name, or hf:owner/repo/file.gguf.")
_SPEC = typer.Argument(
    metavar="PATH|NAME",
    help="A GGUF file, a catalog name, hf:…, or a name such as ollama:llama3.2.",
)
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
def list_(
    local: Annotated[
        bool,
        typer.Option(
            "--local",
            help="List what other programs have on this machine: Ollama, LM Studio, llama.cpp, "
            "Hugging Face, GPT4All, Jan.",
        ),
    ] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> int:
    """List the catalog, or the models of other programs."""
    if local:
        from et_agent.weights.local.finding import find_local_models

        there = find_local_models()
        _print_json(_local_facts(there)) if as_json else _print_local(there)
        return 0
    from et_agent.weights.catalog import default_model, list_models

    listed, default = list_models(), default_model()
    if as_json:
        known: list[KnownModel] = [
            {
                "name": one.entry.name,
                "title": one.entry.title,
                "size": one.entry.size,
                "licence": one.entry.licence,
                "instruct": one.entry.instruct,
                "sha256": one.entry.sha256,
                "path": str(one.path),
                "cached": one.cached,
                "default": one.entry.name == default,
                "tried": one.entry.tried,
                "sources": [str(source) for source in one.entry.sources],
            }
            for one in listed
        ]
        _print_json(known)
        return 0
    from rich.table import Table
    from rich.text import Text

    from et_agent.cli.terminal import output_console, print_block, visible
    from et_agent.storage import cache_dir
    from et_agent.weights.download import human_bytes

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("name", "size", "licence", "cached", ""):
        table.add_column(name, justify="right" if name == "size" else "left", no_wrap=True)
    for one in listed:
        entry, marks = one.entry, []
        if entry.name == default:
            marks.append("default")
        if not entry.instruct:
            marks.append("base model")
        if not entry.tried:
            marks.append("not tried here")
        table.add_row(
            Text(entry.name, style="bold"),
            human_bytes(entry.size),
            entry.licence,
            Text("yes", style="green") if one.cached else Text("no", style="dim"),
            ", ".join(marks),
        )
    console = output_console()
    print_block(console, table)
    if default not in [one.entry.name for one in listed]:
        console.print(Text(f"default, by your settings: {visible(default)}"), soft_wrap=True)
    console.print(Text(f"cache: {cache_dir()}", style="dim"), soft_wrap=True)
    return 0


def _local_facts(there: "LocalModels") -> "LocalFiles":
    return {
        "models": [
            {
                "name": one.spec,
                "program": one.store,
                "path": str(one.path),
                "size": None if one.info is None else one.info.n_bytes,
                "architecture": None if one.info is None else one.info.architecture,
                "quantisation": None if one.info is None else one.info.quantisation,
                "parameters": None if one.info is None else one.info.n_params,
                "chat_template": None if one.info is None else one.info.chat_template is not None,
                "usable": one.why_not is None,
                "reason": one.why_not,
            }
            for one in there.models
        ],
        "problems": [
            {"program": title, "path": str(one.path), "name": one.name or None, "problem": one.what}
            for title, one in there.problems
        ],
        "folders": [{"program": title, "path": str(path)} for title, path in there.folders],
    }


def _print_local(there: "LocalModels") -> None:
    from rich.table import Table
    from rich.text import Text

    from et_agent.cli.terminal import output_console, print_block, visible

    console = output_console()
    usable = [one for one in there.models if one.why_not is None]
    if usable:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for name in ("name", "size", "architecture", "quantisation"):
            right = name == "size"
            table.add_column(name, justify="right" if right else "left", overflow="fold")
        for one in usable:
            table.add_row(*_local_row(one))
        print_block(console, table)
        console.print(Text('use one: et-agent ask --model NAME "…"', style="dim"))
    else:
        console.print("No model of another program was found that can be used here.")
    for one in there.models:
        if one.why_not is not None:
            line = f"not offered: {visible(one.spec)}: {visible(one.why_not)}"
            console.print(Text(line, style="dim"), soft_wrap=True)
    for title, problem in there.problems:
        about = f" ({visible(problem.name)})" if problem.name else ""
        line = f"note: {title}: {visible(str(problem.path))}{about}: {visible(problem.what)}"
        console.print(Text(line, style="yellow"), soft_wrap=True)
    for title, folder in there.folders:
        console.print(Text(f"{title}: {visible(str(folder))}", style="dim"), soft_wrap=True)


def _local_row(model: "LocalModel") -> "tuple[Text, ...]":
    from rich.text import Text

    from et_agent.cli.terminal import visible
    from et_agent.weights.download import human_bytes

    assert model.info is not None
    architecture = visible(model.info.architecture)
    if model.info.chat_template is None:
        architecture += ", no chat template"
    size = human_bytes(model.info.n_bytes)
    texts = (size, architecture, model.info.quantisation)
    return Text(visible(model.spec), style="bold"), *map(Text, texts)


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
    if located.entry is not None:
        facts["licence"] = located.entry.licence
        facts["sources"] = [str(source) for source in located.entry.sources]
    if as_json:
        features: dict[str, Feature] = {
            one.name: {"possible": one.possible, "reason": one.reason} for one in capabilities
        }
        found: ModelInfo = {**facts, "features": features}
        _print_json(found)
    else:
        _print_info(facts, capabilities)
    return 0


def _facts(header: "GgufInfo", name: str, sha256: str) -> "ModelFacts":
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


def _print_info(facts: "ModelFacts", capabilities: "list[Capability]") -> None:
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
            case list():
                text = ", then ".join(value)
            case _:
                text = one_line(str(value))
        table.add_row(name.replace("_", " "), Text(text))
    for one in capabilities:
        mark = Text(
            "yes  " if one.possible else "no   ", style="green" if one.possible else "yellow"
        )
        table.add_row(one.name, mark + Text(one.reason))
    print_block(output_console(), table)
