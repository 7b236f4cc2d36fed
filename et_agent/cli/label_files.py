"""`et-agent label`: a person labels the results in a file, a letter each."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from et_agent.cli.guard import INTERRUPTED, command
from et_agent.cli.labelling import needs_terminal
from et_agent.cli.terminal import one_line, write_line
from et_agent.errors import DataError, SettingsError, StoreError
from et_agent.storage import alone_with, user_path
from et_agent.validation import text_fault

__all__ = ["label"]

_PROMPT: Final = "right? y, n, Enter skips, u undoes, q leaves: "
_LABELS: Final = {"y": True, "yes": True, "n": False, "no": False}


@command
def label(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="What `et-agent ask --json` printed, one per line."),
    ],
    again: Annotated[
        bool, typer.Option("--again", help="Ask about those that have a label too.")
    ] = False,
) -> int:
    """Label results as right or wrong, with undo. The labels are kept in the file.

    `et-agent calibrate learn --labels FILE` then learns from them.
    """
    needs_terminal("label asks about each answer")
    path = user_path(file)
    with alone_with(path, SettingsError):
        return _label(path, file, again=again)


def _label(path: Path, file: str, *, again: bool) -> int:
    kept = _Kept(path)
    rows = _read(path)
    waiting = [
        row
        for row in rows
        if row.get("answer") is not None and (again or not isinstance(row.get("right"), bool))
    ]
    code = 0
    try:
        _ask_about(waiting, lambda: kept.write(rows))
    except KeyboardInterrupt:
        write_line("")
        code = INTERRUPTED
    labels = [row["right"] for row in rows if isinstance(row.get("right"), bool)]
    write_line(
        f"{len(labels)} of {len(rows)} labelled, {sum(labels)} right; to learn from them: "
        f"et-agent calibrate learn --labels {one_line(file)}"
    )
    return code


def _ask_about(rows: list[dict[str, Any]], save: Callable[[], None]) -> None:
    before: list[Any] = []  # what undo puts back
    while (at := len(before)) < len(rows):
        row = rows[at]
        write_line(f"\n{at + 1}/{len(rows)}  {one_line(str(row.get('question')))}")
        sure = row.get("confidence")
        told = f"  [{sure:.0%}]" if isinstance(sure, float) else ""
        write_line(f"  {one_line(str(row['answer']))}{told}")
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


def _set(row: dict[str, Any], right: Any) -> None:
    if right is None:
        row.pop("right", None)
    else:
        row["right"] = right


def _read(path: Path) -> list[dict[str, Any]]:
    from et_agent.evaluation.result_files import read_documents, read_text

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
