"""`et-agent ask`: answers questions and prints their distributions."""

from enum import StrEnum
from typing import Annotated

import typer

from et_agent.cli.cluster import Engine, EngineName, RayAddress, check_engine
from et_agent.cli.decoders import (
    CHAINS,
    TREE,
    TREE_PANEL,
    DecoderCommand,
    decoder_settings,
    given_settings,
)
from et_agent.cli.guard import be_verbose, command
from et_agent.cli.help import HelpAll
from et_agent.cli.pages import ALTERNATIVES, Html, PageFiles, Png, Svg
from et_agent.cli.run_options import (
    FAST_HELP,
    MODEL_HELP,
    MODEL_METAVAR,
    MODEL_SHOWN,
    GpuLayers,
    MainGpu,
    SplitMode,
)
from et_agent.cli.thinking import (
    MaxThinkingTokens,
    TemplateOptions,
    Thinking,
    ThinkingName,
    thinking_keywords,
)

__all__ = ["AskCommand", "Passages", "ask"]


class KindName(StrEnum):
    """Answer kinds, as `et_agent.answers.AnswerKind`."""

    NUMBER = "number"
    MATH = "math"
    CHOICE = "choice"
    TEXT = "text"
    DATE = "date"
    QUANTITY = "quantity"
    RANGE = "range"
    LIST = "list"
    YES_NO = "yes_no"
    JSON = "json"
    CODE = "code"
    LONG = "long"
    AUTO = "auto"


class ChatName(StrEnum):
    """Prompt styles, as `et_agent.asking.options.Chat`."""

    MODEL = "model"
    PLAIN = "plain"


class SameName(StrEnum):
    """Which answers are one, as `et_agent.asking.options.Same`."""

    MEANING = "meaning"
    TESTS = "tests"
    WORDS = "words"


_PROMPT = "Question"
_MODEL = "Model"
_OUTPUT = "Output"


Passages = Annotated[
    list[str] | None,
    typer.Option(
        "--passage",
        metavar="TEXT|@FILE",
        help="Answer from this text, or from that of a file, and say so if it does not hold the "
        "answer. May be given several times.",
        show_default=False,
        rich_help_panel=_PROMPT,
    ),
]
"""The option for passages."""


class AskCommand(DecoderCommand):
    """`ask`: of its options nine matter at first."""

    shown = frozenset(
        {
            "questions_file",
            "passages",
            "kind",
            "model",
            "leaves",
            "stop_above",
            "as_json",
            "tree",
            "explain",
        }
    )


@command
def ask(
    call: typer.Context,
    questions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="QUESTION",
            help="One or more questions. Put -- before a question that begins with a dash.",
            show_default=False,
        ),
    ] = None,
    questions_file: Annotated[
        str | None,
        typer.Option(
            "--questions",
            metavar="FILE",
            help="More questions: one per line, or JSON "
            'Lines with "question". - reads standard input.',
            rich_help_panel=_PROMPT,
        ),
    ] = None,
    passages: Passages = None,
    kind: Annotated[
        KindName,
        typer.Option(
            metavar="KIND",
            help="Kind of answer: number, math, choice, text, date, quantity, range, list, yes_no, "
            "json, code, long for several sentences that are judged claim by claim, or auto, which "
            "decides among the others by the question.",
            rich_help_panel=_PROMPT,
        ),
    ] = KindName.AUTO,
    system: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="System prompt instead of the default for the kind. @FILE reads it "
            'from a file, "" uses none.',
            rich_help_panel=_PROMPT,
        ),
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="A JSON schema that the answer has to fit. Each of its fields gets a confidence.",
            rich_help_panel=_PROMPT,
        ),
    ] = None,
    chat: Annotated[
        ChatName,
        typer.Option(
            metavar="CHAT",
            help="model: its own chat template; plain: a plain prompt.",
            rich_help_panel=_PROMPT,
        ),
    ] = ChatName.MODEL,
    thinking: Thinking = ThinkingName.AUTO,
    max_thinking_tokens: MaxThinkingTokens = None,
    template_options: TemplateOptions = None,
    same: Annotated[
        SameName | None,
        typer.Option(
            help="Which answers are one: by meaning, as the model says too; by tests of their words; "
            "or those of the same words.",
            show_default="tests, and words with --passage",
            rich_help_panel=_PROMPT,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar=MODEL_METAVAR,
            help=MODEL_HELP,
            show_default=MODEL_SHOWN,
            rich_help_panel=_MODEL,
        ),
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", metavar="", help=FAST_HELP, rich_help_panel=_MODEL)
    ] = False,
    threads: Annotated[
        int | None,
        typer.Option(help="CPU threads.", show_default="the cores", rich_help_panel=_MODEL),
    ] = None,
    context: Annotated[
        int | None,
        typer.Option(
            help="Context size: tokens of prompt and path.",
            show_default="8192",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(
            help="Largest number of branches in a batch.", show_default="32", rich_help_panel=_MODEL
        ),
    ] = None,
    unpack: Annotated[bool, typer.Option("--unpack", hidden=True)] = False,
    dequantize: Annotated[
        bool,
        typer.Option(
            "--dequantize",
            metavar="",
            help="Decode from float16 weights, faster on CPUs without AMX or AVX-512 (see doctor).",
            rich_help_panel=_MODEL,
        ),
    ] = False,
    prefix_memory: Annotated[
        int | None,
        typer.Option(
            metavar="MIB",
            help="Memory for beginnings of prompts that later questions go on from, MiB; 0 keeps none.",
            show_default="64",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    prefix_file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Keep prompts in this file, so that the next call need not decode a long one again.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    attention: Annotated[
        bool | None,
        typer.Option(
            "--attention/--no-attention",
            help="Read attention always, for --json --tree; or never.",
            show_default="where the decoder or the confidence needs it",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    gpu_layers: GpuLayers = None,
    split_mode: SplitMode = None,
    main_gpu: MainGpu = None,
    engine: Engine = EngineName.LOCAL,
    ray_address: RayAddress = None,
    decoder: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="entropy-tree, multi-chain or greedy.", rich_help_panel=TREE_PANEL
        ),
    ] = TREE,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Random seed. The same seed gives the same tree.",
            show_default="0",
            rich_help_panel=TREE_PANEL,
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            metavar="",
            help="Print JSON, one line per question if there are several.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    tree: Annotated[
        bool | None,
        typer.Option(
            "--tree/--no-tree",
            help="Print the tree. By default it is drawn for a "
            "single question and left out of JSON.",
            show_default=False,
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    html: Html = None,
    svg: Svg = None,
    png: Png = None,
    alternatives: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Keep the N most likely tokens at each token of the tree, for --json --tree and "
            "for pages.",
            show_default="5 with --html, else 0",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    calibrator: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Calibrator that gives the confidence, or `none`.",
            show_default="the one that matches",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            metavar="",
            help="Show what moved the confidence.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    learn: Annotated[
        bool,
        typer.Option(
            "--learn",
            metavar="",
            help="Ask after each answer whether it was right, and learn from that.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            metavar="",
            help="Show the log, including that of llama.cpp.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    help_all: HelpAll = False,
) -> int:
    """Ask a local model. Prints the answer and the distribution over all answers."""
    del help_all
    if verbose:
        be_verbose()
    from et_agent.asking.options import AskOptions
    from et_agent.cli.answering import AskSettings, answer, wanted_calibration
    from et_agent.cli.cluster_asking import answer_on_cluster
    from et_agent.cli.loading import (
        GpuSettings,
        check_load_settings,
        chosen_model,
        dequantizes,
    )
    from et_agent.cli.prompts import read_passages, read_schema, read_system
    from et_agent.cli.questions import read_questions
    from et_agent.errors import SettingsError
    from et_agent.weights.addresses import is_address

    check_engine(engine, ray_address)
    given = given_settings(call)
    if seed is not None:
        given["seed"] = seed
    if seed is not None and seed < 0:
        raise SettingsError(f"--seed is {seed}: use 0 or more")
    if learn and kind is KindName.LONG:
        raise SettingsError(
            "--learn asks whether the answer is right, and a long answer may be right in parts: leave "
            "out one of them"
        )
    files = PageFiles(html, svg, png)
    if alternatives is None:
        alternatives = 0 if html is None else ALTERNATIVES
    source = call.get_parameter_source("decoder")
    named = source is not None and source.name == "COMMANDLINE"
    spec = chosen_model(model, fast=fast)
    if not named and is_address(spec):
        decoder = CHAINS
    settings = decoder_settings(decoder, given, attention=attention is not False)
    asked = AskSettings(
        questions=read_questions(questions or [], questions_file),
        model=spec,
        decoder=decoder,
        options=AskOptions(
            context=read_passages(passages),
            decoder=settings if named or given else None,
            kind=kind,
            seed=seed or 0,
            system_prompt=None if system is None else read_system(system),
            chat="plain" if chat is ChatName.PLAIN else "model",
            schema=None if schema is None else read_schema(schema),
            same=None if same is None else same.value,
            alternatives=alternatives,
            **thinking_keywords(thinking, max_thinking_tokens, template_options),
        ),
        context=context,
        threads=threads,
        width=width,
        attention=attention,
        dequantize=dequantizes(dequantize, unpack),
        gpu=GpuSettings(gpu_layers, split_mode, main_gpu),
        prefix_memory=prefix_memory,
        prefix_file=prefix_file,
        calibrator=calibrator,
        explain=explain,
        learn=learn,
        as_json=as_json,
        tree=tree,
        files=files,
        lines=questions_file is not None,
    )
    if engine is EngineName.RAY:
        check_load_settings(context=context, threads=threads, width=width)
        return answer_on_cluster(asked, wanted_calibration(calibrator), ray_address)
    return answer(asked)
