"""`et-agent calibrate`: labelled questions become a confidence; whether it still fits."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from et_agent.cli.calibrators import print_calibrator, show
from et_agent.cli.guard import command
from et_agent.cli.labelling import LabelFiles, learn_labels, say_what_is_left_out
from et_agent.cli.model_learning import ModelCommand, learn_model
from et_agent.cli.stores import StoreFile, open_store
from et_agent.storage import user_path
from et_agent.wording import counted

if TYPE_CHECKING:
    from et_agent.evaluation.calibrating import Labelled

__all__ = ["calibrate_app"]

calibrate_app = typer.Typer(
    help="Fit calibrated confidences, and check whether they still fit.", no_args_is_help=True
)

calibrate_app.command("model", cls=ModelCommand)(learn_model)
calibrate_app.command("learn")(learn_labels)

_Runs = Annotated[
    list[str] | None,
    typer.Argument(metavar="RUN…", help="Evaluation runs, or prefixes of their names."),
]


def _labelled(
    runs: list[str] | None, labels: list[str] | None, store: str | None, caps: tuple[int, ...] = ()
) -> "list[Labelled]":
    from et_agent.cli.terminal import one_line, write_line
    from et_agent.errors import CalibrationError
    from et_agent.evaluation.calibrating import labelled_file, labelled_run

    sets = []
    if runs:
        with open_store(store) as opened:
            for name in runs:
                info = opened.run(name)
                sets.append(
                    labelled_run(
                        info.config,
                        opened.records(info),
                        caps=caps,
                        library=info.library,
                        parameters=info.parameters,
                    )
                )
    sets += [labelled_file(user_path(file)) for file in labels or ()]
    if not sets:
        raise CalibrationError("there are no labelled questions: name a run, or use --labels FILE")
    for one in sets:
        if one.unanswered:
            write_line(
                f"{one_line(one.data.name)}: {one.unanswered} of "
                f"{counted(one.unanswered + one.data.questions, 'question')} left out: no answer, or "
                "stopped"
            )
        if one.unlabelled:
            left_out = counted(one.unlabelled, "result")
            write_line(f"{one_line(one.data.name)}: left out, without a label: {left_out}")
    return sets


@calibrate_app.command("fit")
@command
def fit(
    runs: _Runs = None,
    labels: LabelFiles = None,
    method: Annotated[
        str,
        typer.Option(
            help="logistic-3, platt, logistic, isotonic, venn-abers, or auto, which compares them."
        ),
    ] = "auto",
    feature: Annotated[
        list[str] | None,
        typer.Option(help="Features to use.", show_default="all that were measured"),
    ] = None,
    also_leaves: Annotated[
        list[int] | None,
        typer.Option(help="Smaller numbers of leaves that it must cover too. Only for runs."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the folds.")] = 0,
    output: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="File to write.", show_default="where `et-agent ask` looks"
        ),
    ] = None,
    store: StoreFile = None,
) -> int:
    """Fit a calibrator to labelled questions."""
    from et_agent.calibration.finding import changing_own, own_file
    from et_agent.cli.terminal import visible, write_line
    from et_agent.errors import SettingsError
    from et_agent.evaluation.calibrating import calibrate

    if any(cap < 1 for cap in also_leaves or ()):
        raise SettingsError("--also-leaves must be 1 or more")
    sets = _labelled(runs, labels, store, tuple(also_leaves or ()))
    own = output is None
    with changing_own() if own else nullcontext():
        calibrator = calibrate(sets, method=method, features=feature, seed=seed, keep_learnt=own)
        path = own_file(calibrator) if output is None else user_path(output)
        replaced = _what_is_at(path)
        calibrator.save(path)
    print_calibrator(calibrator.document())
    if calibrator.unmeasured_:
        names = ", ".join(calibrator.unmeasured_)
        write_line(f"not used, because at least one question lacks them: {names}")
    if replaced:
        write_line(f"replaced: {visible(str(path))}, {replaced}")
    write_line(f"saved: {visible(str(path))}")
    if output is not None:
        write_line("use it with `et-agent ask --calibrator FILE`")
    return 0


def _what_is_at(path: Path) -> str:
    """What a calibrator that is saved here replaces; empty for nothing."""
    from et_agent.calibration import Calibrator
    from et_agent.errors import CalibrationError

    if not path.is_file():
        return ""
    try:
        before = Calibrator.load(path).document()
    except CalibrationError:
        return "which was no calibrator"
    questions = sum(one.questions for one in before.data)
    return f"the calibrator of {before.created}, fitted on {counted(questions, 'question')}"


calibrate_app.command("show")(show)


@calibrate_app.command("check")
@command
def check(
    runs: _Runs = None,
    labels: LabelFiles = None,
    calibrator: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A calibrator.", show_default="the one that matches"),
    ] = None,
    alpha: Annotated[float, typer.Option(help="Chance of ever giving a false alarm.")] = 0.05,
    store: StoreFile = None,
) -> int:
    """Check a calibrator against new labelled questions. Exit code 1 if it no longer fits."""
    from et_agent.calibration import Calibrator, DriftMonitor
    from et_agent.calibration.finding import find_calibrator
    from et_agent.cli.terminal import write_line
    from et_agent.errors import CalibratorMismatchError
    from et_agent.evaluation.calibrating import confidences
    from et_agent.evaluation.metrics import METRICS, value_of

    if calibrator is None:
        say_what_is_left_out()
    drifted = False
    for one in _labelled(runs, labels, store):
        if calibrator is not None:
            judged = Calibrator.load(user_path(calibrator))
        elif (held := find_calibrator(one.fingerprint)) is not None:
            judged = held.calibrator
        else:
            if len(kinds := sorted(one.fingerprint.instructions)) > 1:
                raise CalibratorMismatchError(
                    f"no calibrator covers all of {one.data.name}, whose answers are of kind "
                    f"{' and '.join(kinds)}: keep those of one kind, or name one with --calibrator"
                )
            raise CalibratorMismatchError(
                f"no calibrator matches {one.data.name}: fit one with `et-agent calibrate fit`"
            )
        scores = confidences(judged, one)
        monitor = DriftMonitor(alpha).update(scores, one.right)
        write_line(
            f"{one.data.name}: {counted(one.data.questions, 'question')}, {one.data.right} right "
            f"({one.right.mean():.1%}), mean confidence {scores.mean():.1%}"
        )
        for name in ("ECE", "Brier", "AUROC"):
            ours = value_of(METRICS[name], one.right, scores)
            raw = value_of(METRICS[name], one.right, one.share)
            write_line(f"  {name:<6}{_number(ours)}   (share: {_number(raw)})")
        if monitor.drifted:
            drifted = True
            write_line(
                f"  DRIFT: the confidence is {monitor.direction} here "
                f"(evidence {monitor.evidence:.3g}, alarm at {1 / alpha:g}). "
                "Fit it again with `et-agent calibrate fit`"
            )
        else:
            write_line(
                f"  no drift found (evidence {monitor.evidence:.2f}, alarm at {1 / alpha:g})"
            )
    return 1 if drifted else 0


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
