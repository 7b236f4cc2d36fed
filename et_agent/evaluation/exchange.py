"""Single runs as small files: statistics and answers, without leaf texts and token arrays.

A file is gzipped JSON lines: a header with the run's name and configuration, then one question per
line. Read back into a store, a run can be scored, reported and gone on with; only texts are missing.
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from et_agent.arguments import checks_arguments
from et_agent.errors import DataError
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.store import RunInfo, RunStore
from et_agent.storage import decompressed, read_regular, write_atomically
from et_agent.validation import parsed_json

__all__ = ["add_questions", "export_run", "import_run", "read_run"]

_FORMAT: Final = "et-agent run 1"
_MOST_BYTES: Final = 1 << 30


@checks_arguments(error=DataError)
def export_run(store: RunStore, run: RunInfo, path: Path) -> int:
    """Write a run; returns the number of questions.

    The same questions give the same bytes, so that version control sees no change where none is.

    Raises:
        DataError: The file cannot be written.
    """
    records = store.records(run)
    header = {"format": _FORMAT, "name": run.name, "config": dict(run.config)}
    lines = [header, *({**one.as_json(), "extras": dict(one.extras)} for one in records)]
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    write_atomically(path, gzip.compress(text.encode(), mtime=0), error=DataError)
    return len(records)


@checks_arguments(error=DataError)
def read_run(path: Path) -> tuple[str, dict[str, Any], list[QuestionRecord]]:
    """A file's run: name, configuration, questions.

    Raises:
        DataError: The file cannot be read, is not a run, or a line is damaged.
    """
    try:
        packed = read_regular(path, most=_MOST_BYTES)
        lines = decompressed(packed, most=_MOST_BYTES).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}. Export it again.") from error
    rows: list[Any] = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(parsed_json(line))
        except ValueError as error:
            raise DataError(
                f"{path}, line {number}: this is not valid JSON. Export it again."
            ) from error
    head = rows[0] if rows and isinstance(rows[0], dict) else {}
    if head.get("format") != _FORMAT or not {"name", "config"} <= set(head):
        raise DataError(f"{path} is not an exported run of this version: export it again")
    records = []
    for number, row in enumerate(rows[1:], 2):
        try:
            extras = row.pop("extras")
            records.append(QuestionRecord.from_json(row, extras))
        except (AttributeError, KeyError, TypeError, DataError) as error:
            raise DataError(f"{path}, line {number}: {error}. Export it again.") from error
    return head["name"], head["config"], records


@checks_arguments(error=DataError)
def import_run(store: RunStore, path: Path) -> RunInfo:
    """Put a file's questions into a store; those that are there already stay as they are.

    Raises:
        DataError: See `read_run`.
        StoreError: Another process works on the run, or the disk is full.
    """
    return add_questions(store, *read_run(path))


def add_questions(
    store: RunStore, name: str, config: Mapping[str, Any], records: Sequence[QuestionRecord]
) -> RunInfo:
    """Put a run's questions into a store; those that are there already stay as they are.

    Args:
        store: Where they go.
        name: Of the run, if the store does not know its configuration under another name.
        config: Everything that decides what was decoded.
        records: The questions.

    Raises:
        StoreError: Another process works on the run, or the disk is full.
    """
    run = store.begin(name, config)
    if {record.item for record in records} <= store.finished(run):
        return run
    with store.working_on(run):
        known = store.finished(run)
        for record in records:
            if record.item not in known:
                store.add(run, record, [], {})
    return store.again(run)
