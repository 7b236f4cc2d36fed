"""Tables of a store of runs, and how a file of an earlier version becomes one of this version."""

import sqlite3
from collections.abc import Callable
from typing import Final

__all__ = ["MIGRATIONS"]


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


def _with_digests(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE questions ADD COLUMN digest TEXT")  # NULL for those of before


def _with_wanted(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE runs ADD COLUMN wanted INTEGER NOT NULL DEFAULT 0")


# Numbered by position; never change one that was released, append instead.
MIGRATIONS: Final[tuple[Callable[[sqlite3.Connection], None], ...]] = (
    _first_schema,
    _with_digests,
    _with_wanted,
)
