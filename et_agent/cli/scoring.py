"""`et-agent score`: answers that were written elsewhere."""

import json
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from et_agent.cli.asking_options import (
    CalibratorFile,
    ChatName,
    ChatStyle,
    Choices,
    DecoderName,
    Kind,
    KindName,
    Passages,
    SameAnswers,
    Seed,
    kind_of,
    read_calibrator,
)
from et_agent.cli.decoders import DecoderCommand, chosen_decoder
from et_agent.cli.guard import be_verbose, command
from et_agent.cli.help import HelpAll
from et_agent.cli.run_options import (
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
from et_agent.wording import counted

if TYPE_CHECKING:
    from et_agent.asking.options import AskOptions
    from et_agent.asking.scoring import PendingScore
    from et_agent.cli.scored_files import AnswerRow
    from et_agent.engines.sampled import AnyModel
    from et_agent.scores import ScoreReport

__all__ = ["ScoreCommand", "score"]

_AT_ONCE: Final = 4
"""Rows of a file that share the model's batches."""


class ScoreCommand(DecoderCommand):
    """`score`: what is scored matters at first."""

    shown = frozenset(
        {
            "question",
            "answer",
            "sample",
            "file",
            "out",
            "passages",
            "kind",
            "model",
            "leaves",
            "as_json",
        }
    )


@command
def score(
    call: typer.Context,
    question: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="The question; - is standard input.", show_default=False),
    ] = None,
    answer: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="The answer to score; - is standard input.", show_default=False
        ),
    ] = None,
    sample: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="What else was answered, in place of a fresh tree; repeat it for more.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help='Score a whole file: JSON Lines with "question", "answer" and, if you like, "samples" '
            'and "id", or CSV. - reads standard input.',
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Write the scores of --file here, one line of JSON per row, in their order. The same "
            "call goes on where it was stopped.",
            show_default="standard output",
        ),
    ] = None,
    passages: Passages = None,
    choices: Choices = None,
    kind: Kind = KindName.AUTO,
    system: Annotated[
        str | None,
        typer.Option(
            "--system",
            "--system-prompt",
            metavar="TEXT|@FILE",
            help="System prompt that the answer was given under.",
            rich_help_panel="Question",
        ),
    ] = None,
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
    dequantize: Dequantize = False,
    prefix_memory: PrefixMemory = None,
    prefix_file: PrefixFile = None,
    gpu_layers: GpuLayers = None,
    split_mode: SplitMode = None,
    main_gpu: MainGpu = None,
    decoder: DecoderName = None,
    seed: Seed = None,
    as_json: Annotated[
        bool, typer.Option("--json", metavar="", help="Print JSON.", rich_help_panel="Output")
    ] = False,
    calibrator: CalibratorFile = None,
    verbose: Verbose = False,
    help_all: HelpAll = False,
) -> int:
    """Score answers of any system: their probability, who agrees with them, and a confidence."""
    del help_all
    if verbose:
        be_verbose()
    from et_agent.asking.options import AskOptions
    from et_agent.cli import loading
    from et_agent.cli.prompts import read_passages, read_system
    from et_agent.cli.questions import offering
    from et_agent.cli.scored_files import AnswerRow, read_answers
    from et_agent.cli.standard_input import given_text
    from et_agent.cli.transfer import shown_transfer
    from et_agent.errors import SettingsError
    from et_agent.weights.addresses import is_address

    if (file is None) == (question is None and answer is None):
        raise SettingsError("pass --question and --answer, or --file")
    if file is None and (question is None or answer is None):
        raise SettingsError("--question and --answer go together: pass both")
    if file is None and out is not None:
        raise SettingsError("--out is for the scores of a --file: leave it out, or use --json")
    if file is not None and sample:
        raise SettingsError('samples of a --file stand in its rows, under "samples"')
    spec = loading.chosen_model(model, fast=fast)
    decodes = chosen_decoder(call, decoder, served=is_address(spec), seed=seed)
    if sample and decodes.settings is not None:
        raise SettingsError(
            "--decoder, --leaves and the like are those of a tree, and samples take its place: leave "
            "out one of both"
        )
    loading.check_load_settings(context=context, threads=threads, width=width)
    options = AskOptions(
        context=read_passages(passages, file, question, answer, system),
        decoder=decodes.settings,
        kind=kind_of(kind, choices).value,
        seed=seed or 0,
        system_prompt=read_system(system),
        chat=chat.value,
        same=None if same is None else same.value,
        calibrator=read_calibrator(calibrator),
        **thinking_keywords(thinking, max_thinking_tokens, template_options),
    )
    if file is not None:
        rows = [
            replace(one, question=offering(one.question, one.where, choices))
            for one in read_answers(file)
        ]
    else:
        asked, given = given_text(str(question)), given_text(str(answer))
        asked = offering(asked, "the question", choices)
        rows = [AnswerRow(1, "the answer", asked, given, _given(sample))]
    with shown_transfer() as progress:
        opened = loading.open_model(
            spec,
            context=context,
            threads=threads,
            width=width,
            dequantize=dequantize,
            gpu=loading.GpuSettings(gpu_layers, split_mode, main_gpu),
            prefix_memory=prefix_memory,
            prefix_file=prefix_file,
            progress=progress,
        )
    with opened as loaded:
        if file is not None:
            return _score_file(loaded, rows, None if out is None else Path(out), options)
        (row,) = rows
        found = _submitted(loaded, row, options).result()
    _print_json(found) if as_json else _print(found)
    return 0


def _given(sample: list[str] | None) -> tuple[str, ...] | None:
    return tuple(sample) if sample else None


def _submitted(model: "AnyModel", row: "AnswerRow", options: "AskOptions") -> "PendingScore":
    from et_agent.asking.scoring import submit_score

    if row.samples is not None:
        options = options.changed(decoder=None)
    return submit_score(model, row.question, row.answer, row.samples, options)


def _score_file(
    model: "AnyModel", rows: "list[AnswerRow]", out: Path | None, options: "AskOptions"
) -> int:
    from et_agent.cli.guard import USER_ERROR
    from et_agent.cli.scored_files import ScoreFile
    from et_agent.cli.terminal import say
    from et_agent.errors import EtAgentError, ModelClosedError

    settings = _settings(model, options)
    failed = 0
    waiting: deque[PendingScore | EtAgentError] = deque()

    with ScoreFile(None if out is None else user_path(out), rows, settings) as kept:
        if kept.done:
            say(f"{kept.done} of {len(rows)} are scored already")
        coming = iter(rows[kept.done :])

        def fill() -> None:
            for row in coming:
                try:
                    waiting.append(_submitted(model, row, options))
                except ModelClosedError:
                    raise
                except EtAgentError as error:
                    waiting.append(error)
                if len(waiting) == _AT_ONCE:
                    return

        with _Meter(len(rows), kept.done) as meter:
            try:
                fill()
                while waiting:
                    row, one = rows[kept.done], waiting.popleft()
                    found = _found(one)
                    if "error" in found:
                        failed += 1
                        say(f"error: {row.where}: {found['error']}")
                    kept.add(found)
                    meter.move(kept.done)
                    fill()
            finally:
                for left in waiting:
                    if not isinstance(left, EtAgentError):
                        left.cancel()
    return USER_ERROR if failed else 0


def _found(one: "PendingScore | Exception") -> dict[str, Any]:
    from et_agent.errors import EtAgentError, ModelClosedError

    try:
        if isinstance(one, Exception):
            raise one
        return {"score": one.result().model_dump(mode="json")}
    except ModelClosedError:
        raise
    except EtAgentError as error:
        return {"error": str(error)}


def _settings(model: "AnyModel", options: "AskOptions") -> dict[str, Any]:
    """What a score depends on beside its row; what earlier versions had not, where it was set."""
    from et_agent.asking.options import DEFAULTS
    from et_agent.calibration import Calibrator
    from et_agent.decoding.naming import described

    calibrator: object = options.calibrator
    if isinstance(calibrator, Calibrator):
        calibrator = calibrator.document().model_dump(mode="json")
    later = {
        "chat": (options.chat, DEFAULTS.chat),
        "same": (options.same, DEFAULTS.same),
        "thinking": (options.thinking, DEFAULTS.thinking),
        "max_thinking_tokens": (options.max_thinking_tokens, DEFAULTS.max_thinking_tokens),
        "template_options": (options.template_options, DEFAULTS.template_options),
        "calibrator": (calibrator, DEFAULTS.calibrator),
    }
    return {
        "model": model.info.fingerprint,
        "kind": str(options.kind),
        "seed": options.seed,
        "system": options.system_prompt,
        "passages": options.context,
        "decoder": None if options.decoder is None else described(options.decoder),
        **{name: value for name, (value, default) in later.items() if value != default},
    }


def _print_json(found: "ScoreReport") -> None:
    from et_agent.cli.terminal import write_line

    write_line(json.dumps(found.model_dump(mode="json"), allow_nan=False, indent=2))


def _print(found: "ScoreReport") -> None:
    from rich.table import Table
    from rich.text import Text

    from et_agent.cli.claims import SUPPORT, claims_table, coloured
    from et_agent.cli.report import basis
    from et_agent.cli.terminal import one_line, output_console, print_block, visible

    console = output_console()
    print_block(console, coloured(found.answer, found.claims))
    console.print()
    if found.claims:
        print_block(console, claims_table(found.claims))
        console.print(Text(SUPPORT, style="dim"))
        console.print()
    sure, agreement = found.confidence, found.agreement
    rows = []
    if sure is not None and found.calibration is not None:
        rows.append(("confidence", f"{sure:.1%}, {basis(found.calibration)}"))
    if agreement is not None:
        what = "support of its claims" if found.claims else "of the weight"
        rows.append(("agreement", f"{agreement:.1%} {what}, {counted(found.samples, 'sample')}"))
    if found.p_true is not None:
        rows.append(("P(true)", f"{found.p_true:.1%}, as the model says when it is asked"))
    rows += [
        (
            "log-probability",
            f"{found.log_prob:.2f} nats, {found.mean_log_prob:.2f} per token, "
            f"{counted(found.tokens, 'token')}",
        ),
        ("own answer", "no answer" if found.own_answer is None else one_line(found.own_answer)),
        ("kind", found.kind),
        ("model", one_line(found.model.name)),
        ("time", f"{found.seconds:.1f} s, {counted(found.tokens_decoded, 'token')} decoded"),
    ]
    rows += [("note", visible(note)) for note in found.notes]
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(value, style="yellow" if name == "note" else ""))
    print_block(console, table)


class _Meter:
    """A bar on standard error while a file is scored; nothing if that is not a terminal."""

    def __init__(self, total: int, done: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        from et_agent.cli.terminal import error_console

        console = error_console()
        self._bars = Progress(
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bars.add_task("scored", total=total, completed=done)

    def __enter__(self) -> "_Meter":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def move(self, done: int) -> None:
        """Show how far it is."""
        self._bars.update(self._task, completed=done)
