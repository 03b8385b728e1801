"""A small SQLite file that several processes share, that only its owner can read, and that may be found damaged."""

import os
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

BUSY_SECONDS = 30.0
"""How long a transaction waits for another one. Ours take 0.1 ms, a checkpoint on a slow disk a second."""

_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class UnusableDatabase(sqlite3.DatabaseError):
    """What lies there is damaged, or of another version, and too dear to be moved aside without a word."""


@dataclass(frozen=True)
class OpenedDatabase:
    """A connection in autocommit mode, to begin transactions on by hand.

    Attributes:
        connection: May be used from any thread, by one at a time.
        identity: Device and inode, to notice that somebody has put another file in its place.
        discarded: Why the file that lay there was moved aside; None when there was none, or it was good.
    """

    connection: sqlite3.Connection
    identity: tuple[int, int]
    discarded: str | None


def open_database(
    path: Path, schema: str, version: int, synchronous: str, *, may_replace: bool = True
) -> OpenedDatabase:
    """Return a connection to `path`, which is created with mode 0600 and `schema` when it is not there.

    A file that is no database, is damaged or has another `user_version` is moved aside to `<name>.corrupt` and
    replaced, if it may be. Processes take turns in here (`<name>.opening`), so none moves aside what another has just
    made.

    WAL, because a commit is one append without a wait for the disk (synchronous=NORMAL) or with one (FULL), a reader
    never stops the writer, and a SIGKILL at any instant leaves a good file.

    Raises:
        OSError: The file or its folder cannot be used.
        sqlite3.Error: The same, as SQLite says it.
        UnusableDatabase: It would have to be replaced, and may not be.
    """
    with FileLock(f"{path}.opening", timeout=BUSY_SECONDS, mode=0o600):
        discarded = _why_unusable(path, version) if path.exists() else None
        if discarded and not may_replace:
            raise UnusableDatabase(discarded)
        if discarded:
            move_aside(path)
        if not path.exists():
            _create(path, schema, version)
        connection = _connect(path)
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA wal_autocheckpoint = 250")  # a log of 1 MB instead of 4
        return OpenedDatabase(connection, file_identity(path), discarded)


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether `error` says that the file is damaged, rather than locked, full or forbidden."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in _DAMAGE  # the low byte is the primary code, https://www.sqlite.org/rescode.html


def move_aside(path: Path) -> None:
    """Rename the database and its log to `<name>.corrupt`, over what an earlier mishap left there."""
    aside = path.with_name(f"{path.name}.corrupt")
    for suffix in ("-wal", "-shm"):
        aside.with_name(aside.name + suffix).unlink(missing_ok=True)
    path.replace(aside)
    with suppress(FileNotFoundError):
        path.with_name(f"{path.name}-wal").replace(aside.with_name(f"{aside.name}-wal"))
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)


def file_identity(path: Path) -> tuple[int, int]:
    """Return device and inode of what lies at `path`, (0, 0) when nothing does. About 2 µs."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return (stat.st_dev, stat.st_ino)


def _why_unusable(path: Path, version: int) -> str | None:
    try:
        with closing(_connect(path)) as connection:
            found: int = connection.execute("PRAGMA user_version").fetchone()[0]
            verdict: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return f"it cannot be read as a database ({error})"
    if found != version:
        return f"it has schema version {found}, this program reads {version}"
    return None if verdict == "ok" else f"it is damaged ({verdict.splitlines()[0]})"


def _create(path: Path, schema: str, version: int) -> None:
    """Make the database beside `path` and rename it when it is whole: a kill half-way leaves nothing at `path`."""
    new = path.with_name(f"{path.name}.new")
    for suffix in ("", "-wal", "-shm"):
        new.with_name(new.name + suffix).unlink(missing_ok=True)
    os.close(os.open(new, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite gives -wal and -shm the mode of this file
    with closing(_connect(new)) as connection:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # must come before the first table
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(f"BEGIN; {schema}; PRAGMA user_version = {version}; COMMIT;")
    new.replace(path)  # closing the last connection has written the log back into the file


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
