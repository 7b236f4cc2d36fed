"""`et-agent eval`: runs over data sets, reports, comparisons."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from et_agent.cli.asking_options import ChatName, ChatStyle, System
from et_agent.cli.cluster import Engine, EngineName, RayAddress, check_engine, ray_engine
from et_agent.cli.guard import INTERRUPTED, be_verbose, command
from et_agent.cli.meter import Meter
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
from et_agent.cli.runs import delete_runs, export, import_, list_runs
from et_agent.cli.stores import RunNames, StoreFile, open_store
from et_agent.cli.thinking import (
    MaxThinkingTokens,
    TemplateOptions,
    Thinking,
    ThinkingName,
    thinking_keywords,
)
from et_agent.storage import user_path

if TYPE_CHECKING:
    from et_agent.cli.loading import GpuSettings
    from et_agent.evaluation.engines import EvaluationEngine
    from et_agent.evaluation.records import QuestionRecord
    from et_agent.evaluation.store import RunInfo, RunStore

__all__ = ["eval_app"]

eval_app = typer.Typer(
    help="Measure answers and their confidence on data sets. Runs can be interrupted and resumed.",
    no_args_is_help=True,
)

eval_app.command("list")(list_runs)
eval_app.command("delete")(delete_runs)
eval_app.command("export")(export)
eval_app.command("import")(import_)

_QUESTIONS_HELP: Final = (
    "Number of questions, taken from a fixed shuffle. A larger number later extends the run."
)


@eval_app.command("run")
@command
def run(
    data: Annotated[
        str,
        typer.Option(
            metavar="NAME[:SPLIT]|FILE",
            help="Data set (see `et-agent eval data`), or a .jsonl, .csv or .tsv file of your own.",
        ),
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
    engine: Engine = EngineName.LOCAL,
    ray_address: RayAddress = None,
    verbose: Verbose = False,
) -> int:
    """Decode the questions of a data set. The same command later continues where this one stopped."""
    if verbose:
        be_verbose()
    from et_agent.cli import loading
    from et_agent.cli.prompts import read_system
    from et_agent.cli.terminal import say, write_line
    from et_agent.errors import SettingsError
    from et_agent.evaluation.datasets import guessed_of, load_items
    from et_agent.evaluation.decoders import parse_decoder
    from et_agent.evaluation.items import sample
    from et_agent.evaluation.running import evaluate_on
    from et_agent.wording import counted

    if seed < 0:
        raise SettingsError(f"--seed is {seed}: use 0 or more")
    check_engine(engine, ray_address)
    loading.check_load_settings(context=context, threads=threads, width=width)
    prompt = read_system(system)
    shared = {"leaves": leaves, "max_tokens": max_tokens, "temperature": temperature}
    decoders = {spec: parse_decoder(spec, **shared) for spec in decoder or ["entropy-tree"]}
    found = load_items(data)
    if guessed := guessed_of(data):
        say(f"{data}: {guessed}")
    if questions is not None and not 1 <= questions <= len(found):
        raise SettingsError(f"--questions is {questions}: choose 1 to {len(found)}")
    items = sample(found, questions, seed=sample_seed)
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
    with open_store(store) as runs, opened as chosen, Meter() as meter:
        try:
            done, skipped = evaluate_on(
                chosen,
                items,
                decoders,
                runs,
                data=data,
                seed=seed,
                system_prompt=prompt,
                chat=chat.value,
                **thinking_keywords(thinking, max_thinking_tokens, template_options),
                on_progress=meter.move,
            )
        except KeyboardInterrupt:
            say(
                f"interrupted: {meter.done} of {counted(meter.total, 'question')} kept; the same "
                "command goes on, and `et-agent eval list` shows how far it is"
            )
            return INTERRUPTED
    for one in skipped:
        say(f"skipped {one.item}: {one.reason}")
    for info in done:
        write_line(f"{info.name}: {counted(info.questions, 'question')}")
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


@eval_app.command("report")
@command
def report(
    names: RunNames,
    out: Annotated[
        str | None, typer.Option(metavar="DIR", help="Folder for the report.", show_default=False)
    ] = None,
    md: Annotated[
        bool,
        typer.Option("--md", help="Print the tables as Markdown; without --out, nothing else."),
    ] = False,
    store: StoreFile = None,
    plots: Annotated[bool, typer.Option(help="Draw pictures. Needs matplotlib.")] = True,
) -> int:
    """Write tables (Markdown, JSON) and pictures (PNG) for runs."""
    from et_agent.cli.terminal import say, visible, write_line
    from et_agent.errors import SettingsError
    from et_agent.evaluation.report import report_lines, write_report

    if out is None and not md:
        raise SettingsError(
            "nothing says where the report goes: use --out DIR, or --md to print it"
        )

    with open_store(store) as runs:
        found = [runs.run(name) for name in names]
        records = {info.name: runs.records(info) for info in found}
    if md:
        write_line("\n".join(report_lines(records)))
    if out is None:
        return 0
    configs = {info.name: info.config for info in found}
    for path in write_report(records, user_path(out), configs=configs, plots=plots):
        (say if md else write_line)(visible(str(path)))
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
        typer.Option(metavar="MODEL", help="The run's model.", show_default="found by its name"),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:SPLIT]|FILE",
            help="The run's questions, for estimators that ask the model.",
            show_default="where they were",
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
        _ask_the_model(runs, info, (model, data), estimator or (), gpu)
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
    given: tuple[str | None, str | None],
    estimators: Sequence[str],
    gpu: "GpuSettings",
) -> None:
    """Fill in what estimators that ask the model need and the run has not got yet.

    Args:
        store: The store.
        run: The run.
        given: Its model and its data, where options name them.
        estimators: The estimators.
        gpu: Where the model goes.
    """
    from et_agent.cli import loading
    from et_agent.cli.transfer import shown_transfer
    from et_agent.engines.opening import needing_logits
    from et_agent.errors import DataError
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
    model, data = given
    try:
        items = {item.id: item for item in load_items(data or run.config["data"])}
    except DataError as error:
        raise DataError(
            f"{', '.join(missing)} ask the model about the questions of {run.name}, which the run does "
            f"not hold: {error}, or name them with --data"
        ) from error
    with (
        shown_transfer() as progress,
        loading.open_model(
            model or run.config["model"]["name"], gpu=gpu, progress=progress
        ) as loaded,
        Meter() as meter,
    ):
        asked = needing_logits(loaded, "asking a model of its own answers")
        ask_the_model(store, run, asked, items, missing, meter.count)


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
