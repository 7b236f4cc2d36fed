"""Runs in a SQLite file, one transaction per question, so that nothing finished is ever lost.

Each question has a digest. One that was damaged afterwards is found and named, and the others stay.
"""

import contextlib
import hashlib
import json
import logging
import os
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from numpy.typing import NDArray

from et_agent.arguments import checks_arguments
from et_agent.decoding.naming import migrated
from et_agent.errors import StoreError
from et_agent.evaluation.packing import PackedQuestion, unpacked_texts, unpacked_traces
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.run_info import RunInfo, versions
from et_agent.evaluation.schema import MIGRATIONS
from et_agent.storage import alone_with, data_dir, database_errors, open_database, user_path
from et_agent.validation import plain_json

__all__ = ["RunInfo", "RunStore", "default_store_path", "versions"]

_log = logging.getLogger("et_agent.evaluation")
_APPLICATION: Final = 0x65744167  # "etAg": tells our files from other SQLite files


def default_store_path() -> Path:
    """The store of `ET_AGENT_RUNS`, or `runs.sqlite` in the user's data directory."""
    named = os.environ.get("ET_AGENT_RUNS")
    if named:
        return user_path(named)
    return data_dir() / "runs.sqlite"


class RunStore:
    """A file of runs.

    Args:
        path: The file; made with its folders if it is not there.

    Raises:
        StoreError: It is not a store of runs, is of a later version, or cannot be opened.
    """

    @checks_arguments(error=StoreError)
    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = open_database(
            path, application=_APPLICATION, migrations=MIGRATIONS, what="a store of runs"
        )
        # Damaged text is found by its digest, not by whoever decodes it.
        self._connection.text_factory = lambda text: text.decode("utf-8", "replace")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA foreign_keys = ON")

    @checks_arguments(error=StoreError)
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
        text = json.dumps(plain_json(config, "the configuration", error=StoreError), sort_keys=True)
        digest = _digest(text)
        with self._transaction() as connection:
            # One whose configuration was damaged is known by its digest, and mended.
            connection.execute("UPDATE runs SET config = ? WHERE digest = ?", (text, digest))
            configs = {
                one: kept
                for one, kept, said in connection.execute(
                    "SELECT name, config, digest FROM runs ORDER BY id"
                )
                if _digest(kept) == said
            }
            wanted = _migrated(text)
            known = next((one for one, kept in configs.items() if _migrated(kept) == wanted), None)
            if known is None:
                taken = {one for (one,) in connection.execute("SELECT name FROM runs")}
                known = next(one for one in _names(name) if one not in taken)
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
        """All runs, oldest first; one whose configuration was damaged is left out, with a warning."""
        with database_errors(self.path):
            rows = self._connection.execute(
                "SELECT id, name, config, created, "
                "(SELECT count(*) FROM questions WHERE run = runs.id), made_with, digest, wanted "
                "FROM runs ORDER BY id"
            ).fetchall()
        found = []
        for number, name, config, created, questions, made_with, digest, wanted in rows:
            try:
                if _digest(config) != digest:
                    raise ValueError("its configuration is another one")
                settings, versions = json.loads(config), json.loads(made_with)
                found.append(RunInfo(number, name, settings, created, questions, versions, wanted))
            except (ValueError, RecursionError) as error:
                _log.warning("%s: the run %s is damaged: %s", self.path, name, error)
        return found

    @checks_arguments(error=StoreError)
    def run(self, name: str) -> RunInfo:
        """A run by its name, or by a beginning of it that no other run has.

        A run without a finished question, such as one that failed at once, does not count.

        Raises:
            StoreError: There is none, or there are several.
        """
        return self._named(name, [run for run in self.runs() if run.questions])

    def any_run(self, name: str) -> RunInfo:
        """The same, but of all runs.

        Raises:
            StoreError: There is none, or there are several.
        """
        return self._named(name, self.runs())

    def _named(self, name: str, runs: Sequence[RunInfo]) -> RunInfo:
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
        """What the store has of a run by now; the same as before if it was removed."""
        return next((one for one in self.runs() if one.id == run.id), run)

    def want(self, run: RunInfo, questions: int) -> None:
        """Note how many questions a run is to have."""
        with self._transaction() as connection:
            connection.execute("UPDATE runs SET wanted = ? WHERE id = ?", (questions, run.id))

    def delete(self, run: RunInfo) -> None:
        """Remove a run with all its questions.

        Raises:
            StoreError: Another process is decoding it.
        """
        with self.working_on(run), self._transaction() as connection:
            connection.execute("DELETE FROM runs WHERE id = ?", (run.id,))

    def forget_empty(self, run: RunInfo) -> None:
        """Remove a run that has no question, unless somebody is `working_on` it."""
        with (
            contextlib.suppress(StoreError),  # it is no loss, and listed as empty
            self.working_on(run),
            self._transaction() as connection,
        ):
            connection.execute(
                "DELETE FROM runs WHERE id = ? "
                "AND NOT EXISTS (SELECT 1 FROM questions WHERE run = runs.id)",
                (run.id,),
            )

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
                    "INSERT INTO questions VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    (*values, _digest(*values[1:5])),
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

    @checks_arguments(error=StoreError)
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

    def right(self, run: RunInfo) -> tuple[int, int]:
        """How many answers of a run are right, and of how many questions; damaged ones do not count."""
        right = sound = 0
        with database_errors(self.path):
            rows = self._connection.execute("SELECT record FROM questions WHERE run = ?", (run.id,))
            for (text,) in rows:
                with contextlib.suppress(ValueError, RecursionError):
                    right += QuestionRecord.from_json(json.loads(text), {}).correct
                    sound += 1
        return right, sound

    def records(self, run: RunInfo) -> list[QuestionRecord]:
        """All finished questions of a run, by id.

        Raises:
            StoreError: Some are damaged; it names them.
        """
        records, damaged = self._read(run)
        if damaged:
            named = "; ".join(f"{item} ({why})" for item, why in list(damaged.items())[:5])
            raise StoreError(
                f"{self.path}: {len(damaged)} of {len(damaged) + len(records)} questions of the run "
                f"{run.name} are damaged: {named}. Evaluate it again: they are decoded anew, and the "
                "others stay"
            )
        return records

    def discard_damaged(self, run: RunInfo) -> tuple[str, ...]:
        """Remove a run's damaged questions, so that they are decoded anew; returns their ids.

        Raises:
            StoreError: The file cannot be read or written.
        """
        _, damaged = self._read(run)
        if damaged:
            with self._transaction() as connection:
                for table in ("questions", "extras"):
                    connection.executemany(
                        f"DELETE FROM {table} WHERE run = ? AND item = ?",
                        [(run.id, item) for item in damaged],
                    )
            told = ", ".join(damaged)
            _log.warning("%s: damaged questions of %s were removed: %s", self.path, run.name, told)
        return tuple(damaged)

    def _read(self, run: RunInfo) -> tuple[list[QuestionRecord], dict[str, str]]:
        """The sound questions of a run, and what is wrong with the others."""
        extras: dict[str, dict[str, Any]] = {}
        with database_errors(self.path):
            for item, name, value in self._connection.execute(
                "SELECT item, name, value FROM extras WHERE run = ?", (run.id,)
            ):
                extras.setdefault(item, {})[name] = value
            rows = self._connection.execute(
                "SELECT item, record, texts, traces, digest FROM questions WHERE run = ? ORDER BY item",
                (run.id,),
            )
            records, damaged = [], {}
            for item, text, texts, traces, digest in rows:
                try:
                    if digest is not None and _digest(item, text, texts, traces) != digest:
                        raise StoreError("it is not what was stored")
                    own = {name: json.loads(said) for name, said in extras.get(item, {}).items()}
                    records.append(QuestionRecord.from_json(json.loads(text), own))
                except (ValueError, RecursionError) as error:  # all of ours are ValueErrors too
                    damaged[item] = str(error)
        return records, damaged

    @checks_arguments(error=StoreError)
    def texts(self, run: RunInfo, item: str) -> list[str]:
        """Texts of a question's leaves, in the order of its `LeafTable`."""
        packed = self._blob(run, item, "texts")
        with self._damage(run, item):
            return unpacked_texts(packed)

    @checks_arguments(error=StoreError)
    def traces(self, run: RunInfo, item: str) -> dict[str, NDArray[Any]]:
        """Arrays along the tokens of a question's tree."""
        packed = self._blob(run, item, "traces")
        with self._damage(run, item):
            return unpacked_traces(packed)

    @contextlib.contextmanager
    def _damage(self, run: RunInfo, item: str) -> Iterator[None]:
        try:
            yield
        except (ValueError, KeyError, OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise StoreError(
                f"{self.path}: question {item} of the run {run.name} is damaged ({error}): evaluate it "
                "again, so that it is decoded anew"
            ) from error

    def _blob(self, run: RunInfo, item: str, column: str) -> bytes:
        with database_errors(self.path):
            row = self._connection.execute(
                f"SELECT {column} FROM questions WHERE run = ? AND item = ?",
                (run.id, item),
            ).fetchone()
        if row is None:
            raise StoreError(f"run {run.name} has no finished question {item!r}")
        kept = row[0]
        return kept.encode() if isinstance(kept, str) else bytes(kept or b"")

    @contextlib.contextmanager
    def working_on(self, run: RunInfo) -> Iterator[None]:
        """Keep other processes from decoding the same run meanwhile.

        Raises:
            StoreError: Another process is at it, or the store's folder cannot be written.
        """
        busy = f"another process is decoding the run {run.name} in {self.path}: wait for it, or stop it"
        with alone_with(self.path.with_name(f"{self.path.name}.{run.id}"), StoreError, busy=busy):
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


def _digest(*parts: object) -> str:
    found = hashlib.sha256()
    for number, part in enumerate(parts):
        data = part if isinstance(part, bytes) else str(part).encode("utf-8", "replace")
        found.update(b"%d " % len(data) * bool(number) + data)
    return found.hexdigest()


def _names(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
