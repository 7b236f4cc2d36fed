"""`et-agent mcp`: models for agents that speak the Model Context Protocol."""

from contextlib import ExitStack
from importlib.util import find_spec
from typing import Annotated, Final

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
    Width,
)
from et_agent.cli.serving import (
    keys_of,
    load_settings_of,
    offered,
    opened,
    prefix_settings_of,
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

__all__ = ["mcp"]

_HTTP: Final = "HTTP"
_HOST: Final = "127.0.0.1"
_PORT: Final = 8000


@command
def mcp(
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar=f"[NAME=]{MODEL_METAVAR}",
            show_default=MODEL_SHOWN,
            help=f"A model to offer, also several times. {MODEL_HELP}",
        ),
    ] = None,
    escalate_to: Annotated[
        str | None,
        typer.Option(
            metavar=f"[NAME=]{MODEL_METAVAR}",
            help="A larger model, which is offered too, for doubtful questions.",
        ),
    ] = None,
    leaves: Annotated[int, typer.Option(help="Leaves of a tree where a call does not say.")] = 8,
    max_tokens: Annotated[int, typer.Option(help="Longest path in tokens.")] = 1024,
    policy: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Policy of decisions as a TOML file."),
    ] = None,
    decisions: Annotated[
        str | None,
        typer.Option(
            "--log", metavar="FILE", help="Keep decisions there, without texts, for `gate report`."
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Longest time of a call.")] = 600.0,
    log_texts: Annotated[
        bool,
        typer.Option("--log-texts", metavar="", help="Write questions and replies to the log too."),
    ] = False,
    http: Annotated[
        bool,
        typer.Option(
            "--http",
            metavar="",
            help="Listen at /mcp, beside what `et-agent serve` offers, in place of standard input.",
            rich_help_panel=_HTTP,
        ),
    ] = False,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on; others than this machine's need API keys.",
            rich_help_panel=_HTTP,
        ),
    ] = _HOST,
    port: Annotated[
        int, typer.Option(help="Port; 0 takes a free one.", rich_help_panel=_HTTP)
    ] = _PORT,
    api_keys: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="API keys, one per line.",
            show_default="the environment variable ET_AGENT_SERVER_KEYS",
            rich_help_panel=_HTTP,
        ),
    ] = None,
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
    """Offer models to agents that speak the Model Context Protocol.

    Their tools ask a question, score an answer and label one. A client starts this command and speaks
    with it on standard input and output.
    """
    if find_spec("et_agent_server") is None or find_spec("mcp") is None:
        raise SettingsError(
            f"`et-agent mcp` is an extra: install it with {integration_hint('server', 'mcp')}"
        )
    if not http and (host, port, api_keys) != (_HOST, _PORT, None):
        raise SettingsError("--host, --port and --api-keys are for --http: add it")
    from et_agent_server import ServerSettings, create_app
    from et_agent_server.mcp import protocol_output, serve_stdio
    from et_agent_server.serving import log_lines
    from et_agent_server.serving import serve as listen

    from et_agent.cli.policies import policy_of
    from et_agent.cli.terminal import say

    load = load_settings_of(context, threads, width, dequantize, (gpu_layers, split_mode, main_gpu))
    specs, larger = offered(model, escalate_to)
    load |= prefix_settings_of(prefix_memory, prefix_file, specs)
    settings = ServerSettings(
        host=host,
        port=port,
        api_keys=tuple(keys_of(api_keys)) if http else (),
        leaves=leaves,
        most_leaves=max(64, leaves),
        max_tokens=max_tokens,
        **thinking_keywords(thinking, max_thinking_tokens, template_options),
        policy=policy_of(policy, {}),
        escalate_to=larger,
        decisions=decisions,
        seconds=seconds,
        log_texts=log_texts,
    )
    with ExitStack() as stack:
        output = None if http else stack.enter_context(protocol_output())
        models = {name: opened(stack, spec, load) for name, spec in specs.items()}
        offers = f"offering {', '.join(models)}"
        if output is None:
            app = create_app(models, settings)
            listen(app, settings, ready=lambda url: say(f"{offers} at {url[:-3]}/mcp"))
        else:
            log_lines()
            say(f"{offers} on standard input and output")
            serve_stdio(models, settings, output)
    return 0
