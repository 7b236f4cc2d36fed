"""`et-agent serve`: models behind OpenAI's interface."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from et_agent.cli.guard import command
from et_agent.cli.run_options import (
    MODEL_HELP,
    MODEL_METAVAR,
    MODEL_SHOWN,
    ContextSize,
    CpuThreads,
    Dequantize,
    GpuLayers,
    MainGpu,
    PrefixFile,
    PrefixMemory,
    SplitMode,
    SplitModeName,
    Width,
)
from et_agent.cli.thinking import (
    MaxThinkingTokens,
    TemplateOptions,
    Thinking,
    ThinkingName,
    thinking_keywords,
)
from et_agent.errors import SettingsError
from et_agent.extras import integration_hint
from et_agent.storage import read_given

if TYPE_CHECKING:
    from et_agent.engines.sampled import AnyModel

__all__ = [
    "keys_of",
    "load_settings_of",
    "named",
    "offered",
    "opened",
    "prefix_settings_of",
    "serve",
]

_NAMED: Final = re.compile(r"([\w.-]+)=(.+)")
_LIMITS: Final = "Limits"
_GATE: Final = "Gate"


class OnDoubt(StrEnum):
    """What gated models do with doubtful answers, as `ServerSettings.on_doubt`."""

    ABSTAIN = "abstain"
    ESCALATE = "escalate"
    ASK = "ask"
    MARK = "mark"


@command
def serve(
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar=f"[NAME=]{MODEL_METAVAR}",
            show_default=MODEL_SHOWN,
            help=f"A model to serve, also several times. {MODEL_HELP}",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine's need API keys.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8000,
    api_keys: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="API keys, one per line.",
            show_default="the environment variable ET_AGENT_SERVER_KEYS",
        ),
    ] = None,
    leaves: Annotated[
        int, typer.Option(help="Leaves of the tree behind a reply; 1 decodes one path.")
    ] = 8,
    max_tokens: Annotated[
        int, typer.Option(help="Longest reply in tokens where a request does not say.")
    ] = 1024,
    answer_at: Annotated[
        float | None,
        typer.Option(
            help="Lowest confidence at which gated models answer.",
            show_default="0.8",
            rich_help_panel=_GATE,
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Policy as a TOML file.", rich_help_panel=_GATE),
    ] = None,
    on_doubt: Annotated[
        OnDoubt | None,
        typer.Option(
            help="What they do below it.",
            show_default="escalate, where there is a larger model, else abstain",
            rich_help_panel=_GATE,
        ),
    ] = None,
    escalate_to: Annotated[
        str | None,
        typer.Option(
            metavar=f"[NAME=]{MODEL_METAVAR}",
            help="A larger model, which is served too, for doubtful questions.",
            rich_help_panel=_GATE,
        ),
    ] = None,
    decisions: Annotated[
        str | None,
        typer.Option(
            "--log",
            metavar="FILE",
            help="Keep decisions there, without texts, for `gate report`.",
            rich_help_panel=_GATE,
        ),
    ] = None,
    concurrent: Annotated[
        int, typer.Option(help="Requests that are decoded at once.", rich_help_panel=_LIMITS)
    ] = 16,
    queue: Annotated[
        int, typer.Option(help="Requests that may wait.", rich_help_panel=_LIMITS)
    ] = 128,
    seconds: Annotated[
        float, typer.Option(help="Longest time of a request.", rich_help_panel=_LIMITS)
    ] = 600.0,
    log_texts: Annotated[
        bool,
        typer.Option("--log-texts", metavar="", help="Write questions and replies to the log too."),
    ] = False,
    thinking: Thinking = ThinkingName.AUTO,
    max_thinking_tokens: MaxThinkingTokens = None,
    template_options: TemplateOptions = None,
    context: ContextSize = None,
    threads: CpuThreads = None,
    width: Width = None,
    dequantize: Dequantize = False,
    prefix_memory: PrefixMemory = None,
    prefix_file: PrefixFile = None,
    gpu_layers: GpuLayers = None,
    split_mode: SplitMode = None,
    main_gpu: MainGpu = None,
) -> int:
    """Serve models with OpenAI's interface, with a confidence in every reply.

    It is a package of its own, which the command says how to install.
    """
    if find_spec("et_agent_server") is None:
        raise SettingsError(
            f"`et-agent serve` is a package of its own: install it with {integration_hint('server')}"
        )
    from et_agent_server import ServerSettings, create_app
    from et_agent_server.serving import serve as listen

    from et_agent.cli.policies import policy_of
    from et_agent.cli.terminal import say

    load = load_settings_of(context, threads, width, dequantize, (gpu_layers, split_mode, main_gpu))
    specs, larger = offered(model, escalate_to)
    load |= prefix_settings_of(prefix_memory, prefix_file, specs)
    changes = {} if answer_at is None else {"answer_at": answer_at}
    settings = ServerSettings(
        host=host,
        port=port,
        api_keys=tuple(keys_of(api_keys)),
        leaves=leaves,
        most_leaves=max(64, leaves),
        max_tokens=max_tokens,
        **thinking_keywords(thinking, max_thinking_tokens, template_options),
        policy=policy_of(policy, changes),
        on_doubt=None if on_doubt is None else on_doubt.value,
        escalate_to=larger,
        decisions=decisions,
        concurrent=concurrent,
        queue=queue,
        seconds=seconds,
        log_texts=log_texts,
    )
    with ExitStack() as stack:
        models = {name: opened(stack, spec, load) for name, spec in specs.items()}
        app = create_app(models, settings)
        names = ", ".join(f"{name}, {name}:gated" for name in models)
        listen(app, settings, ready=lambda url: say(f"serving {names} at {url}"))
    return 0


def offered(
    model: Sequence[str] | None, escalate_to: str | None
) -> tuple[dict[str, str], str | None]:
    """The models to load by the names that clients use, and the name of the larger one."""
    from et_agent.weights.catalog import default_model

    specs = dict(named(one) for one in model or [default_model()])
    if escalate_to is None:
        return specs, None
    name, spec = named(escalate_to)
    specs.setdefault(name, spec)
    return specs, name


def load_settings_of(
    context: int | None,
    threads: int | None,
    width: int | None,
    dequantize: bool,
    gpu: tuple[int | None, SplitModeName | None, int | None],
) -> dict[str, Any]:
    """What `open_model` is given.

    Raises:
        SettingsError: A setting cannot be used.
    """
    from et_agent.cli.loading import GpuSettings, check_load_settings

    check_load_settings(context=context, threads=threads, width=width)
    return {
        "context": context,
        "threads": threads,
        "width": width,
        "dequantize": dequantize,
        "gpu": GpuSettings(*gpu),
    }


def prefix_settings_of(
    memory: int | None, file: str | None, specs: Mapping[str, str]
) -> dict[str, Any]:
    """What `open_model` is given besides, about the prompts that are kept.

    Raises:
        SettingsError: A file is named for several models.
    """
    if file is not None and len(specs) > 1:
        raise SettingsError(
            f"--prefix-file keeps the prompts of one model, and {len(specs)} are served "
            f"({', '.join(specs)}): leave it out, or start a process for each"
        )
    return {"prefix_memory": memory, "prefix_file": file}


def opened(stack: ExitStack, spec: str, loading: dict[str, Any]) -> "AnyModel":
    """A model that is closed with a stack."""
    # Looked up when it is called, so that tests can put another in its place.
    from et_agent.cli import loading as models

    return stack.enter_context(models.open_model(spec, **loading))


def named(given: str) -> tuple[str, str]:
    """The name under which a model is served, and which model it is."""
    found = _NAMED.fullmatch(given)
    if found is not None and not Path(given).exists():
        return found[1], found[2]
    served = given.partition("#")[2] or given.rstrip("/").rpartition("/")[2]
    return served.removesuffix(".gguf") or given, given


def keys_of(file: str | None) -> Sequence[str]:
    """The API keys of a file, or of the environment without one.

    Raises:
        SettingsError: The file cannot be read, or holds none.
    """
    if file is None:
        return list(_written(os.environ.get("ET_AGENT_SERVER_KEYS", "").split(",")))
    try:
        text = read_given(file).decode("utf-8")
    except (OSError, ValueError) as error:
        raise SettingsError(f"the API keys in {file} cannot be read: {error}") from None
    keys = list(_written(text.splitlines()))
    if not keys:
        raise SettingsError(f"{file} holds no API key: write one per line")
    return keys


def _written(lines: Sequence[str]) -> Iterator[str]:
    """Keys, without empty lines and those that begin with #."""
    stripped = (line.strip() for line in lines)
    return (line for line in stripped if line and not line.startswith("#"))
