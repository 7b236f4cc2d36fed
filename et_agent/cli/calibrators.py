"""`et-agent calibrate show`: the calibrators that there are, in a table or one by one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from et_agent.cli.guard import command
from et_agent.cli.labelling import say_what_is_left_out
from et_agent.errors import CalibrationError
from et_agent.storage import user_path
from et_agent.wording import counted, noun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from et_agent.calibration import Calibrator, Fingerprint
    from et_agent.calibration.calibrator_file import CalibratorFile

    _Found = tuple[Path, Calibrator]

__all__ = ["in_leaves", "print_calibrator", "show"]


@command
def show(
    calibrator: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|FILE",
            help="What to describe: a name in the table, its beginning, or a file.",
            show_default="a table of all that `et-agent ask` finds",
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Describe all of them.")] = False,
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the reliability diagram as PNG.")
    ] = None,
) -> int:
    """List the calibrators, or describe some, and draw their reliability diagram."""
    from et_agent.cli.terminal import visible, write_line

    found = _chosen(calibrator)
    if not found:
        write_line("no calibrators: fit one with `et-agent calibrate fit`")
    elif calibrator is None and not every:
        _print_table(found)
    else:
        for path, one in found:
            write_line(visible(str(path)))
            print_calibrator(one.document())
            write_line("")
    if out is not None:
        from et_agent.evaluation.plots import draw_reliability

        bins = {
            name: one.reliability_
            for name, (_, one) in zip(_names(found), found, strict=True)
            if one.reliability_
        }
        write_line(visible(str(draw_reliability(bins, user_path(out)))))
    return 0


def _chosen(wanted: str | None) -> "list[_Found]":
    """The calibrator in a file, or those that are at hand, of this name if there is one."""
    from et_agent.calibration import Calibrator
    from et_agent.calibration.finding import known_calibrators

    if wanted is not None and (path := user_path(wanted)).exists():
        return [(path, Calibrator.load(path))]
    say_what_is_left_out()
    known = known_calibrators()
    if wanted is None:
        return known
    named = [(path, one) for path, one in known if _name(path, one).startswith(wanted)]
    if not named:
        raise CalibrationError(
            f"there is no calibrator {wanted}: choose one that `et-agent calibrate show` lists, or "
            "name a file"
        )
    return named


def _print_table(found: "Sequence[_Found]") -> None:
    """A line for each calibrator; labels that it learnt after it was fitted are counted apart."""
    from rich.table import Table

    from et_agent.calibration.calibrator_file import LEARNT
    from et_agent.calibration.finding import calibrators_folder
    from et_agent.cli.terminal import output_console, print_block, visible, write_line

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("name", overflow="fold")
    table.add_column("whose")
    for column in ("leaves", "labels", "right", "ECE"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("method")
    own = calibrators_folder()
    for path, one in found:
        document = one.document()
        labels = sum(used.questions for used in document.data)
        right = sum(used.right for used in document.data)
        learnt = sum(used.questions for used in document.data if used.name == LEARNT)
        begun = labels - learnt
        table.add_row(
            visible(_name(path, one)),
            "yours" if path.parent == own else "shipped",
            "" if document.fingerprint is None else _leaves(document.fingerprint),
            f"{begun:,} + {learnt:,}" if begun and learnt else f"{labels:,}",
            f"{right / labels:.0%}" if labels else "",
            f"{document.held_out['ECE']:.3f}" if "ECE" in document.held_out else "",
            document.method,
        )
    print_block(output_console(), table)
    write_line("more of one: et-agent calibrate show NAME; more of all: --all")


def _leaves(fingerprint: "Fingerprint") -> str:
    low, high = fingerprint.leaves
    return str(high) if low == high else f"{low} to {high}"


def in_leaves(fingerprint: "Fingerprint") -> str:
    """The sizes of trees that a calibrator holds for: `3 to 16 leaves`."""
    return f"{_leaves(fingerprint)} {noun(fingerprint.leaves[1], 'leaf', 'leaves')}"


def _name(path: Path, calibrator: "Calibrator") -> str:
    """What a calibrator is called in the table: its model and kinds of answers."""
    fingerprint = calibrator.fingerprint
    if fingerprint is None:
        return path.stem
    return f"{_model_name(fingerprint)}-{'+'.join(sorted(fingerprint.instructions))}"


def _model_name(fingerprint: "Fingerprint") -> str:
    """The catalog's name of a model; otherwise the beginning of its digest, which tells files apart."""
    from et_agent.weights.catalog import CATALOG

    named = (entry.name for entry in CATALOG.values() if entry.sha256 == fingerprint.model)
    return next(named, fingerprint.model[:12] or "without a file")


def _names(found: "Sequence[_Found]") -> list[str]:
    """What legends call calibrators: model, kinds of answers, whose they are; none like another."""
    from et_agent.calibration.finding import calibrators_folder

    own = calibrators_folder()
    names: list[str] = []
    for path, one in found:
        fingerprint = one.fingerprint
        if fingerprint is None:
            name = path.stem
        else:
            model = _model_name(fingerprint)
            whose = "yours" if path.parent == own else ""
            kinds = "+".join(sorted(fingerprint.instructions))
            name = " ".join(filter(None, (model, kinds, whose)))
        if name in names:
            low, high = (0, 0) if fingerprint is None else fingerprint.leaves
            name = f"{name}, {low} to {high} leaves" if high else f"{name}, {path.stem}"
        names.append(name if name not in names else f"{name}, {path.stem[-8:]}")
    return names


def print_calibrator(document: "CalibratorFile") -> None:
    """Print what a calibrator was fitted on, how good it is, and what it weighs."""
    import numpy as np

    from et_agent.calibration.calibrator_file import LEARNT
    from et_agent.calibration.features import FEATURES
    from et_agent.calibration.maps import weighed
    from et_agent.calibration.pooled import Pooled, rising
    from et_agent.cli.reliability import print_reliability
    from et_agent.cli.terminal import one_line, write_line

    fingerprint = document.fingerprint
    if fingerprint is not None:
        write_line(
            f"  model {_model_name(fingerprint)}, {fingerprint.decoder.get('name')} of "
            f"{in_leaves(fingerprint)}, "
            f"answers: {', '.join(fingerprint.instructions)}"
        )
    for one in document.data:
        what = counted(one.questions, "question") + " of"
        if one.name == LEARNT:
            what = f"{counted(one.questions, 'answer')} that {noun(one.questions, 'was', 'were')}"
        write_line(f"  fitted on {what} {one_line(one.name)}, {one.right} right")
    tried = ", ".join(f"{name} {loss:.3f}" for name, loss in document.losses.items())
    compared = f"; held-out log loss of those compared: {tried}" if tried else ""
    write_line(f"  method {document.method}, {document.created}{compared}")
    measured = ", ".join(f"{name} {value:.3f}" for name, value in document.held_out.items())
    write_line(f"  on held-out questions: {measured or 'too few to judge it'}")
    mapping = weighed(document.mapping)
    if mapping is not None:
        if isinstance(mapping, Pooled):
            weights = tuple(rising(np.array(mapping.posterior.mean)[1:]).tolist())
        else:
            weights = mapping.coefficients
        named = zip(mapping.features, weights, strict=True)
        ranked = sorted(named, key=lambda one: -abs(one[1]))
        for name, weight in ranked:
            if weight:
                meaning = FEATURES[name].meaning if name in FEATURES else "kind of answer"
                write_line(f"    {weight:+.2f}  {name}: {meaning}")
    if document.reliability:
        print_reliability(document.reliability)
