"""`et-agent ask`: questions in, answers with their distributions out."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from et_agent.cli.decoders import (
    DecoderName,
    ImportanceName,
    ScheduleName,
    ValueName,
    decoder_settings,
)
from et_agent.cli.guard import be_verbose, command

__all__ = ["ask"]


class KindName(StrEnum):
    """Answer kinds, as `et_agent.answers.AnswerKind`."""

    AUTO = "auto"
    NUMBER = "number"
    MATH = "math"
    CHOICE = "choice"
    TEXT = "text"


class ChatName(StrEnum):
    """Prompt styles, as `et_agent.asking.Chat`."""

    MODEL = "model"
    PLAIN = "plain"


_DECODER = "Decoder"
_FORKS = "Forks (entropy-tree)"
_PROMPT = "Question and prompt"
_MODEL = "Model"
_OUTPUT = "Output"


@command
def ask(
    questions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="QUESTION",
            help="One or more questions; put -- before one that begins with a dash.",
            show_default=False,
        ),
    ] = None,
    questions_file: Annotated[
        str | None,
        typer.Option(
            "--questions",
            metavar="FILE",
            help="More questions: one a line, or JSON "
            'Lines with "question"; - reads standard input.',
            rich_help_panel=_PROMPT,
        ),
    ] = None,
    kind: Annotated[
        KindName,
        typer.Option(
            metavar="KIND",
            help="What an answer is: number, math, choice, text, or auto, which decides by itself.",
            rich_help_panel=_PROMPT,
        ),
    ] = KindName.AUTO,
    system: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="System prompt instead of the kind's own; @FILE reads it "
            'from a file, "" has none.',
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
            help="Most tokens of prompt and path.",
            show_default="8192",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(
            help="Branches in a batch at most.", show_default="32", rich_help_panel=_MODEL
        ),
    ] = None,
    unpack: Annotated[bool, typer.Option("--unpack", hidden=True)] = False,
    dequantize: Annotated[
        bool,
        typer.Option(
            "--dequantize",
            metavar="",
            help="Decode from float16 weights: faster on CPUs without AMX or AVX-512 (see doctor).",
            rich_help_panel=_MODEL,
        ),
    ] = False,
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
        DecoderName,
        typer.Option(
            metavar="NAME", help="entropy-tree, multi-chain or greedy.", rich_help_panel=_DECODER
        ),
    ] = DecoderName.ENTROPY_TREE,
    leaves: Annotated[
        int | None,
        typer.Option(
            help="Leaves at most, or chains.", show_default="16", rich_help_panel=_DECODER
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(help="Sampling temperature.", show_default="0.7", rich_help_panel=_DECODER),
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(help="Longest path in tokens.", show_default="320", rich_help_panel=_DECODER),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="The same seed gives the same tree.", show_default="0", rich_help_panel=_DECODER
        ),
    ] = None,
    schedule: Annotated[
        ScheduleName | None,
        typer.Option(
            metavar="NAME",
            help="When to fork: rounds, online, stratified or breadth_first.",
            show_default="rounds",
            rich_help_panel=_FORKS,
        ),
    ] = None,
    roots: Annotated[
        int | None,
        typer.Option(help="Codes that start the tree.", show_default="8", rich_help_panel=_FORKS),
    ] = None,
    b: Annotated[
        int | None,
        typer.Option("--b", help="Sides of a fork.", show_default="2", rich_help_panel=_FORKS),
    ] = None,
    tau: Annotated[
        float | None,
        typer.Option(
            help="Least entropy of a fork, nats.",
            show_default="from --percentile",
            rich_help_panel=_FORKS,
        ),
    ] = None,
    percentile: Annotated[
        float | None,
        typer.Option(
            help="Percentile of the pilot's entropies that gives tau.",
            show_default="80",
            rich_help_panel=_FORKS,
        ),
    ] = None,
    importance: Annotated[
        ImportanceName | None,
        typer.Option(
            metavar="NAME",
            help="Attention that a fork needs: auto, none, received or prompt.",
            show_default="auto",
            rich_help_panel=_FORKS,
        ),
    ] = None,
    delta: Annotated[
        float | None,
        typer.Option(
            help="Least importance of a fork.",
            show_default="from --importance-percentile",
            rich_help_panel=_FORKS,
        ),
    ] = None,
    importance_percentile: Annotated[
        float | None,
        typer.Option(
            help="Percentile of the pilot's importances that gives delta.",
            show_default="25",
            rich_help_panel=_FORKS,
        ),
    ] = None,
    value: Annotated[
        ValueName | None,
        typer.Option(
            metavar="NAME",
            help="How rounds ranks positions: worth, entropy, mass, mass_per_token or parting.",
            show_default="worth",
            rich_help_panel=_FORKS,
        ),
    ] = None,
    least_worth: Annotated[
        float | None,
        typer.Option(
            help="Least worth of a fork; 1 is what as many tokens of a new chain would bring.",
            show_default="1",
            rich_help_panel=_FORKS,
        ),
    ] = None,
    settle: Annotated[
        float | None,
        typer.Option(
            help="rounds: decode no more at this share of the leading answer.",
            rich_help_panel=_FORKS,
        ),
    ] = None,
    give_up: Annotated[
        float | None,
        typer.Option(
            help="rounds: decode no more once 4 leaves are in and no answer has a larger share.",
            rich_help_panel=_FORKS,
        ),
    ] = None,
    wave: Annotated[
        int | None,
        typer.Option(
            help="rounds with --settle or --give-up: roots decoded at a time.",
            show_default="all at once",
            rich_help_panel=_FORKS,
        ),
    ] = None,
    gap: Annotated[
        int | None,
        typer.Option(
            help="online: least tokens between two forks of a path.",
            show_default="16",
            rich_help_panel=_FORKS,
        ),
    ] = None,
    exchangeable: Annotated[
        bool,
        typer.Option(
            "--exchangeable",
            metavar="",
            help="Fork into a second sample of equal weight.",
            rich_help_panel=_FORKS,
        ),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            metavar="",
            help="Print JSON, one line a question when there are several.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    tree: Annotated[
        bool | None,
        typer.Option(
            "--tree/--no-tree",
            help="The tree: drawn for a single question unless "
            "--no-tree, in JSON only with --tree.",
            show_default=False,
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    calibrator: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Gives the confidence; `none` for none.",
            show_default="the one that fits",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            metavar="",
            help="Tell what moved the confidence.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            metavar="",
            help="Show the log, llama.cpp's included.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
) -> int:
    """Ask a local model, and see how its belief is spread over answers."""
    if verbose:
        be_verbose()
    from et_agent.cli.answering import Asking, answer
    from et_agent.cli.loading import dequantizes
    from et_agent.cli.prompts import read_system
    from et_agent.cli.questions import read_questions
    from et_agent.errors import SettingsError

    given: dict[str, Any] = {
        "schedule": schedule,
        "leaves": leaves,
        "roots": roots,
        "branching": b,
        "tau": tau,
        "percentile": percentile,
        "importance": importance,
        "delta": delta,
        "importance_percentile": importance_percentile,
        "value": value,
        "least_worth": least_worth,
        "gap": gap,
        "exchangeable": exchangeable or None,
        "settle": settle,
        "give_up": give_up,
        "wave": wave,
        "temperature": temperature,
        "max_tokens": max_tokens,
        "seed": seed,
    }
    given = {field: setting for field, setting in given.items() if setting is not None}
    if seed is not None and seed < 0:
        raise SettingsError(f"--seed is {seed}: use 0 or more")
    settings = decoder_settings(decoder, given, attention=attention is not False)
    return answer(
        Asking(
            questions=read_questions(questions or [], questions_file),
            model=model,
            decoder=decoder,
            settings=settings,
            kind=kind,
            seed=seed or 0,
            system_prompt=None if system is None else read_system(system),
            chat="plain" if chat is ChatName.PLAIN else "model",
            context=context,
            threads=threads,
            width=width,
            attention=attention,
            dequantize=dequantizes(dequantize, unpack),
            calibrator=calibrator,
            explain=explain,
            as_json=as_json,
            tree=tree,
            lines=questions_file is not None,
        )
    )
