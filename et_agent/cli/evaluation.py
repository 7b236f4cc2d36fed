"""`et-agent eval`: runs over data sets, reports, comparisons."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from et_agent.cli.ask import ChatName
from et_agent.cli.cluster import Engine, EngineName, RayAddress, check_engine, ray_engine
from et_agent.cli.guard import be_verbose, command
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
    SystemPrompt,
    Temperature,
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

if TYPE_CHECKING:
    from et_agent.cli.loading import GpuSettings
    from et_agent.evaluation.engines import EvaluationEngine
    from et_agent.evaluation.records import QuestionRecord
    from et_agent.evaluation.running import EvaluationProgress
    from et_agent.evaluation.store import RunInfo, RunStore

__all__ = ["RunNames", "StoreFile", "eval_app", "open_store"]

eval_app = typer.Typer(
    help="Measure answers and their confidence on data sets. Runs can be interrupted and resumed.",
    no_args_is_help=True,
)

StoreFile = Annotated[
    str | None,
    typer.Option("--store", metavar="FILE", help="File with runs.", show_default="your own"),
]
RunNames = Annotated[
    list[str], typer.Argument(metavar="RUN…", help="Runs, or prefixes of their names.")
]
_QUESTIONS_HELP: Final = (
    "Number of questions, taken from a fixed shuffle. A larger number later extends the run."
)


def open_store(path: str | None) -> "RunStore":
    """The store at a path; the user's own for None."""
    from et_agent.evaluation.store import RunStore, default_store_path

    return RunStore(default_store_path() if path is None else Path(path).expanduser())


@eval_app.command("run")
@command
def run(
    data: Annotated[
        str,
        typer.Option(metavar="NAME[:SPLIT]|FILE", help="Data set; see `et-agent eval data`."),
    ],
    model: ModelSpec = None,
    fast: Fast = False,
    decoder: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:FIELD=VALUE,…]",
            help="entropy-tree, multi-chain or greedy. Several decoders answer the same questions.",
            show_default="entropy-tree",
        ),
    ] = None,
    questions: Annotated[
        int | None, typer.Option(help=_QUESTIONS_HELP, show_default="all of them")
    ] = None,
    leaves: LeavesPerQuestion = None,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    seed: Annotated[int, typer.Option(help="Seed of the run.")] = 0,
    sample_seed: Annotated[int, typer.Option(help="Seed for shuffling the questions.")] = 0,
    system_prompt: SystemPrompt = None,
    chat: Annotated[
        ChatName, typer.Option(help="model: its own chat template; plain: a plain prompt.")
    ] = ChatName.MODEL,
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
    engine: Engine = EngineName.LOCAL,
    ray_address: RayAddress = None,
    verbose: Verbose = False,
) -> int:
    """Decode the questions of a data set. The same command later continues where this one stopped."""
    if verbose:
        be_verbose()
    from et_agent.cli import loading
    from et_agent.cli.terminal import say, write_line
    from et_agent.errors import SettingsError
    from et_agent.evaluation.datasets import load_items
    from et_agent.evaluation.decoders import parse_decoder
    from et_agent.evaluation.items import sample
    from et_agent.evaluation.running import evaluate_on

    check_engine(engine, ray_address)
    if seed < 0:
        raise SettingsError(f"--seed is {seed}: use 0 or more")
    loading.check_load_settings(context=context, threads=threads, width=width)
    shared = {"leaves": leaves, "max_tokens": max_tokens, "temperature": temperature}
    decoders = {spec: parse_decoder(spec, **shared) for spec in decoder or ["entropy-tree"]}
    items = sample(load_items(data), questions, seed=sample_seed)
    opened = _opened_engine(
        engine,
        ray_address,
        loading.chosen_model(model, fast=fast),
        threads,
        context=context,
        width=width,
        dequantize=loading.dequantizes(dequantize, unpack),
        gpu=loading.GpuSettings(gpu_layers, split_mode, main_gpu),
    )
    with open_store(store) as runs, opened as chosen, _Meter() as meter:
        done, skipped = evaluate_on(
            chosen,
            items,
            decoders,
            runs,
            data=data,
            seed=seed,
            system_prompt=system_prompt,
            chat="plain" if chat is ChatName.PLAIN else "model",
            **thinking_keywords(thinking, max_thinking_tokens, template_options),
            on_progress=meter.move,
        )
    for one in skipped:
        say(f"skipped {one.item}: {one.reason}")
    for info in done:
        write_line(f"{info.name}: {info.questions} questions")
    return 1 if skipped else 0


@contextmanager
def _opened_engine(
    engine: EngineName, address: str | None, spec: str, threads: int | None, **load: Any
) -> "Iterator[EvaluationEngine]":
    """The place where questions are decoded, with the model."""
    from et_agent.cli import loading
    from et_agent.cli.transfer import shown_transfer
    from et_agent.evaluation.engines import LocalEngine

    if engine is EngineName.RAY:
        settings = loading.load_settings(**load)
        with ray_engine(spec, address=address, threads=threads, load=settings) as cluster:
            yield cluster
        return
    with (
        shown_transfer() as progress,
        loading.open_model(spec, threads=threads, progress=progress, **load) as loaded,
    ):
        yield LocalEngine(loaded)


@eval_app.command("list")
@command
def list_runs(store: StoreFile = None) -> int:
    """List the runs of a store."""
    from et_agent.cli.terminal import visible, write_line

    with open_store(store) as runs:
        found = runs.runs()
        write_line(f"{visible(str(runs.path))}: {len(found)} runs")
    for info in found:
        write_line(f"  {info.name}: {info.questions} questions, started {info.created}")
    return 0


@eval_app.command("report")
@command
def report(
    names: RunNames,
    out: Annotated[str, typer.Option(metavar="DIR", help="Folder for the report.")],
    store: StoreFile = None,
    plots: Annotated[bool, typer.Option(help="Draw pictures. Needs matplotlib.")] = True,
) -> int:
    """Write tables (Markdown, JSON) and pictures (PNG) for runs."""
    from et_agent.cli.terminal import visible, write_line
    from et_agent.evaluation.report import write_report

    with open_store(store) as runs:
        found = [runs.run(name) for name in names]
        records = {info.name: runs.records(info) for info in found}
    configs = {info.name: info.config for info in found}
    for path in write_report(records, Path(out).expanduser(), configs=configs, plots=plots):
        write_line(visible(str(path)))
    return 0


@eval_app.command("compare")
@command
def compare(
    first: Annotated[str, typer.Argument(metavar="RUN_A")],
    second: Annotated[str, typer.Argument(metavar="RUN_B")],
    estimator: Annotated[
        list[str] | None,
        typer.Option(help="Estimators to compare.", show_default="top-share, et-pe, et-pe-count"),
    ] = None,
    store: StoreFile = None,
) -> int:
    """Show the paired differences of two runs, and which of them are real."""
    from et_agent.cli.terminal import write_line
    from et_agent.evaluation import summaries
    from et_agent.evaluation.report import comparison_lines

    with open_store(store) as runs:
        one, other = runs.run(first), runs.run(second)
        sides = runs.records(one), runs.records(other)
    chosen = tuple(estimator or ("top-share", "et-pe", "et-pe-count"))
    found = summaries.compare(*sides, estimators=chosen)
    for line in comparison_lines(one.name, other.name, found):
        write_line(line)
    return 0


@eval_app.command("score")
@command
def score(
    name: Annotated[str, typer.Argument(metavar="RUN")],
    estimator: Annotated[
        list[str] | None,
        typer.Option(
            help="Estimators. Those of cost `model` ask the run's model for what is missing.",
            show_default="all that are measured",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH|hf:…", help="The run's model.", show_default="found by its name"
        ),
    ] = None,
    gpu_layers: GpuLayers = None,
    split_mode: SplitMode = None,
    main_gpu: MainGpu = None,
    store: StoreFile = None,
) -> int:
    """Score a stored run with estimators, without decoding again."""
    from et_agent.cli.loading import GpuSettings
    from et_agent.cli.terminal import write_line
    from et_agent.evaluation.report import shown
    from et_agent.evaluation.summaries import summarise
    from et_agent.uncertainty.estimators import find_estimator

    for wanted in estimator or ():
        find_estimator(wanted)
    with open_store(store) as runs:
        info = runs.run(name)
        gpu = GpuSettings(gpu_layers, split_mode, main_gpu)
        _ask_the_model(runs, info, model, estimator or (), gpu)
        records: list[QuestionRecord] = runs.records(info)
    summary = summarise(records, estimators=estimator)
    write_line(f"{'estimator':<28}{'questions':>10}  AUROC")
    for one in summary.estimators:
        write_line(f"{one.name:<28}{one.measured:>10}  {shown(one.metrics['AUROC'])}")
    missing = set(estimator or ()) - {one.name for one in summary.estimators}
    for absent in sorted(missing):
        write_line(f"{absent:<28}{0:>10}  not measured in this run")
    return 0


def _ask_the_model(
    store: "RunStore",
    run: "RunInfo",
    model: str | None,
    estimators: Sequence[str],
    gpu: "GpuSettings",
) -> None:
    """Fill in what estimators that ask the model need and the run has not got yet."""
    from et_agent.cli import loading
    from et_agent.cli.transfer import shown_transfer
    from et_agent.engines.opening import needing_logits
    from et_agent.evaluation.datasets import load_items
    from et_agent.evaluation.self_scoring import ask_the_model, needed_extras

    records = store.records(run)
    missing = [
        name
        for name in needed_extras(estimators)
        if any(name not in record.extras for record in records)
    ]
    if not missing:
        return
    items = {item.id: item for item in load_items(run.config["data"])}
    with (
        shown_transfer() as progress,
        loading.open_model(
            model or run.config["model"]["name"], gpu=gpu, progress=progress
        ) as loaded,
        _Meter() as meter,
    ):
        asked = needing_logits(loaded, "asking a model of its own answers")
        ask_the_model(store, run, asked, items, missing, meter.count)


@eval_app.command("export")
@command
def export(
    name: Annotated[str, typer.Argument(metavar="RUN")],
    file: Annotated[str, typer.Argument(metavar="FILE", help="File name that ends in .jsonl.gz.")],
    store: StoreFile = None,
) -> int:
    """Write the statistics and answers of a run to a small file, without leaf texts."""
    from et_agent.cli.terminal import visible, write_line
    from et_agent.evaluation.exchange import export_run

    path = Path(file).expanduser()
    with open_store(store) as runs:
        count = export_run(runs, runs.run(name), path)
    write_line(f"{visible(str(path))}: {count} questions")
    return 0


@eval_app.command("import")
@command
def import_(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE…", help="Exported runs, or archives of several.")
    ],
    store: StoreFile = None,
) -> int:
    """Load exported runs into the store, in order to report, score or continue them."""
    from et_agent.cli.terminal import write_line
    from et_agent.evaluation.archive import import_runs

    with open_store(store) as runs:
        for file in files:
            for info in import_runs(runs, Path(file).expanduser()):
                write_line(f"{info.name}: {info.questions} questions")
    return 0


@eval_app.command("estimators")
@command
def estimators() -> int:
    """List the estimators with their source and cost."""
    from et_agent.cli.terminal import write_line
    from et_agent.uncertainty.estimators import ESTIMATORS

    for one in ESTIMATORS.values():
        write_line(f"{one.name:<28}{one.direction:<13}{one.cost:<7}{one.source}")
    return 0


@eval_app.command("data")
@command
def data_sets() -> int:
    """List the data sets with their splits and licences."""
    from et_agent.cli.terminal import write_line
    from et_agent.evaluation.datasets import DATASETS

    for one in DATASETS.values():
        splits = ", ".join(one.splits)
        write_line(f"{one.name:<14}{one.title}\n{'':<14}splits: {splits}; licence: {one.licence}")
    return 0


class _Meter:
    """A bar on standard error while questions are decoded; a line now and then without terminal."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        from et_agent.cli.guard import is_verbose
        from et_agent.cli.terminal import error_console

        console = error_console()
        self._shown = console.is_terminal and not is_verbose()
        self._bars = Progress(
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            disable=not self._shown,
        )
        self._task = self._bars.add_task("loading", total=None)

    def __enter__(self) -> "_Meter":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def move(self, progress: "EvaluationProgress") -> None:
        """Show how far the runs are."""
        from et_agent.cli.terminal import duration, say

        if progress.accuracy is None or progress.seconds_left is None:
            text = "decoding the first questions"
        else:
            text = (
                f"{duration(progress.seconds_left)} left, {progress.tokens_per_second:.0f} tokens/s, "
                f"accuracy {progress.accuracy:.2f}"
            )
        self._bars.update(
            self._task, completed=progress.done, total=progress.total, description=text
        )
        if not self._shown:
            say(f"{progress.done}/{progress.total} {text} ({progress.run})")

    def count(self, done: int, total: int) -> None:
        """Show how many questions are done."""
        self._bars.update(self._task, completed=done, total=total, description="asking the model")
