"""Labels while working: after an answer, from files of labelled results, and from logs of decisions."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from et_agent.cli.guard import command, fail
from et_agent.cli.terminal import is_watched, say, visible, write_line
from et_agent.errors import CalibrationError, SettingsError, StoreError
from et_agent.storage import user_path
from et_agent.wording import counted

if TYPE_CHECKING:
    from et_agent.calibration import Example, Learnt
    from et_agent.results import AskResult

__all__ = [
    "LabelFiles",
    "ask_whether_right",
    "check_terminal",
    "existing_log",
    "learn_labels",
    "learn_logged",
    "needs_terminal",
    "say_what_is_left_out",
]

_REPLIES = {"y": True, "yes": True, "n": False, "no": False, "": None}
_OTHER_WAY = (
    'add "right": true or false to the lines of --json, and use '
    "`et-agent calibrate learn --labels FILE`"
)
LabelFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--labels",
        metavar="FILE",
        help='Results of `et-agent ask --json`, one per line, with "right": true or false added.',
    ),
]


def check_terminal(*, as_json: bool, calibrator: str | None) -> None:
    """Refuse to ask for labels where nobody can reply, or where they would change nothing.

    Raises:
        SettingsError: Standard input or output is no terminal, or another option is in the way.
    """
    if as_json:
        raise SettingsError(f"--learn asks a person, and --json is for programs: {_OTHER_WAY}")
    if calibrator is not None:
        raise SettingsError(
            "--learn moves your own calibrator for these settings, and --calibrator replaces it: "
            "leave one of them out"
        )
    needs_terminal("--learn asks after each answer")


def needs_terminal(what: str) -> None:
    """Refuse to ask a person where none can reply.

    Raises:
        SettingsError: Standard input or output is no terminal.
    """
    if sys.stdin is None or not sys.stdin.isatty() or not is_watched():
        raise SettingsError(f"{what}, which needs a terminal: {_OTHER_WAY}")


def ask_whether_right(result: "AskResult") -> int:
    """Ask whether an answer was right and learn from the reply; gives the exit code."""
    if not result.features or (label := _reply()) is None:
        return 0
    from et_agent.calibration import learn

    try:
        learnt = learn(result, label)
    except CalibrationError as error:
        return fail(f"not learnt: {error}")
    write_line(f"{'learnt' if learnt.is_new else 'known before'}; {_labels(learnt)}")
    return 0


def _reply() -> bool | None:
    while True:
        try:
            given = input("was this right? y or n, Enter skips: ").strip().lower()
        except EOFError:
            write_line("")
            return None
        except KeyboardInterrupt:
            write_line("")
            raise
        if given in _REPLIES:
            return _REPLIES[given]


@command
def learn_labels(
    labels: LabelFiles = None,
    log: Annotated[
        list[str] | None,
        typer.Option(
            "--log", metavar="FILE", help="Decisions that `et-agent gate label` has labelled."
        ),
    ] = None,
) -> int:
    """Let labels move your own calibrators. Each label counts once, however often it is given."""
    if not labels and not log:
        raise CalibrationError("there are no labels: use --labels FILE or --log FILE")
    say_what_is_left_out()
    given = [one for file in labels or () for one in _of_file(file)]
    given += [one for file in log or () for one in _of_log(file)]
    if not given:
        raise CalibrationError("no answer is labelled: label one at least")
    return _learn_all(given)


_Given = tuple[str, "Example", bool]
"""Where a label is from, what is labelled, and the label."""


def _of_file(file: str) -> Iterator[_Given]:
    from et_agent.evaluation.calibrating import labelled_examples

    found = labelled_examples(user_path(file))
    unlabelled = sum(right is None for _, _, right in found)
    without = sum(right is not None and example is None for _, example, right in found)
    for count, what in ((unlabelled, "a label"), (without, "an answer")):
        if count:
            say(f"{file}: {count} of {counted(found, 'result')} left out: without {what}")
    for number, example, right in found:
        if example is not None and right is not None:
            yield f"{file}, line {number}", example, right


def _of_log(file: str, trace: str | None = None) -> Iterator[_Given]:
    from et_agent.gate import DecisionLog

    with DecisionLog(existing_log(file)) as opened:
        found = opened.labels(trace)
    if without := sum(one.example is None for one in found):
        say(
            f"{file}: {without} of {counted(found, 'labelled decision')} left out: the log has no "
            "features of them"
        )
    for one in found:
        if one.example is not None:
            yield f"{file}, decision {one.trace_id}", one.example, one.right


def learn_logged(file: str, trace: str) -> int:
    """Learn from the label of one decision of a log; gives the exit code."""
    given = list(_of_log(file, trace))
    if not given:
        return fail(f"nothing is learnt: {file} has no features of the gated model for {trace}")
    return _learn_all(given)


def _learn_all(given: Iterable[_Given]) -> int:
    from et_agent.calibration import learn

    counts = {True: 0, False: 0}
    moved: dict[Path, Learnt] = {}
    refused: dict[str, list[str]] = {}
    for where, example, right in given:
        try:
            learnt = learn(example, right)
        except CalibrationError as error:
            refused.setdefault(str(error), []).append(where)
            continue
        counts[learnt.is_new] += 1
        moved[learnt.path] = learnt
    known = f", {counts[False]} known before" if counts[False] else ""
    write_line(f"{counts[True]} learnt{known}")
    for learnt in moved.values():
        write_line(f"  {_labels(learnt)}")
    code = 0
    for reason, places in refused.items():
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        code = fail(f"{places[0]}{more}: {reason}")
    return code


def _labels(learnt: "Learnt") -> str:
    count = len(learnt.calibrator.learnt_)
    kinds = ", ".join(sorted({one.kind for one in learnt.calibrator.learnt_}))
    path = visible(str(learnt.path))
    return f"{counted(count, 'label')} of yours ({kinds}): {path}"


def say_what_is_left_out() -> None:
    """Name the files among the calibrators from which none can be read."""
    from et_agent.calibration.finding import unusable_calibrators

    for note in unusable_calibrators():
        say(f"note: {note}")


def existing_log(path: str) -> Path:
    """The file of a log that has to be there.

    Raises:
        StoreError: It is not.
    """
    found = user_path(path)
    if not found.is_file():
        raise StoreError(f"{path} does not exist: create it with `et-agent gate ask --log {path}`")
    return found
