"""`et-agent calibrate model`: how far a model can be trusted, learnt in some minutes."""

import math
import sys
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

import typer

from et_agent.cli.asking_options import ChatName, ChatStyle, System
from et_agent.cli.guard import INTERRUPTED, be_verbose, command
from et_agent.cli.help import HelpAll, ShortHelpCommand
from et_agent.cli.labelling import say_what_is_left_out
from et_agent.cli.meter import NowAndThen
from et_agent.cli.run_options import (
    ContextSize,
    CpuThreads,
    Dequantize,
    Fast,
    GpuLayers,
    LeavesPerQuestion,
    MainGpu,
    MaxTokens,
    ModelSpec,
    SplitMode,
    Temperature,
    Unpack,
    Verbose,
    Width,
)
from et_agent.cli.stores import StoreFile, open_store
from et_agent.cli.thinking import (
    MaxThinkingTokens,
    TemplateOptions,
    Thinking,
    ThinkingName,
    thinking_keywords,
)
from et_agent.wording import counted, noun

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType

    from et_agent.answers import AnswerKind
    from et_agent.calibration import Calibrator, Fingerprint
    from et_agent.calibration.calibrator_file import DataUsed
    from et_agent.evaluation.bootstrap import Interval
    from et_agent.evaluation.learning import LearningProgress, ModelLearning
    from et_agent.evaluation.learning_sets import LearningSet

__all__ = ["ModelCommand", "learn_model"]

_KINDS: Final = "number,choice,text"
_LEVELS: Final = (0.8, 0.5)
"""Confidences above which right answers are counted: the second, if there are none above the first."""
_BAR: Final = 24


class ModelCommand(ShortHelpCommand):
    """`calibrate model`: of its options nine matter at first."""

    shown = frozenset(
        {
            "model",
            "fast",
            "minutes",
            "kinds",
            "data",
            "interval",
            "decoder",
            "leaves",
            "max_tokens",
        }
    )
    brief: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "fast": "Take the small model.",
            "minutes": "Time for decoding, by default 30.",
            "data": "Your own questions with answers.",
            "interval": "Stop at this width of the 95 % interval of the ECE.",
            "leaves": "Leaves per question, by default those of `ask`.",
        }
    )


@command
def learn_model(
    model: ModelSpec = None,
    fast: Fast = False,
    minutes: Annotated[
        float, typer.Option(help="Time for decoding. A later call goes on from there.")
    ] = 30.0,
    kinds: Annotated[
        str | None,
        typer.Option(
            metavar="KIND,…",
            help="Answer kinds to learn.",
            show_default=f"{_KINDS}; with --data, its own",
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:SPLIT]|FILE",
            help="Questions with answers, such as your own; see `et-agent eval data`.",
            show_default="public ones of each kind",
        ),
    ] = None,
    interval: Annotated[
        float,
        typer.Option(
            help="Enough is known of a kind once the 95 % interval of its ECE is this narrow."
        ),
    ] = 0.05,
    decoder: Annotated[
        str,
        typer.Option(metavar="NAME[:FIELD=VALUE,…]", help="entropy-tree, multi-chain or greedy."),
    ] = "entropy-tree",
    leaves: LeavesPerQuestion = None,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    seed: Annotated[
        int, typer.Option(help="Seed of the shuffle of the questions, and of the trees.")
    ] = 0,
    system: System = None,
    chat: ChatStyle = ChatName.MODEL,
    thinking: Thinking = ThinkingName.AUTO,
    max_thinking_tokens: MaxThinkingTokens = None,
    template_options: TemplateOptions = None,
    store: StoreFile = None,
    context: ContextSize = None,
    threads: CpuThreads = None,
    width: Width = None,
    unpack: Unpack = False,
    dequantize: Dequantize = False,
    gpu_layers: GpuLayers = None,
    split_mode: SplitMode = None,
    main_gpu: MainGpu = None,
    verbose: Verbose = False,
    help_all: HelpAll = False,
) -> int:
    """Learn how far a model can be trusted, from questions with known answers.

    Use the settings that you will ask with. Ctrl-C keeps everything, and the same command goes on.
    """
    del help_all
    if verbose:
        be_verbose()
    from et_agent.cli import loading
    from et_agent.cli.prompts import read_system
    from et_agent.cli.terminal import say, write_line
    from et_agent.cli.transfer import shown_transfer
    from et_agent.errors import SettingsError
    from et_agent.evaluation.decoders import parse_decoder
    from et_agent.evaluation.learning import ModelLearning

    if not 0 < minutes < math.inf:
        raise SettingsError(f"--minutes is {minutes:g}: use a number above 0, such as 30")
    if not 0 < interval <= 1:
        raise SettingsError(f"--interval is {interval:g}: use a number above 0, such as 0.05")
    if seed < 0:
        raise SettingsError(f"--seed is {seed}: use 0 or more")
    loading.check_load_settings(context=context, threads=threads, width=width)
    prompt = read_system(system)
    shared = {"leaves": leaves, "max_tokens": max_tokens, "temperature": temperature}
    settings = parse_decoder(decoder, **shared)
    sets = _sets(kinds, data, seed)
    spec = loading.chosen_model(model, fast=fast)
    with shown_transfer() as progress:
        opened = loading.open_model(
            spec,
            context=context,
            threads=threads,
            width=width,
            attention=settings.reads_attention,
            dequantize=loading.dequantizes(dequantize, unpack),
            gpu=loading.GpuSettings(gpu_layers, split_mode, main_gpu),
            progress=progress,
        )
    with (
        opened as loaded,
        open_store(store) as runs,
        ModelLearning(
            loaded,
            sets,
            runs,
            decoder=settings,
            seconds=60 * minutes,
            interval=interval,
            name=decoder,
            seed=seed,
            system_prompt=prompt,
            chat=chat.value,
            **thinking_keywords(thinking, max_thinking_tokens, template_options),
        ) as learning,
    ):
        ended = _work(learning, f"{spec}, {decoder}", 60 * minutes)
        for one in learning.skipped:
            say(f"skipped {one.item}: {one.reason}")
        say_what_is_left_out()
        learnt = [_report(learning, kind) for kind in learning.tracks]
    write_line(_ENDS[ended])
    return INTERRUPTED if ended == "interrupted" else 0 if any(learnt) else 1


_ENDS: Final = {
    "interrupted": "interrupted: everything is kept, and the same command goes on from here",
    "time": "the time is up: the same command goes on from here",
    "known": "enough is known of each kind; a smaller --interval asks for more",
    "questions": "all questions are used",
}


def _sets(kinds: str | None, data: list[str] | None, seed: int) -> "list[LearningSet]":
    from et_agent.cli.terminal import say
    from et_agent.evaluation.datasets import guessed_of
    from et_agent.evaluation.learning_sets import chosen_kinds, own_sets, public_sets

    if data:
        found = own_sets(data, None if kinds is None else chosen_kinds(kinds), seed=seed)
        for spec in data:
            if guessed := guessed_of(spec):
                say(f"{spec}: {guessed}")
        return found
    wanted = chosen_kinds(_KINDS if kinds is None else kinds)
    say("reading public questions; data sets that are not at hand are fetched")
    return public_sets(wanted, seed=seed, tell=lambda line: say(f"note: {line}"))


def _work(learning: "ModelLearning", title: str, seconds: float) -> str:
    """Decode until the end; gives why it came."""
    try:
        with _Board(title, seconds) as board, closing(learning.work()) as steps:
            for progress in steps:
                board.move(progress)
    except KeyboardInterrupt:
        return "interrupted"
    return learning.ended or "interrupted"


def _report(learning: "ModelLearning", kind: "AnswerKind") -> bool:
    """Keep what was learnt of a kind and tell what it is worth; false if that is nothing."""
    from et_agent.calibration.calibrator_file import LEARNT
    from et_agent.calibration.finding import changing_own, own_file
    from et_agent.calibration.rows import MIN_QUESTIONS
    from et_agent.cli.reliability import print_reliability
    from et_agent.cli.terminal import one_line, visible, write_line

    track = learning.tracks[kind]
    with changing_own():
        calibrator = learning.calibrator(kind)
        if calibrator is not None:
            path = own_file(calibrator)
            replaced = _replaced(path, calibrator)
            path = calibrator.save(path)
    if calibrator is None:
        why = (
            f"none of {counted(track.done, 'question')} has an answer"
            if track.done
            else "there was no time for it"
        )
        write_line(f"{kind}: nothing is learnt, since {why}")
        return False
    names = [one_line(one.name) for one in calibrator.data if one.name != LEARNT]
    data = " and ".join(names)
    right = int(track.right.sum())
    write_line(
        f"{kind}: {counted(track.done, 'question')} of {data}, {track.answered} with an answer, "
        f"{right} right"
    )
    if own := len(calibrator.learnt_):
        write_line(f"  labels that were given while working count too: {own}")
    figures = {name: f"{value:.3f}" for name, value in calibrator.metrics_.items()}
    if (found := track.ece()) is not None:
        figures["ECE"] = _shown(found)
    told = ", ".join(f"{name} {value}" for name, value in figures.items())
    write_line(f"  judged before each label: {told}")
    print_reliability(calibrator.reliability_)
    write_line(f"  {_sentence(learning, kind)}")
    if track.answered < MIN_QUESTIONS:
        write_line(
            f"  {counted(track.answered, 'label')} {noun(track.answered, 'tells', 'tell')} little: "
            f"give {MIN_QUESTIONS} or more (--data)"
        )
    write_line(f"  saved: {visible(str(path))}")
    if (fingerprint := calibrator.fingerprint) is not None:
        write_line(f"  {_held(fingerprint, kind)}")
    for one in replaced:
        write_line(
            f"  in place of what {counted(one.questions, 'question')} of {one_line(one.name)} had "
            "taught: to learn from both, give both with --data"
        )
    return True


def _held(fingerprint: "Fingerprint", kind: "AnswerKind") -> str:
    """What a calibrator holds for, and what `ask` needs where its own leaves are others."""
    from et_agent.cli.calibrators import in_leaves
    from et_agent.decoding.schedules import EntropyTree

    low, high = fingerprint.leaves
    told = f"in use from now on for kind {kind}, {in_leaves(fingerprint)}: --kind {kind}"
    if high == 1 or low <= EntropyTree().leaves <= high:
        return told
    return f"{told} --leaves {high}"


def _replaced(path: "Path", calibrator: "Calibrator") -> "list[DataUsed]":
    """What a calibrator in the same place was fitted on, and this one is not."""
    from et_agent.calibration import Calibrator
    from et_agent.calibration.calibrator_file import LEARNT
    from et_agent.errors import CalibrationError

    kept = {LEARNT, *(one.name for one in calibrator.data)}
    with suppress(CalibrationError):
        return [one for one in Calibrator.load(path).data if one.name not in kept]
    return []


def _sentence(learning: "ModelLearning", kind: "AnswerKind") -> str:
    """What a high confidence was worth."""
    track = learning.tracks[kind]
    first = _LEVELS[0]
    for level in _LEVELS:
        right, count = track.above(level)
        if count:
            none = "" if level == first else f"no confidence was above {first:g}; "
            return f"{none}above {level:g} this model was right in {right} of {count}"
    return f"no confidence was above {_LEVELS[-1]:g}; the highest was {track.confidences.max():.2f}"


def _shown(found: "Interval") -> str:
    if found.value is None or found.low is None or found.high is None:
        return "undefined"
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


class _Board:
    """A table on standard error while questions are decoded; a line now and then without terminal."""

    def __init__(self, title: str, seconds: float) -> None:
        from rich.live import Live

        from et_agent.cli.guard import is_verbose
        from et_agent.cli.terminal import error_console, one_line

        console = error_console()
        self._shown = console.is_terminal and not is_verbose()
        self._ascii = not (sys.stderr.encoding or "").lower().startswith("utf")
        self._title, self._seconds = one_line(title), seconds
        self._started = time.monotonic()
        self._progress: LearningProgress | None = None
        self._lines = NowAndThen(at_once=True)
        self._live = Live(
            get_renderable=self._draw, console=console, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> "_Board":
        if self._shown:
            self._live.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            self._live.stop()

    def move(self, progress: "LearningProgress") -> None:
        """Show how far it is."""
        from et_agent.cli.terminal import duration

        self._progress = progress
        if not self._shown and self._lines.due():
            told = "; ".join(
                f"{one.kind} {one.right} right of {one.answered}"
                + ("" if one.ece is None else f", ECE {_shown(one.ece)}")
                for one in progress.standings
            )
            done = sum(one.done for one in progress.standings)
            left = duration(progress.seconds_left)
            self._lines.say(f"{counted(done, 'question')}, {left} left: {told}")

    def _draw(self) -> "RenderableType":
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        from et_agent.cli.terminal import bar, duration

        spent = min(time.monotonic() - self._started, self._seconds)
        filled = bar(spent / self._seconds, _BAR, ascii_only=self._ascii)
        line = Text(f"{filled}{('.' if self._ascii else '·') * (_BAR - len(filled))}", "cyan")
        line.append(f" {duration(self._seconds - spent)} left", "default")
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
        for name in ("", "questions", "answered", "right"):
            table.add_column(name, justify="right" if name else "left")
        table.add_column("ECE so far, 95 % interval", no_wrap=True)
        if (progress := self._progress) is not None:
            if progress.tokens_per_second:
                line.append(f", {progress.tokens_per_second:,.0f} tokens/s", "dim")
            for one in progress.standings:
                error = "-" if one.ece is None else _shown(one.ece)
                numbers = map(str, (one.done, one.answered, one.right))
                table.add_row(one.kind.value, *numbers, error)
        line.append("  Ctrl-C stops and keeps all", "dim")
        return Group(Text(self._title, "bold", no_wrap=True, overflow="ellipsis"), line, table)
