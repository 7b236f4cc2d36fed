"""`et-agent ask`: answers questions and prints their distributions."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar, Final

import typer

from et_agent.cli.asking_options import (
    Alternatives,
    CalibratorFile,
    ChatName,
    ChatStyle,
    Choices,
    DecoderName,
    Explain,
    Kind,
    KindName,
    Passages,
    SameAnswers,
    Schema,
    Seed,
    System,
    kind_of,
)
from et_agent.cli.cluster import Engine, EngineName, RayAddress, check_engine
from et_agent.cli.decoders import DecoderCommand, chosen_decoder
from et_agent.cli.guard import be_verbose, command
from et_agent.cli.help import HelpAll
from et_agent.cli.pages import Html, PageFiles, Png, Svg
from et_agent.cli.run_options import (
    Attention,
    ContextSize,
    CpuThreads,
    Dequantize,
    Fast,
    GpuLayers,
    MainGpu,
    ModelSpec,
    PrefixFile,
    PrefixMemory,
    SplitMode,
    Unpack,
    Verbose,
    Width,
)
from et_agent.cli.thinking import (
    MaxThinkingTokens,
    TemplateOptions,
    Thinking,
    ThinkingName,
    thinking_keywords,
)

__all__ = ["AskCommand", "ask"]


_OUTPUT: Final = "Output"
_PROMPT: Final = "Question"


class AskCommand(DecoderCommand):
    """`ask`: of its options nine matter at first."""

    shown = frozenset(
        {
            "questions_file",
            "passages",
            "choices",
            "kind",
            "model",
            "leaves",
            "as_json",
            "tree",
            "explain",
        }
    )
    brief: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "questions_file": "Lines, JSON Lines or a CSV.",
            "tree": "Print the tree.",
        }
    )


@command
def ask(
    call: typer.Context,
    questions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="QUESTION",
            help="- reads standard input. Text piped in beside a question is its context.",
            show_default=False,
        ),
    ] = None,
    questions_file: Annotated[
        str | None,
        typer.Option(
            "--questions",
            metavar="FILE",
            help='More questions: one per line, JSON Lines with "question", or CSV. - reads standard '
            "input.",
            rich_help_panel=_PROMPT,
        ),
    ] = None,
    passages: Passages = None,
    choices: Choices = None,
    kind: Kind = KindName.AUTO,
    system: System = None,
    schema: Schema = None,
    chat: ChatStyle = ChatName.MODEL,
    thinking: Thinking = ThinkingName.AUTO,
    max_thinking_tokens: MaxThinkingTokens = None,
    template_options: TemplateOptions = None,
    same: SameAnswers = None,
    model: ModelSpec = None,
    fast: Fast = False,
    threads: CpuThreads = None,
    context: ContextSize = None,
    width: Width = None,
    unpack: Unpack = False,
    dequantize: Dequantize = False,
    prefix_memory: PrefixMemory = None,
    prefix_file: PrefixFile = None,
    attention: Attention = None,
    gpu_layers: GpuLayers = None,
    split_mode: SplitMode = None,
    main_gpu: MainGpu = None,
    engine: Engine = EngineName.LOCAL,
    ray_address: RayAddress = None,
    decoder: DecoderName = None,
    seed: Seed = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            metavar="",
            help="Print JSON, one line per question if there are several.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    as_ready: Annotated[
        bool,
        typer.Option(
            "--as-ready",
            help="Print the JSON of each question as it ends, instead of in their order.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    tree: Annotated[
        bool | None,
        typer.Option(
            "--tree/--no-tree",
            help="Print the tree. By default it is drawn for a single question with --explain.",
            show_default=False,
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    html: Html = None,
    svg: Svg = None,
    png: Png = None,
    alternatives: Alternatives = None,
    calibrator: CalibratorFile = None,
    explain: Explain = False,
    learn: Annotated[
        bool,
        typer.Option(
            "--learn",
            metavar="",
            help="Ask after each answer whether it was right, and learn from that.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    verbose: Verbose = False,
    help_all: HelpAll = False,
) -> int:
    """Ask a local model. Prints the answer and the distribution over all answers."""
    del help_all
    if verbose:
        be_verbose()
    from et_agent.asking.options import AskOptions
    from et_agent.cli import loading
    from et_agent.cli.answering import AskSettings, answer
    from et_agent.cli.cluster_asking import answer_on_cluster
    from et_agent.cli.prompts import read_passages, read_schema, read_system
    from et_agent.cli.questions import read_questions
    from et_agent.errors import SettingsError
    from et_agent.weights.addresses import is_address

    if learn and kind is KindName.LONG:
        raise SettingsError(
            "--learn asks whether the answer is right, and a long answer may be right in parts: leave "
            "out one of them"
        )
    check_engine(engine, ray_address)
    files = PageFiles(html, svg, png)
    spec = loading.chosen_model(model, fast=fast)
    decodes = chosen_decoder(call, decoder, served=is_address(spec), seed=seed, attention=attention)
    loading.check_load_settings(context=context, threads=threads, width=width)
    asked = AskSettings(
        questions=read_questions(questions or [], questions_file, choices),
        model=spec,
        decoder=decodes.name,
        options=AskOptions(
            context=read_passages(passages, *(questions or ()), questions_file, system),
            decoder=decodes.settings,
            kind=kind_of(kind, choices),
            seed=seed or 0,
            system_prompt=read_system(system),
            chat=chat.value,
            schema=None if schema is None else read_schema(schema),
            same=None if same is None else same.value,
            alternatives=files.alternatives(alternatives),
            **thinking_keywords(thinking, max_thinking_tokens, template_options),
        ),
        attention=attention is True,
        load={
            "context": context,
            "threads": threads,
            "width": width,
            "attention": attention is not False,
            "dequantize": loading.dequantizes(dequantize, unpack),
            "gpu": loading.GpuSettings(gpu_layers, split_mode, main_gpu),
            "prefix_memory": prefix_memory,
            "prefix_file": prefix_file,
        },
        calibrator=calibrator,
        explain=explain,
        learn=learn,
        as_json=as_json,
        tree=tree,
        files=files,
        lines=questions_file is not None,
        as_ready=as_ready or not as_json,
    )
    if engine is EngineName.RAY:
        return answer_on_cluster(asked, ray_address)
    return answer(asked)
