"""`et-agent gate ask`: a question in, a decision out."""

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from enum import StrEnum
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

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
    read_calibrator,
)
from et_agent.cli.decoders import STOPPING_PANEL, DecoderCommand, chosen_decoder
from et_agent.cli.guard import be_verbose, command, is_verbose
from et_agent.cli.help import HelpAll
from et_agent.cli.pages import Html, PageFiles, Png, Svg
from et_agent.cli.policies import policy_of
from et_agent.cli.run_options import (
    MODEL_METAVAR,
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
from et_agent.storage import user_path

if TYPE_CHECKING:
    from et_agent.engines.sampled import AnyModel
    from et_agent.results import AskResult

__all__ = ["Cautious", "GateAskCommand", "gated_ask"]

_GATE: Final = "Gate"
_OUTPUT: Final = "Output"

Cautious = Annotated[
    bool | None,
    typer.Option(
        "--cautious/--not-cautious",
        help="Compare the lower end of the confidence's interval; or not, then the confidence.",
        show_default="cautious for the general map, and with fewer than 50 labels",
        rich_help_panel=_GATE,
    ),
]

UNANSWERED: Final = 3
"""Exit code where no answer is given."""


class LeastCalibration(StrEnum):
    """What a confidence has to rest on, as `GatePolicy.least_calibration`."""

    GENERAL = "general"
    SHIPPED = "shipped"
    OWN = "own"


class DoubtfulClaims(StrEnum):
    """What becomes of doubtful claims, as `GatePolicy.claims`."""

    MARK = "mark"
    DROP = "drop"


class GateAskCommand(DecoderCommand):
    """`gate ask`: what `ask` takes, and the gate's own options, which matter at first."""

    shown = frozenset(
        {
            "answer_at",
            "policy",
            "cautious",
            "escalate_to",
            "clarify",
            "passages",
            "choices",
            "kind",
            "model",
            "leaves",
            "max_tokens",
            "early",
            "log",
            "as_json",
            "quiet",
        }
    )
    brief: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "answer_at": "Lowest confidence of an answer that is given, by default 0.8.",
            "early": "Stop once the decision is nearly certain.",
            "quiet": "Print the answer alone, or nothing: for scripts.",
        }
    )


@command
def gated_ask(
    call: typer.Context,
    question: Annotated[
        str, typer.Argument(metavar="QUESTION", help="The question; - is standard input.")
    ],
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
    answer_at: Annotated[
        float | None,
        typer.Option(
            help="Lowest confidence at which the question is answered.",
            show_default="0.8",
            rich_help_panel=_GATE,
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Policy as a TOML file. --answer-at overrides it.",
            rich_help_panel=_GATE,
        ),
    ] = None,
    topic: Annotated[
        str | None,
        typer.Option(help="Topic or tool whose part of the policy applies.", rich_help_panel=_GATE),
    ] = None,
    share: Annotated[
        bool,
        typer.Option(
            "--share",
            metavar="",
            help="Use the raw share where the confidence does not count (--least-calibration).",
            rich_help_panel=_GATE,
        ),
    ] = False,
    least_calibration: Annotated[
        LeastCalibration | None,
        typer.Option(
            metavar="MAP",
            case_sensitive=False,
            help="What a confidence has to rest on to count: general (any), shipped (a shipped "
            "calibrator or your own), or own.",
            show_default="general",
            rich_help_panel=_GATE,
        ),
    ] = None,
    cautious: Cautious = None,
    claims: Annotated[
        DoubtfulClaims | None,
        typer.Option(
            metavar="HOW",
            case_sensitive=False,
            help="What becomes of the claims of a long answer (--kind long) below --answer-at: mark "
            "them, or drop their sentences.",
            show_default="the whole is given or not",
            rich_help_panel=_GATE,
        ),
    ] = None,
    escalate_to: Annotated[
        str | None,
        typer.Option(
            metavar=MODEL_METAVAR,
            help="Model that questions are escalated to. Of the options of the tree, it takes those "
            "that apply to it.",
            rich_help_panel=_GATE,
        ),
    ] = None,
    clarify: Annotated[
        bool,
        typer.Option(
            "--clarify",
            metavar="",
            help="Ask back when the question is unclear.",
            rich_help_panel=_GATE,
        ),
    ] = False,
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
    decoder: DecoderName = None,
    seed: Seed = None,
    early: Annotated[
        bool,
        typer.Option(
            "--early",
            metavar="",
            help="Stop a tree once the decision is nearly certain, to save tokens: "
            "the same as --batch 4 --stop-above 0.8 --stop-below 0.34.",
            rich_help_panel=STOPPING_PANEL,
        ),
    ] = False,
    log: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Store the decision in this file.", rich_help_panel=_OUTPUT
        ),
    ] = None,
    keep_texts: Annotated[
        bool,
        typer.Option(
            "--keep-texts",
            metavar="",
            help="Store question and answer in it too.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", metavar="", help="Print the decision as JSON.", rich_help_panel=_OUTPUT
        ),
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            "-q",
            metavar="",
            help="Print the answer alone, and nothing if none is given: for scripts.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    tree: Annotated[
        bool,
        typer.Option(
            "--tree", metavar="", help="Print the tree below it.", rich_help_panel=_OUTPUT
        ),
    ] = False,
    html: Html = None,
    svg: Svg = None,
    png: Png = None,
    alternatives: Alternatives = None,
    calibrator: CalibratorFile = None,
    explain: Explain = False,
    verbose: Verbose = False,
    help_all: HelpAll = False,
) -> int:
    """Answer if the confidence is high enough; otherwise escalate or ask back if allowed, or say why.

    Exit code 0 with an answer, 3 without, 2 for an error.
    """
    del help_all
    if verbose:
        be_verbose()
    from et_agent.asking.options import AskOptions
    from et_agent.cli import loading
    from et_agent.cli.decision_report import print_decision
    from et_agent.cli.display import Board
    from et_agent.cli.prompts import read_passages, read_schema, read_system
    from et_agent.cli.questions import read_question
    from et_agent.cli.report import print_details
    from et_agent.cli.terminal import is_watched, visible, write_line
    from et_agent.errors import SettingsError
    from et_agent.gate import EARLY, Action, Clarifier, DecisionLog, Gate, ModelTarget
    from et_agent.weights.addresses import is_address

    loading.check_load_settings(context=context, threads=threads, width=width)
    if keep_texts and log is None:
        raise SettingsError("--keep-texts needs a log to store the texts in: add --log FILE")
    if as_json and (tree or explain):
        raise SettingsError(
            "--json prints the decision alone: leave out --tree and --explain, or use ask --json --tree"
        )
    if quiet and (as_json or tree or explain):
        raise SettingsError(
            "--quiet prints the answer alone: leave out --json, --tree and --explain"
        )
    files = PageFiles(html, svg, png)
    changes = {
        "answer_at": answer_at,
        "uncalibrated": "share" if share else None,
        "least_calibration": None if least_calibration is None else least_calibration.value,
        "cautious": cautious,
        "claims": None if claims is None else claims.value,
        "clarify": clarify or None,
    }
    rules = policy_of(policy, {name: one for name, one in changes.items() if one is not None})
    spec = loading.chosen_model(model, fast=fast)
    larger = escalate_to or spec
    if escalate_to is not None:
        loading.check_target(escalate_to, "--escalate-to", template=chat is ChatName.MODEL)
    served = {name: is_address(name) for name in (spec, larger)}
    decodes = chosen_decoder(
        call,
        decoder,
        served=served[spec],
        seed=seed,
        attention=attention,
        preset=EARLY if early else None,
    )
    options = AskOptions(
        context=read_passages(passages, question, system),
        decoder=decodes.settings,
        kind=kind_of(kind, choices).value,
        seed=seed or 0,
        system_prompt=read_system(system),
        chat=chat.value,
        schema=None if schema is None else read_schema(schema),
        same=None if same is None else same.value,
        attention=attention is True,
        alternatives=files.alternatives(alternatives),
        calibrator=read_calibrator(calibrator),
        **thinking_keywords(thinking, max_thinking_tokens, template_options),
    )
    here: loading.LoadSettings = {
        "context": context,
        "threads": threads,
        "width": width,
        "attention": attention is not False,
        "dequantize": loading.dequantizes(dequantize, unpack),
        "gpu": loading.GpuSettings(gpu_layers, split_mode, main_gpu),
        "prefix_memory": prefix_memory,
    }
    question = read_question(question, choices)
    results: list[AskResult] = []
    with ExitStack() as stack:
        shown = is_watched() and not is_verbose()
        board = stack.enter_context(
            Board([question], model=spec, decoder=decodes.name, shown=shown)
        )

        def opened(name: str, own: loading.LoadSettings) -> "AnyModel":
            # What is set for a model in this process does not concern the other one.
            settings = own if not served[name] or all(served.values()) else loading.LoadSettings()
            return stack.enter_context(
                loading.open_model(name, **settings, progress=board.transfer)
            )

        # A file of prompts holds those of one model.
        loaded = opened(spec, {**here, "prefix_file": prefix_file})
        kept = None
        if log is not None:
            kept = stack.enter_context(DecisionLog(user_path(log), keep_texts=keep_texts))
        target = None
        if escalate_to is not None:

            def opened_larger() -> "AnyModel":
                board.escalate(larger)
                return opened(larger, here)

            target = ModelTarget(
                opened_larger,
                options.changed(
                    decoder=decodes.of_model(served=served[larger]),
                    calibrator="auto" if options.calibrator is not None else None,
                ),
            )
        gate = Gate(
            rules,
            escalate=target,
            clarifier=Clarifier(loaded, seed=options.seed) if rules.asks_back else None,
            log=kept,
        )
        note = partial(board.note, 0)
        ended = False
        board.begin(lambda _: ended, lambda: False)
        decision = gate.ask(
            loaded, question, options, topic=topic, on_progress=note, on_result=results.append
        )
        ended = True
        board.close()
        told = partial(print_decision, target=larger, logged=log is not None)
        asks_back = not as_json and not quiet and sys.stdin.isatty()
        while decision.action is Action.CLARIFY and asks_back:
            told(decision)
            try:
                reply = input("> ").strip()
            except EOFError:
                reply = ""
            if not reply:
                break
            decision = gate.reply(loaded, decision, reply, options, on_result=results.append)
        if as_json:
            write_line(decision.model_dump_json(indent=2))
        elif quiet:
            if decision.answer is not None:
                write_line(visible(decision.answer, keep="\n"))
        else:
            told(decision)
            print_details(results[-1], tree=tree, explain=explain)
        if files.wanted:
            files.write(results[-1], decision=decision)
    return 0 if decision.action is Action.ANSWER else UNANSWERED
