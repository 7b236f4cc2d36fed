"""Runs in a SQLite file, one transaction per question, so that nothing finished is ever lost."""

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Self

from numpy.typing import NDArray

from et_agent.decoding.naming import migrated
from et_agent.errors import StoreError
from et_agent.evaluation.packing import PackedQuestion, unpacked_texts, unpacked_traces
from et_agent.evaluation.records import QuestionRecord
from et_agent.kernels import attach, library_line
from et_agent.storage import data_dir, database_errors, open_database, try_locked

__all__ = ["RunInfo", "RunStore", "default_store_path", "versions"]

_APPLICATION: Final = 0x65744167  # "etAg": tells our files from other SQLite files


def default_store_path() -> Path:
    """The store of `ET_AGENT_RUNS`, or `runs.sqlite` in the user's data directory."""
    named = os.environ.get("ET_AGENT_RUNS")
    if named:
        return Path(named).expanduser()
    return data_dir() / "runs.sqlite"


def _first_schema(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE runs (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, "
        "digest TEXT NOT NULL UNIQUE, config TEXT NOT NULL, created TEXT NOT NULL, "
        "made_with TEXT NOT NULL)"
    )
    connection.execute(
        "CREATE TABLE questions (run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE, "
        "item TEXT NOT NULL, record TEXT NOT NULL, texts BLOB NOT NULL, traces BLOB NOT NULL, "
        "finished TEXT NOT NULL, PRIMARY KEY (run, item))"
    )
    connection.execute(
        "CREATE TABLE extras (run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE, "
        "item TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, "
        "PRIMARY KEY (run, item, name))"
    )


# Numbered by position; never change one that was released, append instead.
_MIGRATIONS: Final[tuple[Callable[[sqlite3.Connection], None], ...]] = (_first_schema,)


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run: one decoder on one sample of one data set with one model.

    Attributes:
        id: Its number in the store.
        name: Its name, unique in the store.
        config: Everything that decides what is decoded.
        created: When it was begun, ISO 8601, UTC.
        questions: Questions that are finished.
        made_with: Versions of packages, the kernels and the model's number of parameters, with which it
            was begun.
    """

    id: int
    name: str
    config: Mapping[str, Any]
    created: str
    questions: int
    made_with: Mapping[str, str] = field(default_factory=dict)

    @property
    def library(self) -> str:
        """What decoded, as `ModelId.library` has it; empty where that is not known."""
        version, kernels = map(self.made_with.get, ("llama-cpp-python", "kernels"))
        return library_line(version, kernels) if version and kernels else ""

    @property
    def parameters(self) -> int:
        """Parameters of the model; 0 where that is not known."""
        return int(self.made_with.get("parameters", "0"))


class RunStore:
    """A file of runs.

    Args:
        path: The file; made with its folders if it is not there.

    Raises:
        StoreError: It is not a store of runs, is of a later version, or cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = open_database(
            path, application=_APPLICATION, migrations=_MIGRATIONS, what="a store of runs"
        )
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA foreign_keys = ON")

    def begin(
        self, name: str, config: Mapping[str, Any], *, made_with: Mapping[str, str] | None = None
    ) -> RunInfo:
        """The run of this configuration: a new one, or the one to go on with.

        A run of an earlier version, whose decoder is described as it was then, is gone on with too.

        Args:
            name: Name of a new run; a number is added when it is taken.
            config: Everything that decides what is decoded, in plain JSON types.
            made_with: As in `RunInfo`, for a new run; None for the `versions` of this process.
        """
        made_with = versions() if made_with is None else dict(made_with)
        text = json.dumps(config, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        with self._transaction() as connection:
            configs = dict(connection.execute("SELECT name, config FROM runs ORDER BY id"))
            wanted = _migrated(text)
            known = next((one for one, kept in configs.items() if _migrated(kept) == wanted), None)
            if known is None:
                known = next(one for one in _names(name) if one not in configs)
                connection.execute(
                    "INSERT INTO runs (name, digest, config, created, made_with) "
                    "VALUES (?, ?, ?, ?, ?)",
                    (
                        known,
                        digest,
                        text,
                        _now(),
                        json.dumps(made_with),
                    ),
                )
        return next(run for run in self.runs() if run.name == known)

    def runs(self) -> list[RunInfo]:
        """All runs, oldest first."""
        with database_errors(self.path):
            rows = self._connection.execute(
                "SELECT id, name, config, created, "
                "(SELECT count(*) FROM questions WHERE run = runs.id), made_with "
                "FROM runs ORDER BY id"
            ).fetchall()
        return [
            RunInfo(number, name, json.loads(config), created, questions, json.loads(made_with))
            for number, name, config, created, questions, made_with in rows
        ]

    def run(self, name: str) -> RunInfo:
        """A run by its name, or by a beginning of it that no other run has.

        A run without a finished question, such as one that failed at once, does not count.

        Raises:
            StoreError: There is none, or there are several.
        """
        runs = [run for run in self.runs() if run.questions]
        found = [run for run in runs if run.name == name] or [
            run for run in runs if run.name.startswith(name)
        ]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(run.name for run in found)
            raise StoreError(
                f"{name!r} is a prefix of several runs in {self.path}: use a longer one of {names}"
            )
        names = ", ".join(run.name for run in runs) or "none yet"
        raise StoreError(
            f"there is no run {name!r} with a finished question in {self.path}: it has {names}"
        )

    def again(self, run: RunInfo) -> RunInfo:
        """What the store has of a run by now."""
        return next(one for one in self.runs() if one.id == run.id)

    def finished(self, run: RunInfo) -> set[str]:
        """Ids of the finished questions."""
        with database_errors(self.path):
            rows = self._connection.execute("SELECT item FROM questions WHERE run = ?", (run.id,))
            return {row[0] for row in rows}

    def add(
        self,
        run: RunInfo,
        record: QuestionRecord,
        texts: Sequence[str],
        traces: Mapping[str, NDArray[Any]],
    ) -> None:
        """Keep a finished question, all of it or nothing.

        Args:
            run: Its run.
            record: Its statistics.
            texts: Texts of the leaves.
            traces: Arrays along the tokens of the tree.

        Raises:
            StoreError: The disk is full, or the question is there already.
        """
        if not self.add_packed(run, [PackedQuestion.of(record, texts, traces)]):
            raise StoreError(
                f"run {run.name} has the question {record.item!r} already: ask for what is missing"
            )

    def add_packed(self, run: RunInfo, questions: Sequence[PackedQuestion]) -> list[str]:
        """Keep finished questions, all of them or none; those that are there already stay as they are.

        Args:
            run: Their run.
            questions: The questions.

        Returns:
            Ids of those that were not there.

        Raises:
            StoreError: The disk is full.
        """
        added = []
        with self._transaction() as connection:
            for one in questions:
                values = (run.id, one.item, one.record, one.texts, one.traces, _now())
                done = connection.execute(
                    "INSERT INTO questions VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", values
                )
                if not done.rowcount:
                    continue
                added.append(one.item)
                connection.executemany(
                    "INSERT INTO extras VALUES (?, ?, ?, ?)",
                    [
                        (run.id, one.item, k, json.dumps(v))
                        for k, v in json.loads(one.extras).items()
                    ],
                )
        return added

    def add_extra(self, run: RunInfo, item: str, name: str, value: object) -> None:
        """Keep the value of an estimator that needed the model."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO extras VALUES (?, ?, ?, ?)",
                (run.id, item, name, json.dumps(value)),
            )

    def each_record(self, run: RunInfo) -> Iterator[QuestionRecord]:
        """Finished questions of a run, read one after the other, without their extras."""
        with database_errors(self.path):
            rows = self._connection.execute("SELECT record FROM questions WHERE run = ?", (run.id,))
            for (text,) in rows:
                yield QuestionRecord.from_json(json.loads(text), {})

    def records(self, run: RunInfo) -> list[QuestionRecord]:
        """All finished questions of a run, by id."""
        extras: dict[str, dict[str, Any]] = {}
        with database_errors(self.path):
            for item, name, value in self._connection.execute(
                "SELECT item, name, value FROM extras WHERE run = ?", (run.id,)
            ):
                extras.setdefault(item, {})[name] = json.loads(value)
            rows = self._connection.execute(
                "SELECT item, record FROM questions WHERE run = ? ORDER BY item", (run.id,)
            ).fetchall()
        return [
            QuestionRecord.from_json(json.loads(text), extras.get(item, {})) for item, text in rows
        ]

    def texts(self, run: RunInfo, item: str) -> list[str]:
        """Texts of a question's leaves, in the order of its `LeafTable`."""
        return unpacked_texts(self._blob(run, item, "texts"))

    def traces(self, run: RunInfo, item: str) -> dict[str, NDArray[Any]]:
        """Arrays along the tokens of a question's tree."""
        return unpacked_traces(self._blob(run, item, "traces"))

    def _blob(self, run: RunInfo, item: str, column: str) -> bytes:
        with database_errors(self.path):
            row = self._connection.execute(
                f"SELECT {column} FROM questions WHERE run = ? AND item = ?",
                (run.id, item),
            ).fetchone()
        if row is None:
            raise StoreError(f"run {run.name} has no finished question {item!r}")
        return bytes(row[0])

    @contextlib.contextmanager
    def working_on(self, run: RunInfo) -> Iterator[None]:
        """Keep other processes from decoding the same run meanwhile.

        Raises:
            StoreError: Another process is at it.
        """
        lock = self.path.with_name(f".{self.path.name}.{run.id}.lock")
        with try_locked(lock) as held:
            if not held:
                raise StoreError(
                    f"another process is decoding the run {run.name} in {self.path}: wait for it, "
                    "or stop it"
                )
            yield

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with database_errors(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise
            try:
                self._connection.execute("COMMIT")
            except BaseException:  # an open transaction would stop the next one
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _migrated(text: str) -> dict[str, Any]:
    """A configuration with its decoder as it is described now."""
    config: dict[str, Any] = json.loads(text)
    decoder = config.get("decoder")
    return {**config, "decoder": migrated(decoder)} if isinstance(decoder, dict) else config


def versions() -> dict[str, str]:
    """What a run is begun with here; to be read by people, other versions may go on with it."""
    found = {}
    for name in ("et-agent", "llama-cpp-python", "numpy"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    found["kernels"] = attach().name
    return found


def _names(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
