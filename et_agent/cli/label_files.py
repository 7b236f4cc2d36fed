"""`et-agent label`: results in a file are labelled by known answers, or by a person, a letter each."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from et_agent.cli.guard import INTERRUPTED, command
from et_agent.cli.labelling import needs_terminal
from et_agent.cli.terminal import one_line, say, write_line
from et_agent.errors import DataError, SettingsError, StoreError
from et_agent.storage import alone_with, user_path
from et_agent.validation import text_fault
from et_agent.wording import counted

if TYPE_CHECKING:
    from et_agent.evaluation.known_answers import KnownAnswers

__all__ = ["label"]

_PROMPT: Final = "right? y, n, Enter skips, u undoes, q leaves: "
_KEYS: Final = "  keys: y (right), n (wrong), Enter (skip), u (undo), q (leave)"
_NOTHING_TO_UNDO: Final = "  there is nothing to undo yet"
_LABELS: Final = {"y": True, "yes": True, "n": False, "no": False}


_NO_RESULTS: Final = (
    "{0} holds no results. If these are questions with known answers, `et-agent calibrate model --data "
    "{0}` learns from them. To label a model's answers, write these first: `et-agent ask --questions "
    "{0} --json > results.jsonl`"
)


@command
def label(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="What `et-agent ask --json` printed, one per line."),
    ],
    answers: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Questions with known answers, such as the file that was asked: results are labelled "
            "by these, and you are asked about the rest.",
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Ask about those that have a label too.")
    ] = False,
) -> int:
    """Label results as right or wrong, with undo. The labels are kept in the file.

    A result that has its known answer beside it, as "expected" or "gold", is labelled by that.
    `et-agent calibrate learn --labels FILE` then learns from them.
    """
    from et_agent.evaluation.known_answers import KnownAnswers

    known = KnownAnswers() if answers is None else KnownAnswers.of(answers)
    if known.contradicted:
        said = counted(known.contradicted, "question")
        say(f"{answers}: {said} with different answers in different rows: none of these is taken")
    path = user_path(file)
    with alone_with(path, SettingsError):
        return _label(path, file, known, again=again)


def _label(path: Path, file: str, known: "KnownAnswers", *, again: bool) -> int:
    kept = _Kept(path)
    rows = _read(path)
    answered = [row for row in rows if row.get("answer") is not None]
    if _grade([row for row in answered if not _is_labelled(row)], known):
        kept.write(rows)
    waiting = [row for row in answered if again or not _is_labelled(row)]
    code = 0
    try:
        if waiting:
            needs_terminal("label asks about each answer")
            _ask_about(waiting, known, lambda: kept.write(rows))
    except KeyboardInterrupt:
        write_line("")
        code = INTERRUPTED
    labels = [row["right"] for row in rows if _is_labelled(row)]
    write_line(
        f"{len(labels)} of {len(rows)} labelled, {sum(labels)} right; to learn from them:\n"
        f"et-agent calibrate learn --labels {one_line(file)}"
    )
    return code


def _is_labelled(row: dict[str, Any]) -> bool:
    return isinstance(row.get("right"), bool)


def _grade(rows: list[dict[str, Any]], known: "KnownAnswers") -> int:
    """Label what has a known answer, and say so; gives how many."""
    graded = 0
    for row in rows:
        right = known.grade(row)
        if right is not None:
            _set(row, right)
            graded += 1
    if graded:
        rest = len(rows) - graded
        asked = f"; you are asked about the other {rest}" if rest else ""
        write_line(f"{graded} of {len(rows)} labelled by their known answers{asked}")
    return graded


def _ask_about(rows: list[dict[str, Any]], known: "KnownAnswers", save: Callable[[], None]) -> None:
    before: list[Any] = []  # what undo puts back
    while (at := len(before)) < len(rows):
        row = rows[at]
        write_line(f"\n{at + 1}/{len(rows)}  {one_line(str(row.get('question')))}")
        sure = row.get("confidence")
        told = f"  (confidence {sure:.0%})" if isinstance(sure, float) else ""
        write_line(f"  {one_line(str(row['answer']))}{told}")
        if expected := known.expected(row):
            write_line(f"  known answer: {one_line(' or '.join(expected))}")
        try:
            reply = input(_PROMPT).strip().lower()
        except EOFError:
            write_line("")
            return
        if reply == "q":
            return
        if reply == "u" and before:
            _set(rows[at - 1], before.pop())
            save()
        elif reply == "":
            before.append(row.get("right"))
        elif reply in _LABELS:
            before.append(row.get("right"))
            _set(row, _LABELS[reply])
            save()  # at once: nothing that was said is lost
        else:
            write_line(_NOTHING_TO_UNDO if reply == "u" else _KEYS)


def _set(row: dict[str, Any], right: Any) -> None:
    if right is None:
        row.pop("right", None)
    else:
        row["right"] = right


def _read(path: Path) -> list[dict[str, Any]]:
    from et_agent.evaluation.datasets.columns import TABLES
    from et_agent.evaluation.result_files import read_documents, read_text

    if path.suffix.lower() in TABLES:
        raise DataError(_NO_RESULTS.format(path))
    rows = []
    for number, row in read_documents(read_text(path), str(path)):
        if not isinstance(row, dict) or "answer" not in row or "question" not in row:
            raise DataError(
                f"{path}, line {number} is no result: use what `et-agent ask --questions FILE --json` "
                "prints, one result per line"
            )
        rows.append(row)
    if not rows:
        raise DataError(
            f"{path} holds no result: write some with `et-agent ask --questions … --json`"
        )
    if not any("features" in row for row in rows):
        raise DataError(_NO_RESULTS.format(path))
    return rows


class _Kept:
    """The file of labels, which nobody else may change meanwhile: what they wrote would be lost."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state = self._now()

    def write(self, rows: list[dict[str, Any]]) -> None:
        from et_agent.storage import write_atomically

        if self._now() != self._state:
            raise StoreError(
                f"{self._path} was changed meanwhile, so this label is not kept: wait until it is "
                "written whole, and begin again"
            )
        text = "".join(f"{_line(row)}\n" for row in rows)
        write_atomically(self._path, text, error=SettingsError)
        self._state = self._now()

    def _now(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_size, found.st_mtime_ns


def _line(row: dict[str, Any]) -> str:
    """A result as it was; with escapes if it has characters that no file can hold otherwise."""
    line = json.dumps(row, ensure_ascii=False)
    return line if text_fault(line) is None else json.dumps(row)
