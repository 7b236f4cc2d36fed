"""What labels need of the last replies: in memory, and in a file that outlives the process."""

import logging
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from et_agent.calibration import Example
from et_agent.calibration.finding import calibrators_folder
from et_agent.errors import CalibrationError, StoreError
from et_agent.storage import database_errors, open_database
from et_agent_server.answering import Answered

__all__ = ["Labelled", "Remembered", "default_file"]

_APPLICATION: Final = 0x65747270  # "etrp": tells our files from other SQLite files
_MOST_OF_A_QUESTION: Final = 4000
"""Characters that are remembered of it."""
_PATIENCE: Final = 2000
"""Milliseconds that a reply waits for another process that writes."""
_log = logging.getLogger("et_agent.server")


def _first_schema(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE replies (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, trace TEXT, "
        "example TEXT NOT NULL, answer TEXT, question TEXT)"
    )


# Numbered by position; never change one that was released, append instead.
_MIGRATIONS: Final[tuple[Callable[[sqlite3.Connection], None], ...]] = (_first_schema,)


def default_file() -> Path:
    """Where replies are remembered: beside the calibrators that labels move. Servers share it."""
    return calibrators_folder().with_name("server") / "replies.sqlite"


@dataclass(frozen=True, slots=True)
class Labelled:
    """What a label needs of a reply.

    Attributes:
        example: What a calibrator learns from: numbers and settings.
        trace_id: The gate's decision in the log; None without a gate.
        answer: The answer, and
        question: the end of the question, where its options are: what a correct answer is compared
            with. None where texts are not kept.
    """

    example: Example
    trace_id: str | None
    answer: str | None
    question: str | None

    def without_texts(self) -> "Labelled":
        """The same as numbers and digests."""
        return replace(self, example=self.example.without_texts(), answer=None, question=None)


class Remembered:
    """The last replies by id, from any thread; processes may share the file.

    A reply is never lost for the file's sake: what cannot be written is told to the log, and
    remembered in memory until the process ends.

    Args:
        most: Replies that are remembered.
        keep_texts: Whether questions, answers and system prompts are written too.
        path: The file; `default_file()` if None. It is made with the first reply.
    """

    def __init__(self, most: int, *, keep_texts: bool = False, path: Path | None = None) -> None:
        self._most, self._keep_texts, self._path = most, keep_texts, path
        self._kept: OrderedDict[str, Labelled] = OrderedDict()
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._told: set[str] = set()
        self._usable = True

    def keep(self, found: Answered) -> None:
        """Remember a reply; one without an answer teaches nothing."""
        try:
            example = Example.of(found.result)
        except CalibrationError:
            return
        trace = None if found.decision is None else found.decision.trace_id
        question = found.result.question[-_MOST_OF_A_QUESTION:]
        one = Labelled(example, trace, found.result.answer, question)
        with self._lock:
            self._kept[found.call.id] = one
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
            self._written(found.call.id, one if self._keep_texts else one.without_texts())

    def find(self, number: str) -> Labelled | None:
        """What is kept of a reply; None if it is not known, or no longer."""
        with self._lock:
            return self._kept.get(number) or self._read(number)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._usable = False
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def _written(self, number: str, one: Labelled) -> None:
        try:
            if (connection := self._opened()) is None:
                return
            with database_errors(self._file):
                connection.execute(
                    "INSERT INTO replies (id, trace, example, answer, question) "
                    "VALUES (?, ?, ?, ?, ?)",
                    (
                        number,
                        one.trace_id,
                        one.example.model_dump_json(),
                        one.answer,
                        one.question,
                    ),
                )
                connection.execute(
                    "DELETE FROM replies WHERE number <= (SELECT max(number) FROM replies) - ?",
                    (self._most,),
                )
        except StoreError as error:
            self._tell(str(error))

    def _read(self, number: str) -> Labelled | None:
        if self._connection is None and not self._file.exists():
            return None
        try:
            if (connection := self._opened()) is None:
                return None
            with database_errors(self._file):
                row = connection.execute(
                    "SELECT example, trace, answer, question FROM replies WHERE id = ?", (number,)
                ).fetchone()
            return None if row is None else Labelled(Example.model_validate_json(row[0]), *row[1:])
        except StoreError as error:
            self._tell(str(error))
        except ValidationError:  # of another version
            pass
        return None

    @property
    def _file(self) -> Path:
        if self._path is None:
            self._path = default_file()
        return self._path

    def _opened(self) -> sqlite3.Connection | None:
        """The file; None if it cannot be used.

        Raises:
            StoreError: It cannot be opened, which is not tried again.
        """
        if self._connection is not None or not self._usable:
            return self._connection
        self._usable = False
        path = self._file
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error}") from error
        connection = open_database(
            path,
            application=_APPLICATION,
            migrations=_MIGRATIONS,
            what="a file of replies",
            any_thread=True,
        )
        connection.execute(f"PRAGMA busy_timeout = {_PATIENCE}")
        # A crash of the process loses nothing, one of the machine the last replies at most.
        connection.execute("PRAGMA synchronous = NORMAL")
        self._connection, self._usable = connection, True
        return connection

    def _tell(self, why: str) -> None:
        """Say once that replies are not kept."""
        if why not in self._told:
            self._told.add(why)
            _log.warning("replies cannot be labelled after a restart: %s", why)
