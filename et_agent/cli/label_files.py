"""`et-agent label`: a person labels the results in a file, one key each."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from et_agent.cli.guard import INTERRUPTED, command
from et_agent.cli.labelling import needs_terminal
from et_agent.cli.terminal import one_line, write_line
from et_agent.errors import DataError, SettingsError
from et_agent.storage import alone_with

__all__ = ["label"]

_MOST_BYTES: Final = 1 << 29
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
    path = Path(file).expanduser()
    with alone_with(path, SettingsError):
        return _label(path, file, again=again)


def _label(path: Path, file: str, *, again: bool) -> int:
    rows = _read(path)
    waiting = [
        row
        for row in rows
        if row.get("answer") is not None and (again or not isinstance(row.get("right"), bool))
    ]
    code = 0
    try:
        _ask_about(waiting, lambda: _write(path, rows))
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
    at = 0
    while at < len(rows):
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
        if reply == "u":
            at = max(0, at - 1)
            if rows[at].pop("right", None) is not None:
                save()
        elif reply == "":
            at += 1
        elif reply in _LABELS:
            row["right"] = _LABELS[reply]
            save()  # at once: nothing that was said is lost
            at += 1


def _read(path: Path) -> list[dict[str, Any]]:
    from et_agent.storage import read_regular
    from et_agent.validation import parsed_json

    try:
        text = read_regular(path, most=_MOST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 (byte {error.start + 1}): convert it") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = parsed_json(line)
        except ValueError as error:
            raise DataError(f"{path}, line {number} is not JSON ({error}): correct it") from error
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


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    from et_agent.storage import write_atomically

    lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows)
    try:
        write_atomically(path, "".join(f"{line}\n" for line in lines))
    except OSError as error:
        raise SettingsError(
            f"the labels cannot be written to {path}: {error.strerror or error}"
        ) from error
