"""What the SQLite files of the package have in common."""

import sqlite3
import time

__all__ = ["use_wal"]


def use_wal(connection: sqlite3.Connection, *, seconds: float = 30.0) -> None:
    """Turn on the write-ahead log, waiting for others that do the same.

    SQLite does not wait by itself here: where two open a new file at once, one is told at once that it
    is locked.

    Raises:
        sqlite3.OperationalError: It was still locked after `seconds`, or something else is wrong.
    """
    last = time.monotonic() + seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > last:
                raise
            time.sleep(0.01)
        else:
            return
