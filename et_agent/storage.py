"""Where the package stores files, and how they are written, locked and opened."""

import contextlib
import hashlib
import json
import lzma
import os
import sqlite3
import stat
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import filelock
import platformdirs

from et_agent.errors import EtAgentError, StoreError

__all__ = [
    "alone_with",
    "cache_dir",
    "config_file",
    "data_dir",
    "database_errors",
    "decompressed",
    "locked",
    "open_at_once",
    "open_database",
    "read_given",
    "read_regular",
    "sealed",
    "try_locked",
    "unsealed",
    "user_path",
    "write_atomically",
]

_SEAL: Final = "digest"
_SYSTEM: Final = ("/dev/", "/proc/")
_AT_ONCE: Final[int] = getattr(os, "O_NONBLOCK", 0)  # Windows has none
_MOST_LZMA: Final = 1 << 29  # bytes that xz may take; what we write needs an eighth

Migration = Callable[[sqlite3.Connection], None]


def cache_dir() -> Path:
    """Return the directory for downloaded models.

    It is `models` in et-agent's cache, or what `ET_AGENT_CACHE` names. It need not exist yet.
    """
    if override := os.environ.get("ET_AGENT_CACHE"):
        return user_path(override).absolute()
    return Path(platformdirs.user_cache_dir("et-agent", appauthor=False)) / "models"


def data_dir() -> Path:
    """Return et-agent's data directory for runs, calibrators and pilots. It need not exist yet."""
    return Path(platformdirs.user_data_dir("et-agent", appauthor=False))


def config_file() -> Path:
    """Return the file of the user's settings, which need not exist.

    It is `config.toml` in et-agent's configuration directory, or the file that the environment
    variable `ET_AGENT_CONFIG` names.
    """
    if override := os.environ.get("ET_AGENT_CONFIG"):
        return user_path(override).absolute()
    return Path(platformdirs.user_config_dir("et-agent", appauthor=False)) / "config.toml"


def user_path(given: str | os.PathLike[str]) -> Path:
    """A path as a person writes it: `~` is the home folder. That of an unknown user stays as it is."""
    return Path(os.path.expanduser(given))  # noqa: PTH111  (Path.expanduser raises a RuntimeError)


def write_atomically(
    path: Path,
    content: str | bytes | Sequence[bytes | memoryview],
    *,
    private: bool = False,
    error: type[EtAgentError] | None = None,
) -> None:
    """Write a file so that readers see either the old or the new content, never a part of it.

    Args:
        path: The file. What is none, such as /dev/stdout, is written to and stays what it is.
        content: What is written, in one piece or several.
        private: Whether only this user may read it.
        error: What is raised in place of an `OSError`; None for that itself.

    Raises:
        OSError: It cannot be written.
    """
    content = content.encode() if isinstance(content, str) else content
    pieces = [content] if isinstance(content, bytes) else content
    try:
        _write_atomically(path, pieces, private=private)
    except (OSError, ValueError) as failure:  # a path may hold a NUL or half a surrogate pair
        why = getattr(failure, "strerror", None) or failure
        said = f"{path} cannot be written: {why}. "
        said += "Free some space, mend its permissions, or name another place"
        told = said.encode("utf-8", "backslashreplace").decode()
        if error is not None:
            raise error(told) from failure
        if isinstance(failure, OSError):
            raise
        raise OSError(told) from failure


def _write_atomically(path: Path, pieces: Sequence[bytes | memoryview], *, private: bool) -> None:
    if _is_special(path):
        # To replace a device would take it from the whole system. A pipe that nobody reads is an error.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | _AT_ONCE), "wb") as file:
            _wait_from_now_on(file)
            file.writelines(pieces)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        if not private:  # another user may share the cache
            Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _is_special(path: Path) -> bool:
    """Whether it is a device, a pipe, a socket, or a link to one or to a file, as /dev/stdout is."""
    if not path.exists() or path.is_dir():
        return False
    return not path.is_file() or str(path.absolute()).startswith(_SYSTEM)


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON values with a digest of them, which tells damage in a file."""
    return {**values, _SEAL: _digest(values)}


def unsealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `sealed`; those without a digest, of earlier versions, are taken as they are.

    Raises:
        ValueError: They are not what was written, or no object.
    """
    if not isinstance(values, Mapping):
        raise ValueError("it is no object")
    found = {key: value for key, value in values.items() if key != _SEAL}
    if _SEAL in values and values[_SEAL] != _digest(found):
        raise ValueError("it is not what was written")
    return found


def _digest(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def read_regular(path: Path, *, most: int) -> bytes:
    """Read a file whose name nobody vouches for; of a pipe or a device nothing is read or waited for.

    Args:
        path: The file, or a link to it.
        most: Largest size, bytes.

    Raises:
        OSError: It cannot be read, is no regular file, or is larger.
    """
    # Looked at before too: to open a device may already do something.
    _check_regular(path.stat())
    with open_at_once(path) as file:
        _check_regular(os.fstat(file.fileno()))
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(f"it is larger than {most:,} bytes")
    return content


def read_given(path: str | os.PathLike[str], *, most: int = 1 << 29) -> bytes:
    """Read a file that a person names, a pipe among them; no more of one without end than it may have.

    Args:
        path: The file; `~` is the home folder.
        most: Largest size, bytes.

    Raises:
        OSError: It cannot be read, is larger, or nobody wrote to the pipe.
    """
    try:
        file = open_at_once(user_path(path))
    except ValueError as error:  # a NUL
        raise OSError(f"it is no path: {error}") from error
    with file:
        # A pipe that somebody writes to is waited for, as in `--schema <(make_schema)`.
        _wait_from_now_on(file)
        content = file.read(most + 1)
        if not content and stat.S_ISFIFO(os.fstat(file.fileno()).st_mode):
            raise OSError("nothing was written to this pipe")
    if len(content) > most:
        raise OSError(f"it is larger than {most:,} bytes")
    return content


def decompressed(data: bytes, *, most: int) -> bytes:
    """What gzip or xz packed; a small file that would fill the memory is refused.

    Args:
        data: The packed bytes.
        most: Largest size of what they hold, bytes.

    Raises:
        OSError: They are damaged, cut short, something else, or hold more.
    """
    is_xz = data.startswith(b"\xfd7zXZ")
    reader = lzma.LZMADecompressor(memlimit=_MOST_LZMA) if is_xz else zlib.decompressobj(wbits=31)
    try:
        content = reader.decompress(data, most + 1)
    except (zlib.error, lzma.LZMAError) as error:
        raise OSError(f"it is damaged ({error})") from error
    if len(content) > most:
        raise OSError(f"it holds more than {most:,} bytes")
    if not reader.eof:
        raise OSError("it is cut short")
    if reader.unused_data.strip(b"\0"):
        raise OSError("something follows what is packed: unpack it, and pack it as one")
    return content


def open_at_once(path: Path) -> BinaryIO:
    """Open a file to read bytes, without waiting for whoever writes to it if it is a pipe.

    Raises:
        OSError: It cannot be opened.
    """
    # Windows has no pipes among files, and would translate the ends of lines.
    flags = _AT_ONCE | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, os.O_RDONLY | flags), "rb")


def _wait_from_now_on(file: BinaryIO) -> None:
    if _AT_ONCE:
        os.set_blocking(file.fileno(), True)


def _check_regular(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError("it is not a regular file")


@contextlib.contextmanager
def locked(path: Path, on_wait: Callable[[], None], *, poll_seconds: float = 0.2) -> Iterator[None]:
    """Hold an advisory lock on `path` across processes and threads; waits for whoever has it.

    The lock ends with the process, however that dies. The file is removed afterwards.

    Args:
        path: The lock file.
        on_wait: Called once if another process or thread holds the lock.
        poll_seconds: Time between two tries.
    """
    with contextlib.ExitStack() as stack:
        if not stack.enter_context(try_locked(path)):
            on_wait()
            while not stack.enter_context(try_locked(path)):
                time.sleep(poll_seconds)
        yield


@contextlib.contextmanager
def try_locked(path: Path) -> Iterator[bool]:
    """Hold an advisory lock on `path` if no other process or thread does; yields whether it is held.

    The lock ends with the process, however that dies.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path, blocking=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        yield False
        return
    try:
        yield True
    finally:
        # Removed while it is held; whoever waits notices that the file is another one. Windows removes
        # no open file.
        with contextlib.suppress(PermissionError):
            path.unlink(missing_ok=True)
        lock.release()


@contextlib.contextmanager
def alone_with(path: Path, error: type[EtAgentError], *, busy: str = "") -> Iterator[None]:
    """Keep other processes from changing a file meanwhile; who comes second is refused.

    Args:
        path: The file; it need not exist.
        error: What is raised.
        busy: What it says of another process; by default, that it is changing the file.

    Raises:
        EtAgentError: Another process or thread is at it, or its folder cannot be written.
    """
    with contextlib.ExitStack() as stack:
        try:
            held = stack.enter_context(try_locked(path.parent / f".{path.name}.lock"))
        except OSError as failure:
            raise error(
                f"{path} cannot be written: {failure.strerror or failure}. Free some space, or mend "
                "its permissions"
            ) from failure
        if not held:
            raise error(
                busy or f"another process is changing {path}: wait for it, or leave it there"
            )
        yield


def open_database(
    path: Path,
    *,
    application: int,
    migrations: Sequence[Migration],
    what: str,
    any_thread: bool = False,
) -> sqlite3.Connection:
    """Open a SQLite file of the package, creating or upgrading it if necessary.

    Args:
        path: The file. It is created with its folders if it does not exist.
        application: The `application_id` of such files.
        migrations: Functions that upgrade a file from version i to version i + 1.
        what: Name of such a file for messages, such as "a store of runs".
        any_thread: Whether other threads may use the connection. The caller must serialise them.

    Raises:
        StoreError: The file is something else, is from a later version, or cannot be opened.
    """
    connection = None
    try:
        if _is_special(path):  # SQLite would put its journal beside it
            raise StoreError(f"{path} is not a regular file: choose another file")
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            path, timeout=30, isolation_level=None, check_same_thread=not any_thread
        )
        _check(connection, path, application, len(migrations), what)
        _use_wal(connection)
        _migrate(connection, application, migrations)
    # A damaged file may hold what sqlite3 cannot even put into its message; a path may hold a NUL.
    except (OSError, sqlite3.Error, ValueError, StoreError) as error:
        if connection is not None:
            connection.close()
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"{path} cannot be opened: {error}. Check the folder and its permissions."
        ) from error
    return connection


@contextlib.contextmanager
def database_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about a file of the package into `StoreError`."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:
        fix = "call again; if it stays, choose another file"
        if "full" in str(error):
            fix = "free some space and call again: what is finished is kept"
        elif "locked" in str(error):
            fix = "another program is using the file: wait for it"
        raise StoreError(f"{path}: {error}; {fix}") from error


def _check(
    connection: sqlite3.Connection, path: Path, application: int, known: int, what: str
) -> None:
    """Refuse files of something else and of later versions."""
    run = connection.execute
    try:
        # In one transaction, or another process could make the tables in between.
        run("BEGIN")
        version = _number(connection, "PRAGMA user_version")
        tables = _number(connection, "SELECT count(*) FROM sqlite_master")
        ours = _number(connection, "PRAGMA application_id") == application
        run("COMMIT")
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path} is not {what}: choose another file") from error
    if not ours and tables:
        raise StoreError(f"{path} is a database of another program: choose another file")
    if version > known:
        raise StoreError(
            f"{path} was written by a later et-agent (version {version}, this one knows {known}): "
            "upgrade et-agent, or choose another file"
        )


def _migrate(
    connection: sqlite3.Connection, application: int, migrations: Sequence[Migration]
) -> None:
    if _number(connection, "PRAGMA user_version") == len(migrations):
        return
    run = connection.execute
    run("BEGIN IMMEDIATE")
    try:
        # Another process may have been quicker.
        for migration in migrations[_number(connection, "PRAGMA user_version") :]:
            migration(connection)
        run(f"PRAGMA user_version = {len(migrations)}")
        run(f"PRAGMA application_id = {application}")
        run("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            run("ROLLBACK")
        raise


def _number(connection: sqlite3.Connection, query: str) -> int:
    return int(connection.execute(query).fetchone()[0])


def _use_wal(connection: sqlite3.Connection, *, seconds: float = 30.0) -> None:
    """Turn on the write-ahead log, waiting for others that do the same.

    SQLite does not wait by itself here: where two open a new file at once, one is told at once that it
    is locked.
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
