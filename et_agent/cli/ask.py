"""`et-agent ask`: answers questions and prints their distributions."""

from enum import StrEnum
from typing import Annotated

import typer

from et_agent.cli.decoders import (
    TREE,
    TREE_PANEL,
    DecoderCommand,
    decoder_settings,
    given_settings,
)
from et_agent.cli.guard import be_verbose, command
from et_agent.cli.help import HelpAll
from et_agent.cli.pages import ALTERNATIVES, Html, PageFiles, Png, Svg

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
    AUTO = "auto"


class ChatName(StrEnum):
    """Prompt styles, as `et_agent.asking.options.Chat`."""

    MODEL = "model"
    PLAIN = "plain"


class ThinkingName(StrEnum):
    """Whether the model thinks, as `et_agent.asking.options.ThinkingMode`."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


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
            "json, code, or auto, which decides by the question.",
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
    thinking: Annotated[
        ThinkingName,
        typer.Option(
            metavar="WHEN",
            help="Whether a model that can think before it answers does so: on, off, or auto, which "
            "leaves it to its chat template.",
            rich_help_panel=_PROMPT,
        ),
    ] = ThinkingName.AUTO,
    max_thinking_tokens: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Tokens after which a thought is closed. --max-tokens counts the answer alone.",
            show_default="1024",
            rich_help_panel=_PROMPT,
        ),
    ] = None,
    template_options: Annotated[
        list[str] | None,
        typer.Option(
            "--template-option",
            metavar="NAME=VALUE",
            help="An option of the model's chat template; repeat it for more.",
            show_default=False,
            rich_help_panel=_PROMPT,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH|hf:…",
            help="A catalog name, a path to a GGUF file, or hf:owner/repo/file.gguf.",
            show_default="qwen2.5-coder-0.5b",
            rich_help_panel=_MODEL,
        ),
    ] = None,
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
    from et_agent.cli.answering import AskSettings, answer
    from et_agent.cli.loading import dequantizes
    from et_agent.cli.prompts import (
        read_passages,
        read_schema,
        read_system,
        read_template_options,
    )
    from et_agent.cli.questions import read_questions
    from et_agent.errors import SettingsError

    given = given_settings(call)
    if seed is not None:
        given["seed"] = seed
    if seed is not None and seed < 0:
        raise SettingsError(f"--seed is {seed}: use 0 or more")
    files = PageFiles(html, svg, png)
    if alternatives is None:
        alternatives = 0 if html is None else ALTERNATIVES
    settings = decoder_settings(decoder, given, attention=attention is not False)
    source = call.get_parameter_source("decoder")
    named = source is not None and source.name == "COMMANDLINE"
    return answer(
        AskSettings(
            questions=read_questions(questions or [], questions_file),
            model=model,
            decoder=decoder,
            options=AskOptions(
                context=read_passages(passages),
                decoder=settings if named or given else None,
                kind=kind,
                seed=seed or 0,
                system_prompt=None if system is None else read_system(system),
                chat="plain" if chat is ChatName.PLAIN else "model",
                schema=None if schema is None else read_schema(schema),
                thinking=thinking.value,
                template_options=read_template_options(template_options or ()),
                max_thinking_tokens=max_thinking_tokens,
                alternatives=alternatives,
            ),
            context=context,
            threads=threads,
            width=width,
            attention=attention,
            dequantize=dequantizes(dequantize, unpack),
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
    )
