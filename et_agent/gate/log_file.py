"""The SQLite file of a log of decisions: its tables, and a digest of each decision.

A digest is made anew with each change. What is read comes from the view `sound`, so that a decision
that is not what was stored counts nowhere.
"""

import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

from et_agent.storage import open_database

__all__ = ["SEAL", "SOUND", "open_log"]

_APPLICATION: Final = 0x65746764  # "etgd": tells our files from other SQLite files


def _first_schema(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE decisions (trace TEXT PRIMARY KEY, made TEXT NOT NULL, action TEXT NOT NULL, "
        "would TEXT, topic TEXT, confidence REAL, threshold REAL NOT NULL, escalated INTEGER NOT "
        "NULL, tokens INTEGER NOT NULL, seconds REAL NOT NULL, calls INTEGER NOT NULL, "
        "reason TEXT NOT NULL, question TEXT, answer TEXT, correct INTEGER)"
    )


def _what_it_rests_on(connection: sqlite3.Connection) -> None:
    for column in ("compared REAL", "source TEXT", "labels INTEGER"):
        connection.execute(f"ALTER TABLE decisions ADD COLUMN {column}")


def _with_examples(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE decisions ADD COLUMN example TEXT")


def _with_reviews(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE decisions ADD COLUMN reviews TEXT")


def _with_claims(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE claims (trace TEXT PRIMARY KEY, made TEXT NOT NULL, "
        "late INTEGER NOT NULL DEFAULT 0)"
    )


def _with_digests(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE decisions ADD COLUMN digest TEXT")


# Numbered by position; never change one that was released, append instead.
_MIGRATIONS: Final[tuple[Callable[[sqlite3.Connection], None], ...]] = (
    _first_schema,
    _what_it_rests_on,
    _with_examples,
    _with_reviews,
    _with_claims,
    _with_digests,
)
_SEALED: Final = (
    *("trace", "made", "action", "would", "topic", "confidence", "threshold", "escalated"),
    *("tokens", "seconds", "calls", "reason", "question", "answer", "correct", "compared"),
    *("source", "labels", "example", "reviews"),
)
"""Columns that a digest is of. What a later version adds gets a digest of its own."""
# Bytes of texts: a damaged one may be no Unicode, which a function cannot take.
_DIGEST: Final = "digest_of({})".format(
    ", ".join(
        f"CASE typeof({one}) WHEN 'text' THEN CAST({one} AS BLOB) ELSE {one} END" for one in _SEALED
    )
)
SOUND: Final = f"(digest IS NULL OR digest = {_DIGEST})"
"""Whether a decision is what was stored; those that an earlier version stored have no digest."""
SEAL: Final = f"UPDATE decisions SET digest = {_DIGEST} WHERE trace = ?"
"""Notes the digest of a decision as it is now."""


def open_log(path: Path) -> sqlite3.Connection:
    """Open a log for any thread. The view `sound` has the decisions that are, and `number`.

    Raises:
        StoreError: The file is not a decision log, is from a later version, or cannot be opened.
    """
    connection = open_database(
        path,
        application=_APPLICATION,
        migrations=_MIGRATIONS,
        what="a log of decisions",
        any_thread=True,
    )
    connection.create_function("digest_of", len(_SEALED), _digest_of, deterministic=True)
    connection.execute(
        f"CREATE TEMP VIEW sound AS SELECT rowid AS number, * FROM decisions WHERE {SOUND}"
    )
    return connection


def _digest_of(*values: bytes | float | None) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()
