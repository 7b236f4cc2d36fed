"""`et-agent pilot`: percentiles of a model's token entropy and attention become thresholds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from et_agent.cli.asking_options import ChatName, ChatStyle
from et_agent.cli.guard import be_verbose, command
from et_agent.cli.run_options import Fast, GpuLayers, MainGpu, ModelSpec, SplitMode
from et_agent.storage import user_path
from et_agent.wording import counted

if TYPE_CHECKING:
    from et_agent.decoding.thresholds import Thresholds

__all__ = ["pilot"]

_PERCENTILES: Final = (50, 60, 70, 80, 90, 95)


@command
def pilot(
    questions: Annotated[
        str,
        typer.Option(
            "--questions",
            metavar="FILE",
            help="Questions other than those to answer "
            'later: one per line, or JSON Lines with "question". 20 to 50 are enough.',
        ),
    ],
    model: ModelSpec = None,
    fast: Fast = False,
    chains: Annotated[int, typer.Option(help="Chains per question.")] = 4,
    temperature: Annotated[float, typer.Option(help="Sampling temperature.")] = 0.7,
    max_tokens: Annotated[int, typer.Option(help="Longest chain in tokens.")] = 320,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
    chat: ChatStyle = ChatName.MODEL,
    output: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Write to this file instead of the place where `ask` looks."
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            help="CPU threads.",
            show_default="the cores",
        ),
    ] = None,
    gpu_layers: GpuLayers = None,
    split_mode: SplitMode = None,
    main_gpu: MainGpu = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show the log.")] = False,
) -> int:
    """Measure the thresholds above which a model's trees fork."""
    if verbose:
        be_verbose()
    from et_agent.asking import run_pilot
    from et_agent.cli import loading
    from et_agent.cli.decoders import decoder_settings
    from et_agent.cli.questions import read_file
    from et_agent.cli.transfer import shown_transfer
    from et_agent.decoding.thresholds import save_thresholds
    from et_agent.errors import SettingsError

    if not 1 <= chains <= 256:
        raise SettingsError(f"--chains is {chains}: use 1 to 256 (default 4)")
    if seed < 0:
        raise SettingsError(f"--seed is {seed}: use 0 or more")
    decoder_settings("multi-chain", {"temperature": temperature, "max_tokens": max_tokens})
    loading.check_load_settings(context=None, threads=threads)
    texts = [question.text for question in read_file(questions)]
    target = None if output is None else _writable(output)
    with shown_transfer() as progress:
        opened = loading.open_model(
            loading.chosen_model(model, fast=fast),
            threads=threads,
            gpu=loading.GpuSettings(gpu_layers, split_mode, main_gpu),
            progress=progress,
        )
    with opened as loaded, _Meter(len(texts)) as meter:
        thresholds = run_pilot(
            loaded,
            texts,
            chains=chains,
            temperature=temperature,
            max_tokens=max_tokens,
            seed=seed,
            source="standard input" if questions == "-" else Path(questions).name,
            chat=chat.value,
            on_progress=meter.move,
        )
    saved = save_thresholds(thresholds, target)
    _print(thresholds)
    from et_agent.cli.terminal import visible, write_line

    write_line(f"saved: {visible(str(saved))}")
    if target is not None:
        write_line(
            "`et-agent ask` does not look there: leave out --output if it should find the thresholds"
        )
    return 0


def _writable(output: str) -> Path:
    """The output path, refused before minutes of work when its folder cannot take it."""
    from et_agent.errors import SettingsError

    path = user_path(output)
    if path.is_dir() or not path.parent.is_dir():
        raise SettingsError(
            f"--output {output} cannot be written: name a file in an existing folder"
        )
    return path


def _print(thresholds: "Thresholds") -> None:
    from rich.table import Table
    from rich.text import Text

    from et_agent.cli.terminal import one_line, output_console, print_block

    console = output_console()
    heading = (
        f"{thresholds.model_name}: {counted(thresholds.questions, 'question')}, "
        f"{counted(thresholds.tokens, 'token')}, temperature {thresholds.temperature:g}"
    )
    console.print(Text(one_line(heading), style="bold"))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("percentile", "entropy (nats)", "received attention", "prompt attention"):
        table.add_column(name, justify="right", no_wrap=True)
    for percentile in _PERCENTILES:
        received = thresholds.received_at(percentile)
        prompt = thresholds.prompt_attention_at(percentile)
        table.add_row(
            str(percentile),
            f"{thresholds.entropy_at(percentile):.4f}",
            "none" if received is None else f"{received:.5f}",
            "none" if prompt is None else f"{prompt:.4f}",
        )
    print_block(console, table)


class _Meter:
    """A bar on standard error while the pilot runs; nothing if that is not a terminal."""

    def __init__(self, total: int) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        from et_agent.cli.guard import is_verbose
        from et_agent.cli.terminal import error_console

        console = error_console()
        self._bars = Progress(
            TextColumn("pilot"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("questions, {task.fields[tokens]:,} tokens"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not console.is_terminal or is_verbose(),
        )
        self._task = self._bars.add_task("pilot", total=total, tokens=0)

    def __enter__(self) -> "_Meter":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def move(self, done: int, total: int, tokens: int) -> None:
        """Show how far the pilot is."""
        self._bars.update(self._task, completed=done, total=total, tokens=tokens)
