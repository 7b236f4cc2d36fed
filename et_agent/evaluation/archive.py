"""Several runs in one file: those of one model and data set, say.

An archive is xz-compressed JSON lines: a header that names the runs, then one run per line. A run's
fields are columns over all its questions, and leaf columns run over the leaves of all of them. So like
values stand together and pack a third smaller than gzipped questions line by line.
"""

import json
import lzma
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Final

from et_agent.arguments import checks_arguments
from et_agent.errors import DataError
from et_agent.evaluation.exchange import add_questions, import_run
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.store import RunInfo, RunStore
from et_agent.storage import decompressed, locked, read_regular, write_atomically
from et_agent.validation import parsed_json

__all__ = ["ArchivedRun", "RunArchive", "import_runs"]

_FORMAT: Final = "et-agent runs 1"
_MOST_BYTES: Final = 1 << 30
_REMEDY: Final = "Fetch the file again, or remove it and write its runs again."
_XZ: Final = b"\xfd7zXZ\x00"


@dataclass(frozen=True, slots=True)
class ArchivedRun:
    """A run as an archive holds it.

    Attributes:
        name: Its name in the store that it comes from.
        config: Everything that decides what is decoded.
        records: Its questions.
        unbroken: So many of the first questions are the beginning of the run's sample, without a gap.
    """

    name: str
    config: Mapping[str, Any]
    records: Sequence[QuestionRecord]
    unbroken: int


class RunArchive(Mapping[str, ArchivedRun]):
    """The runs of a file by their keys; each is decoded anew when it is asked for.

    Args:
        path: The file; without it the archive is empty.

    Raises:
        DataError: The file cannot be read or is not an archive; a run, once asked for, is damaged.
    """

    @checks_arguments(error=DataError)
    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines = _read(path)

    def __getitem__(self, key: str) -> ArchivedRun:
        line = self._lines[key]
        try:
            return _decoded(parsed_json(line))
        except (AttributeError, KeyError, TypeError, ValueError, DataError) as error:
            raise DataError(f"{self.path}, run {key}: {error!r}. {_REMEDY}") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)

    def put(self, runs: Mapping[str, ArchivedRun]) -> None:
        """Keep runs, each in place of the one that had its key.

        What other processes have put there meanwhile stays. The same runs give the same bytes.

        Raises:
            DataError: The file was damaged meanwhile.
        """
        lock = self.path.parent / f".{self.path.name}.lock"
        try:
            with locked(lock, on_wait=lambda: None, poll_seconds=0.02):
                held = _read(self.path)
                lines = held | {key: _encoded(run) for key, run in runs.items()}
                lines = dict(sorted(lines.items()))
                if lines != held:
                    write_atomically(self.path, _packed(lines))
                self._lines = lines
        except OSError as error:
            said = error.strerror or error
            raise DataError(f"{self.path} cannot be written: {said}. Free some space.") from error


def _packed(lines: Mapping[str, str]) -> bytes:
    head = _dumped({"format": _FORMAT, "runs": list(lines)})
    text = "".join(f"{line}\n" for line in (head, *lines.values()))
    return lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME)


def _read(path: Path) -> dict[str, str]:
    """The line of each run, by key."""
    if not path.exists():
        return {}
    try:
        packed = read_regular(path, most=_MOST_BYTES)
        head, *lines = decompressed(packed, most=_MOST_BYTES).decode().splitlines()
        header = parsed_json(head)
        if header["format"] != _FORMAT:
            raise ValueError(f"its format is {header['format']}, not {_FORMAT}")
        return dict(zip(header["runs"], lines, strict=True))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not an archive of runs: {error!r}. {_REMEDY}") from error


def _dumped(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _encoded(run: ArchivedRun) -> str:
    columns = _columns([one.as_json() for one in run.records])
    leaves = {
        name: [value for column in parts for value in column]
        for name, parts in _columns(columns.pop("leaves", [])).items()
    }
    return _dumped(
        {
            "name": run.name,
            "config": dict(run.config),
            "unbroken": run.unbroken,
            "questions": columns,
            "extras": [dict(one.extras) for one in run.records],
            "leaves per question": [len(one.leaves) for one in run.records],
            "leaves": leaves,
        }
    )


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}


def _decoded(values: Mapping[str, Any]) -> ArchivedRun:
    columns = values["questions"]
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    tables = _tables(values["leaves"], values["leaves per question"])
    records = [
        QuestionRecord.from_json({**row, "leaves": table}, extras)
        for row, table, extras in zip(rows, tables, values["extras"], strict=True)
    ]
    return ArchivedRun(values["name"], values["config"], records, values["unbroken"])


def _tables(columns: Mapping[str, list[Any]], sizes: Sequence[int]) -> list[dict[str, list[Any]]]:
    cuts = list(accumulate(sizes, initial=0))
    odd = [name for name, column in columns.items() if len(column) != cuts[-1]]
    if odd:
        raise ValueError(f"leaf columns of another length than {cuts[-1]}: {', '.join(odd)}")
    return [
        {name: column[start:end] for name, column in columns.items()}
        for start, end in pairwise(cuts)
    ]


@checks_arguments(error=DataError)
def import_runs(store: RunStore, path: Path) -> list[RunInfo]:
    """Put the runs of a file into a store, of an exported run or of an archive.

    Questions that are there already stay as they are.

    Raises:
        DataError: The file is damaged, or neither.
        StoreError: Another process works on one of the runs, or the disk is full.
    """
    if not _is_archive(path):
        return [import_run(store, path)]
    runs = RunArchive(path).values()
    return [add_questions(store, run.name, run.config, run.records) for run in runs]


def _is_archive(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_XZ)) == _XZ
